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
//!     let n = session.update("visits", |n: &mut u64| {
//!         *n += 1;
//!         *n
//!     })?;
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
//! | name a session so that the compiler checks it | [`SessionName`] |
//! | know which session a plain `Session` is | [`Session`](Session#several-layers) |
//! | set cookie attributes and lifetimes | [`SessionConfig`] |
//! | take settings from a configuration file | [`SessionSettings`] |
//! | list a user's sessions, log out everywhere | [`Session::set_subject`], [`Subjects`] |
//! | read, change or end a session without a request | [`SessionRecords`] |
//! | choose or write a store | [`store`] |
//! | make, load and rotate keys | [`key`] |
//! | keep a struct under one key | [`Typed`] |
//! | change a type that sessions keep | [`SessionData`](SessionData#when-a-type-changes) |
//! | change a value in place | [`Session::update`], [`Session::try_update`] |
//! | take a value that may be used once | [`Session::take`] |
//! | leave messages for the next page | [`Flashes`], [`Session::flash`] |
//! | use axum's extractors | [below](#axum) |
//! | let shared caches keep responses | [`SessionLayer::allow_shared_caching`] |
//! | keep nothing of what a handler did | [`SessionLayer::keep_if`] |
//! | answer in your own way when a session cannot be saved | [`Responder`] |
//! | log visitors in and out | [below](#login-and-logout) |
//! | know which of two requests wins | [below](#who-wins) |
//! | know how often a store is asked | [below](#round-trips) |
//! | choose timeouts that a standard asks for | [`Timeouts`] |
//! | tell visitors when they will be logged out | [`Session::expires_at`] |
//! | let a page that polls keep nobody logged in | [`Session::skip_touch`] |
//! | forget visitors who come once | [`SessionConfig::first_idle_timeout`] |
//! | know when the visitor last logged in, for step-up | [`Session::authenticated_at`] |
//! | save what a stream changes, or end it with an error | [`Session::save_at_end`] |
//! | keep a socket's visitor logged in | [`Session`](Session#after-the-response) |
//! | test handlers and pages | [`testing`](mod@testing), [`Session::detached`] |
//! | move the clock in a test | [`Clock::manual`] |
//!
//! # axum
//!
//! With the feature `axum` these are extractors. Each loads the session it gives if its store waits;
//! one in a cookie or in memory is opened when you first ask it something. If an extractor fails, it
//! answers with an [`Error`], in the status of [`Answer`], and leaves the error in the response's
//! extensions.
//!
//! | Extractor | Gives |
//! |---|---|
//! | [`Session`] | the first session of the innermost layer, established or new |
//! | [`SessionOf<Name>`](SessionOf) | the session of this [`SessionName`], in whichever layer it is |
//! | `Option` of these | the same, `None` if it is new; to write to a new one take it without `Option` |
//! | [`Sessions`] | all sessions of the request, to be loaded by name |
//! | [`Typed<T>`](Typed), `Typed<T, Name>` | the place of a [`SessionData`] value |
//! | `Option<Typed<T>>` | the same, `None` if nothing is stored there |
//! | [`Flashes`], `Flashes<Name>` | the flash messages of a session |
//!
//! Middleware made with `axum::middleware::from_fn` takes the extractors too, and has to be inside:
//! the `.layer(SessionLayer::new(..))` comes after it.
//!
//! # When something is put together wrongly
//!
//! A missing layer, a misspelt name, or a session that was not loaded is an [`Error`], one sentence
//! in the log, and a 500. A debug build (`debug_assertions`) tells the client too:
//!
//! ```text
//! session error: session "carts": no `SessionLayer` around this handler has a session of this name: there is account, cart
//! ```
//!
//! A release build says `session error` to the client, and nothing more. Outside axum,
//! [`Error::client_message`] is that text.
//!
//! The log is the feature `tracing`, which is on by default: events on the target `silverback`. A
//! debug build of a program without a subscriber prints the sentence on the terminal. What clients can repeat at will, such
//! as bad cookies, is logged at most once a minute for each kind and layer, and `left_out` says how
//! many there were in between.
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
//! # Login and logout
//!
//! ```
//! # use std::time::Duration;
//! # use silverback::{Error, Session};
//! const MONTH: Duration = Duration::from_secs(30 * 86_400);
//!
//! /// The password was right.
//! async fn log_in(session: Session, user: u64, device: &str, remember: bool) -> Result<(), Error> {
//!     session.load().await?; // an extractor has done that
//!     session.renew(); // a new ID: anyone who had the old one is locked out
//!     session.insert("user", user)?;
//!     session.set_subject(&user.to_string(), device)?; // the user can see and end this login
//!     if remember {
//!         session.persist_for(MONTH);
//!     } else {
//!         session.until_browser_closes();
//!     }
//!     Ok(())
//! }
//!
//! async fn log_out(session: Session) -> Result<(), Error> {
//!     session.destroy().await // the session has ended when this returns
//! }
//! ```
//!
//! [`set_subject`](Session::set_subject) works for a session in a store, and for one in a cookie with
//! [`revocation`](crate::CookieStore::revocation); leave it out for one in a cookie alone.
//!
//! Renew at every login, and put all that the login consists of into the session in the same
//! request. Values from before the login, such as a cart, stay. If another user may be logged in,
//! destroy the session first; what you insert after that is in a new one.
//!
//! **A form that is sent twice.** A double click on "log in" sends two requests with one cookie. Both
//! renew, one of them gets what was in the session before, and both are logged in, since each keeps
//! what it put in itself. Other forms that are sent twice are two requests that change one session:
//! in a store both changes are kept.
//!
//! **[`Gone`](ErrorKind::Gone), answered as 409.** The session was renewed or destroyed while the
//! request was under way, or less than a minute before it. Nothing of the session was saved, and the
//! browser keeps its cookie. Show a page that asks the visitor to try again: the browser has
//! the newer cookie by then. What the handler did elsewhere, such as charging a card, is done; give
//! each form a number of its own if that must not happen twice.
//!
//! **A visitor who was logged out elsewhere** has an empty session, and [`Session::rejection`] says
//! [`Ended`](Rejection::Ended), [`Revoked`](Rejection::Revoked) or
//! [`NotFound`](Rejection::NotFound). Say so on the page; the reason is there with each request
//! until the session is written again, or [destroyed](Session::destroy), which removes the cookie.
//! For a minute write nothing unless you
//! renew, as such a write is `Gone`:
//!
//! ```
//! # use silverback::{Error, Rejection, Session};
//! async fn page(session: Session) -> Result<String, Error> {
//!     session.load().await?;
//!     match session.rejection() {
//!         Some(Rejection::Ended) => Ok("You were logged out.".to_owned()),
//!         Some(Rejection::Renewed) => Ok("Please load this page again.".to_owned()),
//!         _ => {
//!             session.update("visits", |n: &mut u32| *n += 1)?;
//!             Ok("Hello.".to_owned())
//!         }
//!     }
//! }
//! ```
//!
//! **[`Ambiguous`](Rejection::Ambiguous).** Two cookies of the session's name came, and both of their
//! sessions live. Somebody who controls a subdomain can plant a cookie of their own session beside
//! the visitor's (RFC 6265, section 8.6), and no server can tell which is which. So neither counts,
//! neither is removed, and the visitor is logged out until one of them is gone, by a
//! [logout](Session::destroy) for example, which ends both. Name the session `__Host-account`
//! instead of `account`: browsers then refuse such a cookie from anyone but your own host (RFC
//! 6265bis, section 4.1.3.2).
//!
//! # Who wins
//!
//! Requests of one session overlap: a second tab, a double click, a slow upload, an attacker with a
//! copy of the cookie. "In a store" is every session that has a record, "in a cookie" one with
//! [`revocation`](crate::CookieStore::revocation). The last row is about one in a cookie alone.
//!
//! | These overlap | What happens |
//! |---|---|
//! | two renewals | One gets what was in the session. The other gets a new session of what its own request put in, and `Gone` if that is nothing. |
//! | a renewal, and a request that writes | In a store the renewal takes along what was saved before it; a later write is `Gone` and sets no cookie. In a cookie nothing is merged: the renewal has what its own cookie held. |
//! | a renewal, and a request that reads | The reader sees the old values to its end, and sets no cookie. |
//! | a renewal, and a logout | The logout wins: it follows the session to its new ID, up to eight times. A renewal that comes second gets a new session of what its request put in, or `Gone`. |
//! | a logout, and a request that writes | The write is `Gone` and sets no cookie, also if the visitor has logged in again since. |
//! | a logout, and a login | A login that was first is a renewal, and ends. One that comes second is a new session, and lives. |
//! | two logouts | Both succeed. |
//! | for 60 seconds after a renewal or a logout, a request with the old cookie | It reads an empty session, writes nothing (`Gone`) and sets no cookie. If it renews, it gets a new session of what it put in. After that the ID is unknown, and a write begins a new session. |
//! | an end through the [subject](Session::set_subject), and a login | The subject's list decides. A login that is in it ends, and its request is `Gone`; one that enters it later lives. |
//! | an end through the subject, and a renewal or write of a session that it ends | The session ends by its old and its new ID, and the request is `Gone`. In a store no mark is left: a later request with the cookie is a new visitor's. |
//! | an end through the subject, and a renewal of the session that it spares | The session is spared by either ID for a minute. |
//! | a late response of a request that only read | It sends the cookie again only if the session is still alive. |
//! | a session that is emptied, and a request that writes | A write before the record is removed keeps the session. A later one is `Gone`. |
//! | two valid cookies of one name | Those whose session lives count. Of two that live, or more than four that are valid, none does: [`Ambiguous`](Rejection::Ambiguous). Of two of one session in cookies, the later one counts. A logout ends all that are valid, at most 64. |
//! | a key that is revoked, and a request with a cookie of it | The request sets no cookie, and a write is `Gone`. A logout still ends the session. |
//! | a request that is cut off | What `save` or `destroy` had done is done, and the rest is not. A save that was cut off happened whole or not at all. After a renewal that was cut off, the visitor may have to log in again. |
//! | a store's answer that gets lost | What was asked for is recognised by the id of its write, and not done twice. If nobody can tell, it is an error: see [`Session::save`]. |
//! | a session in a cookie alone, and anything | The response that reaches the browser last wins. A late write undoes a login, a renewal and a logout. |
//!
//! No server can prevent these:
//!
//! - A response that was sent before a login can reach the browser after the login's response. The
//!   browser then has the older cookie, and the visitor has to log in again.
//! - A browser that never got the response to a login is held up for a minute: its old cookie writes
//!   nothing, though it can log in again at once.
//! - Who knows the ID from before a login can end that login for a minute. They cannot use it.
//! - Of two logins at the same time, one has the cart and the other may win in the browser. A renewal
//!   that is no login can displace one in the same way, if its request puts something in.
//! - In a cookie alone, a copy stays valid until its timeouts, whatever the server does.
//!
//! A replica that lags adds nothing to this list, since sessions are read as they
//! [are](store::Read::Current). With [`recent_reads`](SessionConfig::recent_reads), a GET or HEAD
//! request may see a session as it was before it was changed or ended, for as long as the store lags,
//! and show a flash message again. What it writes is checked against the present.
//!
//! # Round trips
//!
//! How often a request waits for a store, where nobody is in its way. The calls of a row come one
//! after the other; a conflict with another request adds two or three.
//!
//! | A request | In a store | In a cookie with [`revocation`](CookieStore::revocation) |
//! |---|---|---|
//! | that does not use its session | 0 | 0 |
//! | opens the session | 1 | 1 |
//! | changes it | 1 | 1, to see that it lives |
//! | restarts its idle timeout, at most ten times in each | 1 | as a change |
//! | renews it | 2 | 1 |
//! | renews a session that has a [subject](Session::set_subject) | 5 | 4 |
//! | logs a new visitor in, with a subject | 4 | 3 |
//! | logs a visitor in who has a session | 5 | 4 |
//! | logs out | 1 | 1 |
//! | lists the subject's sessions, however many | 2 | 2 |
//! | ends the subject's other sessions, however many | 3 | 2 |
//! | opens several sessions of one store by [`Sessions::load_all`] | 1 | as many, side by side |
//! | changes several sessions | as many, side by side | as many, side by side |
//!
//! A login writes the subject's list first, and looks into it again when the session is made: so an
//! end of all sessions misses none. The list is told that a session is in use once an hour at most, by
//! two more calls. In a cookie alone, no request waits. A session that can
//! [outgrow](CookieStore::overflow) its cookie costs what it costs where it is; with `revocation` as
//! well, ends take a call for each session, side by side. Of several cookies at a logout each session
//! takes its own calls, side by side too.
//!
//! # What it promises
//!
//! - **A session that is not used costs nothing**: two allocations, no parsing, no cryptography, no
//!   clock, no store, no header.
//! - **No update is lost** on stores: saving compares and swaps, and on a conflict this request's
//!   changes are applied to what the other request left.
//! - **A logout lasts.** `destroy` ends the session at once, under the ID that a renewal gave it a
//!   moment ago as well, and no slower request can bring it back.
//! - **A failed save is never a silent success**: the client gets [409, 500 or 503](Answer), or what
//!   your [`Responder`] says.
//! - **A failing store is never an empty session**, and never makes the browser drop its cookie.
//! - **Nothing leaves unsealed.** Cookie name, purpose, application and format version are bound
//!   into each token, issue time and expiry are in it and checked, and its key is found by an id.
//! - **A bad cookie is never an error.** The handler gets an empty session, your log gets the
//!   [`Rejection`], and the client learns nothing.
//!
//! What a session in a cookie cannot do is listed at [`CookieStore`].
//!
//! # Dropping futures
//!
//! Dropping the response's future before it is done, as servers do when the client has gone, loses
//! what the handler changed and nothing else: what was saved is saved, and a destroyed session
//! stays destroyed. You can drop the futures of [`Session::save`], [`load`](Session::load) and
//! [`destroy`](Session::destroy) too. The next save recognises one that was cut off, and does it no
//! second time.
//!
//! # Features
//!
//! | Feature | Adds | Default |
//! |---|---|---|
//! | `filesystem` | [`FilesystemStore`] (Unix) | yes |
//! | `axum` | [extractors](#axum), and `IntoResponse` for [`Error`] | no |
//! | `conformance` | [`store_conformance!`]: the contract of [`Store`](store::Store) as tests | no |
//! | `testing` | [`testing`](mod@testing): browsers, seeded sessions and failing stores for your tests | no |
//! | `tracing` | events on the target `silverback`: kinds and names, never a secret | yes |
//!
//! Features add; none changes what the others do.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod body;
mod caching;
mod future;
mod head;
mod layer;
mod responder;
mod service;

