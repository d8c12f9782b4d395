//! Sessions for every Tower stack.
//!
//! A [`SessionLayer`] wraps a service: axum, hyper, tonic or any other Tower service of `http`
//! messages. On the way in it puts a [`Session`] handle into the request's extensions; on the way
//! out it saves every session that was changed, whatever it is kept in, and adds the `Set-Cookie`
//! headers.
//!
//! ```no_run
//! # #[cfg(feature = "axum")] mod program {
//! use axum::{Router, routing::get};
//! use silverback::{Keys, Session, SessionConfig, SessionLayer};
//! use tokio::net::TcpListener;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let keys = Keys::from_env("SESSION_KEY")?; // from `openssl rand -base64 32`
//!     let app = Router::new()
//!         .route("/", get(visit))
//!         .layer(SessionLayer::new(SessionConfig::cookie("session", keys)));
//!     axum::serve(TcpListener::bind("127.0.0.1:8080").await?, app).await?;
//!     Ok(())
//! }
//!
//! async fn visit(session: Session) -> Result<String, silverback::Error> {
//!     let n = session.update("visits", |n: &mut u64| *n += 1)?;
//!     Ok(format!("visit {n}"))
//! }
//! # }
//! ```
//!
//! # Where to look
//!
//! | You want to | See |
//! |---|---|
//! | read, change, renew, destroy a session | [`Session`] |
//! | use several sessions in one request | [`Sessions`] |
//! | set cookie attributes and lifetimes | [`SessionConfig`] |
//! | list a user's sessions, log out everywhere | [`Session::set_subject`], [`Subjects`] |
//! | choose or write a store | [`store`] |
//! | make, load and rotate keys | [`key`] |
//! | keep a struct under one key | [`Typed`] |
//! | change a type that sessions keep | [`SessionData`](SessionData#when-a-type-changes) |
//! | leave messages for the next page | [`Session::flash`] |
//! | use axum's extractors | [below](#axum) |
//! | let shared caches keep responses | [`SessionLayer::allow_shared_caching`] |
//! | keep nothing of what a handler did | [`SessionLayer::keep_if`] |
//! | answer in your own way when a session cannot be saved | [`Responder`] |
//! | move the clock in a test | [`Clock`] |
//!
//! # axum
//!
//! With the feature `axum` these are extractors. Each loads the session it gives. If it cannot, it
//! answers with an [`Error`], in the status of [`Answer`], and leaves the error in the response's
//! extensions.
//!
//! | Extractor | Gives |
//! |---|---|
//! | [`Session`] | the layer's first session, established or new |
//! | `Option<Session>` | the same, `None` if it is new; to write to a new one take `Session` |
//! | [`Sessions`] | all sessions of the request, to be loaded by name |
//! | [`Typed<T>`](Typed) | the place of a [`SessionData`] value |
//! | [`Flashes`] | the flash messages of the layer's first session |
//!
//! Middleware made with `axum::middleware::from_fn` takes the extractors too, and has to be inside:
//! the `.layer(SessionLayer::new(..))` comes after it.
//!
//! # Without a framework
//!
//! ```
//! use silverback::{Error, Session};
//!
//! # struct User;
//! async fn user<B>(request: &http::Request<B>) -> Result<Option<u64>, Error> {
//!     let Some(session) = request.extensions().get::<Session>() else { return Ok(None) };
//!     session.load().await?; // one read for stores that wait, nothing for cookie and memory sessions
//!     session.get("user")
//! }
//! ```
//!
//! # Login, remember me, logout
//!
//! ```
//! # use std::time::Duration;
//! # use silverback::{Error, Session};
//! # async fn f(session: Session, user: u64, remember: bool) -> Result<(), Error> {
//! session.renew(); // new ID, same values: against session fixation
//! session.insert("user", &user)?;
//! if remember { session.persist_for(Duration::from_secs(30 * 86_400)); } else { session.until_browser_closes(); }
//! # Ok(())
//! # }
//! # async fn g(session: Session) -> Result<(), Error> {
//! session.destroy().await?; // the record is gone when this returns; the cookie goes with the response
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **A session that is not used costs nothing**: two allocations, no parsing, no cryptography, no
//!   clock, no store, no header.
//! - **No update is lost** on stores: saving compares and swaps, and on a conflict this request's
//!   changes are applied to what the other request left.
//! - **A logout lasts.** `destroy` removes the record at once, and no slower request can bring it
//!   back.
//! - **A failed save is never a silent success**: the client gets [409, 500 or 503](Answer), or what
//!   your [`Responder`] says.
//! - **A failing store is never an empty session**, and never makes the browser drop its cookie.
//! - **Nothing leaves unsealed.** Cookie name, purpose, application and format version are bound
//!   into each token, issue time and expiry are in it and checked, and its key is found by an id.
//! - **Bad input** is an empty session and a [`Rejection`] for the log; no panic, and nothing to
//!   learn from it.
//!
//! What a session in a cookie cannot do is listed at [`CookieStore`](store::CookieStore).
//!
//! # Dropping futures
//!
//! Dropping the response's future before it is done, as servers do when the client has gone, loses
//! what the handler changed and nothing else: what was saved is saved, and a destroyed session
//! stays destroyed. [`Session::save`], [`load`](Session::load) and [`destroy`](Session::destroy)
//! can be dropped as well; a save that was cut off is found again by the next one, and not done
//! twice.
//!
//! # Features
//!
//! | Feature | Adds | Default |
//! |---|---|---|
//! | `filesystem` | [`FilesystemStore`](store::FilesystemStore) (Unix) | yes |
//! | `axum` | [extractors](#axum), and `IntoResponse` for [`Error`] | no |
//! | `conformance` | [`store_conformance!`]: the contract of [`Store`](store::Store) as tests | no |
//! | `tracing` | events on the target `silverback`: kinds and names, never a secret | no |
//!
//! Features add; none changes what the others do.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod caching;
mod future;
mod head;
mod layer;
mod responder;
mod service;

#[cfg(feature = "axum")]
mod axum;

mod sessions;

mod session;
mod subjects;

mod request;
mod turn;
mod vault;

mod config;
mod content;
mod roster;
mod state;

pub mod store;

mod codec;
mod cookie;
pub mod key;

mod binary;
mod clock;
mod crypto;
mod error;
mod id;
mod lock;
mod trace;

pub use ::cookie::SameSite;

pub use self::{
    answer::Answer,
    clock::{Clock, Timestamp},
    config::{SessionConfig, Timeouts},
    cookie::CookieAttributes,
    error::{ConfigError, Error, ErrorKind, Rejection},
    future::ResponseFuture,
    key::{Key, KeyError, KeyId, KeyState, Keys},
    layer::SessionLayer,
    responder::{DefaultResponder, FailedCommit, Responder},
    service::SessionService,
    session::{Flashes, Session, SessionData, Typed},
    sessions::Sessions,
    subjects::{SubjectSession, Subjects},
};

#[cfg(all(doctest, feature = "axum", feature = "filesystem"))]
#[doc = include_str!("../README.md")]
mod readme {}
