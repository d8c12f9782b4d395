//! Sessions for every Tower stack.
//!
//! You put one [`SessionLayer`] around your app, whether it is axum, hyper, tonic or any other
//! Tower service of `http` messages, and get a [`Session`] in every request. When the response is
//! ready, the layer saves every changed session, wherever it is stored, and sets its cookie.
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
//! The [guides](mod@guide) have a page for each task, such as [login](guide::login),
//! [CSRF](guide::csrf), [testing handlers](guide::testing), [other layers](guide::layers) and
//! [keys in production](guide::keys).
//!
//! | You want to | See |
//! |---|---|
//! | read, change, renew, destroy a session | [`Session`] |
//! | use several sessions in one request | [`Sessions`] |
//! | name a session so that the compiler checks it | [`SessionName`] |
//! | know which session a plain `Session` means | [`Session`](Session#several-layers) |
//! | set cookie attributes and lifetimes | [`SessionConfig`] |
//! | read settings from a configuration file | [`SessionSettings`] |
//! | list a user's sessions, log out everywhere | [`Session::set_subject`], [`Subjects`] |
//! | read, change or end a session without a request | [`SessionRecords`] |
//! | learn why a user's cookie was refused | [`SessionConfig::explain`] |
//! | choose or write a store | [`store`] |
//! | make, load and rotate keys | [`key`] |
//! | keep a struct under one key | [`Typed`] |
//! | change a type that sessions hold | [`SessionData`](SessionData#when-a-type-changes) |
//! | change a value in place | [`Session::update`], [`Session::try_update`] |
//! | use a value only once | [`Session::take`] |
//! | leave messages for the next page | [`Flashes`], [`Session::flash`] |
//! | use axum's extractors | [below](#axum) |
//! | let shared caches keep responses | [`SessionLayer::allow_shared_caching`] |
//! | discard what a handler changed | [`SessionLayer::keep_if`] |
//! | write your own response for a failed save | [`Responder`] |
//! | log visitors in and out | [below](#login-and-logout) |
//! | know which of two overlapping requests wins | [below](#who-wins) |
//! | know how often a request waits for its store | [below](#round-trips) |
//! | use the timeouts of a standard | [`Timeouts`] |
//! | show users when they will be logged out | [`Session::expires_at`] |
//! | keep polling from extending the session | [`Session::skip_touch`] |
//! | expire one-time visitors early | [`SessionConfig::first_idle_timeout`] |
//! | ask for the password again before something sensitive | [`Session::authenticated_at`] |
//! | save what a streaming body changes | [`Session::save_at_end`] |
//! | keep the user of a socket logged in | [`Session`](Session#after-the-response) |
//! | test handlers and pages | [`testing`](mod@testing), [`Session::detached`] |
//! | move the clock in a test | [`Clock::manual`] |
//!
//! # axum
//!
//! With the feature `axum` these are extractors. An extractor loads its session if the store waits;
//! a session in a cookie or in memory is opened when you first use it. An extractor that fails
//! responds with its [`Error`], in the status that [`Answer`] lists, and leaves the error in the
//! response's extensions.
//!
//! | Extractor | Gives |
//! |---|---|
//! | [`Session`] | the first session of the innermost layer, established or new |
//! | [`SessionOf<Name>`](SessionOf) | the session of this [`SessionName`], in whichever layer it is |
//! | `Option` of these | the same, or `None` if it is new; take it without `Option` to write to a new one |
//! | [`Sessions`] | all sessions of the request, loaded by name |
//! | [`Typed<T>`](Typed), `Typed<T, Name>` | the place of a [`SessionData`] value |
//! | `Option<Typed<T>>` | the same, `None` if nothing is stored there |
//! | [`Flashes`], `Flashes<Name>` | the flash messages of a session |
//!
//! axum wants the extractor that reads the body, such as `Form`, to be a handler's last argument: put
//! the session before it.
//!
//! Middleware from `axum::middleware::from_fn` can use the extractors too. It must be inside: add
//! `.layer(SessionLayer::new(..))` after it.
//!
//! # When the setup is wrong
//!
//! A missing layer, a misspelt name, or a session that was not loaded is an [`Error`]: the client
//! gets a 500, and your log gets a sentence that says what to change. In a debug build
//! (`debug_assertions`) the client gets the sentence too:
//!
//! ```text
//! session error: session "carts": no `SessionLayer` around this handler has a session of this name: known names: account, cart
//! ```
//!
//! A release build says only `session error` to the client. Outside axum, [`Error::client_message`]
//! returns that text.
//!
//! The log is the feature `tracing`, on by default: events on the target `silverback`. A debug
//! build without a subscriber prints the sentence to the terminal. Clients can send bad cookies at
//! will, so such events are logged at most once a minute for each kind and layer; `left_out` counts
//! the rest.
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
//! The layer goes around the service like any other: `ServiceBuilder::new().layer(..)` before hyper's
//! `TowerToHyperService`, `Server::builder().layer(..)` in tonic. The response's body has to be
//! [`Default`], for the responses that the layer makes itself. For another body, give the layer a
//! [`Responder`]. If the body comes from a layer inside the session layer, such as tower-http's
//! `TraceLayer`, put that layer [outside](guide::layers). `examples/hyper` and `examples/tonic` in
//! the repository are whole programs.
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
//! [`set_subject`](Session::set_subject) works for a session in a store, and for one in a cookie
//! with [`revocation`](crate::CookieStore::revocation); leave it out for one in a cookie alone.
//!
//! Renew at every login, and insert everything that belongs to the login in the same request.
//! Values from before the login, such as a cart, stay. If another user may still be logged in,
//! destroy the session first; what you insert afterwards starts a new one.
//!
//! **A form that is sent twice.** A double click on "log in" sends two requests with one cookie.
//! Both renew the session. One gets the values from before the login; both are logged in, because
//! each keeps what it inserted. Any other form that is sent twice is two requests that change one
//! session, and a store keeps both changes.
//!
//! **[`Gone`](ErrorKind::Gone), a 409.** The session was renewed or destroyed while the request
//! ran, or less than a minute earlier. Nothing was saved, and the browser keeps its cookie. Show a
//! page that asks the user to try again: by then the browser has the newer cookie. Whatever your
//! handler did elsewhere, such as charging a card, has happened. Give each form a number if it must
//! not happen twice.
//!
//! **A user who was logged out elsewhere** gets an empty session, and [`Session::rejection`]
//! returns [`Ended`](Rejection::Ended), [`Revoked`](Rejection::Revoked) or
//! [`NotFound`](Rejection::NotFound). Say so on the page. Every request gets that reason until the
//! session is written again, or [destroyed](Session::destroy), which removes the cookie. For the
//! first minute a write is `Gone` unless the request renews:
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
//! **[`Ambiguous`](Rejection::Ambiguous).** The request carried two cookies of the session's name,
//! and both sessions are live. Anyone who controls a subdomain can plant the cookie of their own
//! session beside the user's (RFC 6265, section 8.6), and no server can tell which is which. So
//! neither counts and neither is removed. The user is logged out until one of the sessions ends; a
//! [logout](Session::destroy) ends both. The default cookie name starts with `__Host-` where its
//! attributes allow that, and browsers accept such a cookie from your own host alone (RFC 6265bis,
//! section 4.1.3.2).
//!
//! # Who wins
//!
//! Requests of one session overlap: a second tab, a double click, a slow upload, an attacker with a
//! copy of the cookie. "In a store" means every session that has a record, "in a cookie" one with
//! [`revocation`](crate::CookieStore::revocation). The last row is about a session in a cookie
//! alone.
//!
//! | These overlap | What happens |
//! |---|---|
//! | two renewals | One gets the session's values. The other gets a new session with what its own request inserted, or `Gone` if that is nothing. |
//! | a renewal and a write | In a store the renewal includes everything saved before it; a later write is `Gone` and sets no cookie. In a cookie nothing is merged: the renewal has the values of its own cookie. |
//! | a renewal and a read | The reader sees the old values until it is done, and sets no cookie. |
//! | a renewal and a logout | The logout wins: it follows the session to its new ID, up to eight times. A renewal that comes second gets a new session with what its request inserted, or `Gone`. |
//! | a logout and a write | The write is `Gone` and sets no cookie, even if the user has logged in again since. |
//! | a logout and a login | A login that came first is a renewal, and ends. One that comes second is a new session, and lives. |
//! | two logouts | Both succeed. |
//! | a request with the old cookie, within 60 seconds after a renewal or a logout | It reads an empty session, writes nothing (`Gone`) and sets no cookie. If it renews, it gets a new session with what it inserted. After the 60 seconds the ID is unknown, and a write starts a new session. |
//! | an end through the [subject](Session::set_subject) and a login | The subject's list decides. A login that is on it ends, and its request is `Gone`; one that joins it later lives. |
//! | an end through the subject, and a renewal or write of a session it ends | The session ends under its old and its new ID, and the request is `Gone`. In a store no mark stays: a later request with the cookie is a new visitor's. |
//! | an end through the subject, and a renewal of the session it spares | The session is spared under either ID for a minute. |
//! | a late response of a request that only read | It sends the cookie again only if the session is still alive. |
//! | an emptied session and a write | A write before the record is removed keeps the session. A later one is `Gone`. |
//! | two valid cookies of one name | Only live sessions count. If two are live, or more than four cookies are valid, the request has no session: [`Ambiguous`](Rejection::Ambiguous). Of two cookies that hold the same session, the newer counts. A logout ends the sessions of all valid cookies, up to 64. |
//! | a revoked key and a request with a cookie of it | The request sets no cookie, and a write is `Gone`. A logout still ends the session. |
//! | a request that is cut off | What `save` or `destroy` finished is done; the rest is not. A save that was cut off happened entirely or not at all. After a renewal that was cut off, the user may have to log in again. |
//! | a lost answer of the store | The operation is recognised by the id of its write and not repeated. If nobody can tell, it is an error: see [`Session::save`]. |
//! | anything and a session in a cookie alone | The response that reaches the browser last wins. A late write undoes a login, a renewal or a logout. |
//!
//! No server can prevent these:
//!
//! - A response sent before a login can reach the browser after the login's response. The browser then
//!   has the older cookie, and the user must log in again.
//! - A browser that never received the response to its login is held up for a minute: its old cookie
//!   writes nothing, but it can log in again at once.
//! - Anyone who knows the ID from before a login can end that login for a minute. They cannot use it.
//! - Of two logins at the same time, one has the cart, and the other may win in the browser. A
//!   renewal that is not a login can displace another in the same way, if its request inserts
//!   something.
//! - A copy of a session in a cookie alone stays valid until its timeouts.
//!
//! A lagging replica adds nothing to this list, because sessions are read as they [are
//! now](store::Read::Current). With [`recent_reads`](SessionConfig::recent_reads), a GET or HEAD
//! request may see a session as it was before a change or an end, for as long as the replica lags,
//! and may show a flash message twice. Its writes are checked against the present.
//!
//! # Round trips
//!
//! How often a request waits for its store when no other request interferes. A request opens its
//! session first, unless it has no cookie. What else it does comes on top. The calls of a row run
//! one after another. A conflict with another request adds two or three.
//!
//! | A request | In a store | In a cookie with [`revocation`](CookieStore::revocation) |
//! |---|---|---|
//! | that does not use its session | 0 | 0 |
//! | opens the session | 1 | 1 |
//! | changes it | 1 | 1, to check that it is alive |
//! | restarts its idle timeout, at most ten times per timeout | 1 | as a change |
//! | renews it | 2 | 1 |
//! | renews a session that has a [subject](Session::set_subject) | 5 | 4 |
//! | logs a new visitor in, with a subject | 4 | 3 |
//! | logs a visitor in who has a session | 5 | 4 |
//! | gives a session that has a subject another | 7 | 6 |
//! | [removes](Session::remove_subject) its subject | 4 | 3 |
//! | logs out | 1 | 1 |
//! | lists the subject's sessions, however many | 2 | 2 |
//! | ends the subject's other sessions, however many | 3 | 2 |
//! | opens several sessions of one store by [`Sessions::load_all`] | 1 | as many, side by side |
//! | changes several sessions | as many, side by side | as many, side by side |
//!
//! A login writes the subject's list first and checks it again once the session exists, so an end
//! of all sessions misses none. Two more calls record in the list that a session is in use: once
//! per tenth of its idle timeout, or once an hour if that is sooner. A session in a cookie alone
//! never waits. A session that can [outgrow](CookieStore::overflow) its cookie costs what its
//! present place costs, and its renewal one call more; with `revocation` as well, an end takes one
//! call per session, side by side.
//! A logout with several cookies makes the calls of each session side by side, too.
//!
//! # What it promises
//!
//! - **An unused session costs almost nothing**: two allocations, no parsing, no cryptography, no
//!   clock, no store, no header.
//! - **A store loses no update.** Saving compares and swaps. After a conflict, this request's changes
//!   are applied to what the other request saved.
//! - **A logout is final.** `destroy` ends the session at once, even under an ID that a renewal gave it
//!   a moment ago, and no slow request can bring it back.
//! - **A failed save is never a success.** The client gets [409, 500 or 503](Answer), or what your
//!   [`Responder`] returns.
//! - **A failing store is never an empty session**, and never makes the browser drop its cookie.
//! - **Every token is authenticated.** Cookie name, purpose, application and format version are
//!   bound into it, its issue time and expiry are checked, and an id names its key.
//! - **A bad cookie is never an error.** The handler gets an empty session, your log gets the
//!   [`Rejection`], and the client learns nothing.
//!
//! [`CookieStore`] lists what a session in a cookie cannot do.
//!
//! # Dropping futures
//!
//! A server drops the response's future when the client is gone. That loses what the handler
//! changed and nothing else: saved changes stay saved, and a destroyed session stays destroyed. You
//! can drop the futures of [`Session::save`], [`load`](Session::load) and
//! [`destroy`](Session::destroy), too. The next save recognises a save that was cut off, and does
//! not repeat it.
//!
//! # Features
//!
//! | Feature | Adds | Default |
//! |---|---|---|
//! | `filesystem` | [`FilesystemStore`] (Unix) | yes |
//! | `axum` | [extractors](#axum), and `IntoResponse` for [`Error`] | no |
//! | `conformance` | [`store_conformance!`]: tests of the [`Store`](store::Store) contract, for your own store | no |
//! | `gorilla` | [`gorilla`](mod@gorilla): sessions shared with Go's gorilla/sessions | no |
//! | `metrics` | counts and times for a recorder of the `metrics` facade: see `docs/events.md` | no |
//! | `testing` | [`testing`](mod@testing): browsers, seeded sessions and failing stores for your tests | no |
//! | `tracing` | events on the target `silverback`: kinds and names, never a secret | yes |
//!
//! Features only add. No feature changes what another does.
//!
//! # Systems
//!
//! Everything works on Linux (glibc and musl), macOS and FreeBSD. Windows has everything except
//! [`FilesystemStore`] and `GorillaFiles`. The README says how far each system is tested.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(
        unix,
        feature = "axum",
        feature = "conformance",
        feature = "filesystem",
        feature = "gorilla",
        feature = "metrics",
        feature = "testing"
    )),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "links lead to what other features add"
    )
)]

mod answer;
mod body;
mod caching;
mod future;
#[cfg(feature = "gorilla")]
mod go_cookies;
#[cfg(feature = "gorilla")]
mod go_records;
#[cfg(all(
    doc,
    unix,
    feature = "axum",
    feature = "filesystem",
    feature = "gorilla",
    feature = "metrics",
    feature = "testing"
))]
pub mod guide;
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
#[cfg(feature = "gorilla")]
pub mod gorilla;
pub mod key;

mod binary;
mod clock;
mod crypto;
mod error;
mod id;
mod join;
mod lock;
mod name;
mod report;
mod small_vec;
mod sync;
mod text;
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

#[cfg(feature = "gorilla")]
pub use self::go_records::{GoRecord, GoRecords, GorillaRecords, GorillaRecordsService};
#[cfg(all(feature = "gorilla", feature = "filesystem", unix))]
pub use self::go_records::{GorillaFiles, GorillaImport, GorillaImported};

#[cfg(all(doctest, feature = "axum", feature = "filesystem"))]
#[doc = include_str!("../README.md")]
mod readme {}
