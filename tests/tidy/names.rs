//! What the crate's names stand for: a path leads to the file that defines the item, through as
//! many re-exports as there are.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use syn::{
    Fields, Generics, ImplItem, Item, ItemImpl, ItemMod, ItemTrait, ItemUse, Path, Signature,
    TraitItem, Type, UseTree, Variant, visit::Visit,
};

use crate::reader::{Source, join};

/// The place of a definition in [`Names::definitions`].
pub(crate) type Id = usize;

/// What the names in a piece of code are relative to.
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
    /// A constant, or a static.
    Value(&'a Type),
    Alias(&'a Type),
    Macro,
}

/// A function or constant of a type, or of a trait.
pub(crate) struct Member<'a> {
    pub(crate) file: usize,
    pub(crate) place: Place,
    pub(crate) is_inherent: bool,
    pub(crate) signature: Option<&'a Signature>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    Module(String),
    /// An item, and what follows it in the path: a variant, or a function of a type.
    Item(Id, Vec<String>),
    /// Not of this crate, as far as can be told.
    Outside,
}

#[derive(Default)]
struct Scope {
    items: HashMap<String, Id>,
    imports: HashMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

#[derive(Default)]
pub(crate) struct Names<'a> {
    pub(crate) definitions: Vec<Definition<'a>>,
    scopes: HashMap<String, Scope>,
    members: HashMap<(Id, String), Vec<Member<'a>>>,
    /// The types that have a method of this name that needs no trait, and the traits that have one.
    with_method: HashMap<String, BTreeSet<Id>>,
}

/// How many imports may lead from one to the next; names that import each other lead nowhere.
const DEPTH: usize = 32;

impl<'a> Names<'a> {
    pub(crate) fn of(sources: &'a [Source]) -> Self {
        let mut names = Self::default();
        for (file, source) in sources.iter().enumerate() {
            names.scopes.entry(source.module.clone()).or_default();
            let mut collector = Collector {
                names: &mut names,
                file,
                module: source.module.clone(),
            };
            source
                .items
                .iter()
                .for_each(|item| collector.visit_item(item));
        }
        for (file, source) in sources.iter().enumerate() {
            let mut impls = Impls {
                names: &mut names,
                file,
                module: source.module.clone(),
            };
            source.items.iter().for_each(|item| impls.visit_item(item));
        }
        names
    }

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

    /// `path` as it would be understood in `module`.
    pub(crate) fn find(&self, module: &str, path: &[String]) -> Found {
        self.find_at(module, path, DEPTH)
    }

    /// A macro is found where a `use` has it, and in the modules around without one.
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

