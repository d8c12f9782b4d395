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
    /// Opens the session: one read for a store that waits, nothing for the others.
    ///
    /// Once the session is open this does nothing, until the response has been committed. From then
    /// on, in a WebSocket or the stream of a body, each call asks the store again: a session that has
    /// ended is empty then, with the reason in [`rejection`](Self::rejection). One in a store can be
    /// changed again, and [saved](Self::save). In a cookie with
    /// [`revocation`](crate::CookieStore::revocation), only the end shows. See
    /// [After the response](Self#after-the-response).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`] if the store fails: the session is then not empty but unknown.
    /// [`ErrorKind::LaterFormat`] if a later release has written it.
    /// [`ErrorKind::NameTaken`] if a layer outside uses the same name.
    pub async fn load(&self) -> Result<(), Error> {
        self.load_with(None).await
    }

    /// As [`load`](Self::load), with what the session's store has answered already.
    /// Loads it if its store waits. Otherwise the first method that asks for it does, and one that
    /// nobody asks for costs nothing.
    pub(crate) async fn fetch(&self) -> Result<(), Error> {
        if self.settings().never_waits && !self.handle.exchange().is_over() {
            return self.handle.check_name().map_err(|error| self.fail(error));
        }
        self.load().await
    }

    pub(crate) async fn load_with(&self, fetched: Option<Fetched>) -> Result<(), Error> {
        let load = async {
            self.handle.check_name()?;
            if self.handle.exchange().is_over() && self.settings().has_store() {
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
            // The response is about this visitor.
            self.handle.cell().with(|state| state.is_used = true);
            trace::load_failed(error)
        })
    }

    /// Saves the session now instead of with the response; the cookie still goes with the response.
    ///
    /// Call it before something that must not happen unless the session is saved. If another request
    /// has saved meanwhile, this one's changes are applied to what that one left; see
    /// [Who wins](crate#who-wins). For a session in a cookie, which the response itself saves, this
    /// checks that it will fit.
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
    /// before the request. [`ErrorKind::Conflict`] if other requests kept being faster.
    /// [`ErrorKind::TooLarge`]. [`ErrorKind::StoreFailed`] if the store failed, or did not answer
    /// within [`store_timeout`](crate::SessionConfig::store_timeout): the save may have been done all
    /// the same, and another call does nothing twice. Also if eight others have saved since a save of
    /// this request whose answer was lost, so that nobody can tell whether it was done. After
    /// each of these the changes are kept and can be saved again. [`ErrorKind::ClocksDiffer`] if the
    /// store was not given the layer's clock. [`ErrorKind::AlreadyCommitted`] for a new session or a
    /// renewal, whose cookie cannot be sent any more.
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

    /// Whether something was changed and not saved, or is being saved.
    pub(crate) fn has_unsaved(&self) -> bool {
        let cell = self.handle.cell();
        !cell.is_idle(self.settings().never_waits)
            || cell.with(|state| state.is_changed() || state.is_refused)
    }

    /// Restarts the session's [idle timeout](crate::SessionConfig::idle_timeout) now, as a request
    /// that uses it does, and saves what was changed. The absolute timeout stays.
    ///
    /// A request needs no call of this. It is for what lives longer than a request: a WebSocket that
    /// calls it a few times per idle timeout keeps its visitor logged in, and learns when the session
    /// has ended. Each call is one write. For a session in a cookie only a response can do that. See
    /// [After the response](Self#after-the-response) for an example.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended or was renewed, or its cookie's key was revoked;
    /// [`load`](Self::load) it, and [`rejection`](Self::rejection) tells which of these. [`ErrorKind::AlreadyCommitted`] for a
    /// session in a cookie after the response. [`ErrorKind::StoreFailed`], and those of
    /// [`save`](Self::save).
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
    /// The server remembers for 60 seconds that the old ID was renewed, in the store or in that of
    /// [`revocation`](crate::CookieStore::revocation). A request that comes with it until then sees
    /// an empty session and [`Rejection::Renewed`](crate::Rejection::Renewed). Reading sets no
    /// cookie; writing is [`ErrorKind::Gone`], because the request may have been sent before the
    /// login's response arrived. After that the ID is unknown. Of a session in a cookie alone nothing
    /// is remembered: a copy of the old cookie stays valid until its timeouts end it.
    ///
    /// A request under way that writes under the old ID is [`ErrorKind::Gone`]; one that only reads
    /// is not disturbed. A logout follows the session to its new ID.
    ///
    /// # Two renewals
    ///
    /// Of two requests that renew one session at the same time, one gets what was in it. The other
    /// gets a new session of what its own request put in, and of nothing it has read; if it put
    /// nothing in, it is [`ErrorKind::Gone`] and sets no cookie. So after a double click on "log in"
    /// the visitor is logged in by either response, and a cart may stay behind in one of the two
    /// sessions. A renewal that is no login can displace a login in the same way, so put nothing in
    /// with one, not even a flash message.
    ///
    /// # Limits
    ///
    /// The new ID goes with the response, as [`persist_for`](Self::persist_for) and
    /// [`until_browser_closes`](Self::until_browser_closes) do. Called after it, this does nothing,
    /// and the next [`save`](Self::save) is [`ErrorKind::AlreadyCommitted`]. A browser that never
    /// gets the response writes nothing for a minute, but can log in. If the store does not answer in
    /// time, the renewal may have been done all the same. [Who wins](crate#who-wins) has
    /// the other cases.
    #[doc(alias = "cycle_id")]
    #[doc(alias = "regenerate")]
    pub fn renew(&self) {
        let now = self.handle.clock().now();
        self.wish("renew", |state| state.renew(now));
    }

    /// Returns when the session was last [renewed](Self::renew), which is when the visitor last
    /// proved who they are, if you renew it at each login and nowhere else. `None` before the first
    /// renewal.
    ///
    /// Ask for the password again before something grave if this is long ago (OWASP ASVS 7.5.3).
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
    /// The logout wins against requests that overlap it. A write under way is
    /// [`ErrorKind::Gone`], and so is one that comes with the old cookie in the next 60 seconds; such
    /// a request sees an empty session and [`Rejection::Ended`](crate::Rejection::Ended). A renewal
    /// that is under way, or was less than a minute ago, is followed to the session's new ID, up to
    /// eight times. So anyone who knew the ID from before a login can end that login for a minute.
    /// [Who wins](crate#who-wins) has the other cases.
    ///
    /// If several cookies of the session's name came, this ends the session of each that is valid, at
    /// most 64. With more, an event says so.
    ///
    /// What you insert or flash afterwards makes a new session. Put a goodbye that should not start
    /// one into the URL that you redirect to. A session in a cookie without
    /// [`revocation`](crate::CookieStore::revocation) ends in this browser only: a copy of the
    /// cookie stays valid, see [`CookieStore`](crate::CookieStore).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`] if the store failed, or did not answer within
    /// [`store_timeout`](crate::SessionConfig::store_timeout): the session may have ended or not, and
    /// is as before for this request. [`ErrorKind::Gone`] if the session is not there any more and
    /// nothing tells what became of it, so that it may live under another ID; the response removes
    /// the cookie. [`ErrorKind::Conflict`] if it was renewed more than eight times within a minute,
    /// or others kept writing. [`ErrorKind::AlreadyCommitted`] for a session in a cookie, if the
    /// response has gone and no [`revocation`](crate::CookieStore::revocation) is
    /// configured. [`ErrorKind::LaterFormat`], and those of [`load`](Self::load).
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
    /// for a session that does, set [`max_age`](crate::SessionConfig::max_age). Whole seconds count.
    /// The length is at least one second, and is cut to
    /// [`persist_up_to`](crate::SessionConfig::persist_up_to): 30 days or more by default. To end a
    /// session, [`destroy`](Self::destroy) it.
    ///
    /// A session that should last is kept even if nothing is in it any more. Without this, one that
    /// a request leaves empty loses its record and its cookie.
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
    /// It goes with the response. Called after that it does nothing, and the next
    /// [`save`](Self::save) is [`ErrorKind::AlreadyCommitted`]. Beside `Max-Age` the cookie says
    /// `Expires` (RFC 6265, section 4.1.2).
    #[doc(alias = "MaxAge")]
    pub fn persist_for(&self, length: Duration) {
        let longest = self.settings().persist_up_to;
        let length = Duration::from_secs(length.as_secs().max(1)).min(longest);
        let since = self.handle.clock().now();
        self.wish("persist_for", |state| {
            state.persist(Persistence::For { since, length })
        });
    }

    /// Lets this session end with the browser: no `Max-Age`, and the timeouts that are configured.
    pub fn until_browser_closes(&self) {
        self.wish("until_browser_closes", |state| {
            state.persist(Persistence::UntilBrowserCloses)
        });
    }

    /// Changes the attributes of this session's cookie, starting from those it has. They stay with
    /// the session, so that later cookies, and its removal, match.
    ///
    /// A browser keeps cookies of different paths, domains or partitions apart. After a change of
    /// one of these, the response removes the cookie that came as well, so that the two do not stay
    /// side by side. For a change in [`SessionConfig`](crate::SessionConfig), name the attributes
    /// that browsers have by then in
    /// [`former_attributes`](crate::SessionConfig::former_attributes).
    ///
    /// ```
    /// # fn f(session: &silverback::Session) -> Result<(), silverback::Error> {
    /// session.set_attributes(|cookie| cookie.path("/admin").same_site(silverback::SameSite::Strict))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidAttributes`] if they do not go together, or with the name.
    /// [`ErrorKind::TooLarge`] if they leave no room for the session in its cookie.
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
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
        if self.handle.exchange().has_cookie(&self.settings().finder) {
            let old = Box::new(old);
            self.handle.cell().with(|state| {
                state.moved_from.get_or_insert(old);
            });
        }
        Ok(())
    }

    /// Notes what the response shall do; a session need not be loaded for that.
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
