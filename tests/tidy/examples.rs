//! The public functions that have an example.
//!
//! The lint `unreachable_pub` allows `pub` only on items that users of the crate can name. So the
//! public functions are those with `pub`, and those of traits with `pub`.

use syn::{Attribute, Expr, ExprLit, ImplItem, Item, Lit, Meta, TraitItem, Visibility};

use crate::reader::Source;

/// A public function.
pub(crate) struct Public {
    /// As in `session/save.rs Session::save`.
    pub(crate) name: String,
    /// Whether the documentation of the function has a block of Rust.
    pub(crate) has_example: bool,
}

/// The public functions and methods, except those of `impl Trait for` blocks.
pub(crate) fn public(sources: &[Source]) -> Vec<Public> {
    let mut found = Vec::new();
    for source in sources {
        within(&source.path, &source.items, &mut found);
    }
    found
}

fn within(path: &str, items: &[Item], found: &mut Vec<Public>) {
    let mut note = |owner: Option<&syn::Ident>, name: &syn::Ident, docs: &[Attribute]| {
        let owner = owner.map_or_else(String::new, |owner| format!("{owner}::"));
        if !is_hidden(docs) {
            found.push(Public {
                name: format!("{path} {owner}{name}"),
                has_example: has_example(docs),
            });
        }
    };
    for item in items {
        match item {
            Item::Fn(item) if is_public(&item.vis) => note(None, &item.sig.ident, &item.attrs),
            Item::Trait(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
                for function in &item.items {
                    if let TraitItem::Fn(function) = function {
                        note(Some(&item.ident), &function.sig.ident, &function.attrs);
                    }
                }
            }
            Item::Impl(block) if block.trait_.is_none() => {
                for function in &block.items {
                    match function {
                        ImplItem::Fn(function) if is_public(&function.vis) => {
                            note(owner(block), &function.sig.ident, &function.attrs);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &module.content
        {
            within(path, items, found);
        }
    }
}

fn owner(block: &syn::ItemImpl) -> Option<&syn::Ident> {
    match &*block.self_ty {
        syn::Type::Path(ty) => ty.path.segments.last().map(|last| &last.ident),
        _ => None,
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    let mut docs = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"));
    docs.any(|doc| matches!(&doc.meta, Meta::List(list) if list.tokens.to_string() == "hidden"))
}

/// Returns whether rustdoc compiles a block of the documentation as Rust.
fn has_example(attributes: &[Attribute]) -> bool {
    let lines = attributes.iter().filter_map(line).collect::<Vec<_>>();
    let fences = lines.iter().flat_map(|line| line.lines());
    let fences = fences.filter_map(|line| line.trim().strip_prefix("```"));
    // Every other fence ends a block.
    fences.step_by(2).any(|words| {
        let mut words = words.split(',').filter(|word| !word.is_empty());
        words.all(|word| matches!(word, "rust" | "no_run" | "should_panic"))
    })
}

fn line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}
