//! All sessions of a request: finding them by name, and saving them together.

use std::{fmt, sync::Arc};

use http::Extensions;

use crate::{
    config::SessionConfig,
    error::{Error, ErrorKind},
    request::Registry,
    session::Session,
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
pub struct Sessions(Arc<Registry>);

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
    /// Make the settings once and keep them: the store is told apart by them and their clones. A
    /// session of this name that is there already is returned as it is configured, if its store,
    /// keys and audience are the same.
    ///
    /// ```
    /// # use silverback::{Error, SessionConfig, Sessions};
    /// async fn shop(sessions: Sessions, carts: SessionConfig, shop: u32) -> Result<u32, Error> {
    ///     let cart = sessions.open(&carts.named(format!("cart-{shop}"))).await?;
    ///     cart.update("items", |n: &mut u32| { *n += 1; *n })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OtherSettings`] if the name belongs to a session of another store, other keys or
    /// another audience, [`ErrorKind::Attributes`] if the settings do not work (its source is the
    /// [`ConfigError`](crate::ConfigError)); otherwise as for [`Session::load`].
    pub async fn open(&self, config: &SessionConfig) -> Result<Session, Error> {
        let name = config.name();
        let refuse = |error| Error::with_source(ErrorKind::Attributes, error).of(name);
        let session = match self.find(name) {
            Some(session) => session,
            None => Session::from(self.0.open(config.build().map_err(refuse)?)),
        };
        if !config.is_of(session.settings()) {
            return Err(Error::new(ErrorKind::OtherSettings).of(name));
        }
        session.load().await?;
        Ok(session)
    }

    /// Iterates over the sessions, which may not be loaded: the layer's in its order, those opened
    /// beside them, then those of the layers around it.
    pub fn iter(&self) -> impl Iterator<Item = Session> {
        let mut all: Vec<_> = self.0.configured().chain(self.0.opened()).collect();
        let mut outer = self.0.outer();
        while let Some(registry) = outer {
            all.extend(registry.configured().chain(registry.opened()));
            outer = registry.outer();
        }
        all.into_iter().map(Session::from)
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
        Self(Arc::clone(session.registry()))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
