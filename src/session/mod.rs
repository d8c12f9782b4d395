//! One visitor's session in one request: the [`Session`] handle.

mod buffer;
mod detached;
mod flash;
mod flashes;
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
    flashes::Flashes,
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

/// One session of a request.
///
/// [`SessionLayer`](crate::SessionLayer) puts its first session into the request's extensions.
/// [`Sessions`](crate::Sessions) has the others. Clones are cheap and refer to the same session.
///
/// Values are stored by key, as JSON. You read and change them in memory, without waiting. When the
/// handler has returned its response, the changes go to the store and the cookie to the browser. A
/// session that is not used costs nothing.
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
/// A plain `Session` is the first one of the innermost layer around the handler. So it becomes
/// another session if somebody adds a layer in between. Here `page` gets the cart, although it was
/// written for the account.
///
/// ```text
/// Router::new()
///     .route("/", get(page))                  // async fn page(session: Session)
///     .layer(SessionLayer::new(cart))         // added for the shop
///     .layer(SessionLayer::new(account))
/// ```
///
/// Give the session a [`SessionName`](crate::SessionName), and ask for
/// [`SessionOf<Account>`](crate::SessionOf) or [`Sessions::get`](crate::Sessions::get). These find
/// it in whichever layer it is.
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
/// Whatever happens afterwards, an explicit [`save`](Self::save) into a store stays, and so does a
/// `destroy`. The response tells the browser, even if the changes after that cannot be saved.
///
/// An inner timeout layer cuts the handler off and answers 408 (in tonic, gRPC status 1), so a
/// session is not saved half-changed. The gRPC statuses that mean the same are 1 `CANCELLED`, 2
/// `UNKNOWN`, 4 `DEADLINE_EXCEEDED`, 12 `UNIMPLEMENTED`, 13 `INTERNAL`, 14 `UNAVAILABLE` and 15
/// `DATA_LOSS`, in the response's headers.
///
/// Nobody sees the response to a HEAD request, a 304 (Not Modified), or the response to a request
/// with `Sec-Purpose: prefetch`. If the visitor then follows the link, a browser may show the
/// prefetched page as it is, and its message appears once more on the next page. A 304 sends no
/// cookie that only restarts a timeout.
///
/// # Concurrent requests
///
/// A session in a store keeps the changes of all requests, however they overlap. If another request
/// has saved first, this one's changes are applied to the newer session. Inserts under different
/// keys all survive. Of inserts under one key, the last survives, and [`update`](Self::update) runs
/// again on the newer value. A session that was destroyed meanwhile stays destroyed, and saving it
/// is an error ([`ErrorKind::Gone`]). Sessions in a cookie cannot do this: there, the last response
/// wins. [Who wins](crate#who-wins) has all cases.
///
/// # After the response
///
/// A clone can outlive the request, in a spawned task, a WebSocket or the stream of a body. It
/// keeps what it has read. What it changes before the response is ready belongs to the request, and
/// is saved or discarded with it. To see what has happened since, and to change a session in a
/// store, call [`load`](Self::load) again, change the session, and call [`save`](Self::save). Some
/// changes need the cookie, so they are possible only before the response: starting a session,
/// changing one in a cookie, `renew`, another subject or none, `persist_for` and attributes.
/// Changes that are not saved are lost when the last handle is dropped, and the log says so. The
/// stream of a body need not save: use [`save_at_end`](Self::save_at_end), which also tells the
/// client about a failure.
///
/// A WebSocket calls [`touch`](Self::touch) a few times per idle timeout. That keeps a session in a
/// store alive, and is [`ErrorKind::Gone`] once it has ended. Then [`load`](Self::load) it, and
/// [`rejection`](Self::rejection) gives the reason:
///
/// | Reason | What it means for the socket |
/// |---|---|
/// | [`Rejection::Renewed`] | The visitor logged in, or the session got a new ID for another reason. Only the browser knows that ID: close, and let the page connect again. |
/// | [`Rejection::Ended`], [`Rejection::Revoked`], [`Rejection::NotFound`] | The visitor was logged out, here or elsewhere. A logout of the last minute says `Ended`. |
/// | [`Rejection::Expired`] | A timeout has ended it. |
/// | [`Rejection::UnknownKey`] | The key of the cookie that the socket came with was [revoked](crate::Keys::revoke). |
///
/// ```
/// # use silverback::{Error, ErrorKind, Rejection, Session};
/// /// Returns the reason to close the socket, if there is one.
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
/// after the response. Call `load` instead, which finds the end in the same way. One in a cookie
/// alone never learns of its end.
///
/// # Times
///
/// | There is | [`created_at`](Self::created_at) | [`expires_at`](Self::expires_at) | [`last_used`](Self::last_used) |
/// |---|---|---|---|
/// | no session: no cookie came, it was destroyed, or this request has emptied it | `None` | `None` | `None` |
/// | a new session with something in it, not saved yet | when this request opened it | its end once the response has saved it | `None` |
/// | a session in a cookie or a record | when it was made | its end after this response | the last recorded use |
///
/// All times are whole seconds of the layer's [`Clock`](crate::Clock).
///
/// # Loading
///
/// A session whose store waits has to be loaded before it is used: with [`load`](Self::load), by
/// axum's extractors, or by [`Sessions::get`](crate::Sessions::get). Otherwise its accessors fail
/// with [`ErrorKind::NotLoaded`]. A session in a cookie or in memory is opened by the first call
/// that asks it something. An extractor or `Sessions::get` costs nothing there, and a cookie that
/// cannot be read is an error of that first call.
///
/// Loading is not use. The first call that reads the session, changes it, or sets something for its
/// response uses it, on every store. Only then does the request restart the idle timeout, and does
/// the response say `Vary: Cookie`: a page whose extractor loads a session that the handler ignores
/// stays the same for everybody. `Option<Session>` asks whether there is a session, so it is use.
#[derive(Clone)]
pub struct Session {
    handle: Handle,
}

