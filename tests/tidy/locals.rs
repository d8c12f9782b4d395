//! The types of expressions, well enough to find the method that nearly every call means.

use std::collections::HashMap;

use syn::{Block, Expr, ExprMethodCall, FnArg, Pat, Signature, Stmt};

use crate::{
    names::{Found, Id, Kind, Member, Names, Place, words},
    types::Ty,
};

/// Methods that take a value out of a holder.
const OPENERS: &[&str] = &[
    "borrow",
    "borrow_mut",
    "expect",
    "get_or_init",
    "get_or_insert_with",
    "into",
    "into_inner",
    "unwrap",
    "unwrap_or",
    "unwrap_or_default",
    "unwrap_or_else",
];

/// Methods that lead from a value to itself or to a copy.
const ITSELF: &[&str] = &["as_mut", "as_ref", "borrow", "clone", "to_owned"];

/// Functions of other crates that return their argument, or a pointer to it.
const SAME: &[&str] = &[
    "Arc::clone",
    "Arc::new",
    "Box::new",
    "Box::pin",
    "Pin::new",
    "Rc::clone",
    "Rc::new",
    "mem::replace",
    "mem::take",
    "pin",
];
/// Functions of other crates that wrap their argument in a holder.
const WRAP: &[&str] = &[
    "Mutex::new",
    "Ok",
    "OnceLock::from",
    "Ready",
    "RwLock::new",
    "Some",
    "iter::once",
];

/// The known types of local names at one point of a function.
pub(crate) struct Locals<'n, 'a> {
    pub(crate) names: &'n Names<'a>,
    pub(crate) place: Place,
    scopes: Vec<HashMap<String, Ty>>,
}

impl<'n, 'a> Locals<'n, 'a> {
    pub(crate) fn new(names: &'n Names<'a>, place: Place) -> Self {
        Self {
            names,
            place,
            scopes: Vec::new(),
        }
    }

    pub(crate) fn enter(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub(crate) fn leave(&mut self) {
        self.scopes.pop();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains_key(name))
    }

    pub(crate) fn enter_function(&mut self, signature: &Signature) {
        self.enter();
        if let Some(this) = self.place.self_type {
            self.set("self", Ty::Own(this));
        }
        for input in &signature.inputs {
            if let FnArg::Typed(input) = input {
                let ty = self.names.ty(&self.place, &input.ty);
                self.bind(&input.pat, ty);
            }
        }
    }

