//! The files that each file uses: by the paths it names, and by the methods it calls.
//!
//! A method needs no import, so its file is found by the receiver's type. If that is unknown, the
//! method's name decides, provided that only this crate has such a method.

use std::collections::{BTreeSet, HashSet};

use syn::visit::Visit;

use crate::{
    locals::Locals,
    names::{Found, Id, Names, Place},
    reader::{Function, Source},
    types::Ty,
};

/// Methods that types of other crates have too, so the name alone decides nothing.
const COMMON: &str = "\
    all append as_bytes as_mut as_ref as_secs as_slice as_str at borrow call chain check clear \
    clone close cmp collect contains count create default drain drop end entry eq extend fill \
    filter find finish first flush fmt for_each from get get_mut hash head id insert into is_empty \
    is_err is_none is_ok is_some is_zero iter join keep key keys kind last len load lock map \
    map_err max merge min name named new next now of ok open parse path poll poll_ready pop push \
    put read remove replace reserve retain run set size skip source split split_at start store \
    swap sync take then to_owned to_string try_lock update unlock value values wait with write zip";

/// The files and edges that the rules check. A crate holds no syntax, so all tests can share it.
#[derive(Default)]
pub(crate) struct Crate {
    pub(crate) files: Vec<File>,
    pub(crate) edges: Vec<Edge>,
    /// Paths that lead to other crates.
    pub(crate) outside: Vec<Outside>,
    /// Calls that may or may not mean a method of this crate.
    pub(crate) doubtful: Vec<String>,
}

pub(crate) struct File {
    /// The path below `src`, as in `store/mod.rs`.
    pub(crate) path: String,
    pub(crate) lines: usize,
    pub(crate) functions: Vec<Function>,
}

/// A use of one file by another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) line: usize,
    /// As in `` calls `Slot::lock` ``.
    pub(crate) what: String,
}

pub(crate) struct Outside {
    pub(crate) file: usize,
    pub(crate) line: usize,
    /// The first segment of the path.
    pub(crate) name: String,
}

pub(crate) fn analyse(sources: &[Source]) -> Crate {
    let names = Names::of(sources);
    let mut found = Crate::default();
    for (file, source) in sources.iter().enumerate() {
        let mut finder = Finder::new(&names, file, source);
        source.items.iter().for_each(|item| finder.visit_item(item));
        finder.settle_doubts(sources);
        found.edges.extend(finder.edges);
        found.outside.append(&mut finder.outside);
        found.doubtful.append(&mut finder.doubtful);
        found.files.push(File {
            path: source.path.clone(),
            lines: source.lines,
            functions: source.functions.clone(),
        });
    }
    found
}

/// A call of a method whose type is unknown.
struct Doubt {
    method: String,
    line: usize,
}

pub(crate) struct Finder<'n, 'a> {
    pub(crate) locals: Locals<'n, 'a>,
    file: usize,
    edges: BTreeSet<Edge>,
    outside: Vec<Outside>,
    doubts: Vec<Doubt>,
    doubtful: Vec<String>,
    /// The types that the file names or defines.
    mentioned: HashSet<Id>,
}

impl<'n, 'a> Finder<'n, 'a> {
    fn new(names: &'n Names<'a>, file: usize, source: &Source) -> Self {
        let place = Place {
            module: source.module.clone(),
            self_type: None,
            generics: Vec::new(),
        };
        let own = (0..)
            .zip(&names.definitions)
            .filter(|(_, definition)| definition.file == file);
        Self {
            locals: Locals::new(names, place),
            file,
            edges: BTreeSet::new(),
            outside: Vec::new(),
            doubts: Vec::new(),
            doubtful: Vec::new(),
            mentioned: own.map(|(id, _)| id).collect(),
        }
    }

    pub(crate) fn names(&self) -> &'n Names<'a> {
        self.locals.names
    }

    fn edge(&mut self, to: usize, line: usize, what: String) {
        if to != self.file {
            let from = self.file;
            self.edges.insert(Edge {
                from,
                to,
                line,
                what,
            });
        }
    }

    /// Notes a use of the item, and of its function or constant that comes next in the path.
    pub(crate) fn uses(&mut self, id: Id, rest: &[String], line: usize) {
        let names = self.names();
        let definition = &names.definitions[id];
        self.mentioned.insert(id);
        self.edge(
            definition.file,
            line,
            format!("names `{}`", definition.name),
        );
        if let (Some(name), Ty::Own(id)) = (rest.first(), names.item_ty(id)) {
            self.uses_member(id, name, line);
        }
    }

    pub(crate) fn uses_member(&mut self, id: Id, name: &str, line: usize) {
        let names = self.names();
        if let Some(member) = names.member(id, name) {
            let what = format!("calls `{}::{name}`", names.definitions[id].name);
            self.edge(member.file, line, what);
        }
    }

    pub(crate) fn path(&mut self, path: &[String], line: usize) {
        match (path, self.locals.place.self_type) {
            ([first, name, ..], Some(this)) if first == "Self" => {
                self.uses_member(this, name, line);
            }
            ([name], _) if name == "Self" || self.locals.has(name) => {}
            _ => match self.names().find(&self.locals.place.module, path) {
                Found::Item(id, rest) => self.uses(id, &rest, line),
                Found::Module(_) => {}
                Found::Outside => self.leads_outside(path, line),
            },
        }
    }

    pub(crate) fn leads_outside(&mut self, path: &[String], line: usize) {
        if let Some(name) = path.first() {
            self.outside.push(Outside {
                file: self.file,
                line,
                name: name.clone(),
            });
        }
    }

    pub(crate) fn doubt(&mut self, method: &syn::Ident) {
        self.doubts.push(Doubt {
            method: method.to_string(),
            line: method.span().start().line,
        });
    }

    /// If only one file has methods of this name, the call means one of them. Otherwise it may mean
    /// the method of any type that the file mentions.
    fn settle_doubts(&mut self, sources: &[Source]) {
        for Doubt { method, line } in std::mem::take(&mut self.doubts) {
            let names = self.names();
            let types: Vec<_> = names.with_method(&method).collect();
            let file_of = |id: &Id| names.member(*id, &method).map(|member| member.file);
            let files: BTreeSet<_> = types.iter().map(file_of).collect();
            if types.is_empty() || files.iter().eq([&Some(self.file)]) {
                continue;
            }
            let mut likely = types.clone();
            if files.len() > 1 {
                likely.retain(|id| self.mentioned.contains(id));
            }
            if COMMON.split_whitespace().any(|common| common == method) || likely.is_empty() {
                let of: Vec<_> = types
                    .iter()
                    .map(|id| &*names.definitions[*id].name)
                    .collect();
                let path = &sources[self.file].path;
                self.doubtful
                    .push(format!("{path}:{line} .{method}() of {}?", of.join(" or ")));
                continue;
            }
            for id in likely {
                if let Some(member) = names.member(id, &method) {
                    let of = &names.definitions[id].name;
                    self.edge(member.file, line, format!("seems to call `{of}::{method}`"));
                }
            }
        }
    }
}
