//! A small shop that shows what sessions are for: two sessions side by side, a cart that loses
//! nothing, "remember me", flash messages, logout here and on other devices, and keys that rotate
//! while the shop runs.
//!
//! ```text
//! cargo run -p example-shop
//! ```
//!
//! All settings are optional: `PORT`, `SHOP_DIR` (the folder for carts, lists of logins, and ends
//! of logins) and `SESSION_KEY`.

mod logins;
mod page;
mod shop;
mod words;

use std::{env, error::Error as StdError, path::PathBuf, time::Duration};

use axum::{
    Form, Router,
    extract::{FromRequestParts, Path, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, USER_AGENT},
        request::Parts,
    },
    middleware,
    response::{Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use silverback::{
    CookieStore, Error, ErrorKind, FilesystemStore, Key, KeyError, Keys, Rejection, Session,
    SessionConfig, SessionLayer, Sessions, Typed, store::Sweeper,
};
use tokio::net::TcpListener;
use tower_http::csrf::CsrfLayer;

use self::{
    page::{Facts, Page},
    shop::{Account, Basket, Cart, MyCart, Product},
};

const MONTH: Duration = Duration::from_secs(30 * 86_400);
const LONGEST_NAME: usize = 40;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let keys = keys()?;
    let store = FilesystemStore::open(directory())?;
    let _sweeper = Sweeper::start(store.clone(), Duration::from_secs(600))?;
    let port = env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!(
        "The shop is open at http://localhost:{}",
        listener.local_addr()?.port()
    );
    axum::serve(listener, app(store, keys)).await?;
    Ok(())
}

/// The login is in an encrypted cookie. The cart is in a file, found by the signed ID in another
/// cookie. To end logins, the server also stores who is logged in where, and which logins have
/// ended.
///
/// Every change is a POST, and `CsrfLayer` refuses one that comes from another site. Both cookies
/// also have the default `SameSite=Lax`, so a browser would not send them with it. That alone does
/// not protect the login form: another site could log a visitor in to someone else's account.
fn app(store: FilesystemStore, keys: Keys) -> Router {
    let cookies = CookieStore::new().revocation(store.clone());
    let account = SessionConfig::new(Account, cookies, keys.clone()).insecure_local_http();
    let cart = SessionConfig::new(Basket, store, keys.clone())
        .insecure_local_http()
        .max_age(MONTH);
    Router::new()
        .route("/", get(home))
        .route("/cart", get(show_cart))
        .route("/cart/{product}/add", post(add))
        .route("/cart/{product}/more", post(more))
        .route("/cart/{product}/less", post(less))
        .route("/cart/{product}/remove", post(remove))
        .route("/cart/clear", post(clear))
        .route("/checkout", post(check_out))
        .route("/login", get(show_login).post(log_in))
        .route("/logout", post(log_out))
        .route("/goodbye", get(goodbye))
        .route("/account", get(show_account))
        .route("/account/sessions/{id}/end", post(logins::end))
        .route("/account/sessions/end-others", post(logins::end_others))
        .route("/keys/rotate", post(rotate))
        .with_state(keys)
        .layer(SessionLayer::new(account).with(cart))
        .layer(middleware::map_response(log_failure))
        .layer(CsrfLayer::new())
        .route("/favicon.ico", get(favicon))
}

fn keys() -> Result<Keys, KeyError> {
    match Keys::from_env("SESSION_KEY") {
        Err(KeyError::MissingVariable(_)) => {
            println!(
                "SESSION_KEY is not set: using a random key, so that a restart logs everybody out."
            );
            Keys::generate()
        }
        keys => keys,
    }
}

fn directory() -> PathBuf {
    env::var_os("SHOP_DIR").map_or_else(|| env::temp_dir().join("silverback-shop"), PathBuf::from)
}

/// The client gets only a status. The error is in the response's extensions.
///
/// If a session was renewed or destroyed while a request changed it, the server has not failed. The
/// browser has another cookie by now, or none, so a redirect leads it to a page that shows the
/// current state.
async fn log_failure(mut response: Response) -> Response {
    let Some(error) = response.extensions().get::<Error>() else {
        return response;
    };
    eprintln!("{error:?}");
    if error.kind() == ErrorKind::Gone {
        *response.status_mut() = StatusCode::SEE_OTHER;
        let home = HeaderValue::from_static("/");
        response.headers_mut().insert(LOCATION, home);
    }
    response
}

/// Served outside the layers, because it is the same for everybody.
async fn favicon() -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, page::MARK)
}

/// The frame that every page shows around its content.
#[derive(Default)]
struct Visitor {
    name: Option<String>,
    items: u32,
    messages: Vec<String>,
    was_logged_out: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let sessions = Sessions::from_request_parts(parts, state).await?;
        let (account, cart) = (sessions.get(Account).await?, sessions.get(Basket).await?);
        let mut messages: Vec<String> = account.flashes()?;
        messages.extend(cart.claim_flashes::<String>().await?);
        let was_logged_out = matches!(
            account.rejection(),
            Some(Rejection::Ended | Rejection::Revoked)
        );
        Ok(Self {
            name: account.subject()?,
            items: Typed::<Cart>::of(&cart).read()?.count(),
            messages,
            was_logged_out,
        })
    }
}