/// What kind of session it is.
impl Session {
    /// Returns the session's name in the settings.
    ///
    /// Its cookie may have another: see [`cookie_name`](crate::SessionConfig::cookie_name).
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// assert_eq!(session.name(), "account"); // the cookie is `__Host-account`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings().name
    }

    /// Returns whether this request has no session yet: no cookie came, or none was accepted.
    ///
    /// gorilla has `Session.IsNew` for this.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// if session.is_new()? {
    ///     session.insert("language", "de")?;
    /// }
    /// assert!(session.is_new()?); // until it is saved
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    #[doc(alias = "IsNew")]
    pub fn is_new(&self) -> Result<bool, Error> {
        self.read(|view| Ok(view.home.is_nowhere()))
    }

    /// Returns the session's name in its store and in logs: the hash of its secret ID. The ID
    /// itself is in the cookie and nowhere else.
    ///
    /// `None` for a session that is not loaded, or that is new and not saved yet.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// assert!(session.record_key().is_none());
    /// session.insert("item", 7)?;
    /// session.save().await?;
    /// let key = session.record_key().expect("a saved session has one");
    /// println!("cart saved as {key}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn record_key(&self) -> Option<RecordKey> {
        self.look(|view| Ok(view.home.key())).ok().flatten()
    }

    /// Returns whether this request has [used](Self#loading) the session. This call is not use.
    ///
    /// ```
    /// # use silverback::Session;
    /// /// For a layer that marks the pages which are about the visitor.
    /// fn is_personal(session: &Session) -> bool {
    ///     session.is_used()
    /// }
    /// ```
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.handle.cell().with(|state| state.is_used)
    }

    /// Returns whether the request has a cookie of the session's name, valid or not. This call is
    /// not use of the session, and asks no store.
    ///
    /// So it adds no `Vary`. If the response depends on it, set `Vary: Cookie` yourself, or a cache
    /// gives one visitor's page to all.
    ///
    /// ```
    /// # use silverback::Session;
    /// /// A page that is the same for everybody who has never been here.
    /// fn is_first_visit(session: &Session) -> bool {
    ///     !session.has_cookie()
    /// }
    /// ```
    #[must_use]
    pub fn has_cookie(&self) -> bool {
        let exchange = self.handle.exchange();
        exchange.has_cookie(self.settings())
    }

    /// Returns the [`record_key`](Self::record_key) of the session that the request's cookie names.
    /// This call is not use of the session, and asks no store: the session may have ended.
    ///
    /// `None` if no valid cookie came, or more than four. Of several valid cookies, the first
    /// counts. As for [`has_cookie`](Self::has_cookie), `Vary` is left to you.
    ///
    /// ```
    /// # use silverback::Session;
    /// /// For a limit on requests, which should cost less than what it limits.
    /// fn bucket(session: &Session) -> String {
    ///     session.claimed_key().map_or_else(|| "new".to_owned(), |key| key.to_string())
    /// }
    /// ```
    #[must_use]
    pub fn claimed_key(&self) -> Option<RecordKey> {
        turn::claimed(&self.handle)
    }

    /// Returns why the cookie that came was not accepted. The session is empty then.
    ///
    /// `None` if the cookie was accepted, if none came, if the session is not loaded, or if this
    /// request has destroyed it.
    ///
    /// For 60 seconds after a renewal or a logout, the session's old cookie is rejected as
    /// [`Rejection::Renewed`] or [`Rejection::Ended`]. A write of such a request fails with
    /// [`ErrorKind::Gone`], unless the request [renews](Self::renew). Check for these two before
    /// you write to a session that every page writes to, such as one with a counter.
    ///
    /// Tell visitors that they were logged out. Keep the other reasons for your log: they would
    /// help an attacker.
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

    /// Names the session that failed, and logs what only this place can.
    fn fail(&self, error: Error) -> Error {
        self.log(error.of(self.name()))
    }

    /// Logs a misuse. A client can cause a later format at will, so its lines are counted here: the
    /// response does not know the layer.
    fn log(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::LaterFormat && !error.is_logged() {
            let vault = self.handle.vault();
            return trace::load_failed(error, vault.report, vault.clock);
        }
        trace::misused(error)
    }

    fn read<R>(&self, read: impl FnOnce(&View) -> Result<R, Error>) -> Result<R, Error> {
        self.look(read).map_err(|error| self.log(error))
    }

    /// Like [`read`](Self::read), for methods that return `None` if the session is not loaded: it
    /// logs no misuse.
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

    /// Runs a change of the content and notes it in the log of changes.
    fn write<R, C: FnOnce() -> Change>(
        &self,
        change: impl FnOnce(&mut Content) -> Result<(Effect<C>, R), Error>,
    ) -> Result<R, Error> {
        self.write_logged(self.settings().has_store(), change)
    }

    /// Like [`write`](Self::write). With `keeps_log` it notes the change even if the session never
    /// merges anything.
    fn write_logged<R, C: FnOnce() -> Change>(
        &self,
        keeps_log: bool,
        change: impl FnOnce(&mut Content) -> Result<(Effect<C>, R), Error>,
    ) -> Result<R, Error> {
        self.write_state(|state| {
            let content = state.content()?;
            let (effect, result) = match self.settings().is_of_go() {
                false => change(content)?,
                true => self.change_in_go(content, change)?,
            };
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
            // Only a response could set a cookie.
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

    /// Works on the session's state and opens the session first if necessary. A session whose store
    /// waits must have been loaded.
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

    /// Runs a change, and undoes it if a cookie in Go's format cannot carry the result. But a session
    /// that is too large may lose values and messages, one after the other, until it fits.
    #[cold]
    fn change_in_go<R, C>(
        &self,
        content: &mut Content,
        change: impl FnOnce(&mut Content) -> Result<(Effect<C>, R), Error>,
    ) -> Result<(Effect<C>, R), Error> {
        let before = content.clone();
        let changed = change(content)?;
        let (Effect::Change(_), _) = changed else {
            return Ok(changed);
        };
        let Err(error) = self.settings().check_in_go(content) else {
            return Ok(changed);
        };
        let is_less = content.frames.count() < before.frames.count();
        match error.kind() {
            ErrorKind::TooLarge { .. } if is_less => Ok(changed),
            _ => {
                *content = before;
                Err(error)
            }
        }
    }

    fn check_growth(&self, content: &Content, growth: usize) -> Result<(), Error> {
        let checked = self.settings().check_growth(content, growth);
        checked.map_err(Error::new)
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
