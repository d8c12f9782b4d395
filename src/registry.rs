//! All sessions of a request: finding them by name, and saving them together.

use std::{fmt, sync::Arc};

use http::{Extensions, HeaderValue};

use crate::{
    config::SessionConfig,
    error::{Error, ErrorKind},
    session::{Keep, Reply, Session, Slots},
};

/// The sessions of a request, by name: those of the layer around the handler, and of the layers
/// around that.
///
/// With axum it is an extractor. Without, it is made of the [`Session`] in the request's
/// extensions.
///
/// ```
/// # use silverback::{Error, Sessions};
/// async fn check_out(sessions: Sessions) -> Result<(), Error> {
///     let account = sessions.get("account").await?;
///     let cart = sessions.get("cart").await?;
///     account.flash("Thank you")?;
///     cart.destroy().await
/// }
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<Slots>);

impl Sessions {
    /// Finds the sessions of a request; `None` if no [`SessionLayer`](crate::SessionLayer) is
    /// around.
    #[must_use]
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Session>().cloned().map(Self::from)
    }

    /// Returns the session of this name, loaded. Every call of a request returns the same session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownName`] if no layer names it and nobody has opened it;
    /// otherwise as for [`Session::load`].
    pub async fn get(&self, name: &str) -> Result<Session, Error> {
        let found = self
            .find(name)
            .ok_or_else(|| Error::new(ErrorKind::UnknownName).of(name))?;
        found.load().await?;
        Ok(found)
    }

    /// Returns a session that the layer does not name, loaded; it is saved with the others.
    /// gorilla's `Registry.Get(store, name)`.
    ///
    /// Make the settings once and keep them: the store is told apart by them and their clones.
    ///
    /// ```
    /// # use silverback::{Error, SessionConfig, Sessions};
    /// async fn shop(sessions: Sessions, carts: SessionConfig, shop: u32) -> Result<u32, Error> {
    ///     let cart = sessions.open(&carts.named(format!("cart-{shop}"))).await?;
    ///     cart.update("items", |n: &mut u32| *n += 1)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NameTaken`] if the name belongs to a session of another store,
    /// [`ErrorKind::Attributes`] if the settings do not work (its source is the
    /// [`ConfigError`](crate::ConfigError)); otherwise as for [`Session::load`].
    pub async fn open(&self, config: &SessionConfig) -> Result<Session, Error> {
        let name = config.name();
        let refuse = |error| Error::with_source(ErrorKind::Attributes, error).of(name);
        let session = match self.find(name) {
            Some(session) => session,
            None => self.0.open(config.build().map_err(refuse)?),
        };
        if !session.named().backend.is_same(config.backend()) {
            return Err(Error::new(ErrorKind::NameTaken).of(name));
        }
        session.load().await?;
        Ok(session)
    }

    /// Iterates over the sessions, which may not be loaded: the layer's in its order, those opened
    /// beside them, then those of the layers around it.
    pub fn iter(&self) -> impl Iterator<Item = Session> {
        let own: Vec<Session> = self.0.configured().chain(self.0.opened()).collect();
        let outer: Vec<Session> = self
            .0
            .outer()
            .map(|slots| Self(Arc::clone(slots)).iter().collect())
            .unwrap_or_default();
        own.into_iter().chain(outer)
    }

    /// Saves every session that was changed, in the order of [`iter`](Self::iter), now instead of
    /// with the response.
    ///
    /// # Errors
    ///
    /// As for [`Session::save`]. A failure does not keep the others from being saved;
    /// [`Error::failures`] has all of them, with their names.
    pub async fn save_all(&self) -> Result<(), Error> {
        let mut failures = Vec::new();
        for session in self.iter() {
            failures.extend(session.save().await.err());
        }
        Error::batch(failures).map_or(Ok(()), Err)
    }

    fn find(&self, name: &str) -> Option<Session> {
        self.iter().find(|session| session.name() == name)
    }
}

impl From<Session> for Sessions {
    fn from(session: Session) -> Self {
        Self(Arc::clone(session.slots()))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What the response has to say about all sessions of one layer.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    pub(crate) cookies: Cookies,
    pub(crate) used: bool,
    failures: Vec<Error>,
}

/// The cookies to set: usually one, which takes no allocation.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    first: Option<NewCookie>,
    others: Vec<NewCookie>,
}

#[derive(Debug)]
struct NewCookie {
    value: HeaderValue,
    /// Nothing is lost if it is not sent.
    is_refresh: bool,
}

/// Whether any of these sessions was used, if there is nothing to commit.
pub(crate) fn rest(slots: &Arc<Slots>) -> Option<bool> {
    let used = Session::first(slots).rests()?;
    slots
        .others_in_use()
        .try_fold(used, |used, session| Some(used | session.rests()?))
}

/// Whether committing these sessions means waiting for a store.
pub(crate) fn waits(slots: &Arc<Slots>) -> bool {
    slots.in_use().any(|session| session.waits())
}

/// Saves the sessions of one layer, one after the other, and goes on after a failure.
pub(crate) async fn commit(slots: Arc<Slots>, keep: Keep) -> Committed {
    let mut committed = Committed::default();
    for session in slots.in_use() {
        let reply = session.commit(keep).await;
        committed.add(&session, reply);
    }
    committed
}

/// As [`commit`], for sessions that do not wait.
pub(crate) fn commit_now(slots: &Arc<Slots>, keep: Keep) -> Committed {
    let mut committed = Committed::default();
    for session in slots.in_use() {
        let reply = session.commit_now(keep);
        committed.add(&session, reply);
    }
    committed
}

impl Committed {
    /// All failures as one.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        if self.failures.is_empty() {
            None
        } else {
            Error::batch(std::mem::take(&mut self.failures))
        }
    }

    fn add(&mut self, session: &Session, reply: Result<Reply, Error>) {
        match reply {
            Ok(reply) => {
                self.used |= reply.used;
                self.cookies.extend(reply.leftover.map(|value| NewCookie {
                    value,
                    is_refresh: false,
                }));
                let is_refresh = reply.is_refresh;
                self.cookies
                    .extend(reply.cookie.map(|value| NewCookie { value, is_refresh }));
            }
            Err(error) => {
                self.used = true;
                self.failures.push(error.of(session.name()));
            }
        }
    }
}

impl Cookies {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Leaves out what need not be sent.
    pub(crate) fn drop_refreshes(&mut self) {
        let all = std::mem::take(self);
        self.extend(
            all.first
                .into_iter()
                .chain(all.others)
                .filter(|cookie| !cookie.is_refresh),
        );
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &HeaderValue> {
        self.first
            .iter()
            .chain(&self.others)
            .map(|cookie| &cookie.value)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = HeaderValue> {
        self.first
            .into_iter()
            .chain(self.others)
            .map(|cookie| cookie.value)
    }

    fn extend(&mut self, cookies: impl IntoIterator<Item = NewCookie>) {
        for cookie in cookies {
            if self.first.is_none() {
                self.first = Some(cookie);
            } else {
                self.others.push(cookie);
            }
        }
    }
}
