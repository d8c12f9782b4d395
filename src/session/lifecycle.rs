//! The session as a whole: loading, saving, renewing and ending it.

use std::time::Duration;

use super::Session;
use crate::{
    clock::Timestamp,
    content::Persistence,
    cookie::CookieAttributes,
    error::{Error, ErrorKind},
    state::{Change, Effect, State},
    trace,
    turn::{self, Anchor, Destroy, Fetched, Open, OpenFetched, Reopen, Save, Touch},
};

/// The session as a whole.
impl Session {
    /// Opens the session: one read for a store that waits, none for the others.
    ///
    /// Once the session is open this does nothing until the service has responded. Afterwards, in a
    /// task, a WebSocket or the stream of a body, each call waits until the request's changes are
    /// saved, and asks the store again. A session that has ended is empty then, and
    /// [`rejection`](Self::rejection) says why. One in a store can be changed again and
    /// [saved](Self::save). One in a cookie with
    /// [`revocation`](crate::CookieStore::revocation) shows only that it has ended. See [After the
    /// response](Self#after-the-response).
    ///
    /// axum's extractors load the session. Elsewhere you do:
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn user<B>(request: http::Request<B>) -> Result<Option<u64>, Error> {
    ///     let Some(session) = request.extensions().get::<Session>() else { return Ok(None) };
    ///     session.load().await?;
    ///     session.get("user")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`] if the store fails: the session is unknown then, not empty.
    /// [`ErrorKind::LaterFormat`] if a later release has written it. [`ErrorKind::NameTaken`] if an
    /// outer layer uses the same name.
    pub async fn load(&self) -> Result<(), Error> {
        self.load_with(None).await
    }

    /// Loads the session if its store waits. Otherwise the first method that needs the session
    /// opens it, so an unused session costs nothing.
    pub(crate) async fn fetch(&self) -> Result<(), Error> {
        if self.settings().never_waits && !self.handle.exchange().is_closed() {
            return self.handle.check_name().map_err(|error| self.fail(error));
        }
        self.load().await
    }

    /// Like [`load`](Self::load), with an answer that the session's store has already given.
    pub(crate) async fn load_with(&self, fetched: Option<Fetched>) -> Result<(), Error> {
        let load = async {
            self.handle.check_name()?;
            if self.handle.exchange().is_closed() && self.settings().has_store() {
                return turn::run(&self.handle, Reopen).await;
            }
            if self.handle.cell().with(|state| state.view.is_none()) {
                match fetched {
                    Some(fetched) => turn::run(&self.handle, OpenFetched(fetched)).await?,
                    None => turn::run(&self.handle, Open).await?,
                }
            }
            Ok(())
        };
        load.await.map_err(|error: Error| {
            let error = error.of(self.name());
            // The response is now about this visitor.
            self.handle.cell().with(|state| state.is_used = true);
            let vault = self.handle.vault();
            trace::load_failed(error, vault.report, vault.clock)
        })
    }

    /// Saves the session now instead of with the response. The cookie still goes with the response.
    ///
    /// Call it before something that must not happen unless the session is saved. If another
    /// request has saved meanwhile, this request's changes are applied to the newer session; see
    /// [Who wins](crate#who-wins). A session in a cookie is saved by the response itself; for one,
    /// this only checks that it will fit.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn order(session: Session) -> Result<(), Error> {
    ///     session.insert("ordered", true)?;
    ///     session.save().await?; // if this fails, nobody is charged
    ///     // ... charge the card
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session was destroyed or renewed meanwhile, or less than a minute
    /// before the request. [`ErrorKind::Conflict`] if other requests were faster each time.
    /// [`ErrorKind::TooLarge`]. [`ErrorKind::StoreFailed`] if the store failed, or did not answer
    /// within [`store_timeout`](crate::SessionConfig::store_timeout). The save may have happened
    /// all the same; calling again does nothing twice. [`ErrorKind::StoreFailed`] also if a save of
    /// this request got no answer and eight other saves have followed, so that nothing shows
    /// whether it happened. After each of these the changes are kept and can be saved again.
    /// [`ErrorKind::UpdateRefused`] if the closure of a [`try_update`](Self::try_update) fails on
    /// what another request has saved; the next save leaves that update out.
    /// [`ErrorKind::ClocksDiffer`] if the store was not given the layer's clock.
    /// [`ErrorKind::AlreadyCommitted`] for a new session or a renewal whose cookie can no longer be
    /// sent. [`ErrorKind::LaterFormat`] if a later release has written the record.
    pub async fn save(&self) -> Result<(), Error> {
        let save = async {
            if self
                .handle
                .cell()
                .with(|state| state.is_in_use() || state.is_refused)
            {
                self.handle.check_name()?;
                turn::run(&self.handle, Save).await?;
            }
            Ok(())
        };
        save.await.map_err(|error| self.fail(error))
    }

    /// Returns whether the session has unsaved changes, or is being saved.
    pub(crate) fn has_unsaved(&self) -> bool {
        let never_waits = self.settings().never_waits;
        let cell = self.handle.cell();
        cell.with_rest(never_waits, |state, is_idle| {
            !is_idle || state.is_changed() || state.is_refused
        })
    }

    /// Restarts the session's [idle timeout](crate::SessionConfig::idle_timeout) now, as a request
    /// that uses the session does, and saves its changes. The absolute timeout stays.
    ///
    /// A request needs no such call. A WebSocket outlives its request: if it calls this a few times
    /// per idle timeout, it keeps its visitor logged in, and learns when the session has ended.
    /// Each call is one write. A session in a cookie needs a response instead, which sends the cookie
    /// again. See [After the response](Self#after-the-response).
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// session.insert("user", 7)?;
    /// session.save().await?;
    /// session.touch().await?; // each five minutes, say
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended or was renewed, or its cookie's key was
    /// revoked. [`load`](Self::load) it, and [`rejection`](Self::rejection) says which.
    /// [`ErrorKind::AlreadyCommitted`] for a session in a cookie after the response.
    /// [`ErrorKind::StoreFailed`], and those of [`save`](Self::save).
    pub async fn touch(&self) -> Result<(), Error> {
        let touch = async {
            self.handle.check_name()?;
            turn::run(&self.handle, Touch).await
        };
        touch.await.map_err(|error| self.fail(error))
    }

    /// Gives the session a new ID with the response, and ends the old one. Values, flash messages,
    /// the subject and the absolute timeout stay.
    ///
    /// Call it whenever a visitor gains rights, above all at login: anyone who knew or planted the
    /// old ID is locked out (session fixation, OWASP ASVS 7.2.4).
    /// [`authenticated_at`](Self::authenticated_at) says when that was.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn log_in(session: Session, user: u64) -> Result<(), Error> {
    ///     session.renew();
    ///     session.insert("user", user) // in the same request: see below
    /// }
    /// ```
    ///
    /// # The old ID
    ///
    /// For 60 seconds the server remembers that the old ID was renewed, in the session's store or
    /// in that of [`revocation`](crate::CookieStore::revocation). A request that comes with it
    /// until then sees an empty session and [`Rejection::Renewed`](crate::Rejection::Renewed).
    /// Reading sets no cookie. Writing fails with [`ErrorKind::Gone`], because the request may have
    /// been sent before the login's response arrived. After that the ID is unknown. A session in a
    /// cookie alone leaves nothing behind: a copy of the old cookie stays valid until its timeouts
    /// end it.
    ///
    /// A running request that writes under the old ID fails with [`ErrorKind::Gone`]; one that only
    /// reads is not disturbed. A logout follows the session to its new ID.
    ///
    /// # Two renewals
    ///
    /// Of two requests that renew one session at the same time, one gets the session's values. The
    /// other gets a new session with the values it wrote itself, and none that it read. If it wrote
    /// nothing, it fails with [`ErrorKind::Gone`] and sets no cookie. So after a double click on
    /// "log in", either response logs the visitor in, and a cart may stay behind in one of the two
    /// sessions. A renewal that is not a login can displace a login in the same way. So write
    /// nothing in such a request, not even a flash message.
    ///
    /// # Limits
    ///
    /// The new ID goes with the response, as [`persist_for`](Self::persist_for) and
    /// [`until_browser_closes`](Self::until_browser_closes) do. After the response this does
    /// nothing, and the next [`save`](Self::save) fails with [`ErrorKind::AlreadyCommitted`]. A
    /// browser that never gets the response cannot write for a minute, but can log in.
    ///
    /// If a store fails in the middle of a renewal, the session is kept. A [`save`](Self::save)
    /// fails then, and the next one finishes the renewal, or the response does. A response that
    /// cannot finish it is a 503 and sets no cookie. The old ID may have ended by then, so the user
    /// may have to log in again. [Who wins](crate#who-wins) has the other cases.
    #[doc(alias = "cycle_id")]
    #[doc(alias = "regenerate")]
    pub fn renew(&self) {
        let now = self.handle.clock().now();
        self.wish("renew", |state| state.renew(now));
    }

    /// Returns when the session was last renewed, by [`renew`](Self::renew) or by a
    /// [subject](Self::set_subject) that it did not have. If you do that at each login and nowhere
    /// else, visitors last proved who they are at that time. `None` before the first renewal.
    /// [`remove_subject`](Self::remove_subject) gives the session a new ID and leaves this time
    /// alone.
    ///
    /// Before a sensitive action, ask for the password again if this is long ago (OWASP ASVS
    /// 7.5.3).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Clock, Error, Session};
    /// fn may_change_password(session: &Session, clock: &Clock) -> Result<bool, Error> {
    ///     let since = session.authenticated_at()?;
    ///     Ok(since.is_some_and(|since| clock.now().saturating_since(since) < Duration::from_secs(300)))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn authenticated_at(&self) -> Result<Option<Timestamp>, Error> {
        self.read(|view| Ok(view.content.authenticated.map(Into::into)))
    }

