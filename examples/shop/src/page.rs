//! The pages. What a visitor has written goes through [`escape`] before it becomes part of one.

use axum::response::{Html, IntoResponse, Response};
use silverback::{Error, KeyId, KeyState, Session};

use crate::{
    Visitor,
    shop::{Cart, Label, Product},
};

const STYLE: &str = include_str!("style.css");
const MARK: &str = include_str!("art/mark.svg");

/// No script runs here, whatever somebody manages to write into a page.
const POLICY: &str = "default-src 'self'; script-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

pub(crate) struct Page(String);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([("content-security-policy", POLICY)], Html(self.0)).into_response()
    }
}

/// What the account page tells of a session.
pub(crate) struct Facts {
    name: String,
    kept: &'static str,
    lasts: &'static str,
    at_logout: &'static str,
    is_new: bool,
    id: String,
    cookie: String,
}

impl Facts {
    /// A real site keeps the rejection for its log: it helps those who try out forged cookies.
    pub(crate) fn of(
        session: &Session,
        kept: &'static str,
        lasts: &'static str,
        at_logout: &'static str,
    ) -> Result<Self, Error> {
        Ok(Self {
            name: session.name().into(),
            kept,
            lasts,
            at_logout,
            is_new: session.is_new()?,
            id: session.record_key().map_or_else(
                || "none yet".into(),
                |id| format!("{:.12}…", id.to_string()),
            ),
            cookie: match session.rejection() {
                Some(reason) => format!("refused: {reason}"),
                None if session.is_new()? => "none".into(),
                None => "accepted".into(),
            },
        })
    }
}

pub(crate) fn home(visitor: &Visitor) -> Page {
    let cards: String = Product::ALL
        .iter()
        .map(|product| card(&product.label()))
        .collect();
    layout(
        "Shop",
        visitor,
        &format!(
            r#"<section class="hero">
  <h1>Good things for slow mornings</h1>
  <p>Six of them, to be exact. Put a few into your cart, open a second tab, restart the server:
     nothing gets lost.</p>
</section>
<section class="grid" aria-label="Products">{cards}</section>"#
        ),
    )
}

fn card(
    Label {
        id,
        name,
        blurb,
        cents,
        art,
    }: &Label,
) -> String {
    let price = price(*cents);
    format!(
        r#"<article class="card" id="{id}">
  <div class="tile {id}">{art}</div>
  <div class="text">
    <h2>{name}</h2>
    <p>{blurb}</p>
    <div class="buy">
      <span class="price">{price}</span>
      <form method="post" action="/cart/{id}/add">
        <button class="button" aria-label="Add {name} to the cart">Add to cart</button>
      </form>
    </div>
  </div>
</article>"#
    )
}

pub(crate) fn cart(visitor: &Visitor, cart: &Cart) -> Page {
    let lines: String = cart
        .lines()
        .map(|(label, count)| line(&label, count))
        .collect();
    let content = if lines.is_empty() {
        format!(
            r#"<section class="narrow panel empty">
  <div class="tile fern">{}</div>
  <h1>Your cart is empty</h1>
  <p>It will remember for 30 days whatever you put into it.</p>
  <a class="button" href="/">Have a look around</a>
</section>"#,
            Product::Fern.label().art
        )
    } else {
        format!(
            r#"<h1>Your cart</h1>
<div class="columns">
  <ul class="panel lines">{lines}</ul>
  <aside class="panel total">
    <dl>
      <div><dt>Items</dt><dd id="items">{items}</dd></div>
      <div><dt>Shipping</dt><dd>Free</dd></div>
      <div class="sum"><dt>Total</dt><dd id="total">{total}</dd></div>
    </dl>
    <form method="post" action="/checkout"><button class="button wide">Check out</button></form>
    <form method="post" action="/cart/clear"><button class="link" id="clear">Clear the cart</button></form>
  </aside>
</div>"#,
            items = cart.count(),
            total = price(cart.cents()),
        )
    };
    layout("Cart", visitor, &content)
}

fn line(
    Label {
        id,
        name,
        cents,
        art,
        ..
    }: &Label,
    count: u32,
) -> String {
    let (each, sum) = (price(*cents), price(cents * count));
    format!(
        r#"<li>
  <div class="tile {id}">{art}</div>
  <div class="what"><h2>{name}</h2><p>{each} each</p></div>
  <div class="stepper">
    <form method="post" action="/cart/{id}/less"><button aria-label="One {name} less">−</button></form>
    <output id="quantity-{id}">{count}</output>
    <form method="post" action="/cart/{id}/more"><button aria-label="One {name} more">+</button></form>
  </div>
  <span class="price">{sum}</span>
  <form method="post" action="/cart/{id}/remove"><button class="link" aria-label="Remove {name}">Remove</button></form>
</li>"#
    )
}