    fn find_at(&self, module: &str, path: &[String], depth: usize) -> Found {
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
            name => self.look_up(module, name, !rest.is_empty(), depth),
        };
        match start {
            Found::Module(module) => self.walk(module, rest, depth),
            Found::Item(id, mut after) => {
                after.extend(rest.iter().cloned());
                Found::Item(id, after)
            }
            Found::Outside => Found::Outside,
        }
    }

    fn walk(&self, mut module: String, mut path: &[String], depth: usize) -> Found {
        while let Some((first, rest)) = path.split_first() {
            let next = match (first.as_str(), parent(&module)) {
                ("super", Some(parent)) => Found::Module(parent.to_owned()),
                _ => self.look_up(&module, first, !rest.is_empty(), depth),
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

    /// A module and an item may have one name; with more of the path to come it is the module.
    fn look_up(&self, module: &str, name: &str, goes_on: bool, depth: usize) -> Found {
        let Some((scope, depth)) = self.scopes.get(module).zip(depth.checked_sub(1)) else {
            return Found::Outside;
        };
        let item = scope.items.get(name).map(|id| Found::Item(*id, Vec::new()));
        let below = Some(join(module, name)).filter(|below| self.scopes.contains_key(below));
        let below = below.map(Found::Module);
        let here = if goes_on {
            below.or(item)
        } else {
            item.or(below)
        };
        if let Some(here) = here {
            return here;
        }
        if let Some(import) = scope.imports.get(name) {
            return self.find_at(module, import, depth);
        }
        let mut globs = scope.globs.iter();
        let found = globs.find_map(|glob| match self.find_at(module, glob, depth) {
            Found::Module(glob) if glob != module => {
                match self.look_up(&glob, name, goes_on, depth) {
                    Found::Outside => None,
                    found => Some(found),
                }
            }
            _ => None,
        });
        found.unwrap_or(Found::Outside)
    }

    fn define(&mut self, name: &syn::Ident, file: usize, place: Place, kind: Kind<'a>) -> Id {
        let id = self.definitions.len();
        let scope = self.scopes.entry(place.module.clone()).or_default();
        scope.items.insert(name.to_string(), id);
        self.definitions.push(Definition {
            name: name.to_string(),
            file,
            place,
            kind,
        });
        id
    }

    fn add_member(&mut self, of: Id, name: &syn::Ident, member: Member<'a>) {
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

/// `a::b::C`, without what is in angle brackets.
pub(crate) fn words(path: &Path) -> Vec<String> {
    let segments = path.segments.iter();
    segments.map(|segment| segment.ident.to_string()).collect()
}

/// The leaves of a `use`: the path, and the name it gets.
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
    /// None for a `*`.
    pub(crate) name: Option<String>,
    pub(crate) line: usize,
}

/// Notes what is defined and imported, also inside functions: names that are unique in their
/// module are as good there.
struct Collector<'n, 'a> {
    names: &'n mut Names<'a>,
    file: usize,
    module: String,
}

impl<'a> Collector<'_, 'a> {
    fn define(&mut self, name: &syn::Ident, generics: Option<&Generics>, kind: Kind<'a>) -> Id {
        let place = Place {
            module: self.module.clone(),
            self_type: None,
            generics: generics.cloned().map(Rc::new).into_iter().collect(),
        };
        let id = self.names.define(name, self.file, place, kind);
        self.names.definitions[id].place.self_type = Some(id);
        id
    }

    fn define_trait(&mut self, item: &'a ItemTrait) {
        let id = self.define(&item.ident, Some(&item.generics), Kind::Trait);
        for function in &item.items {
            let TraitItem::Fn(function) = function else {
                continue;
            };
            let member = Member {
                file: self.file,
                place: within(&self.names.definitions[id].place, &function.sig),
                is_inherent: false,
                signature: Some(&function.sig),
            };
            self.names.add_member(id, &function.sig.ident, member);
        }
    }
}

fn within(place: &Place, signature: &Signature) -> Place {
    let mut place = place.clone();
    place.generics.push(Rc::new(signature.generics.clone()));
    place
}

impl<'a> Visit<'a> for Collector<'_, 'a> {
    fn visit_item(&mut self, item: &'a Item) {
        match item {
            Item::Struct(item) => {
                let kind = Kind::Struct(&item.fields);
                self.define(&item.ident, Some(&item.generics), kind);
            }
            Item::Enum(item) => {
                let kind = Kind::Enum(item.variants.iter().collect());
                self.define(&item.ident, Some(&item.generics), kind);
            }
            Item::Trait(item) => self.define_trait(item),
            Item::Fn(item) => {
                let generics = Some(&item.sig.generics);
                self.define(&item.sig.ident, generics, Kind::Function(&item.sig));
            }
            Item::Const(item) => {
                self.define(&item.ident, None, Kind::Value(&item.ty));
            }
            Item::Static(item) => {
                self.define(&item.ident, None, Kind::Value(&item.ty));
            }
            Item::Type(item) => {
                self.define(&item.ident, Some(&item.generics), Kind::Alias(&item.ty));
            }
            Item::Macro(item) => {
                if let Some(name) = &item.ident {
                    let id = self.define(name, None, Kind::Macro);
                    let exported = item.attrs.iter().any(|a| a.path().is_ident("macro_export"));
                    if exported {
                        let root = self.names.scopes.entry(String::new()).or_default();
                        root.items.insert(name.to_string(), id);
                    }
                }
            }
            _ => {}
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        let Some((_, items)) = &item.content else {
            return;
        };
        let outer = self.module.clone();
        self.module = join(&outer, &item.ident.to_string());
        self.names.scopes.entry(self.module.clone()).or_default();
        items.iter().for_each(|item| self.visit_item(item));
        self.module = outer;
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        if item.leading_colon.is_some() {
            return;
        }
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        let scope = self.names.scopes.entry(self.module.clone()).or_default();
        for leaf in found {
            match leaf.name {
                Some(name) => {
                    scope.imports.insert(name, leaf.path);
                }
                None => scope.globs.push(leaf.path),
            }
        }
    }
}

/// Notes the methods, once all types are known.
struct Impls<'n, 'a> {
    names: &'n mut Names<'a>,
    file: usize,
    module: String,
}

impl<'a> Visit<'a> for Impls<'_, 'a> {
    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        let outer = self.module.clone();
        self.module = join(&outer, &item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module = outer;
    }

    fn visit_item_impl(&mut self, block: &'a ItemImpl) {
        syn::visit::visit_item_impl(self, block);
        let Some(id) = self.names.self_type(&self.module, &block.self_ty) else {
            return;
        };
        let place = Place {
            module: self.module.clone(),
            self_type: Some(id),
            generics: vec![Rc::new(block.generics.clone())],
        };
        for item in &block.items {
            let (name, signature, place) = match item {
                ImplItem::Fn(item) => (&item.sig.ident, Some(&item.sig), within(&place, &item.sig)),
                ImplItem::Const(item) => (&item.ident, None, place.clone()),
                _ => continue,
            };
            let member = Member {
                file: self.file,
                place,
                is_inherent: block.trait_.is_none(),
                signature,
            };
            self.names.add_member(id, name, member);
        }
    }
}

impl Names<'_> {
    /// The type of this crate that an `impl` block is for.
    pub(crate) fn self_type(&self, module: &str, ty: &Type) -> Option<Id> {
        let path = match ty {
            Type::Path(ty) => &ty.path,
            Type::Reference(ty) => return self.self_type(module, &ty.elem),
            _ => return None,
        };
        match self.find(module, &words(path)) {
            Found::Item(id, _) => Some(id),
            _ => None,
        }
    }
}
