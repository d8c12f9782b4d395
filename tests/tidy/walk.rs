//! The walk through a file, which tracks the meaning of names at each point.

use std::rc::Rc;

use syn::{
    Attribute, Block, Expr, ExprCall, ExprClosure, ExprForLoop, ExprIf, ExprLet, ExprMatch,
    ExprMethodCall, ExprWhile, Generics, ImplItemFn, Item, ItemFn, ItemImpl, ItemMacro, ItemMod,
    ItemTrait, ItemUse, Local, Macro, Path, Signature, TraitItemFn, Visibility,
    visit::{self, Visit},
};

use crate::{
    edges::Finder,
    macros::{self, Body, Mention},
    names::{Found, leaves, words},
    reader::join,
    types::Ty,
};

impl Finder<'_, '_> {
    /// Runs `inside` with these generics in scope.
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

    /// Visits arguments. `inputs` are the known input types of those that are closures.
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

    fn macro_body(&mut self, body: &Body) {
        self.locals.enter();
        match body {
            Body::Expressions(found) => found.iter().for_each(|found| self.visit_expr(found)),
            Body::Statements(found) => found.iter().for_each(|found| self.visit_stmt(found)),
            Body::Mentions(found) => found.iter().for_each(|found| self.mention(found)),
            Body::Match(found) => {
                let (matched, pattern) = &**found;
                self.visit_expr(matched);
                let ty = self.locals.ty(matched);
                self.locals.bind(pattern, ty);
                self.visit_pat(pattern);
            }
        }
        self.locals.leave();
    }

    fn mention(&mut self, mention: &Mention) {
        match mention {
            Mention::Path { words, line } => self.path(words, *line),
            Mention::Method(name) => self.doubt(name),
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_, '_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let module = join(&self.locals.place.module, &item.ident.to_string());
        let outer = std::mem::replace(&mut self.locals.place.module, module);
        visit::visit_item_mod(self, item);
        self.locals.place.module = outer;
    }

    /// A re-export does not use the item that it names. The files that use the new name do.
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
            // These closures get the error of a `Result`.
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
        self.macro_body(&macros::read(&path[path.len() - 1], &call.tokens));
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        // The items that an exported macro names are used where it is called, in another crate.
        let is_exported = item.attrs.iter().any(|a| a.path().is_ident("macro_export"));
        match item.ident {
            Some(_) if is_exported => {}
            Some(_) => macros::mentions(&item.mac.tokens)
                .iter()
                .for_each(|mention| self.mention(mention)),
            None => self.visit_macro(&item.mac),
        }
    }
}