#[cfg(feature = "axum")]
mod axum;

#[cfg(feature = "testing")]
pub mod testing;

mod sessions;

mod explain;
mod records;
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
mod join;
mod lock;
mod name;
mod text;
#[cfg(feature = "tracing")]
mod throttle;
mod trace;

pub use ::cookie::SameSite;

pub use self::{
    answer::Answer,
    body::SavingBody,
    clock::{Clock, Timestamp},
    codec::{TokenHead, TokenTimes},
    config::{SessionConfig, SessionSettings, Timeouts},
    cookie::CookieAttributes,
    error::{ConfigError, Error, ErrorKind, Rejection},
    explain::Explanation,
    future::ResponseFuture,
    key::{Key, KeyError, KeyId, KeyState, Keys},
    layer::SessionLayer,
    name::{Named, SessionName},
    records::SessionRecords,
    responder::{DefaultResponder, FailedCommit, Responder},
    service::SessionService,
    session::{
        FlashLevel, FlashMessage, Flashes, Former, Innermost, Selector, Session, SessionData,
        SessionOf, Typed,
    },
    sessions::Sessions,
    store::{CookieStore, MemoryStore},
    subjects::{SubjectSession, Subjects},
    text::ParseError,
};

#[cfg(all(feature = "filesystem", unix))]
pub use self::store::FilesystemStore;

#[cfg(all(doctest, feature = "axum", feature = "filesystem"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../docs/stores.md")]
mod stores {}