pub(crate) fn login(visitor: &Visitor) -> Page {
    layout(
        "Log in",
        visitor,
        r#"<section class="narrow panel">
  <h1>Log in</h1>
  <p>Any name will do: this shop believes everybody.</p>
  <form method="post" action="/login" id="login" class="stack">
    <label>Your name
      <input name="name" required maxlength="40" autocomplete="username" placeholder="Ada" autofocus>
    </label>
    <label class="check">
      <input type="checkbox" name="remember" value="true">
      <span>Remember me for 30 days</span>
    </label>
    <button class="button wide">Log in</button>
  </form>
</section>"#,
    )
}

pub(crate) fn goodbye() -> Page {
    let nobody = Visitor {
        name: None,
        items: 0,
        messages: Vec::new(),
    };
    layout(
        "Goodbye",
        &nobody,
        r#"<section class="narrow panel empty">
  <h1>You are logged out</h1>
  <p>Your cart was emptied too, in case this is not your computer.</p>
  <a class="button" href="/">Back to the shop</a>
</section>"#,
    )
}

pub(crate) fn account(
    visitor: &Visitor,
    visits: Option<u32>,
    facts: &[Facts],
    logins: &str,
    keys: &[(KeyId, KeyState)],
) -> Page {
    let facts: String = facts.iter().map(session).collect();
    let (greeting, actions) = match &visitor.name {
        None => (
            "Hello, stranger".to_owned(),
            r#"<a class="button" href="/login">Log in</a>"#,
        ),
        Some(name) => (
            format!(r#"Hello, <span id="name">{}</span>"#, escape(name)),
            r#"<form method="post" action="/logout"><button class="button quiet" id="log-out">Log out</button></form>"#,
        ),
    };
    let seen = match visits {
        None => "Your cookie is of a session that has ended, so this visit is not counted.".into(),
        Some(1) => looked(1, "time"),
        Some(visits) => looked(visits, "times"),
    };
    let rotate = match &visitor.name {
        None => "<p>Log in to rotate them.</p>",
        Some(_) => {
            r#"<form method="post" action="/keys/rotate">
    <button class="button quiet" id="rotate">Rotate now</button>
  </form>"#
        }
    };
    let keys: String = keys.iter().map(key).collect();
    layout(
        "Account",
        visitor,
        &format!(
            r#"<div class="heading">
  <div><h1>{greeting}</h1><p>{seen}</p></div>
  {actions}
</div>
{logins}
<div class="columns even">{facts}</div>
<section class="panel">
  <div class="heading">
    <div><h2>Keys</h2><p>The active one seals cookies, retired ones still open theirs.</p></div>
    {rotate}
  </div>
  <ul class="keys">{keys}</ul>
</section>"#
        ),
    )
}

fn looked(visits: u32, times: &str) -> String {
    format!(r#"You have looked at this page <strong id="visits">{visits}</strong> {times}."#)
}

fn session(
    Facts {
        name,
        kept,
        lasts,
        at_logout,
        is_new,
        id,
        cookie,
    }: &Facts,
) -> String {
    let state = if *is_new { "new" } else { "established" };
    format!(
        r#"<section class="panel">
  <div class="heading">
    <h2>Session <code>{name}</code></h2>
    <span class="pill {state}" id="{name}-state">{state}</span>
  </div>
  <dl>
    <div><dt>Kept</dt><dd>{kept}</dd></div>
    <div><dt>Lasts</dt><dd id="{name}-lasts">{lasts}</dd></div>
    <div><dt>At logout</dt><dd>{at_logout}</dd></div>
    <div><dt>Hash of its ID</dt><dd><code id="{name}-id">{id}</code></dd></div>
    <div><dt>Cookie that came</dt><dd id="{name}-cookie">{cookie}</dd></div>
  </dl>
</section>"#
    )
}

fn key((id, state): &(KeyId, KeyState)) -> String {
    let state = match state {
        KeyState::Active => "active",
        KeyState::Pending => "pending",
        KeyState::Retired => "retired",
        _ => "revoked",
    };
    format!(r#"<li><code>{id}</code><span class="pill {state}">{state}</span></li>"#)
}

fn layout(title: &str, visitor: &Visitor, content: &str) -> Page {
    let messages: String = visitor
        .messages
        .iter()
        .map(|message| format!(r#"<p class="toast">{}</p>"#, escape(message)))
        .collect();
    let (account, href) = match &visitor.name {
        None => ("Log in".to_owned(), "/login"),
        Some(name) => (escape(name), "/account"),
    };
    let items = visitor.items;
    Page(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Silverback Supply</title>
<style>{STYLE}</style>
</head>
<body>
<header>
  <a class="brand" href="/">{MARK}<span>Silverback Supply</span></a>
  <nav>
    <a href="/account" class="wide-only">Behind the scenes</a>
    <a href="{href}" class="who">{account}</a>
    <a href="/cart" class="cart">Cart <b id="cart-count">{items}</b></a>
  </nav>
</header>
<main>{content}</main>
<footer>A shop on <strong>silverback</strong>. The login is an encrypted cookie that the server can
  end, the cart a file on the server.
  <a href="/account">Look behind the scenes</a></footer>
<div class="toasts" role="status">{messages}</div>
</body>
</html>
"#
    ))
}

fn price(cents: u32) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}

pub(crate) fn escape(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}
