//! Tools for your application's tests (feature `testing`): browsers, their cookies, sessions
//! that exist already, and stores that fail.
//!
//! Add the feature to your `[dev-dependencies]`, so that none of this is in your program:
//!
//! ```toml
//! [dev-dependencies]
//! silverback = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # Testing handlers
//!
//! | You test | With |
//! |---|---|
//! | one function or handler | [`Session::detached`], or [`SessionLayer::detached`](crate::SessionLayer::detached) for several sessions |
//! | pages, cookies, redirects | a [`Browser`] around your service |
//! | a page for a logged-in user | [`Browser::seed`] |
//! | the session after a page | [`Browser::session`] |
//! | timeouts, "remember me" | [`Clock::manual`](crate::Clock::manual), [`Browser::clock`], [`Jar::close`]; give the same clock to the layer, its stores, [`Subjects`](crate::Subjects) and [`SessionRecords`](crate::SessionRecords) |
//! | two tabs, two visitors | clones of a browser, [`Browser::another`] |
//! | a logout in another browser, an administrator | [`Subjects`](crate::Subjects), [`SessionRecords`](crate::SessionRecords) |
//! | a store that is down, an answer that is lost | [`FlakyStore`] |
//! | your own store | [`store_conformance!`](macro@crate::store_conformance) (feature `conformance`) |
//!
//! No test needs a network or has to sleep. In the repository, `examples/testing` (axum),
//! `examples/hyper` and `examples/tonic` are programs with their tests.
//!
//! **A function.** Call it with a detached session:
//!
//! ```
//! use silverback::{Error, Key, Session, SessionConfig};
//!
//! fn total(session: &Session) -> Result<u32, Error> {
//!     let prices: Vec<u32> = session.get("cart")?.unwrap_or_default();
//!     Ok(prices.iter().sum())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::detached(&SessionConfig::cookie("cart", Key::generate()?))?;
//! assert_eq!(total(&session)?, 0);
//! session.insert("cart", [3, 4])?;
//! assert_eq!(total(&session)?, 7);
//! # Ok(())
//! # }
//! ```
//!
//! **A page.** Give the router, or any other Tower service, to a [`Browser`]. Let the function that
//! makes the router take its [`SessionConfig`](crate::SessionConfig) and
//! [`Clock`](crate::Clock). The test keeps a clone of each, to log a user in and to let time pass.
//!
//! ```
//! # #[cfg(feature = "axum")] mod program {
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use silverback::{
//!     Clock, Error, Key, Session, SessionConfig, SessionLayer, Timestamp,
//!     store::MemoryStore, testing::Browser,
//! };
//!
//! async fn home(session: Session) -> Result<String, Error> {
//!     let user: Option<String> = session.get("user")?;
//!     Ok(format!("Hello, {}", user.as_deref().unwrap_or("stranger")))
//! }
//!
//! fn app(config: SessionConfig, clock: Clock) -> Router {
//!     Router::new().route("/", get(home)).layer(SessionLayer::new(config).clock(clock))
//! }
//!
//! # #[tokio::main]
//! pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
//!     let store = MemoryStore::new().clock(clock.clone());
//!     let config = SessionConfig::new("account", store, Key::generate()?)
//!         .idle_timeout(Duration::from_secs(1_800));
//!     let ada = Browser::new(app(config.clone(), clock.clone())).clock(clock.clone());
//!     assert_eq!(ada.get("/").await.text(), "Hello, stranger");
//!
//!     ada.seed(&config, |session| session.insert("user", "Ada")).await?;
//!     assert_eq!(ada.get("/").await.text(), "Hello, Ada");
//!
//!     clock.advance(Duration::from_secs(1_800));
//!     assert_eq!(ada.get("/").await.text(), "Hello, stranger");
//! #   Ok(())
//! }
//! # }
//! # #[cfg(feature = "axum")] fn main() { program::main().unwrap() }
//! # #[cfg(not(feature = "axum"))] fn main() {}
//! ```
//!
//! **A store that is down.** Wrap the store in a [`FlakyStore`], and keep a clone of it to make it
//! fail. It waits like a store on a network, so it also reveals a forgotten
//! [`load`](Session::load).
//!
//! **hyper.** Only hyper can call a handler that takes `Request<Incoming>`. Make it generic,
//! `async fn handle<B>(request: Request<B>)`, and a browser can call it too.
//!
//! **tonic.** A browser is a Tower service: give it to the generated client in place of a channel.

mod body;
mod browser;
mod flaky;
mod jar;
mod page;
mod seed;

use http::HeaderMap;

pub use self::{
    body::Body,
    browser::Browser,
    flaky::{Calls, FlakyStore},
    jar::Jar,
    page::Page,
};
use crate::{
    error::Error,
    request::{self, Committed, Progress},
    session::Session,
    turn::Keep,
};

/// Does what a response would do for a [detached](Session::detached) session and those detached
/// with it: saves them, and returns the headers that set their cookies. Later calls behave as after
/// a response.
///
/// ```
/// use http::header;
/// use silverback::{Key, Session, SessionConfig, testing::commit};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let session = Session::detached(&SessionConfig::cookie("cart", Key::generate()?))?;
/// session.insert("item", 7)?;
/// let headers = commit(&session).await?;
/// assert!(headers[header::SET_COOKIE].to_str()?.starts_with("__Host-cart="));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`Session::save`]. [`Error::failures`] has those of several sessions.
pub async fn commit(session: &Session) -> Result<HeaderMap, Error> {
    let registry = session.registry();
    registry.exchange.close();
    let committed = match request::commit(registry, || Keep::Everything) {
        Progress::Nothing { .. } => Committed::default(),
        Progress::Done(committed) => committed,
        Progress::Waiting(commit) => commit.await,
    };
    registry.exchange.end();
    if let Some(error) = committed.failure {
        return Err(error);
    }
    let mut headers = HeaderMap::new();
    committed.cookies.append_to(&mut headers);
    Ok(headers)
}
