//! One visitor's session in one request: the [`Session`] handle.

mod detached;
mod flash;
mod former;
mod json;
mod lifecycle;
mod message;
mod named;
mod subject;
mod take;
mod times;
mod typed;
mod update;
mod values;

use std::{fmt, sync::Arc};

pub use self::{
    flash::Flashes,
    former::Former,
    message::{FlashLevel, FlashMessage},
    named::{Innermost, Selector, SessionOf},
    typed::{SessionData, Typed},
};
use crate::{
    config::Settings,
    content::Content,
    error::{Error, ErrorKind, Rejection},
    id::RecordKey,
    request::{Handle, Registry},
    state::{Change, Effect, State, View},
    trace,
    turn::{self, Anchor, Open, open_cookie},
};

/// A handle of one session of a request.
///
/// [`SessionLayer`](crate::SessionLayer) puts the handle of its first session into the request's
/// extensions; [`Sessions`](crate::Sessions) has the others. Clones are cheap and refer to the same
/// session.
///
/// Values are kept by key, as JSON. They are read and changed in memory, without waiting; what was
/// changed goes to the store, and the cookie to the browser, when the handler has returned its
/// response. A session that is not used costs nothing.
///
/// ```
/// # use silverback::{Session, Error};
/// # #[derive(serde::Serialize)] struct User { id: u64 }
/// async fn log_in(session: Session, user: User) -> Result<(), Error> {
///     session.load().await?;                    // axum's extractor has done this already
///     session.renew();                          // a new ID: anyone who had the old one is locked out
///     session.insert("user", user.id)?;
///     session.update("logins", |n: &mut u32| *n += 1)?;
///     session.flash("Welcome back")
/// }
/// ```
///
/// # Several layers
///
/// A plain `Session` is the first one of the innermost layer around the handler. So what it is
/// changes if somebody puts a layer between: here `page` gets the cart, although it was written for
/// the account.
///
/// ```text
/// Router::new()
///     .route("/", get(page))                  // async fn page(session: Session)
///     .layer(SessionLayer::new(cart))         // added for the shop
///     .layer(SessionLayer::new(account))
/// ```
///
/// Give the session a [`SessionName`](crate::SessionName) and ask for
/// [`SessionOf<Account>`](crate::SessionOf), or for [`Sessions::get`](crate::Sessions::get): they
/// find it in whichever layer has it.
///
/// # Which changes last
///
/// | The handler | values, flashes, lifetime | `renew` | `destroy` |
/// |---|---|---|---|
/// | returns a response below 500 | saved | done | was done when it was called |
/// | as above, but nobody sees the response | saved; messages that were taken are put back | done | was done |
/// | returns 408, or 500 or above, or a gRPC status that means the same | not saved | done | was done, cookie removed |
/// | returns a response that [`keep_if`](crate::SessionLayer::keep_if) refuses | not saved | done | was done, cookie removed |
/// | returns `Err` from the service | not saved | not done | was done |
/// | panics, or is cancelled | not saved | not done | was done |
///
/// What an explicit [`save`](Self::save) has put into a store stays there in all cases.
///
/// A timeout layer inside cuts the handler off and answers 408 (in tonic, gRPC status 1), so a
/// session is not saved half-changed. The gRPC statuses that mean the same are 1 `CANCELLED`,
/// 2 `UNKNOWN`, 4 `DEADLINE_EXCEEDED`, 12 `UNIMPLEMENTED`, 13 `INTERNAL`, 14 `UNAVAILABLE` and
/// 15 `DATA_LOSS`, in the response's headers.
///
/// Nobody sees the response to a HEAD request, a 304 (Not Modified), or the response to a request
/// with `Sec-Purpose: prefetch`. If the visitor then follows the link, a
/// browser may show the prefetched page as it is: its message shows once more on the next one.
///
/// # Concurrent requests
///
/// A session in a store keeps the changes of all requests, however they overlap: if another one has
/// saved first, this one's changes are applied to what that one left. Inserts under different keys
/// all survive, of those under one key the last, and [`update`](Self::update) is run again on the
/// newer value. A session that was destroyed meanwhile stays destroyed, and saving into it is an
/// error ([`ErrorKind::Gone`]). Sessions in a cookie cannot do that: there, the last response wins.
/// [Who wins](crate#who-wins) has all cases.
///
/// # After the response
///
/// A clone can outlive the request, in a spawned task, a WebSocket or the stream of a body. It goes
/// on reading what it has. To see what has happened since, and to change a session in a store, it
/// calls [`load`](Self::load) again, changes, and calls [`save`](Self::save). What needs the cookie
/// can only be done before: to begin a session, changes of one in a cookie, `renew`, `persist_for`,
/// attributes. The
/// stream of a body need not save: [`save_at_end`](Self::save_at_end) does, and tells the client of a
/// failure.
///
/// A WebSocket calls [`touch`](Self::touch) a few times per idle timeout. That keeps a session in a
/// store alive, and is [`ErrorKind::Gone`] once it has ended. Then [`load`](Self::load) it, and
/// [`rejection`](Self::rejection) gives the reason:
///
/// | Reason | What it means for the socket |
/// |---|---|
/// | [`Rejection::Renewed`] | The visitor logged in, or the session got a new ID for another reason. It goes on under an ID that only the browser knows: close, and let the page connect again. |
/// | [`Rejection::Ended`], [`Rejection::Revoked`], [`Rejection::NotFound`] | The visitor was logged out, here or elsewhere. A logout of the last minute says `Ended`. |
/// | [`Rejection::Expired`] | A timeout has ended it. |
/// | [`Rejection::UnknownKey`] | The key of the cookie that the socket came with was [revoked](crate::Keys::revoke). |
///
/// ```
/// # use silverback::{Error, ErrorKind, Rejection, Session};
/// /// Says why to close the socket, if there is a reason.
/// async fn look_after(session: &Session) -> Result<Option<Rejection>, Error> {
///     match session.touch().await {
///         Err(error) if error.kind() == ErrorKind::Gone => {
///             session.load().await?;
///             Ok(session.rejection().or(Some(Rejection::NotFound)))
///         }
///         touched => touched.map(|()| None),
///     }
/// }
/// ```
///
/// A session in a cookie with [`revocation`](crate::CookieStore::revocation) cannot be touched
/// after the response: call `load` instead, which learns of the end in the same way. One in a cookie
/// alone never learns of it.
///
/// # Times
///
/// | There is | [`created_at`](Self::created_at) | [`expires_at`](Self::expires_at) | [`last_used`](Self::last_used) |
/// |---|---|---|---|
/// | no session: none came, it was destroyed, or this request has emptied it | `None` | `None` | `None` |
/// | a new session with something in it, not saved yet | when this request opened it | its end once the response has saved it | `None` |
/// | a session in a cookie or a record | when it was made | its end after this response | the last use that is written down |
///
/// All times are whole seconds of the layer's [`Clock`](crate::Clock).
///
/// # Loading
///
/// A session whose store waits has to be loaded before it is used: with [`load`](Self::load), by
/// axum's extractors, or by [`Sessions::get`](crate::Sessions::get). Otherwise its accessors fail
/// with [`ErrorKind::NotLoaded`]. A session in a cookie or in memory is opened by the first call that
/// asks it something: an extractor or `Sessions::get` costs nothing there, and a cookie that cannot
/// be read is an error of that call.
///
/// Loading is not use. A session is used by the first call that asks it something, changes it, or
/// wishes something of it, on every store alike. Only then does the request put off the idle
/// timeout, and does the response say `Vary: Cookie`: a page whose extractor loads a session that
/// the handler ignores stays the same for everybody. `Option<Session>` asks whether there is a
/// session, so it is use.
#[derive(Clone)]
pub struct Session {
    handle: Handle,
}