/// Returns whether the visitor's session was renewed or destroyed less than a minute ago. The
/// browser may be about to get a newer cookie, so nothing can be saved: a write would get a 409.
fn is_over(session: &Session) -> bool {
    matches!(
        session.rejection(),
        Some(Rejection::Renewed | Rejection::Ended)
    )
}

/// Leaves a message for the next page if it can be saved. The page is correct without it.
fn tell(session: &Session, message: &str) -> Result<(), Error> {
    if is_over(session) {
        return Ok(());
    }
    session.flash(message)
}

async fn home(visitor: Visitor) -> Page {
    page::home(&visitor)
}

async fn show_cart(visitor: Visitor, cart: MyCart) -> Result<Page, Error> {
    Ok(page::cart(&visitor, &cart.read()?))
}

/// `update` runs again if another tab has saved the cart meanwhile, so that no count is lost.
async fn add(Path(product): Path<Product>, cart: MyCart) -> Result<Redirect, Error> {
    cart.update(move |cart| cart.add(product))?;
    let label = product.label();
    cart.session()
        .flash(format!("{} is in your cart.", label.name))?;
    Ok(Redirect::to(&format!("/#{}", label.id)))
}

async fn more(Path(product): Path<Product>, cart: MyCart) -> Result<Redirect, Error> {
    cart.update(move |cart| cart.add(product))?;
    Ok(Redirect::to("/cart"))
}

async fn less(Path(product): Path<Product>, cart: MyCart) -> Result<Redirect, Error> {
    cart.update(move |cart| cart.take(product))?;
    Ok(Redirect::to("/cart"))
}

async fn remove(Path(product): Path<Product>, cart: MyCart) -> Result<Redirect, Error> {
    cart.update(move |cart| cart.remove(product))?;
    Ok(Redirect::to("/cart"))
}

async fn clear(cart: MyCart) -> Result<Redirect, Error> {
    cart.remove()?;
    cart.session().flash("Your cart is empty again.")?;
    Ok(Redirect::to("/cart"))
}

async fn check_out(sessions: Sessions) -> Result<Redirect, Error> {
    sessions.get(Basket).await?.destroy().await?;
    tell(
        &sessions.get(Account).await?,
        "Thank you! This is where a real shop would ask for money.",
    )?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Login {
    name: String,
    #[serde(default)]
    remember: bool,
}

async fn show_login(visitor: Visitor) -> Page {
    page::login(&visitor)
}

/// Both sessions get a new ID, so anyone who knew or planted the old one is locked out. The cookie
/// of an ended session does not prevent a login, because a renewal makes a new session.
///
/// `set_subject` says whose login this is, and how the account page lists it.
async fn log_in(
    sessions: Sessions,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Result<Redirect, Error> {
    let account = sessions.get(Account).await?;
    let name = login.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        tell(
            &account,
            &format!("Please give a name of 1 to {LONGEST_NAME} characters."),
        )?;
        return Ok(Redirect::to("/login"));
    }
    sessions.iter().for_each(|session| session.renew());
    if login.remember {
        account.persist_for(MONTH)
    } else {
        account.until_browser_closes()
    }
    let user_agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    account.set_subject(name, &words::device(user_agent))?;
    account.insert("remembered", login.remember)?;
    account.flash(format!("Welcome, {name}."))?;
    Ok(Redirect::to("/account"))
}

/// On a shared computer the next visitor should not see the cart either, so both sessions end.
async fn log_out(sessions: Sessions) -> Result<Redirect, Error> {
    for session in sessions.iter() {
        session.destroy().await?;
    }
    Ok(Redirect::to("/goodbye"))
}

/// Uses no session, so it sends no cookie. A flash message would start a new session.
async fn goodbye() -> Page {
    page::goodbye()
}

async fn show_account(
    State(keys): State<Keys>,
    visitor: Visitor,
    sessions: Sessions,
) -> Result<Page, Error> {
    let (account, cart) = (sessions.get(Account).await?, sessions.get(Basket).await?);
    let visits = match is_over(&account) {
        true => None,
        false => Some(account.update("visits", |visits: &mut u32| {
            *visits += 1;
            *visits
        })?),
    };
    let remembered = account.get("remembered")?.unwrap_or(false);
    let lasts = if remembered {
        "30 days"
    } else {
        "until the browser closes"
    };
    let facts = [
        Facts::of(
            &account,
            "whole in its cookie, encrypted",
            lasts,
            "the server remembers its end",
        )?,
        Facts::of(
            &cart,
            "in a file; its signed ID in the cookie",
            "30 days",
            "the file is deleted",
        )?,
    ];
    let logins = logins::panel(&account).await?;
    let account = page::Account {
        visits,
        facts: &facts,
        logins: &logins,
        keys: &keys.list(),
    };
    Ok(page::account(&visitor, &account))
}

/// Everybody stays logged in: the old key still opens cookies, and the next answer seals them with
/// the new one.
async fn rotate(State(keys): State<Keys>, account: Session) -> axum::response::Result<Redirect> {
    if account.subject()?.is_none() {
        return Ok(Redirect::to("/login"));
    }
    Key::generate()
        .and_then(|key| keys.rotate(key))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    account.flash("A new key is active. Nobody was logged out.")?;
    Ok(Redirect::to("/account"))
}
