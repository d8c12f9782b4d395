//! The sessions of a request: finds them by name, and saves them together.

use std::{fmt, sync::Arc};

use http::Extensions;

use crate::{
    config::SessionConfig,
    error::{Error, ErrorKind},
    join,
    name::Named,
    request::{self, Registry},
    session::Session,
    trace,
};

/// The sessions of a request, by name: those of the layer around the handler, and of the layers
/// around that.
///
/// With axum it is an extractor. Elsewhere, [`from_extensions`](Self::from_extensions) finds it.
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
    /// Finds the sessions of a request. `None` without a [`SessionLayer`](crate::SessionLayer)
    /// around the service.
    ///
    /// ```
    /// # use silverback::{Error, Sessions};
    /// async fn items<B>(request: http::Request<B>) -> Result<Vec<u64>, Error> {
    ///     let Some(sessions) = Sessions::from_extensions(request.extensions()) else {
    ///         return Ok(Vec::new());
    ///     };
    ///     sessions.get("cart").await?.get_or_default("items")
    /// }
    /// ```
    #[must_use]
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Session>().cloned().map(Self::from)
    }

    /// Returns the session of this name: a string, or a [`SessionName`](crate::SessionName).
    ///
    /// It is loaded if its store waits, and otherwise opened when you first use it. It may belong
    /// to any layer around the handler. If two have the name, you get the inner one. Each call in a
    /// request returns the same session.
    ///
    /// ```
    /// # use silverback::{Error, SessionName, Sessions};
    /// #[derive(Clone, Copy)]
    /// struct Account;
    ///
    /// impl SessionName for Account {
    ///     const NAME: &'static str = "account";
    /// }
    ///
    /// async fn user(sessions: Sessions) -> Result<Option<u64>, Error> {
    ///     let account = sessions.get(Account).await?; // or "account"
    ///     account.get("user")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownName`] if no layer has a session of the name and [`open`](Self::open)
    /// was not called for it. Otherwise as for [`Session::load`].
    pub async fn get(&self, name: impl Named) -> Result<Session, Error> {
        let found = self.named(name.name())?;
        found.fetch().await?;
        Ok(found)
    }

    /// Finds the session of this name, which may be unloaded.
    pub(crate) fn named(&self, name: &str) -> Result<Session, Error> {
        self.find(name)
            .ok_or_else(|| trace::misused(self.unknown(name)))
    }

    /// Returns a session that no layer has configured, ready to use as with [`get`](Self::get). It
    /// is saved with the others. gorilla has `Registry.Get(store, name)`.
    ///
    /// Make the settings once and keep them: two settings mean the same store only if one is a
    /// clone of the other. If a session of this name exists already, you get it with its own
    /// settings, provided its cookie, store, keys and audience are the same.
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
    /// [`ErrorKind::SettingsDiffer`] if the name belongs to a session with another cookie, store or
    /// audience, or with other keys. [`ErrorKind::InvalidSettings`] if the settings cannot work;
    /// the source is the [`ConfigError`](crate::ConfigError). [`ErrorKind::NameTaken`] if another
    /// session has a cookie of the same name. Otherwise as for [`Session::load`].
    pub async fn open(&self, config: &SessionConfig) -> Result<Session, Error> {
        let name = config.name();
        let refuse =
            |error| trace::misused(Error::with_source(ErrorKind::InvalidSettings, error).of(name));
        let session = match self.find(name) {
            Some(session) => session,
            None => {
                let settings = config.build().map_err(refuse)?;
                if self
                    .iter()
                    .any(|other| other.settings().is_called_as(&settings))
                {
                    return Err(trace::misused(Error::new(ErrorKind::NameTaken).of(name)));
                }
                Session::from(self.0.open(settings))
            }
        };
        if !config.is_of(session.settings()) {
            let error = Error::new(ErrorKind::SettingsDiffer).of(name);
            return Err(trace::misused(error));
        }
        session.fetch().await?;
        Ok(session)
    }

    /// Iterates over the sessions, loaded or not: the layer's in its order, those opened beside
    /// them, then those of the layers around it.
    ///
    /// ```
    /// # use silverback::Sessions;
    /// fn names(sessions: &Sessions) -> Vec<String> {
    ///     sessions.iter().map(|session| session.name().to_owned()).collect()
    /// }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Session> {
        let layers = self.0.layers();
        let all = layers.flat_map(|layer| layer.configured().chain(layer.opened()));
        let all: Vec<_> = all.collect();
        all.into_iter().map(Session::from)
    }

    /// Loads every session of the request, so that the code after it need not wait. A session that
    /// is already loaded costs nothing.
    ///
    /// Sessions in the same [`Store`](crate::store::Store) are read by one call, and several stores
    /// are asked side by side. A session in a cookie with
    /// [`revocation`](crate::CookieStore::revocation) asks on its own, beside the others.
    ///
    /// ```
    /// # use silverback::{Error, Sessions};
    /// async fn page(sessions: Sessions) -> Result<(), Error> {
    ///     sessions.load_all().await?; // one round trip
    ///     let account = sessions.get("account").await?;
    ///     let cart = sessions.get("cart").await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::load`]. One failure does not keep the others from being loaded.
    /// [`Error::failures`] iterates over all failures, in the order of [`iter`](Self::iter).
    pub async fn load_all(&self) -> Result<(), Error> {
        let all: Vec<_> = self.iter().collect();
        let handles: Vec<_> = all.iter().map(Session::handle).collect();
        let fetched = request::fetch(&handles).await.into_iter();
        let loads = all.iter().zip(fetched);
        let loads = loads.map(|(session, fetched)| session.load_with(fetched));
        let loaded = join::all(loads.collect()).await;
        let failures = loaded.into_iter().filter_map(Result::err).collect();
        Error::batch(failures).map_or(Ok(()), Err)
    }

    /// Saves every changed session, now instead of with the response. Stores that wait are asked
    /// side by side.
    ///
    /// ```
    /// # use silverback::{Error, Sessions};
    /// async fn order(sessions: Sessions) -> Result<(), Error> {
    ///     sessions.get("cart").await?.remove("items")?;
    ///     sessions.get("account").await?.update("orders", |n: &mut u32| *n += 1)?;
    ///     sessions.save_all().await?; // if this fails, nobody is charged
    ///     // ... charge the card
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::save`]. One failure does not keep the others from being saved.
    /// [`Error::failures`] iterates over all failures, in the order of [`iter`](Self::iter).
    pub async fn save_all(&self) -> Result<(), Error> {
        let all: Vec<_> = self.iter().collect();
        let saved = join::all(all.iter().map(Session::save).collect()).await;
        let failures = saved.into_iter().filter_map(Result::err).collect();
        Error::batch(failures).map_or(Ok(()), Err)
    }

    fn find(&self, name: &str) -> Option<Session> {
        let found = self.0.layers().find_map(|layer| layer.named(name));
        found.map(Session::from)
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<_> = self
            .iter()
            .map(|session| session.name().to_owned())
            .collect();
        let known = format!("known names: {}", names.join(", "));
        Error::with_source(ErrorKind::UnknownName, known).of(name)
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