/// What kind of session it is.
impl Session {
    /// Returns the session's name in the settings. Its cookie may have another: see
    /// [`cookie_name`](crate::SessionConfig::cookie_name).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings().name
    }

    /// Says whether this request has no established session: no cookie came, or none that was
    /// accepted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    #[doc(alias = "IsNew")]
    pub fn is_new(&self) -> Result<bool, Error> {
        self.read(|view| Ok(view.home.is_nowhere()))
    }

    /// Returns what the session is called in its store and in logs: the hash of its secret ID,
    /// which is nowhere but in the cookie.
    ///
    /// `None` for a session that is not loaded, or that is new and not saved yet.
    #[must_use]
    pub fn record_key(&self) -> Option<RecordKey> {
        self.look(|view| Ok(view.home.key())).ok().flatten()
    }

    /// Returns why the cookie that came was not accepted; `None` if it was, if none came, or if the
    /// session is not loaded.
    ///
    /// The session is empty then. For 60 seconds after a session was renewed or destroyed, its old
    /// cookie is rejected as [`Rejection::Renewed`] or [`Rejection::Ended`]; what such a request
    /// writes is [`ErrorKind::Gone`], unless it [renews](Self::renew). Ask for these two before you
    /// write to a session that every page writes to, such as a counter.
    ///
    /// Tell visitors that they were logged out. Keep the other reasons for your log: telling them
    /// to a client helps an attacker.
    ///
    /// ```
    /// # use silverback::{Error, Rejection, Session};
    /// fn count(session: &Session) -> Result<Option<u32>, Error> {
    ///     match session.rejection() {
    ///         Some(Rejection::Renewed | Rejection::Ended) => Ok(None),
    ///         _ => session.update("visits", |n: &mut u32| { *n += 1; *n }).map(Some),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        self.look(|view| Ok(view.rejection)).ok().flatten()
    }
}