    /// Ends the session. It has ended when this returns, even if the handler then fails, panics or
    /// is cancelled. The response removes the cookie.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn log_out(session: Session) -> Result<(), Error> {
    ///     session.destroy().await
    /// }
    /// ```
    ///
    /// The logout wins against requests that overlap it. A write of a running request fails with
    /// [`ErrorKind::Gone`], and so does one of a request that brings the old cookie in the next 60
    /// seconds. Such a request sees an empty session and
    /// [`Rejection::Ended`](crate::Rejection::Ended). If the session is being renewed, or was
    /// renewed less than a minute ago, the logout follows it to its new ID, up to eight times. So
    /// for a minute after a login, anyone who knew the earlier ID can end that login. [Who
    /// wins](crate#who-wins) has the other cases.
    ///
    /// If several cookies of the session's name came, this ends the session of each valid one, at
    /// most 64. With more, the log has an event.
    ///
    /// If you insert or flash something afterwards, a new session starts. To say goodbye without
    /// one, put the message into the URL that you redirect to. A session in a cookie without
    /// [`revocation`](crate::CookieStore::revocation) ends in this browser only. A copy of the
    /// cookie stays valid: see [`CookieStore`](crate::CookieStore).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`] if the store failed, or did not answer within
    /// [`store_timeout`](crate::SessionConfig::store_timeout): the session may or may not have
    /// ended, and this request still has it. [`ErrorKind::Gone`] if the session's record has
    /// vanished without a trace, so that the session may live under another ID; the response
    /// removes the cookie. [`ErrorKind::Conflict`] if the session was renewed more than eight times
    /// within a minute, or others kept writing. [`ErrorKind::AlreadyCommitted`] for a session in a
    /// cookie after the response, without [`revocation`](crate::CookieStore::revocation).
    /// [`ErrorKind::LaterFormat`], and those of [`load`](Self::load).
    #[doc(alias = "delete")]
    #[doc(alias = "invalidate")]
    #[doc(alias = "flush")]
    #[doc(alias = "logout")]
    pub async fn destroy(&self) -> Result<(), Error> {
        let destroy = async {
            self.handle.check_name()?;
            self.handle.cell().with(|state| state.is_used = true);
            turn::run(&self.handle, Destroy).await
        };
        destroy.await.map_err(|error| self.fail(error))
    }

