//! The code between the brackets of a macro.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::{
    Block, Expr, Pat, PatGuard, Stmt, Token,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
};

pub(crate) enum Body {
    Expressions(Punctuated<Expr, Token![,]>),
    /// The arguments of `matches!`. A guard is part of the pattern.
    Match(Box<(Expr, Pat)>),
    Statements(Vec<Stmt>),
    Mentions(Vec<Mention>),
}

/// Tokens that look like the use of a name, in tokens that are neither expressions nor statements.
pub(crate) enum Mention {
    Path { words: Vec<String>, line: usize },
    Method(Ident),
}

pub(crate) fn read(name: &str, tokens: &TokenStream) -> Body {
    let matched = if name == "matches" {
        matched.parse2(tokens.clone()).ok()
    } else {
        None
    };
    if let Some(matched) = matched {
        return Body::Match(Box::new(matched));
    }
    let expressions = Punctuated::parse_terminated.parse2(tokens.clone());
    let statements = || Block::parse_within.parse2(tokens.clone());
    expressions
        .map(Body::Expressions)
        .or_else(|_| statements().map(Body::Statements))
        .unwrap_or_else(|_| Body::Mentions(mentions(tokens)))
}

fn matched(input: ParseStream<'_>) -> syn::Result<(Expr, Pat)> {
    let expression = input.parse()?;
    input.parse::<Token![,]>()?;
    let mut pattern = Pat::parse_multi_with_leading_vert(input)?;
    if input.peek(Token![if]) {
        pattern = Pat::Guard(PatGuard {
            attrs: Vec::new(),
            pat: Box::new(pattern),
            if_token: input.parse()?,
            guard: input.parse()?,
        });
    }
    input.parse::<Option<Token![,]>>()?;
    Ok((expression, pattern))
}

pub(crate) fn mentions(tokens: &TokenStream) -> Vec<Mention> {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let TokenTree::Group(group) = token {
            found.extend(mentions(&group.stream()));
        }
        if let TokenTree::Ident(first) = token {
            let follows_dot = at > 0 && is(&tokens[at - 1], '.');
            let mut words = vec![first.to_string()];
            while let Some(next) = next_word(&tokens[at + 1..]) {
                words.push(next);
                at += 3;
            }
            if !follows_dot {
                let line = first.span().start().line;
                found.push(Mention::Path { words, line });
            } else if tokens.get(at + 1).is_some_and(is_parenthesis) {
                found.push(Mention::Method(first.clone()));
            }
        }
        at += 1;
    }
    found
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_parenthesis(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}

fn next_word(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [first, second, TokenTree::Ident(next), ..] if is(first, ':') && is(second, ':') => {
            Some(next.to_string())
        }
        _ => None,
    }
}
