//! Reads the crate's files into syntax, without their tests.

use std::ops::RangeInclusive;

use syn::{
    Attribute, ImplItem, ImplItemFn, Item, ItemFn, ItemImpl, Meta, TraitItemFn, spanned::Spanned,
    visit::Visit,
};

/// A file of the crate.
pub(crate) struct Source {
    /// The path below `src`, as in `store/mod.rs`.
    pub(crate) path: String,
    /// The path of the module, as in `store::memory`. That of the root is empty.
    pub(crate) module: String,
    /// All items except tests, including those in a macro's braces, as in `pin_project!`.
    pub(crate) items: Vec<Item>,
    /// The number of lines of code, which are neither blank nor a comment nor in a test.
    pub(crate) lines: usize,
    pub(crate) functions: Vec<Function>,
}

/// A function and its length in lines of code.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// Reads `lib.rs` and every module declared in it or below it.
///
/// `load` returns the text of a file, if there is one.
pub(crate) fn read(load: &dyn Fn(&str) -> Option<String>) -> Vec<Source> {
    let mut sources = Vec::new();
    let text = load("lib.rs").expect("a crate has a lib.rs");
    read_file("lib.rs", "", &text, load, &mut sources);
    sources
}

fn read_file(
    path: &str,
    module: &str,
    text: &str,
    load: &dyn Fn(&str) -> Option<String>,
    sources: &mut Vec<Source>,
) {
    let file = syn::parse_file(text).unwrap_or_else(|error| {
        panic!("src/{path}:{}: {error}", error.span().start().line);
    });
    let mut tests = Vec::new();
    let items = without_tests(file.items, &mut tests);
    let code = lines_of_code(text, &tests);
    let mut functions = Functions {
        code: &code,
        within: None,
        found: Vec::new(),
    };
    items.iter().for_each(|item| functions.visit_item(item));
    let found = functions.found;
    let mut below = Vec::new();
    declared(module, &items, &mut below);
    sources.push(Source {
        path: path.to_owned(),
        module: module.to_owned(),
        items,
        lines: code.len(),
        functions: found,
    });
    for module in below {
        let stem = module.replace("::", "/");
        let names = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
        let [file, folder] = names.map(|name| load(&name).map(|text| (name, text)));
        let (name, text) = file.or(folder).unwrap_or_else(|| {
            panic!("src/{path} declares `{module}`, which has no file");
        });
        read_file(&name, &module, &text, load, sources);
    }
}

/// Collects the modules that are declared without a body, and so have their own file.
fn declared(module: &str, items: &[Item], into: &mut Vec<String>) {
    for item in items {
        if let Item::Mod(declaration) = item {
            let name = join(module, &declaration.ident.to_string());
            match &declaration.content {
                Some((_, items)) => declared(&name, items, into),
                None => into.push(name),
            }
        }
    }
}

pub(crate) fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}::{name}")
    }
}

fn without_tests(items: Vec<Item>, tests: &mut Vec<RangeInclusive<usize>>) -> Vec<Item> {
    let mut left = Vec::new();
    for mut item in items {
        if is_test(attributes(&item)) {
            tests.push(lines(&item));
            continue;
        }
        match &mut item {
            Item::Mod(module) => {
                if let Some((_, items)) = &mut module.content {
                    *items = without_tests(std::mem::take(items), tests);
                }
            }
            Item::Impl(block) => block.items.retain(|item| match item {
                ImplItem::Fn(function) if is_test(&function.attrs) => {
                    tests.push(lines(function));
                    false
                }
                _ => true,
            }),
            Item::Macro(call) if call.ident.is_none() => {
                if let Ok(file) = call.mac.parse_body::<syn::File>() {
                    left.extend(without_tests(file.items, tests));
                    continue;
                }
            }
            _ => {}
        }
        left.push(item);
    }
    left
}

fn lines(of: &impl Spanned) -> RangeInclusive<usize> {
    of.span().start().line..=of.span().end().line
}

/// Returns whether the item is compiled only for tests.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let condition = list.tokens.to_string();
        let words: Vec<_> = condition.split(|c: char| !c.is_alphanumeric()).collect();
        let says = |word| words.contains(&word);
        list.path.is_ident("cfg") && (says("test") || says("doctest")) && !says("not")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The numbers of the lines of code.
fn lines_of_code(text: &str, tests: &[RangeInclusive<usize>]) -> Vec<usize> {
    let numbered = (1..).zip(text.lines().map(str::trim_start));
    numbered
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("//"))
        .map(|(number, _)| number)
        .filter(|number| !tests.iter().any(|test| test.contains(number)))
        .collect()
}

struct Functions<'a> {
    code: &'a [usize],
    /// The type of the current `impl` block.
    within: Option<String>,
    found: Vec<Function>,
}

impl Functions<'_> {
    /// Notes a function. `from` and `to` are its first and last part, without attributes.
    fn note(&mut self, name: &syn::Ident, from: &impl Spanned, to: &impl Spanned) {
        let (line, end) = (*lines(from).start(), *lines(to).end());
        let name = match &self.within {
            Some(within) => format!("{within}::{name}"),
            None => name.to_string(),
        };
        self.found.push(Function {
            name,
            line,
            lines: self
                .code
                .iter()
                .filter(|number| (line..=end).contains(number))
                .count(),
        });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        self.within = match &*block.self_ty {
            syn::Type::Path(ty) => ty.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        syn::visit::visit_item_impl(self, block);
        self.within = None;
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.note(&function.sig.ident, &function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.note(&function.sig.ident, &function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.note(&function.sig.ident, &function.sig, function);
        syn::visit::visit_trait_item_fn(self, function);
    }
}