    fn set(&mut self, name: &str, ty: Ty) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), ty);
        }
    }

    /// Gives the names in a pattern the types that they have when it matches a `ty`.
    pub(crate) fn bind(&mut self, pattern: &Pat, ty: Ty) {
        match pattern {
            Pat::Ident(pattern) => {
                if let Some((_, inner)) = &pattern.subpat {
                    self.bind(inner, ty.clone());
                }
                self.set(&pattern.ident.to_string(), ty);
            }
            Pat::Type(pattern) => {
                let declared = self.names.ty(&self.place, &pattern.ty);
                self.bind(&pattern.pat, declared.or(|| ty));
            }
            Pat::Reference(pattern) => self.bind(&pattern.pat, ty),
            Pat::Paren(pattern) => self.bind(&pattern.pat, ty),
            Pat::Guard(pattern) => self.bind(&pattern.pat, ty),
            Pat::Or(pattern) => {
                pattern
                    .cases
                    .iter()
                    .for_each(|case| self.bind(case, ty.clone()));
            }
            Pat::Slice(pattern) => {
                let element = ty.opened();
                pattern
                    .elems
                    .iter()
                    .for_each(|e| self.bind(e, element.clone()));
            }
            Pat::Tuple(pattern) => {
                for (index, element) in pattern.elems.iter().enumerate() {
                    let member = syn::Member::from(index);
                    self.bind(element, self.names.field(&self.place, &ty, &member));
                }
            }
            Pat::TupleStruct(pattern) => self.bind_fields(
                &pattern.path,
                pattern
                    .elems
                    .iter()
                    .enumerate()
                    .map(|(index, element)| (index.into(), element)),
                &ty,
            ),
            Pat::Struct(pattern) => self.bind_fields(
                &pattern.path,
                pattern
                    .fields
                    .iter()
                    .map(|field| (field.member.clone(), &*field.pat)),
                &ty,
            ),
            _ => {}
        }
    }

    fn bind_fields<'p>(
        &mut self,
        path: &syn::Path,
        fields: impl Iterator<Item = (syn::Member, &'p Pat)>,
        ty: &Ty,
    ) {
        let last = path.segments.last().map(|last| last.ident.to_string());
        let found = self.item(path);
        for (member, pattern) in fields {
            let inner = match &found {
                Some((id, rest)) => match (&self.names.definitions[*id].kind, rest.as_slice()) {
                    (Kind::Struct(fields), _) => {
                        self.names.field_of(&self.place, *id, fields, &member)
                    }
                    (Kind::Enum(variants), [name]) => {
                        let variant = variants.iter().find(|variant| variant.ident == name);
                        variant.map_or(Ty::Unknown, |variant| {
                            self.names
                                .field_of(&self.place, *id, &variant.fields, &member)
                        })
                    }
                    _ => Ty::Unknown,
                },
                None if last.as_deref() == Some("Err") => Ty::Unknown,
                None => ty.clone().opened(),
            };
            self.bind(pattern, inner);
        }
    }

    /// The item of this crate that a path in an expression or a pattern leads to.
    pub(crate) fn item(&self, path: &syn::Path) -> Option<(Id, Vec<String>)> {
        let path_words = words(path);
        if let (Some(this), Some("Self")) = (self.place.self_type, path_words.first().map(|w| &**w))
        {
            return Some((this, path_words[1..].to_vec()));
        }
        if path.leading_colon.is_some() {
            return None;
        }
        match self.names.find(&self.place.module, &path_words) {
            Found::Item(id, rest) => match self.names.item_ty(id) {
                Ty::Own(aliased) => Some((aliased, rest)),
                _ => Some((id, rest)),
            },
            _ => None,
        }
    }

    /// The type of the receiver, and the method that is called if the type belongs to this crate.
    pub(crate) fn method(&mut self, call: &ExprMethodCall) -> (Ty, Option<&'n Member<'a>>) {
        let receiver = self.ty(&call.receiver);
        let member = match receiver {
            Ty::Own(id) => self.names.member(id, &call.method.to_string()),
            _ => None,
        };
        (receiver, member)
    }

    /// The input types of the closures that are passed to a function of this crate.
    pub(crate) fn closures_of(&self, function: &Expr) -> Vec<Vec<Ty>> {
        let Expr::Path(function) = function else {
            return Vec::new();
        };
        let Some((id, rest)) = self.item(&function.path) else {
            return Vec::new();
        };
        let definition = &self.names.definitions[id];
        match (&definition.kind, rest.as_slice()) {
            (Kind::Function(signature), _) => self.names.closures(&definition.place, signature),
            (_, [name]) => {
                let member = self.names.member(id, name);
                let signature = member.and_then(|member| Some((member, member.signature?)));
                signature.map_or_else(Vec::new, |(member, signature)| {
                    self.names.closures(&member.place, signature)
                })
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn ty(&mut self, expression: &Expr) -> Ty {
        match expression {
            Expr::Path(path) => self.path(&path.path),
            Expr::Paren(inner) => self.ty(&inner.expr),
            Expr::Group(inner) => self.ty(&inner.expr),
            Expr::Reference(inner) => self.ty(&inner.expr),
            Expr::Unary(inner) => self.ty(&inner.expr),
            Expr::Try(inner) => self.ty(&inner.expr).opened(),
            Expr::Await(inner) => self.ty(&inner.base).opened(),
            Expr::Index(index) => self.ty(&index.expr).opened(),
            Expr::Field(field) => {
                let base = self.ty(&field.base);
                self.names.field(&self.place, &base, &field.member)
            }
            Expr::Tuple(tuple) => Ty::Tuple(tuple.elems.iter().map(|e| self.ty(e)).collect()),
            Expr::Array(array) => {
                let first = array.elems.first();
                first.map_or(Ty::Unknown, |first| self.ty(first)).held()
            }
            Expr::Cast(cast) => self.names.ty(&self.place, &cast.ty),
            Expr::Struct(made) => self
                .item(&made.path)
                .map_or(Ty::Unknown, |(id, _)| Ty::Own(id)),
            Expr::Lit(_) | Expr::Binary(_) | Expr::Range(_) => Ty::Foreign,
            Expr::Macro(call) if call.mac.path.is_ident("format") => Ty::Foreign,
            Expr::Macro(call) if call.mac.path.is_ident("vec") => Ty::Unknown.held(),
            Expr::Call(call) => self.call(&call.func, call.args.first()),
            Expr::MethodCall(call) => self.method_call(call),
            Expr::Block(block) => self.block(&block.block),
            Expr::Unsafe(block) => self.block(&block.block),
            Expr::Async(block) => self.block(&block.block).held(),
            Expr::If(branch) => {
                self.enter();
                if let Expr::Let(condition) = &*branch.cond {
                    let matched = self.ty(&condition.expr);
                    self.bind(&condition.pat, matched);
                }
                let then = self.block(&branch.then_branch);
                self.leave();
                then.or(|| match &branch.else_branch {
                    Some((_, other)) => self.ty(other),
                    None => Ty::Unknown,
                })
            }
            Expr::Match(choice) => {
                let matched = self.ty(&choice.expr);
                let mut ty = Ty::Unknown;
                for arm in &choice.arms {
                    self.enter();
                    self.bind(&arm.pat, matched.clone());
                    ty = ty.or(|| self.ty(&arm.body));
                    self.leave();
                }
                ty
            }
            _ => Ty::Unknown,
        }
    }

    fn path(&self, path: &syn::Path) -> Ty {
        if let Some(name) = path.get_ident().map(ToString::to_string)
            && let Some(ty) = self.scopes.iter().rev().find_map(|scope| scope.get(&name))
        {
            return ty.clone();
        }
        let Some((id, rest)) = self.item(path) else {
            return Ty::Unknown;
        };
        let definition = &self.names.definitions[id];
        match (&definition.kind, rest.as_slice()) {
            (Kind::Value(ty), _) => self.names.ty(&definition.place, ty),
            (Kind::Struct(_), []) | (Kind::Enum(_), _) => Ty::Own(id),
            _ => Ty::Unknown,
        }
    }

    fn call(&mut self, function: &Expr, argument: Option<&Expr>) -> Ty {
        let Expr::Path(function) = function else {
            return Ty::Unknown;
        };
        let Some((id, rest)) = self.item(&function.path) else {
            let path = words(&function.path).join("::");
            let is = |list: &[&str]| {
                list.iter()
                    .any(|known| path == *known || path.ends_with(&format!("::{known}")))
            };
            return match argument {
                Some(argument) if is(SAME) => self.ty(argument),
                Some(argument) if is(WRAP) => self.ty(argument).held(),
                // `Vec::new`, `Duration::from_secs`.
                _ if is_of_a_type(&function.path) => Ty::Unknown.held(),
                _ => Ty::Unknown,
            };
        };
        let definition = &self.names.definitions[id];
        match (&definition.kind, rest.as_slice()) {
            (Kind::Function(signature), _) => self.names.output(&definition.place, signature),
            (_, [name]) => {
                let member = self.names.member(id, name);
                let signature = member.and_then(|member| Some((member, member.signature?)));
                match signature {
                    Some((member, signature)) => self.names.output(&member.place, signature),
                    // A variant, or `default`.
                    None => Ty::Own(id),
                }
            }
            _ => Ty::Own(id),
        }
    }

    fn method_call(&mut self, call: &ExprMethodCall) -> Ty {
        let (receiver, member) = self.method(call);
        if let Some((member, signature)) = member.and_then(|m| Some((m, m.signature?))) {
            return self.names.output(&member.place, signature);
        }
        let name = call.method.to_string();
        let inner = match &receiver {
            Ty::Holder(inner) => (**inner).clone(),
            Ty::Foreign => Ty::Foreign,
            Ty::Own(_) if ITSELF.contains(&name.as_str()) => return receiver,
            _ => return Ty::Unknown,
        };
        match name.as_str() {
            "map" | "then" => self.closure(call, inner).held(),
            "and_then" | "filter_map" | "flat_map" | "fold" | "map_or_else" => {
                self.closure(call, inner)
            }
            "map_or" => {
                let default = call
                    .args
                    .first()
                    .map_or(Ty::Unknown, |first| self.ty(first));
                default.or(|| self.closure(call, inner))
            }
            "into" | "parse" | "try_into" if inner == Ty::Foreign => Ty::Unknown,
            name if OPENERS.contains(&name) => inner,
            _ => receiver,
        }
    }

    /// The type that the last argument, a closure, returns for an `inner`.
    fn closure(&mut self, call: &ExprMethodCall, inner: Ty) -> Ty {
        let Some(Expr::Closure(closure)) = call.args.last() else {
            return Ty::Unknown;
        };
        self.enter();
        if let Some(input) = closure.inputs.last() {
            self.bind(input, inner);
        }
        let made = self.ty(&closure.body);
        self.leave();
        made
    }

    fn block(&mut self, block: &Block) -> Ty {
        self.enter();
        for statement in &block.stmts {
            if let Stmt::Local(local) = statement {
                let ty = local.init.as_ref().map(|init| self.ty(&init.expr));
                self.bind(&local.pat, ty.unwrap_or_default());
            }
        }
        let ty = match block.stmts.last() {
            Some(Stmt::Expr(last, None)) => self.ty(last),
            _ => Ty::Unknown,
        };
        self.leave();
        ty
    }
}

fn is_of_a_type(function: &syn::Path) -> bool {
    let before_last = function.segments.iter().rev().nth(1);
    before_last.is_some_and(|ty| ty.ident.to_string().starts_with(char::is_uppercase))
}
