//! The pages. Text from visitors is always a value in `html!`, which escapes it.

use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use silverback::{Error, KeyId, KeyState, Session};

use crate::{
    LONGEST_NAME, Visitor,
    shop::{Cart, Label, Product},
};

const STYLE: &str = include_str!("style.css");
pub(crate) const MARK: &str = include_str!("art/mark.svg");

/// No script runs here, even if somebody manages to inject one.
const POLICY: &str = "default-src 'self'; script-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

pub(crate) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([("content-security-policy", POLICY)], self.0).into_response()
    }
}

/// The facts about a session on the account page.
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
    let content = html! {
        section.hero {
            h1 { "Good things for slow mornings" }
            p {
                "Six of them, to be exact. Put a few into your cart, open a second tab, restart the \
                 server: nothing gets lost."
            }
        }
        section.grid aria-label="Products" {
            @for product in Product::ALL { (card(&product.label())) }
        }
    };
    layout("Shop", visitor, &content)
}

fn card(label: &Label) -> Markup {
    html! {
        article.card id=(label.id) {
            .tile.(label.id) { (PreEscaped(label.art)) }
            .text {
                h2 { (label.name) }
                p { (label.blurb) }
                .buy {
                    span.price { (price(label.cents)) }
                    form method="post" action={ "/cart/" (label.id) "/add" } {
                        button.button aria-label={ "Add to cart: " (label.name) } { "Add to cart" }
                    }
                }
            }
        }
    }
}

pub(crate) fn cart(visitor: &Visitor, cart: &Cart) -> Page {
    let content = if cart.count() == 0 {
        empty_cart()
    } else {
        full_cart(cart)
    };
    layout("Cart", visitor, &content)
}

fn empty_cart() -> Markup {
    html! {
        section.narrow.panel.empty {
            .tile.fern { (PreEscaped(Product::Fern.label().art)) }
            h1 { "Your cart is empty" }
            p { "It will remember for 30 days whatever you put into it." }
            a.button href="/" { "Have a look around" }
        }
    }
}

