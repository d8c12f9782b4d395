//! The definitions in the source.

use std::rc::Rc;

use syn::{
    Generics, ImplItem, Item, ItemImpl, ItemMod, ItemTrait, ItemUse, Signature, TraitItem,
    visit::Visit,
};

use crate::{
    names::{Id, Kind, Member, Names, Place, leaves},
    reader::{Source, join},
};

impl<'a> Names<'a> {
    pub(crate) fn of(sources: &'a [Source]) -> Self {
        let mut names = Self::default();
        for (file, source) in sources.iter().enumerate() {
            names.scope(&source.module);
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
}

/// Notes definitions and imports. It treats those inside functions like those of the module, which
/// works as long as names are unique in their module.
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
                        self.names.scope("").items.insert(name.to_string(), id);
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
        self.names.scope(&self.module);
        items.iter().for_each(|item| self.visit_item(item));
        self.module = outer;
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        if item.leading_colon.is_some() {
            return;
        }
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        let scope = self.names.scope(&self.module);
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

/// Notes the methods after all types are known.
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