    /// Lets this session last for `length` from now, in the browser and on the server, used or not:
    /// "remember me".
    ///
    /// It is this session's `Max-Age`, idle timeout and absolute timeout in one. It does not slide;
    /// for a session that does, set [`max_age`](crate::SessionConfig::max_age). Whole seconds
    /// count. The length is at least one second and at most
    /// [`persist_up_to`](crate::SessionConfig::persist_up_to), which is 30 days or more by default.
    /// To end a session, [`destroy`](Self::destroy) it.
    ///
    /// A session that should last is kept even when it is empty. Without this, a session that a
    /// request leaves empty loses its record and its cookie.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::Session;
    /// fn remember(session: &Session, checked: bool) {
    ///     if checked {
    ///         session.persist_for(Duration::from_secs(30 * 86_400));
    ///     } else {
    ///         session.until_browser_closes();
    ///     }
    /// }
    /// ```
    ///
    /// It goes with the response. After the response this does nothing, and the next
    /// [`save`](Self::save) fails with [`ErrorKind::AlreadyCommitted`]. The cookie has `Expires`
    /// beside `Max-Age` (RFC 6265, section 4.1.2).
    #[doc(alias = "MaxAge")]
    pub fn persist_for(&self, length: Duration) {
        let longest = self.settings().persist_up_to;
        let length = Duration::from_secs(length.as_secs().max(1)).min(longest);
        let since = self.handle.clock().now();
        self.wish("persist_for", |state| {
            state.persist(Persistence::For { since, length })
        });
    }