fn full_cart(cart: &Cart) -> Markup {
    html! {
        h1 { "Your cart" }
        .columns {
            ul.panel.lines role="list" {
                @for (label, count) in cart.lines() { (line(&label, count)) }
            }
            section.panel.total aria-label="Total" {
                dl {
                    div { dt { "Items" } dd #items { (cart.count()) } }
                    div { dt { "Shipping" } dd { "Free" } }
                    .sum { dt { "Total" } dd #total { (price(cart.cents())) } }
                }
                form method="post" action="/checkout" { button.button.wide { "Check out" } }
                form method="post" action="/cart/clear" { button.link #clear { "Clear the cart" } }
            }
        }
    }
}

fn line(label: &Label, count: u32) -> Markup {
    let Label { id, name, .. } = label;
    html! {
        li {
            .tile.(id) { (PreEscaped(label.art)) }
            .what { h2 { (name) } p { (price(label.cents)) " each" } }
            .stepper {
                form method="post" action={ "/cart/" (id) "/less" } {
                    button aria-label={ "One " (name) " less" } { "−" }
                }
                output aria-label={ "Number of " (name) } id={ "quantity-" (id) } { (count) }
                form method="post" action={ "/cart/" (id) "/more" } {
                    button aria-label={ "One " (name) " more" } { "+" }
                }
            }
            span.price { (price(label.cents * count)) }
            form method="post" action={ "/cart/" (id) "/remove" } {
                button.link aria-label={ "Remove " (name) } { "Remove" }
            }
        }
    }
}

pub(crate) fn login(visitor: &Visitor) -> Page {
    let content = html! {
        section.narrow.panel {
            h1 { "Log in" }
            p { "Any name will do: this shop believes everybody." }
            form.stack #login method="post" action="/login" {
                label {
                    "Your name"
                    input name="name" required maxlength=(LONGEST_NAME) autocomplete="username"
                        placeholder="Ada" autofocus;
                }
                label.check {
                    input type="checkbox" name="remember" value="true";
                    span { "Remember me for 30 days" }
                }
                button.button.wide { "Log in" }
            }
        }
    };
    layout("Log in", visitor, &content)
}

pub(crate) fn goodbye() -> Page {
    let content = html! {
        section.narrow.panel.empty {
            h1 { "You are logged out" }
            p { "Your cart was emptied too, in case this is not your computer." }
            a.button href="/" { "Back to the shop" }
        }
    };
    layout("Goodbye", &Visitor::default(), &content)
}

/// The content of the account page.
pub(crate) struct Account<'a> {
    /// `None` if the visit cannot be counted, since the session has ended.
    pub(crate) visits: Option<u32>,
    pub(crate) facts: &'a [Facts],
    pub(crate) logins: &'a Markup,
    pub(crate) keys: &'a [(KeyId, KeyState)],
}

pub(crate) fn account(visitor: &Visitor, account: &Account<'_>) -> Page {
    let content = html! {
        .heading {
            div {
                h1 {
                    "Hello, "
                    @match &visitor.name {
                        Some(name) => span #name { (name) },
                        None => "stranger",
                    }
                }
                p { (visits(account.visits)) }
            }
            @if visitor.name.is_some() {
                form method="post" action="/logout" {
                    button.button.quiet #log-out { "Log out" }
                }
            } @else {
                a.button href="/login" { "Log in" }
            }
        }
        (account.logins)
        .columns.even { @for facts in account.facts { (session(facts)) } }
        section.panel {
            .heading {
                div {
                    h2 { "Keys" }
                    p { "The active one seals cookies, retired ones still open theirs." }
                }
                @if visitor.name.is_some() {
                    form method="post" action="/keys/rotate" {
                        button.button.quiet #rotate { "Rotate now" }
                    }
                } @else {
                    p { "Log in to rotate them." }
                }
            }
            ul.keys role="list" { @for key in account.keys { (self::key(key)) } }
        }
    };
    layout("Account", visitor, &content)
}

fn visits(visits: Option<u32>) -> Markup {
    html! {
        @if let Some(visits) = visits {
            "You have looked at this page "
            strong #visits { (visits) }
            @if visits == 1 { " time." } @else { " times." }
        } @else {
            "Your cookie is of a session that has ended, so this visit is not counted."
        }
    }
}

fn session(facts: &Facts) -> Markup {
    let name = &facts.name;
    let state = if facts.is_new { "new" } else { "established" };
    html! {
        section.panel {
            .heading {
                h2 { "Session " code { (name) } }
                span.pill.(state) id={ (name) "-state" } { (state) }
            }
            dl {
                div { dt { "Kept" } dd { (facts.kept) } }
                div { dt { "Lasts" } dd id={ (name) "-lasts" } { (facts.lasts) } }
                div { dt { "At logout" } dd { (facts.at_logout) } }
                div { dt { "Hash of its ID" } dd { code id={ (name) "-id" } { (facts.id) } } }
                div { dt { "Cookie that came" } dd id={ (name) "-cookie" } { (facts.cookie) } }
            }
        }
    }
}

fn key((id, state): &(KeyId, KeyState)) -> Markup {
    let state = match state {
        KeyState::Active => "active",
        KeyState::Pending => "pending",
        KeyState::Retired => "retired",
        _ => "revoked",
    };
    html! { li { code { (id) } span.pill.(state) { (state) } } }
}

fn layout(title: &str, visitor: &Visitor, content: &Markup) -> Page {
    let (account, href) = match &visitor.name {
        None => ("Log in", "/login"),
        Some(name) => (&**name, "/account"),
    };
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Silverback Supply" }
                link rel="icon" type="image/svg+xml" href="/favicon.ico";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href="/" aria-label="Silverback Supply" {
                        (PreEscaped(MARK)) span { "Silverback Supply" }
                    }
                    nav aria-label="Main" {
                        a.wide-only href="/account" { "Behind the scenes" }
                        a.who href=(href) { (account) }
                        a.cart href="/cart" { "Cart " b #cart-count { (visitor.items) } }
                    }
                }
                main {
                    @if visitor.was_logged_out {
                        p.notice role="status" {
                            "You were logged out from another browser. "
                            a href="/login" { "Log in again" }
                        }
                    }
                    (content)
                }
                footer {
                    "A shop on " strong { "silverback" } ". The login is an encrypted cookie that \
                     the server can end, the cart a file on the server. "
                    a href="/account" { "Look behind the scenes" }
                }
                .toasts role="status" {
                    @for message in &visitor.messages { p.toast { (message) } }
                }
            }
        }
    })
}

fn price(cents: u32) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}
