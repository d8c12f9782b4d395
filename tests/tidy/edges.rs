//! Which file uses which: by the paths it names, and by the methods it calls.
//!
//! A method needs no import, so its file is found by the receiver's type. Where that is unknown the
//! name decides, if it is one of this crate alone.

use std::{
    collections::{BTreeSet, HashSet},
    rc::Rc,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{
    Attribute, Block, Expr, ExprCall, ExprClosure, ExprForLoop, ExprIf, ExprLet, ExprMatch,
    ExprMethodCall, ExprWhile, Generics, ImplItemFn, Item, ItemFn, ItemImpl, ItemMacro, ItemMod,
    ItemTrait, ItemUse, Local, Macro, Pat, Path, Signature, Stmt, Token, TraitItemFn, Visibility,
    parse::Parser,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::{
    locals::Locals,
    names::{Found, Id, Names, Place, leaves, words},
    reader::{Function, Source, join},
    types::Ty,
};

/// Names of methods that types of other crates have too: alone they say nothing.
const COMMON: &[&str] = &[
    "all",
    "append",
    "as_bytes",
    "as_mut",
    "as_ref",
    "as_secs",
    "as_slice",
    "as_str",
    "at",
    "borrow",
    "call",
    "chain",
    "check",
    "clear",
    "clone",
    "close",
    "cmp",
    "collect",
    "contains",
    "count",
    "create",
    "default",
    "drain",
    "drop",
    "end",
    "entry",
    "eq",
    "extend",
    "fill",
    "filter",
    "find",
    "finish",
    "first",
    "flush",
    "fmt",
    "for_each",
    "from",
    "get",
    "get_mut",
    "hash",
    "head",
    "id",
    "insert",
    "into",
    "is_empty",
    "is_err",
    "is_none",
    "is_ok",
    "is_some",
    "is_zero",
    "iter",
    "join",
    "keep",
    "key",
    "keys",
    "kind",
    "last",
    "len",
    "load",
    "lock",
    "map",
    "map_err",
    "max",
    "merge",
    "min",
    "name",
    "named",
    "new",
    "next",
    "now",
    "of",
    "ok",
    "open",
    "parse",
    "path",
    "poll",
    "poll_ready",
    "pop",
    "push",
    "put",
    "read",
    "remove",
    "replace",
    "reserve",
    "retain",
    "run",
    "set",
    "size",
    "skip",
    "source",
    "split",
    "split_at",
    "start",
    "store",
    "swap",
    "sync",
    "take",
    "then",
    "to_owned",
    "to_string",
    "try_lock",
    "update",
    "unlock",
    "value",
    "values",
    "wait",
    "with",
    "write",
    "zip",
];

/// What the rules are about. It holds no syntax, so that all tests can share one.
#[derive(Default)]
pub(crate) struct Crate {
    pub(crate) files: Vec<File>,
    pub(crate) edges: Vec<Edge>,
    /// Paths that lead to other crates.
    pub(crate) outside: Vec<Outside>,
    /// Calls that may be of a method of this crate, or not.
    pub(crate) doubtful: Vec<String>,
}

pub(crate) struct File {
    /// Below `src`, as in `store/mod.rs`.
    pub(crate) path: String,
    pub(crate) lines: usize,
    pub(crate) functions: Vec<Function>,
}

/// A file uses what is defined in another.
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
    /// The path's first word.
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

/// A call of which only the method's name is known.
struct Doubt {
    method: String,
    line: usize,
}

struct Finder<'n, 'a> {
    locals: Locals<'n, 'a>,
    file: usize,
    edges: BTreeSet<Edge>,
    outside: Vec<Outside>,
    doubts: Vec<Doubt>,
    doubtful: Vec<String>,
    /// The types that are named in the file, or defined there.
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

    fn names(&self) -> &'n Names<'a> {
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

    /// The file uses the item, and the function or constant of it that comes next in the path.
    fn uses(&mut self, id: Id, rest: &[String], line: usize) {
        let names = self.names();
        let definition = &names.definitions[id];
        self.mentioned.insert(id);
        self.edge(
            definition.file,
            line,
            format!("names `{}`", definition.name),
        );
        if let Some(name) = rest.first() {
            self.uses_member(id, name, line);
        }
    }

    fn uses_member(&mut self, id: Id, name: &str, line: usize) {
        let names = self.names();
        if let Some(member) = names.member(id, name) {
            let what = format!("calls `{}::{name}`", names.definitions[id].name);
            self.edge(member.file, line, what);
        }
    }

    fn path(&mut self, path: &[String], line: usize) {
        match (path, self.locals.place.self_type) {
            ([first, name, ..], Some(this)) if first == "Self" => {
                self.uses_member(this, name, line)
            }
            ([name], _) if name == "Self" || self.locals.has(name) => {}
            _ => match self.names().find(&self.locals.place.module, path) {
                Found::Item(id, rest) => self.uses(id, &rest, line),
                Found::Module(_) => {}
                Found::Outside => self.leads_outside(path, line),
            },
        }
    }

    fn leads_outside(&mut self, path: &[String], line: usize) {
        if let Some(name) = path.first() {
            self.outside.push(Outside {
                file: self.file,
                line,
                name: name.clone(),
            });
        }
    }

    fn doubt(&mut self, method: &syn::Ident) {
        self.doubts.push(Doubt {
            method: method.to_string(),
            line: method.span().start().line,
        });
    }

    /// If one file alone has methods of the name, it is one of them. Otherwise it may be one of
    /// those whose type the file knows.
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
            if COMMON.contains(&method.as_str()) || likely.is_empty() {
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

    /// Runs `inside` where these generics are known.
    fn with(&mut self, generics: &Generics, inside: impl FnOnce(&mut Self)) {
        self.locals.place.generics.push(Rc::new(generics.clone()));
        inside(self);
        self.locals.place.generics.pop();
    }

    fn function(&mut self, signature: &Signature, inside: impl FnOnce(&mut Self)) {
        self.with(&signature.generics, |finder| {
            finder.locals.enter_function(signature);
            inside(finder);
            finder.locals.leave();
        });
    }

    fn closure(&mut self, closure: &ExprClosure, inputs: &[Ty]) {
        self.locals.enter();
        for (index, input) in closure.inputs.iter().enumerate() {
            let ty = inputs.get(index).cloned().unwrap_or_default();
            self.locals.bind(input, ty);
            self.visit_pat(input);
        }
        self.visit_return_type(&closure.output);
        self.visit_expr(&closure.body);
        self.locals.leave();
    }

    /// Arguments, with what is known of the inputs of those that are closures.
    fn arguments<'e>(
        &mut self,
        arguments: impl IntoIterator<Item = &'e Expr>,
        inputs: impl Fn(usize) -> Vec<Ty>,
    ) {
        for (index, argument) in arguments.into_iter().enumerate() {
            match argument {
                Expr::Closure(closure) => self.closure(closure, &inputs(index)),
                argument => self.visit_expr(argument),
            }
        }
    }

    fn macro_body(&mut self, name: &str, tokens: &TokenStream) {
        let expressions = Punctuated::<Expr, Token![,]>::parse_terminated;
        if name == "matches"
            && let Ok((matched, pattern)) = matched.parse2(tokens.clone())
        {
            self.visit_expr(&matched);
            let ty = self.locals.ty(&matched);
            self.locals.enter();
            self.locals.bind(&pattern, ty);
            self.visit_pat(&pattern);
            self.locals.leave();
        } else if let Ok(found) = expressions.parse2(tokens.clone()) {
            found
                .iter()
                .for_each(|expression| self.visit_expr(expression));
        } else if let Ok(found) = Block::parse_within.parse2(tokens.clone()) {
            self.locals.enter();
            found
                .iter()
                .for_each(|statement: &Stmt| self.visit_stmt(statement));
            self.locals.leave();
        } else {
            self.tokens(tokens.clone());
        }
    }

    /// What is neither expressions nor statements: paths and calls by their looks.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let follows_dot = at > 0 && is(&tokens[at - 1], '.');
                    let mut path = vec![first.to_string()];
                    while let Some(next) = path_goes_on(&tokens[at + 1..]) {
                        path.push(next);
                        at += 3;
                    }
                    let is_called = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    if !follows_dot {
                        self.path(&path, first.span().start().line);
                    } else if is_called {
                        self.doubt(first);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// `expression, pattern` of a `matches!`; a guard is part of the pattern.
fn matched(input: syn::parse::ParseStream<'_>) -> syn::Result<(Expr, Pat)> {
    let expression = input.parse()?;
    input.parse::<Token![,]>()?;
    let pattern = Pat::parse_multi_with_leading_vert(input)?;
    let pattern = if input.peek(Token![if]) {
        Pat::Guard(syn::PatGuard {
            attrs: Vec::new(),
            pat: Box::new(pattern),
            if_token: input.parse()?,
            guard: input.parse()?,
        })
    } else {
        pattern
    };
    input.parse::<Option<Token![,]>>()?;
    Ok((expression, pattern))
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn path_goes_on(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [first, second, TokenTree::Ident(next), ..] if is(first, ':') && is(second, ':') => {
            Some(next.to_string())
        }
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Finder<'_, '_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let module = join(&self.locals.place.module, &item.ident.to_string());
        let outer = std::mem::replace(&mut self.locals.place.module, module);
        visit::visit_item_mod(self, item);
        self.locals.place.module = outer;
    }

    /// A re-export is no use of what it names: those who use it by this name are.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for leaf in found {
            let is_own = item.leading_colon.is_none();
            match self.names().find(&self.locals.place.module, &leaf.path) {
                Found::Item(id, rest) if is_own => {
                    if matches!(item.vis, Visibility::Inherited) {
                        self.uses(id, &rest, leaf.line);
                    }
                }
                Found::Module(_) if is_own => {}
                _ => self.leads_outside(&leaf.path, leaf.line),
            }
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let this = self
            .names()
            .self_type(&self.locals.place.module, &block.self_ty);
        let outer = std::mem::replace(&mut self.locals.place.self_type, this);
        self.with(&block.generics, |finder| {
            visit::visit_item_impl(finder, block)
        });
        self.locals.place.self_type = outer;
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        let this = match self
            .names()
            .find(&self.locals.place.module, &[item.ident.to_string()])
        {
            Found::Item(id, _) => Some(id),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.locals.place.self_type, this);
        self.with(&item.generics, |finder| {
            visit::visit_item_trait(finder, item)
        });
        self.locals.place.self_type = outer;
    }

    fn visit_item(&mut self, item: &'ast Item) {
        let generics = match item {
            Item::Struct(item) => &item.generics,
            Item::Enum(item) => &item.generics,
            Item::Type(item) => &item.generics,
            _ => &Generics::default(),
        };
        self.with(generics, |finder| visit::visit_item(finder, item));
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, |finder| visit::visit_item_fn(finder, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, |finder| visit::visit_impl_item_fn(finder, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.sig, |finder| visit::visit_trait_item_fn(finder, item));
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.locals.enter();
        visit::visit_block(self, block);
        self.locals.leave();
    }

    fn visit_local(&mut self, local: &'ast Local) {
        visit::visit_local(self, local);
        let ty = local.init.as_ref().map(|init| self.locals.ty(&init.expr));
        self.locals.bind(&local.pat, ty.unwrap_or_default());
    }

    fn visit_expr_let(&mut self, condition: &'ast ExprLet) {
        visit::visit_expr_let(self, condition);
        let ty = self.locals.ty(&condition.expr);
        self.locals.bind(&condition.pat, ty);
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        self.locals.enter();
        self.visit_expr(&branch.cond);
        self.visit_block(&branch.then_branch);
        self.locals.leave();
        if let Some((_, other)) = &branch.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_expr_while(&mut self, repeated: &'ast ExprWhile) {
        self.locals.enter();
        visit::visit_expr_while(self, repeated);
        self.locals.leave();
    }

    fn visit_expr_for_loop(&mut self, repeated: &'ast ExprForLoop) {
        self.visit_expr(&repeated.expr);
        let element = self.locals.ty(&repeated.expr).opened();
        self.locals.enter();
        self.locals.bind(&repeated.pat, element);
        self.visit_pat(&repeated.pat);
        self.visit_block(&repeated.body);
        self.locals.leave();
    }

    fn visit_expr_match(&mut self, choice: &'ast ExprMatch) {
        self.visit_expr(&choice.expr);
        let ty = self.locals.ty(&choice.expr);
        for arm in &choice.arms {
            self.locals.enter();
            self.locals.bind(&arm.pat, ty.clone());
            self.visit_arm(arm);
            self.locals.leave();
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.closure(closure, &[]);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        self.visit_expr(&call.func);
        let inputs = self.locals.closures_of(&call.func);
        self.arguments(&call.args, |index| {
            inputs.get(index).cloned().unwrap_or_default()
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.visit_expr(&call.receiver);
        if let Some(turbofish) = &call.turbofish {
            self.visit_angle_bracketed_generic_arguments(turbofish);
        }
        let (receiver, member) = self.locals.method(call);
        let name = call.method.to_string();
        match &receiver {
            Ty::Own(id) => self.uses_member(*id, &name, call.method.span().start().line),
            Ty::Unknown => self.doubt(&call.method),
            Ty::Holder(_) | Ty::Tuple(_) | Ty::Foreign => {}
        }
        let inputs = match member {
            Some(member) => member
                .signature
                .map(|s| self.names().closures(&member.place, s)),
            None => None,
        };
        let held = match receiver {
            // Of a `Result` it is the error.
            Ty::Holder(_) if matches!(&*name, "map_err" | "or_else" | "inspect_err") => Ty::Unknown,
            Ty::Holder(inner) => *inner,
            Ty::Foreign => Ty::Foreign,
            _ => Ty::Unknown,
        };
        self.arguments(&call.args, |index| match &inputs {
            Some(inputs) => inputs.get(index).cloned().unwrap_or_default(),
            None => vec![held.clone(), held.clone()],
        });
    }

    fn visit_path(&mut self, path: &'ast Path) {
        visit::visit_path(self, path);
        let path_words = words(path);
        let line = path.segments[0].ident.span().start().line;
        if path.leading_colon.is_some() {
            self.leads_outside(&path_words, line);
        } else {
            self.path(&path_words, line);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let path = words(&call.path);
        let line = call.path.segments[0].ident.span().start().line;
        match self.names().find_macro(&self.locals.place.module, &path) {
            Found::Item(id, rest) => self.uses(id, &rest, line),
            Found::Module(_) => {}
            Found::Outside => self.leads_outside(&path, line),
        }
        self.macro_body(&path[path.len() - 1], &call.tokens);
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        // What an exported macro names is used where it is called, in another crate.
        let is_exported = item.attrs.iter().any(|a| a.path().is_ident("macro_export"));
        match item.ident {
            Some(_) if is_exported => {}
            Some(_) => self.tokens(item.mac.tokens.clone()),
            None => self.visit_macro(&item.mac),
        }
    }
}
