//! One struct instead of many keys.

use std::{any::type_name, fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    former::Former,
    json::from_json,
    named::{Innermost, Selector, SessionOf},
    update::Failed,
};
use crate::{error::Error, name::SessionName, trace};

/// A type of which a session keeps one value.
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
///
/// # When a type changes
///
/// Sessions outlive a deploy, so a stored value may have the former type. Unless
/// [`FORMER`](Self::FORMER) says otherwise, it counts as missing, with an event in the log.
///
/// | The change | What to do |
/// |---|---|
/// | a new field | `#[serde(default)]` on it |
/// | a removed field | nothing: serde ignores it |
/// | a renamed field | `#[serde(alias = "old")]` |
/// | anything else | [`Former::from_type`], which converts a value of the old type; [`Former::Migrate`], which converts the old JSON |
/// | the old value is worthless | nothing: it counts as missing |
/// | the old value must not be lost | [`Former::Fail`]: reading it is an error |
///
/// While two releases run side by side, the older one reads what the newer one has written. First
/// deploy a release that reads both forms, then one that writes the new form.
///
/// Flash messages of another type are dropped with an event in the log, and do not hold up others:
/// see [`Session::flashes`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say under which key a session keeps it",
    label = "does not implement `SessionData`",
    note = "write `impl SessionData for {Self} {{ const KEY: &'static str = \"..\"; }}`"
)]
pub trait SessionData: DeserializeOwned + Serialize + 'static {
    /// The key of the value in the session.
    const KEY: &'static str;

    /// What to do with a stored value that is no longer a `Self`.
    ///
    /// [`Typed::read`] leaves the stored value as it is. [`Typed::update`] and [`Typed::replace`]
    /// replace it by the new form.
    const FORMER: Former<Self> = Former::Ignore;
}

/// Reads a value of the present or the former type.
fn parse<T: SessionData>(stored: &[u8]) -> Result<Option<T>, Error> {
    from_json(stored).or_else(|error| {
        let replaced = T::FORMER.replace(stored);
        if replaced.is_some() {
            trace::value_recovered(type_name::<T>());
        }
        replaced.ok_or(error)
    })
}

/// The place of a [`SessionData`] value in a session.
///
/// With axum it is an extractor. `Option<Typed<T>>` is `None` if nothing is stored there.
///
/// `Typed<Cart>` is in the session that a plain [`Session`] is, and `Typed<Cart, Account>` in the
/// one with the [`SessionName`](crate::SessionName) `Account`. Define an alias for it:
/// `type MyCart = Typed<Cart, Account>`.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use silverback::{Error, SessionData, Typed};
/// # #[derive(Default, Deserialize, Serialize)]
/// # struct Cart { items: Vec<u64> }
/// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
/// async fn add(cart: Typed<Cart>) -> Result<String, Error> {
///     let count = cart.update(|cart| {
///         cart.items.push(7);
///         cart.items.len()
///     })?;
///     Ok(format!("{count} items"))
/// }
/// ```
pub struct Typed<T: SessionData, N: Selector = Innermost> {
    session: Session,
    data: PhantomData<fn() -> (T, N)>,
}

impl<T: SessionData> Typed<T> {
    /// Returns the place of `T` in this session, whatever its name: for code outside axum, and for
    /// tests.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// let cart = Typed::<Cart>::of(&session);
    /// assert!(cart.get()?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self::at(session.clone())
    }
}

impl<T: SessionData, N: Selector> Typed<T, N> {
    pub(crate) fn at(session: Session) -> Self {
        Self {
            session,
            data: PhantomData,
        }
    }

    /// Returns the value, or `None` if there is none. [`SessionData::FORMER`] decides what happens
    /// to a value of a former type.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let cart = Typed::<Cart>::of(&session);
    /// assert!(cart.get()?.is_none());
    /// cart.replace(&Cart { items: vec![7] })?;
    /// assert_eq!(cart.get()?.map(|cart| cart.items), Some(vec![7]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::get`].
    pub fn get(&self) -> Result<Option<T>, Error> {
        self.session.get_by(T::KEY, parse)
    }

