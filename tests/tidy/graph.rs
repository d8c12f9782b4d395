//! Circles in the graph of files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::edges::{Crate, Edge};

/// The files that each file uses.
pub(crate) fn uses(krate: &Crate) -> Vec<BTreeSet<usize>> {
    let mut uses = vec![BTreeSet::new(); krate.files.len()];
    for edge in &krate.edges {
        uses[edge.from].insert(edge.to);
    }
    uses
}

/// The largest groups of files that use each other, in any number of steps.
pub(crate) fn circles(uses: &[BTreeSet<usize>]) -> Vec<BTreeSet<usize>> {
    let reached: Vec<_> = (0..uses.len()).map(|from| reached(uses, from)).collect();
    let mut circles = BTreeSet::new();
    for (from, to) in reached.iter().enumerate() {
        let mutual: BTreeSet<_> = to
            .iter()
            .copied()
            .filter(|to| reached[*to].contains(&from))
            .collect();
        if !mutual.is_empty() {
            circles.insert(mutual);
        }
    }
    circles.into_iter().collect()
}

fn reached(uses: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = uses[from].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(&uses[file]);
        }
    }
    reached
}

/// The shortest circle within the files that has a step which counts, beginning with that step.
pub(crate) fn shortest(
    uses: &[BTreeSet<usize>],
    within: &BTreeSet<usize>,
    counts: impl Fn(usize, usize) -> bool,
) -> Vec<usize> {
    let steps = within.iter().flat_map(|from| {
        let next = uses[*from].intersection(within);
        next.map(|to| (*from, *to))
    });
    let rounds = steps
        .filter(|(from, to)| counts(*from, *to))
        .filter_map(|(from, to)| way(uses, within, to, from));
    rounds.min_by_key(Vec::len).unwrap_or_default()
}

/// The shortest way between two files, preceded by the last file.
fn way(
    uses: &[BTreeSet<usize>],
    within: &BTreeSet<usize>,
    first: usize,
    last: usize,
) -> Option<Vec<usize>> {
    let mut before = BTreeMap::from([(first, last)]);
    let mut next = VecDeque::from([first]);
    while let Some(file) = next.pop_front() {
        if file == last {
            break;
        }
        for to in uses[file].intersection(within) {
            before.entry(*to).or_insert_with(|| {
                next.push_back(*to);
                file
            });
        }
    }
    let mut way = vec![*before.get(&last)?];
    while way.last() != Some(&last) {
        way.push(before[&way[way.len() - 1]]);
    }
    way.reverse();
    Some(way)
}

/// `session/open.rs:12 calls `Slot::lock`, defined in session/slots.rs`
pub(crate) fn sentence(krate: &Crate, edge: &Edge) -> String {
    let [from, to] = [edge.from, edge.to].map(|file| &krate.files[file].path);
    format!("{from}:{} {}, defined in {to}", edge.line, edge.what)
}

/// The first use of one file by another, and the number of further uses.
pub(crate) fn explain(krate: &Crate, from: usize, to: usize) -> String {
    let mut edges = krate
        .edges
        .iter()
        .filter(|edge| (edge.from, edge.to) == (from, to));
    let first = edges
        .next()
        .map(|edge| sentence(krate, edge))
        .unwrap_or_default();
    match edges.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}

/// All edges by folder, for `SILVERBACK_TIDY=print cargo test --test tidy -- --nocapture`.
pub(crate) fn print(krate: &Crate) -> String {
    let mut text = String::new();
    let folder = |file: usize| {
        krate.files[file]
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
    };
    let folders: BTreeSet<_> = (0..krate.files.len()).map(folder).collect();
    for name in folders {
        text += &format!("\nsrc/{name}\n");
        for (from, used) in uses(krate).into_iter().enumerate() {
            if folder(from) != name {
                continue;
            }
            text += &format!("  {}\n", krate.files[from].path);
            for to in used {
                text += &format!(
                    "    -> {}: {}\n",
                    krate.files[to].path,
                    list(krate, from, to)
                );
            }
        }
    }
    text += "\nCalls that may mean a method of this crate, and are not counted\n";
    krate
        .doubtful
        .iter()
        .for_each(|call| text += &format!("  {call}\n"));
    text
}

fn list(krate: &Crate, from: usize, to: usize) -> String {
    let edges = krate
        .edges
        .iter()
        .filter(|edge| (edge.from, edge.to) == (from, to));
    let mut what: Vec<_> = edges
        .map(|edge| format!("{} ({})", edge.what, edge.line))
        .collect();
    let more = what.len().saturating_sub(4);
    what.truncate(4);
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    what.join(", ")
}