    /// Lets this session end with the browser: its cookie has no `Max-Age`, and the configured
    /// timeouts hold. This takes back [`persist_for`](Self::persist_for).
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.until_browser_closes();
    /// assert!(!session.is_persistent()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_browser_closes(&self) {
        self.wish("until_browser_closes", |state| {
            state.persist(Persistence::UntilBrowserCloses)
        });
    }

    /// Changes the attributes of this session's cookie, starting from those it has. They stay with
    /// the session, so that later cookies, and the removal, match. gorilla has `Session.Options`.
    ///
    /// A browser keeps cookies of different paths, domains or partitions apart. After a change of
    /// one of these, the response removes the cookie that came as well, so that no two stay side by
    /// side. For a change in [`SessionConfig`](crate::SessionConfig), name the attributes that
    /// browsers have by then in [`former_attributes`](crate::SessionConfig::former_attributes).
    ///
    /// ```
    /// # use silverback::{Key, SameSite, Session, SessionConfig};
    /// # let config = SessionConfig::cookie("account", Key::generate()?).cookie_name("account");
    /// # let session = Session::detached(&config)?;
    /// session.set_attributes(|cookie| cookie.path("/admin").same_site(SameSite::Strict))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidAttributes`] if they contradict each other or the cookie's name: a name
    /// that begins with `__Host-` needs the path `/` and no domain. [`ErrorKind::TooLarge`] if they
    /// leave no room for the session in its cookie. [`ErrorKind::NotLoaded`],
    /// [`ErrorKind::AlreadyCommitted`].
    #[doc(alias = "Options")]
    pub fn set_attributes(
        &self,
        change: impl FnOnce(CookieAttributes) -> CookieAttributes,
    ) -> Result<(), Error> {
        if self.handle.exchange().is_closed() {
            return Err(Error::new(ErrorKind::AlreadyCommitted).of(self.name()));
        }
        let own = self.read(|view| Ok(view.content.attributes.as_deref().cloned()))?;
        let old = own.unwrap_or_else(|| self.settings().attributes.clone());
        let new = change(old.clone());
        let checked = new.check(&self.settings().cookie_name);
        checked.map_err(|error| {
            Error::with_source(ErrorKind::InvalidAttributes, error).of(self.name())
        })?;
        if new == old {
            let change = || Change::Attributes(new.clone().into());
            return self.write(|_| Ok((Effect::Same(change), ())));
        }
        self.write(|content| {
            let growth = new.path.len() + new.domain.as_ref().map_or(0, String::len) + 5;
            self.settings()
                .check_size(content.payload_len() + growth, Some(&new))
                .map_err(Error::new)?;
            content.attributes = Some(Box::new(new.clone()));
            Ok((
                Effect::Change(|| Change::Attributes(new.clone().into())),
                (),
            ))
        })?;
        if self.handle.exchange().has_cookie(self.settings()) {
            let old = Box::new(old);
            self.handle.cell().with(|state| {
                state.moved_from.get_or_insert(old);
            });
        }
        Ok(())
    }

    /// Notes what the response must do. The session need not be loaded.
    fn wish(&self, what: &'static str, wish: impl FnOnce(&mut State)) {
        let exchange = self.handle.exchange();
        exchange.touch();
        let is_refused = self.handle.cell().with(|state| {
            if exchange.is_closed() {
                state.is_refused = true;
            } else {
                state.is_used = true;
                wish(state);
            }
            state.is_refused
        });
        if is_refused {
            trace::too_late(self.name(), what);
        }
    }
}