impl Session {
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        self.handle.registry()
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        self.handle.settings()
    }

    /// Names the session that failed, and tells the log of what can never work.
    fn fail(&self, error: Error) -> Error {
        trace::misused(error.of(self.name()))
    }

    fn read<R>(&self, read: impl FnOnce(&View) -> Result<R, Error>) -> Result<R, Error> {
        self.look(read).map_err(trace::misused)
    }

    /// As [`read`](Self::read), for what says `None` of a session that is not loaded.
    fn look<R>(&self, read: impl FnOnce(&View) -> Result<R, Error>) -> Result<R, Error> {
        let read = || {
            self.handle.check_name()?;
            self.opened(|state| match &state.view {
                Some(view) => read(view),
                None => Err(Error::new(ErrorKind::NotLoaded)),
            })
        };
        read().map_err(|error: Error| error.of(self.name()))
    }

    /// Runs a change of the content and keeps note of it.
    fn write<R, C: FnOnce() -> Change>(
        &self,
        change: impl FnOnce(&mut Content) -> Result<(Effect<C>, R), Error>,
    ) -> Result<R, Error> {
        self.write_logged(self.settings().has_store(), change)
    }

    /// As [`write`](Self::write), with a note that is kept although nothing is ever merged.
    fn write_logged<R, C: FnOnce() -> Change>(
        &self,
        keeps_log: bool,
        change: impl FnOnce(&mut Content) -> Result<(Effect<C>, R), Error>,
    ) -> Result<R, Error> {
        self.write_state(|state| {
            let (effect, result) = change(state.content()?)?;
            state.enter(effect, keeps_log);
            Ok(result)
        })
    }

    /// Runs a change of the session's state, if there is still a way to save it.
    fn write_state<R>(
        &self,
        change: impl FnOnce(&mut State) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let exchange = self.handle.exchange();
        let change = |state: &mut State| {
            // Only a response could bring what is in a cookie.
            if exchange.is_closed() && (!state.is_reopened || state.is_in_cookie()) {
                return Err(Error::new(ErrorKind::AlreadyCommitted));
            }
            change(state)
        };
        let write = || {
            self.handle.check_name()?;
            exchange.touch();
            if exchange.is_closed() {
                self.handle.cell().with(change)
            } else {
                self.opened(change)
            }
        };
        write().map_err(|error| self.fail(error))
    }

    /// Works on the session's state, opened if it was not; a session whose store waits has to be
    /// loaded first.
    fn opened<R>(&self, work: impl FnOnce(&mut State) -> Result<R, Error>) -> Result<R, Error> {
        let (cell, settings) = (self.handle.cell(), self.settings());
        let opens = !settings.has_store();
        let mut opening = None;
        let worked = cell.with(|state| {
            state.is_used = true;
            if state.view.is_none() {
                if !opens {
                    return Err(work);
                }
                match open_cookie(state, &self.handle.vault(), self.handle.exchange()) {
                    Ok(found) => opening = found,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(work(state))
        });
        if let Some(opening) = opening {
            self.handle.vault().report_opened(opening);
        }
        match worked {
            Ok(result) => result,
            Err(work) if settings.never_waits => {
                turn::run_now(&self.handle, Open)?;
                cell.with(work)
            }
            Err(_) => Err(Error::new(ErrorKind::NotLoaded)),
        }
    }

    fn check_growth(&self, content: &Content, growth: usize) -> Result<(), Error> {
        self.settings()
            .check_size(
                content.payload_len() + growth,
                content.attributes.as_deref(),
            )
            .map_err(Error::new)
    }
}

impl From<Handle> for Session {
    fn from(handle: Handle) -> Self {
        Self { handle }
    }
}

/// Shows the name only.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
