//! The rules. Each returns a sentence for each fault.

use std::collections::BTreeSet;

use crate::{
    edges::{Crate, Edge},
    examples::Public,
    graph,
};

/// No two files use each other, in any number of steps.
///
/// `known` are the circles that are allowed for now. A file that has left its circle must leave the
/// list.
pub(crate) fn circles(krate: &Crate, known: &[&[&str]]) -> Vec<String> {
    let uses = graph::uses(krate);
    let path = |file: usize| krate.files[file].path.as_str();
    let is_known = |files: &[&str]| {
        let mut known = known.iter();
        known.any(|known| files.iter().all(|file| known.contains(file)))
    };
    let mut faults = Vec::new();
    let mut circular = BTreeSet::new();
    for circle in graph::circles(&uses) {
        let files: Vec<_> = circle.iter().map(|file| path(*file)).collect();
        circular.extend(files.clone());
        if is_known(&files) {
            continue;
        }
        let is_new = |from, to| !is_known(&[path(from), path(to)]);
        let round = graph::shortest(&uses, &circle, is_new);
        let next = round.iter().cycle().skip(1);
        let steps = round.iter().zip(next);
        let steps = steps.map(|(from, to)| format!("\n    {}", graph::explain(krate, *from, *to)));
        faults.push(format!(
            "{} use each other; the shortest way round:{}",
            files.join(", "),
            steps.collect::<String>()
        ));
    }
    let mut stale = known.concat();
    stale.retain(|file| !circular.contains(file));
    faults.extend(
        stale
            .iter()
            .map(|file| format!("{file} is no longer in a circle: remove it from `KNOWN`")),
    );
    faults
}

/// Modules use only modules of their own floor and of lower floors.
pub(crate) fn floors(krate: &Crate, floors: &[&[&str]], forbidden: &[(&str, &str)]) -> Vec<String> {
    let module = |file: usize| child(&krate.files[file].path, "").unwrap_or_default();
    let floor = |module: &str| floors.iter().position(|floor| floor.contains(&module));
    let modules: BTreeSet<_> = (0..krate.files.len())
        .map(module)
        .filter(|m| *m != "lib")
        .collect();
    let missing = modules.iter().filter(|module| floor(module).is_none());
    let mut faults: Vec<_> = missing
        .map(|module| format!("`{module}` is on no floor"))
        .collect();
    let listed = floors.concat().into_iter();
    let stale = listed.filter(|module| !modules.contains(module));
    faults.extend(stale.map(|module| format!("`{module}` is on a floor but does not exist")));
    for edge in &krate.edges {
        let (from, to) = (module(edge.from), module(edge.to));
        if floor(from) < floor(to) || forbidden.contains(&(from, to)) {
            faults.push(format!(
                "`{from}` must not use `{to}`: {}",
                graph::sentence(krate, edge)
            ));
        }
    }
    faults
}

/// In folders with an order, each file or folder uses only those before it.
pub(crate) fn folders(krate: &Crate, folders: &[(&str, &[&str])]) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, order) in folders {
        let name = |file: usize| child(&krate.files[file].path, folder);
        let rank = |file: usize| order.iter().position(|listed| Some(*listed) == name(file));
        let names: BTreeSet<_> = (0..krate.files.len()).filter_map(name).collect();
        let listed: BTreeSet<_> = order.iter().copied().collect();
        for missing in names.difference(&listed) {
            faults.push(format!(
                "{folder}/{missing} is not in the order of its folder"
            ));
        }
        for stale in listed.difference(&names) {
            faults.push(format!(
                "{folder}/{stale} is in the order of its folder but does not exist"
            ));
        }
        let is_up = |edge: &&Edge| match (rank(edge.from), rank(edge.to)) {
            (Some(from), Some(to)) => from < to,
            _ => false,
        };
        let up = krate.edges.iter().filter(is_up);
        faults.extend(up.map(|edge| format!("upwards: {}", graph::sentence(krate, edge))));
    }
    faults
}

/// The name of the child of `folder` that is or contains this file. `None` for a file elsewhere.
fn child<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let below = match folder {
        "" => path,
        folder => path.strip_prefix(folder)?.strip_prefix('/')?,
    };
    Some(below.split('/').next()?.trim_end_matches(".rs"))
}

/// Only this module names the other crate, and it does name it.
pub(crate) fn alone(krate: &Crate, module: &str, other: &str) -> Vec<String> {
    let named = krate.outside.iter().filter(|outside| outside.name == other);
    let (own, others): (Vec<_>, Vec<_>) =
        named.partition(|outside| child(&krate.files[outside.file].path, "") == Some(module));
    let mut faults: Vec<_> = others
        .iter()
        .map(|outside| {
            let path = &krate.files[outside.file].path;
            format!(
                "{path}:{} names `{other}`, which only `{module}` may",
                outside.line
            )
        })
        .collect();
    if own.is_empty() {
        faults.push(format!(
            "`{module}` does not name `{other}`: is the rule still needed?"
        ));
    }
    faults
}

/// No file is longer than `limit` lines of code, except those in `exceptions`, which are.
pub(crate) fn long_files(krate: &Crate, limit: usize, exceptions: &[&str]) -> Vec<String> {
    let long = krate.files.iter().filter(|file| file.lines > limit);
    let long = long.map(|file| (file.path.clone(), format!("{} lines of code", file.lines)));
    longer(&long.collect::<Vec<_>>(), limit, exceptions)
}

/// The same for functions, with names as in `session/save.rs Session::save`.
pub(crate) fn long_functions(krate: &Crate, limit: usize, exceptions: &[&str]) -> Vec<String> {
    let all = krate.files.iter().flat_map(|file| {
        let path = &file.path;
        file.functions.iter().map(move |function| (path, function))
    });
    let long = all.filter(|(_, function)| function.lines > limit);
    let long = long.map(|(path, function)| {
        let length = format!(
            "{} lines of code from line {}",
            function.lines, function.line
        );
        (format!("{path} {}", function.name), length)
    });
    longer(&long.collect::<Vec<_>>(), limit, exceptions)
}

fn longer(long: &[(String, String)], limit: usize, exceptions: &[&str]) -> Vec<String> {
    let is_long = |exception: &&&str| long.iter().any(|(name, _)| name == *exception);
    let stale = exceptions.iter().filter(|exception| !is_long(exception));
    let stale = stale.map(|name| format!("{name} is no longer too long: remove it from the list"));
    let new = long
        .iter()
        .filter(|(name, _)| !exceptions.contains(&name.as_str()));
    let new = new.map(|(name, length)| format!("{name} has {length}; {limit} are allowed"));
    new.chain(stale).collect()
}

/// At least `least` percent of the public functions of each crate have an example.
pub(crate) fn few_examples(crates: &[(&str, Vec<Public>)], least: usize) -> Vec<String> {
    let few = crates.iter().filter_map(|(folder, public)| {
        let missing = public.iter().filter(|function| !function.has_example);
        let missing: Vec<_> = missing.map(|function| function.name.as_str()).collect();
        let (all, shown) = (public.len(), public.len() - missing.len());
        println!("{folder}: {shown} of {all} public functions have an example");
        (shown * 100 < all * least).then(|| {
            format!(
                "{folder}: {shown} of {all} public functions have an example; {least} % should. \
                 Without one:\n    {}",
                missing.join("\n    ")
            )
        })
    });
    few.collect()
}
