//! A session's times: when it was made and used, and when it ends.

use super::Session;
use crate::{
    clock::Timestamp,
    content::Persistence,
    error::{Error, ErrorKind},
    state::Life,
    turn::Anchor,
};

/// The session's times.
impl Session {
    /// Returns when the session was created. A renewal does not change that. The absolute timeout
    /// counts from it.
    ///
    /// `None` if there is no session: see [the table](Self#times).
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// assert!(session.created_at()?.is_none());
    /// session.insert("user", 7)?;
    /// assert!(session.created_at()?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn created_at(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.life()?.map(|life| life.created))
    }

    /// Returns when the session ends if nobody uses it after this request: by its idle timeout, its
    /// absolute timeout, or the time it [lasts for](Self::persist_for), whichever is first.
    ///
    /// It is the end that this response records, if it succeeds. Use moves the end in steps, ten
    /// per idle timeout. So this may be up to a tenth of the idle timeout closer than you expect,
    /// and up to half of it for a session in a cookie alone. It is never later than the true end.
    /// Changes that you make after this call move it.
    ///
    /// `None` if there is no session: see [the table](Self#times).
    ///
    /// # "You will be logged out in 5 minutes"
    ///
    /// Send the page the seconds that are left, not the time, since the browser's clock may be
    /// wrong. The page counts down, and asks again before it warns: another tab may have used the
    /// session. The polling itself must not keep the session alive, so its handler calls
    /// [`skip_touch`](Self::skip_touch). A button "stay logged in" requests any page that uses the
    /// session without skipping.
    ///
    /// ```
    /// # use silverback::{Clock, Error, Session};
    /// /// The answer to a page that asks each minute, as JSON: `{"seconds_left":1800}`, or `null`.
    /// async fn time_left(session: Session, clock: Clock) -> Result<String, Error> {
    ///     session.skip_touch();
    ///     session.load().await?; // an extractor has done that
    ///     let left = session.expires_at()?.map(|end| end.saturating_since(clock.now()).as_secs());
    ///     Ok(match left {
    ///         Some(left) => format!("{{\"seconds_left\":{left}}}"),
    ///         None => "null".to_owned(),
    ///     })
    /// }
    /// ```
    ///
    /// ```html
    /// <p id="warning" hidden>You will be logged out in 5 minutes.</p>
    /// <script>
    ///   setInterval(async () => {
    ///     const answer = await (await fetch("/time-left")).json();
    ///     document.getElementById("warning").hidden = answer === null || answer.seconds_left > 300;
    ///   }, 60_000);
    /// </script>
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    #[doc(alias = "expiry")]
    pub fn expires_at(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.life()?.map(|life| life.expires))
    }

    /// Returns when the session was last used before this request, as far as that is recorded.
    ///
    /// | The session | is at most this much too early |
    /// |---|---|
    /// | in a store, or in a cookie with [`revocation`](crate::store::CookieStore::revocation) | a tenth of the idle timeout |
    /// | in a cookie alone | half of the idle timeout |
    /// | in a store, within an idle timeout of its absolute end | the idle timeout |
    /// | [lasting for a fixed time](Self::persist_for), with a [subject](Self::set_subject) | a tenth of that time, and an hour at most |
    /// | lasting for a fixed time, without one | back to its last change, or to [`persist_for`](Self::persist_for) if the store [never waits](crate::store::MemoryStore) |
    ///
    /// A request that [skips the touch](Self::skip_touch) is not a use, but one that also changes
    /// something may show here. After a change of the timeouts this is off by the difference, until
    /// the session is written again. After a [`save`](Self::save) or [`touch`](Self::touch) in this
    /// request it is the time of that. Ask before you change the session's lifetime.
    ///
    /// `None` if there is no session, or it is not saved yet.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// fn greet(session: &Session) -> Result<String, Error> {
    ///     Ok(match session.last_used()? {
    ///         Some(time) => format!("Welcome back. You were last here at {time}."),
    ///         None => "Welcome.".to_owned(),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn last_used(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.life()?.and_then(|life| life.last_used))
    }

    /// Returns whether the session's cookie outlasts the browser. It does if it has a `Max-Age`, by
    /// [`max_age`](crate::SessionConfig::max_age) or [`persist_for`](Self::persist_for).
    ///
    /// Without a session, and after its end, this is what a new one would have.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// assert!(!session.is_persistent()?);
    /// session.persist_for(std::time::Duration::from_secs(30 * 86_400));
    /// assert!(session.is_persistent()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn is_persistent(&self) -> Result<bool, Error> {
        self.read(|view| {
            Ok(match view.content.persistence {
                Persistence::For { .. } => true,
                Persistence::Configured => self.settings().max_age.is_some(),
                Persistence::UntilBrowserCloses => false,
            })
        })
    }

    /// Keeps this request from counting as use. It restarts no idle timeout, sends no cookie again
    /// just because it is due, and does not update the [list of sessions](Self::subject_sessions).
    ///
    /// Call it where a page asks by itself, such as for new mail each minute. Otherwise a forgotten
    /// tab keeps its visitor logged in forever, which an idle timeout is there to prevent (OWASP
    /// ASVS 7.3.1).
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn unread(session: Session) -> Result<String, Error> {
    ///     session.skip_touch(); // a tab that polls is not a visitor
    ///     session.load().await?;
    ///     Ok(format!("{} unread", session.get::<u32>("unread")?.unwrap_or(0)))
    /// }
    /// ```
    ///
    /// Everything else works. You may call it before the session is loaded or after, and in
    /// middleware for a session that the handler never uses: it is not itself use, and adds no
    /// `Vary`. What such a request changes is saved, and the end stays where it was. A new session
    /// gets its usual end.
    ///
    /// Calls that change the session's lifetime still count: [`renew`](Self::renew),
    /// [`set_subject`](Self::set_subject), [`persist_for`](Self::persist_for),
    /// [`until_browser_closes`](Self::until_browser_closes) and [`touch`](Self::touch) work as
    /// usual, and restart the idle timeout.
    #[doc(alias = "poll")]
    pub fn skip_touch(&self) {
        self.handle.cell().with(|state| state.skips_touch = true);
    }

    fn life(&self) -> Result<Option<Life>, Error> {
        let (settings, now) = (self.settings(), self.handle.clock().now());
        let is_closed = self.handle.exchange().is_closed();
        let life = || {
            self.handle.check_name()?;
            self.opened(|state| match state.view {
                Some(_) => Ok(state.life(settings, now, is_closed)),
                None => Err(Error::new(ErrorKind::NotLoaded)),
            })
        };
        life().map_err(|error: Error| error.of(self.name()))
    }
}