    /// Returns the value, or the type's default if there is none. Otherwise like
    /// [`get`](Self::get).
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let cart = Typed::<Cart>::of(&session);
    /// assert!(cart.read()?.items.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::get`].
    pub fn read(&self) -> Result<T, Error>
    where
        T: Default,
    {
        Ok(self.get()?.unwrap_or_default())
    }

    /// Removes the value and saves the session at once, so that exactly one request gets it; see
    /// [`Session::take`].
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Error, SessionData, Typed};
    /// /// What came back from the payment page.
    /// #[derive(Deserialize, Serialize)]
    /// struct Order { total: u64 }
    /// # impl SessionData for Order { const KEY: &'static str = "order"; }
    ///
    /// async fn confirm(order: Typed<Order>) -> Result<String, Error> {
    ///     match order.take().await? {
    ///         Some(order) => Ok(format!("{} paid", order.total)),
    ///         None => Ok("This order was confirmed already.".to_owned()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::take`].
    pub async fn take(&self) -> Result<Option<T>, Error> {
        self.session
            .take_by(T::KEY, parse, |stored| parse::<T>(stored).is_ok())
            .await
    }

    /// Stores `value` in place of the previous one.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let cart = Typed::<Cart>::of(&session);
    /// cart.replace(&Cart { items: vec![7] })?;
    /// assert_eq!(cart.read()?.items, [7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::insert`].
    pub fn replace(&self, value: &T) -> Result<(), Error> {
        self.session.insert(T::KEY, value)
    }

    /// Changes the value in place and returns what the closure returns; see [`Session::update`].
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let cart = Typed::<Cart>::of(&session);
    /// let count = cart.update(|cart| {
    ///     cart.items.push(7);
    ///     cart.items.len()
    /// })?;
    /// assert_eq!(count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::update`].
    pub fn update<R>(
        &self,
        mut update: impl FnMut(&mut T) -> R + Send + 'static,
    ) -> Result<R, Error>
    where
        T: Default,
    {
        let updated = self.session.update_by(T::KEY, move |old| {
            let mut value = old.map(parse).transpose()?.flatten().unwrap_or_default();
            let result = update(&mut value);
            Ok((value, result))
        });
        updated.map_err(Failed::never)
    }

    /// Changes the value in place, unless the closure fails; see [`Session::try_update`].
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let cart = Typed::<Cart>::of(&session);
    /// let added = cart.try_update(|cart| match cart.items.len() {
    ///     10.. => Err("the cart is full"),
    ///     _ => Ok(cart.items.push(7)),
    /// })?;
    /// assert_eq!(added, Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::try_update`].
    pub fn try_update<R, E>(
        &self,
        mut update: impl FnMut(&mut T) -> Result<R, E> + Send + 'static,
    ) -> Result<Result<R, E>, Error>
    where
        T: Default,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let updated = self.session.update_by(T::KEY, move |old| {
            let mut value = old.map(parse).transpose()?.flatten().unwrap_or_default();
            let result = update(&mut value).map_err(Failed::Closure)?;
            Ok((value, result))
        });
        Failed::part(updated)
    }

    /// Removes the value. Returns whether there was one.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Key, Session, SessionConfig, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let cart = Typed::<Cart>::of(&session);
    /// cart.replace(&Cart::default())?;
    /// assert!(cart.remove()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::remove`].
    pub fn remove(&self) -> Result<bool, Error> {
        self.session.remove(T::KEY)
    }

    /// Returns the session that holds the value.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use silverback::{Error, SessionData, Typed};
    /// # #[derive(Default, Deserialize, Serialize)]
    /// # struct Cart { items: Vec<u64> }
    /// # impl SessionData for Cart { const KEY: &'static str = "cart"; }
    /// async fn empty(cart: Typed<Cart>) -> Result<(), Error> {
    ///     cart.remove()?;
    ///     cart.session().flash("Your cart is empty")
    /// }
    /// ```
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }
}

impl<T: SessionData, N: SessionName> From<SessionOf<N>> for Typed<T, N> {
    fn from(session: SessionOf<N>) -> Self {
        Self::at(session.into_session())
    }
}

impl<T: SessionData, N: Selector> Clone for Typed<T, N> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            data: PhantomData,
        }
    }
}

impl<T: SessionData, N: Selector> fmt::Debug for Typed<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("key", &T::KEY)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
