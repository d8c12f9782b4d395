//! One struct instead of many keys.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::Session;
use crate::error::Error;

/// A type that a session keeps one value of.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use silverback::SessionData;
///
/// #[derive(Default, Deserialize, Serialize)]
/// struct Cart {
///     items: Vec<u64>,
/// }
///
/// impl SessionData for Cart {
///     const KEY: &'static str = "cart";
/// }
/// ```
pub trait SessionData: Default + DeserializeOwned + Serialize + 'static {
    /// The key it is kept under.
    const KEY: &'static str;

    /// The name of the session it is kept in; the layer's first one unless it is given.
    const SESSION: Option<&'static str> = None;
}

/// The place of a [`SessionData`] value in a session. With axum it is an extractor.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use silverback::{Error, Session, SessionData, Typed};
/// # #[derive(Default, Deserialize, Serialize)]
/// # struct Cart { items: Vec<u64> }
/// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
/// async fn add(cart: Typed<Cart>) -> Result<String, Error> {
///     let cart = cart.update(|cart| cart.items.push(7))?;
///     Ok(format!("{} items", cart.items.len()))
/// }
/// ```
pub struct Typed<T> {
    session: Session,
    data: PhantomData<fn() -> T>,
}

impl<T: SessionData> Typed<T> {
    /// The place of `T` in this session, whatever [`SessionData::SESSION`] says.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self {
            session: session.clone(),
            data: PhantomData,
        }
    }

    /// Returns the value, or the default if there is none.
    ///
    /// # Errors
    ///
    /// As for [`Session::get`].
    pub fn read(&self) -> Result<T, Error> {
        Ok(self.session.get(T::KEY)?.unwrap_or_default())
    }

    /// Puts another value in its place.
    ///
    /// # Errors
    ///
    /// As for [`Session::insert`].
    pub fn replace(&self, value: &T) -> Result<(), Error> {
        self.session.insert(T::KEY, value)
    }

    /// Changes the value in place and returns what it has become; see [`Session::update`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn update(&self, update: impl FnMut(&mut T) + Send + 'static) -> Result<T, Error> {
        self.session.update(T::KEY, update)
    }

    /// Removes the value; says whether there was one.
    ///
    /// # Errors
    ///
    /// As for [`Session::remove`].
    pub fn remove(&self) -> Result<bool, Error> {
        self.session.remove(T::KEY)
    }

    /// Returns the session it is kept in.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            data: PhantomData,
        }
    }
}

impl<T: SessionData> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("key", &T::KEY)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
