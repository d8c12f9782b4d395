//! The meaning of the crate's names. A path leads to the file that defines its item, through any
//! number of re-exports.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use syn::{Fields, Generics, Path, Signature, Type, UseTree, Variant};

use crate::{reader::join, types::Ty};

/// The index of a definition in [`Names::definitions`].
pub(crate) type Id = usize;

/// The surroundings of a piece of code, which give its names their meaning.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) module: String,
    pub(crate) self_type: Option<Id>,
    /// From the outermost block to the innermost function.
    pub(crate) generics: Vec<Rc<Generics>>,
}

pub(crate) struct Definition<'a> {
    pub(crate) name: String,
    pub(crate) file: usize,
    pub(crate) place: Place,
    pub(crate) kind: Kind<'a>,
}

pub(crate) enum Kind<'a> {
    Struct(&'a Fields),
    Enum(Vec<&'a Variant>),
    Trait,
    Function(&'a Signature),
    /// A constant or a static.
    Value(&'a Type),
    Alias(&'a Type),
    Macro,
}

/// A function or constant of a type or trait.
pub(crate) struct Member<'a> {
    pub(crate) file: usize,
    pub(crate) place: Place,
    pub(crate) is_inherent: bool,
    pub(crate) signature: Option<&'a Signature>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    Module(String),
    /// An item, and the rest of the path: a variant, or a function of a type.
    Item(Id, Vec<String>),
    /// As far as can be told, not in this crate.
    Outside,
}

#[derive(Default)]
pub(crate) struct Scope {
    pub(crate) items: HashMap<String, Id>,
    pub(crate) imports: HashMap<String, Vec<String>>,
    pub(crate) globs: Vec<Vec<String>>,
}

#[derive(Default)]
pub(crate) struct Names<'a> {
    pub(crate) definitions: Vec<Definition<'a>>,
    /// By module.
    scopes: HashMap<String, Scope>,
    members: HashMap<(Id, String), Vec<Member<'a>>>,
    /// The types with an inherent method of this name, and the traits with one.
    with_method: HashMap<String, BTreeSet<Id>>,
}

/// The longest chain of imports that is followed. It bounds names that import each other.
const DEPTH: usize = 8;

impl<'a> Names<'a> {
    pub(crate) fn member(&self, of: Id, name: &str) -> Option<&Member<'a>> {
        let found = self.members.get(&(of, name.to_owned()))?;
        found
            .iter()
            .find(|member| member.is_inherent)
            .or(found.first())
    }

    pub(crate) fn with_method(&self, name: &str) -> impl Iterator<Item = Id> {
        self.with_method.get(name).into_iter().flatten().copied()
    }

    /// The meaning of `path` in `module`.
    pub(crate) fn find(&self, module: &str, path: &[String]) -> Found {
        self.find_at(module, path, false, DEPTH)
    }

    /// The meaning of a macro's path. A macro without `use` is also found in the modules around.
    pub(crate) fn find_macro(&self, module: &str, path: &[String]) -> Found {
        let mut around = Some(module);
        while let (Some(module), [_]) = (around, path) {
            match self.find(module, path) {
                Found::Item(id, rest) => return Found::Item(id, rest),
                _ => around = parent(module),
            }
        }
        self.find(module, path)
    }

    /// The type of an `impl` block, if it belongs to this crate.
    pub(crate) fn self_type(&self, module: &str, ty: &Type) -> Option<Id> {
        let path = match ty {
            Type::Path(ty) => &ty.path,
            Type::Reference(ty) => return self.self_type(module, &ty.elem),
            _ => return None,
        };
        match self.find(module, &words(path)) {
            Found::Item(id, _) => match self.item_ty(id) {
                Ty::Own(id) => Some(id),
                _ => None,
            },
            _ => None,
        }
    }

    /// `continues` means that `path` is only the beginning of a path.
    fn find_at(&self, module: &str, path: &[String], continues: bool, depth: usize) -> Found {
        let Some((first, rest)) = path.split_first() else {
            return Found::Module(module.to_owned());
        };
        let start = match first.as_str() {
            "crate" => Found::Module(String::new()),
            "self" => Found::Module(module.to_owned()),
            "super" => match parent(module) {
                Some(parent) => Found::Module(parent.to_owned()),
                None => Found::Outside,
            },
            name => self.look_up(module, name, continues || !rest.is_empty(), depth),
        };
        match start {
            Found::Module(module) => self.walk(module, rest, continues, depth),
            Found::Item(id, mut after) => {
                after.extend(rest.iter().cloned());
                Found::Item(id, after)
            }
            Found::Outside => Found::Outside,
        }
    }

    fn walk(
        &self,
        mut module: String,
        mut path: &[String],
        continues: bool,
        depth: usize,
    ) -> Found {
        while let Some((first, rest)) = path.split_first() {
            let next = match (first.as_str(), parent(&module)) {
                ("super", Some(parent)) => Found::Module(parent.to_owned()),
                _ => self.look_up(&module, first, continues || !rest.is_empty(), depth),
            };
            match next {
                Found::Module(next) => (module, path) = (next, rest),
                Found::Item(id, mut after) => {
                    after.extend(rest.iter().cloned());
                    return Found::Item(id, after);
                }
                Found::Outside => return Found::Outside,
            }
        }
        Found::Module(module)
    }

    /// A module and an item may share a name. If the path continues, the name means the module.
    fn look_up(&self, module: &str, name: &str, continues: bool, depth: usize) -> Found {
        let Some((scope, depth)) = self.scopes.get(module).zip(depth.checked_sub(1)) else {
            return Found::Outside;
        };
        let item = scope.items.get(name).map(|id| Found::Item(*id, Vec::new()));
        let below = Some(join(module, name)).filter(|below| self.scopes.contains_key(below));
        let below = below.map(Found::Module);
        let here = if continues {
            below.or(item)
        } else {
            item.or(below)
        };
        if let Some(here) = here {
            return here;
        }
        if let Some(import) = scope.imports.get(name) {
            return self.find_at(module, import, continues, depth);
        }
        let mut globs = scope.globs.iter();
        let found = globs.find_map(|glob| match self.find_at(module, glob, true, depth) {
            Found::Module(glob) if glob != module => {
                match self.look_up(&glob, name, continues, depth) {
                    Found::Outside => None,
                    found => Some(found),
                }
            }
            _ => None,
        });
        found.unwrap_or(Found::Outside)
    }

    pub(crate) fn scope(&mut self, module: &str) -> &mut Scope {
        self.scopes.entry(module.to_owned()).or_default()
    }

    pub(crate) fn define(
        &mut self,
        name: &syn::Ident,
        file: usize,
        place: Place,
        kind: Kind<'a>,
    ) -> Id {
        let id = self.definitions.len();
        let scope = self.scope(&place.module);
        scope.items.insert(name.to_string(), id);
        self.definitions.push(Definition {
            name: name.to_string(),
            file,
            place,
            kind,
        });
        id
    }

    pub(crate) fn add_member(&mut self, of: Id, name: &syn::Ident, member: Member<'a>) {
        let name = name.to_string();
        let is_trait = matches!(self.definitions[of].kind, Kind::Trait);
        if (member.is_inherent || is_trait) && takes_self(&member) {
            self.with_method.entry(name.clone()).or_default().insert(of);
        }
        self.members.entry((of, name)).or_default().push(member);
    }
}

fn takes_self(member: &Member<'_>) -> bool {
    member.signature.is_some_and(|s| s.receiver().is_some())
}

pub(crate) fn parent(module: &str) -> Option<&str> {
    match module.rsplit_once("::") {
        Some((parent, _)) => Some(parent),
        None => (!module.is_empty()).then_some(""),
    }
}

/// The segments of a path such as `a::b::C`, without their angle brackets.
pub(crate) fn words(path: &Path) -> Vec<String> {
    let segments = path.segments.iter();
    segments.map(|segment| segment.ident.to_string()).collect()
}

/// Collects the leaves of a `use`: each path, with the name that it gets.
pub(crate) fn leaves(tree: &UseTree, before: &[String], into: &mut Vec<Leaf>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    let mut leaf = |path: Vec<String>, name: Option<String>, at: proc_macro2::Span| {
        let line = at.start().line;
        into.push(Leaf { path, name, line });
    };
    match tree {
        UseTree::Path(tree) => leaves(&tree.tree, &with(&tree.ident), into),
        UseTree::Group(group) => {
            group
                .items
                .iter()
                .for_each(|tree| leaves(tree, before, into));
        }
        UseTree::Name(name) if name.ident == "self" => {
            leaf(before.to_vec(), before.last().cloned(), name.ident.span());
        }
        UseTree::Name(name) => {
            leaf(
                with(&name.ident),
                Some(name.ident.to_string()),
                name.ident.span(),
            );
        }
        UseTree::Rename(name) => {
            leaf(
                with(&name.ident),
                Some(name.rename.to_string()),
                name.ident.span(),
            );
        }
        UseTree::Glob(glob) => leaf(before.to_vec(), None, glob.star_token.spans[0]),
    }
}

pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    /// `None` for a `*`.
    pub(crate) name: Option<String>,
    pub(crate) line: usize,
}
