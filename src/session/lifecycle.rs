//! The session as a whole: loading, saving, renewing and ending it.

use std::time::Duration;

use super::Session;
use crate::{
    clock::Timestamp,
    content::Persistence,
    cookie::CookieAttributes,
    error::{Error, ErrorKind},
    state::{Change, State},
    trace,
    turn::{self, Anchor, Destroy, Open, Reopen, Save, Touch},
};

/// The session as a whole.
impl Session {
    /// Opens the session: one read for a store that waits, nothing for the others.
    ///
    /// Once it is open this does nothing, until the response has been committed. From then on, in a
    /// WebSocket or the stream of a body, each call reads a server-side session anew, and changes
    /// are allowed again if [`save`](Self::save) follows them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store fails: the session is then not empty but unknown.
    /// [`ErrorKind::LaterFormat`] if a later release has written it.
    /// [`ErrorKind::NameTaken`] if a layer outside uses the same name.
    pub async fn load(&self) -> Result<(), Error> {
        let load = async {
            self.handle.check_name()?;
            if self.handle.exchange().is_over() && self.settings().has_store() {
                return turn::run(&self.handle, Reopen).await;
            }
            if self.handle.cell().with(|state| state.view.is_none()) {
                turn::run(&self.handle, Open).await?;
            }
            Ok(())
        };
        load.await.map_err(|error: Error| {
            let error = error.of(self.name());
            // The response is about this visitor.
            self.handle.cell().with(|state| state.is_used = true);
            trace::load_failed(&error);
            error
        })
    }

    /// Saves the session now instead of with the response; the cookie still goes with the response.
    ///
    /// For a session in a cookie, which the response itself saves, this checks that it will fit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if it was destroyed or renewed meanwhile, [`ErrorKind::Conflict`] if
    /// other requests kept being faster, [`ErrorKind::TooLarge`], [`ErrorKind::Store`]. The changes
    /// are kept and can be saved again. [`ErrorKind::AlreadyCommitted`] for a new session or a
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
        save.await.map_err(|error: Error| error.of(self.name()))
    }

    /// Puts off the session's end now, as a request that uses it does, and saves what was changed.
    ///
    /// A request needs no call of this. It is for what lives longer than a request: a WebSocket that
    /// calls it now and then keeps its visitor logged in, and learns when the session has ended. For
    /// a session in a cookie only a response can do that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if the session has ended or was renewed; [`load`](Self::load) it, and
    /// [`rejection`](Self::rejection) tells which of the two. [`ErrorKind::AlreadyCommitted`] for a
    /// session in a cookie after the response, [`ErrorKind::Store`], and those of
    /// [`save`](Self::save).
    pub async fn touch(&self) -> Result<(), Error> {
        let touch = async {
            self.handle.check_name()?;
            turn::run(&self.handle, Touch).await
        };
        touch.await.map_err(|error: Error| error.of(self.name()))
    }

    /// Gives the session a new ID and ends the old one, with the response. Values, flashes and the
    /// absolute lifetime stay.
    ///
    /// Call it whenever a visitor gains rights, above all at login: whoever knew or planted the old
    /// ID is left with nothing (session fixation).
    ///
    /// A request that overlaps and changes the session under its old ID fails with
    /// [`ErrorKind::Gone`]; one that only reads is not disturbed. Like
    /// [`persist_for`](Self::persist_for) and [`until_browser_closes`](Self::until_browser_closes)
    /// it needs the response: called later it does nothing, and the next [`save`](Self::save) says
    /// so.
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
        self.read(|view| Ok(view.content.authenticated))
    }

    /// Ends the session. Its record is gone when this returns, even if the handler then fails,
    /// panics or is cancelled; the response removes the cookie.
    ///
    /// What is inserted or flashed afterwards makes a new session: a goodbye that should not start
    /// one belongs into the URL that is redirected to. For a session in a cookie see
    /// [`CookieStore`](crate::store::CookieStore) about copies of the cookie.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the record may still be there; the session is then as before.
    /// [`ErrorKind::AlreadyCommitted`] for a session in a cookie, if the response has gone and no
    /// [`revocation`](crate::SessionConfig::revocation) is configured.
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
        destroy.await.map_err(|error: Error| error.of(self.name()))
    }

    /// Lets this session last for `length` from now, in the browser and on the server, used or not:
    /// "remember me".
    ///
    /// It is this session's `Max-Age`, idle timeout and absolute lifetime in one, from now on and
    /// without sliding; for that there is [`max_age`](crate::SessionConfig::max_age). It is cut to
    /// [`persist_up_to`](crate::SessionConfig::persist_up_to), 30 days or more by default, and is at
    /// least a second: to end a session there is [`destroy`](Self::destroy).
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
    /// A browser keeps cookies of different paths or domains apart. After a change of either, the
    /// response removes the cookie that came as well, so that the two do not stay side by side:
    /// that is the one case of two cookies of one name in a response. A change in
    /// [`SessionConfig`](crate::SessionConfig) cannot do that for the cookies that browsers have by
    /// then; two that differ are not accepted.
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
    /// [`ErrorKind::Attributes`] if they do not go together, or with the name.
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
        let checked = new.check(self.name());
        checked
            .map_err(|error| Error::with_source(ErrorKind::Attributes, error).of(self.name()))?;
        if new == old {
            return Ok(());
        }
        self.write(|content| {
            let growth = new.path.len() + new.domain.as_ref().map_or(0, String::len) + 5;
            self.settings()
                .check_size(content.payload_len() + growth, Some(&new))
                .map_err(Error::new)?;
            content.attributes = Some(Box::new(new.clone()));
            Ok((Some(|| Change::Attributes(new.clone())), ()))
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
