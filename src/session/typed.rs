//! One struct instead of many keys.

use std::{any::type_name, fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    json::from_json,
    named::{Innermost, SessionOf},
};
use crate::{error::Error, name::SessionName, trace};

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
///
/// # When a type changes
///
/// Sessions outlive a deploy: the value that was kept may be one of the former type. Unless you say
/// what to do, it counts as the default, with an event in the log, so that no visitor is stuck with
/// an error until the session ends. What is kept stays until you write.
///
/// | The change | What to do |
/// |---|---|
/// | a new field | `#[serde(default)]` on it |
/// | a field that is gone | nothing: serde ignores it |
/// | another name of a field | `#[serde(alias = "old")]` |
/// | anything else | [`recover`](Self::recover), which makes a new value of the old JSON |
/// | the old value is worth nothing | nothing: it counts as the default |
/// | the old value must not be lost | `recover` that returns `None`: reading it is an error |
///
/// While two releases run side by side, the older one reads what the newer one has written. Deploy
/// a release that reads both first, then the one that writes the new form.
///
/// Flash messages of another type are dropped with an event in the log, and hold up no others: see
/// [`Session::flashes`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use silverback::{Error, SessionData};
///
/// #[derive(Default, Deserialize, Serialize)]
/// struct Cart {
///     items: Vec<Item>,
/// }
///
/// #[derive(Deserialize, Serialize)]
/// struct Item {
///     id: u64,
///     count: u32,
/// }
///
/// impl SessionData for Cart {
///     const KEY: &'static str = "cart";
///
///     fn recover(json: &str, _: &Error) -> Option<Self> {
///         #[derive(Deserialize)]
///         struct Old {
///             items: Vec<u64>,
///         }
///         let old: Old = serde_json::from_str(json).ok()?;
///         let items = old.items.into_iter().map(|id| Item { id, count: 1 });
///         Some(Self { items: items.collect() })
///     }
/// }
/// ```
pub trait SessionData: Default + DeserializeOwned + Serialize + 'static {
    /// The key it is kept under.
    const KEY: &'static str;

    /// Makes a value of JSON that is not a `Self` any more: the default one unless you write this.
    /// `None` is the error that it was.
    ///
    /// [`Typed::read`] leaves what is kept as it is, [`Typed::update`] and [`Typed::replace`] put
    /// the new form in its place. It runs without a lock, and again if another request saves first.
    #[must_use]
    fn recover(json: &str, error: &Error) -> Option<Self> {
        let _ = (json, error);
        Some(Self::default())
    }
}

fn parse<T: SessionData>(json: &[u8]) -> Result<T, Error> {
    from_json(json).or_else(|error| {
        let json = str::from_utf8(json).ok();
        let recovered = json.and_then(|json| T::recover(json, &error));
        if recovered.is_some() {
            trace::value_recovered(type_name::<T>());
        }
        recovered.ok_or(error)
    })
}

/// The place of a [`SessionData`] value in a session. With axum it is an extractor.
///
/// `Typed<Cart>` is in the session that a plain [`Session`] is, and `Typed<Cart, Account>` in that of
/// the [`SessionName`](crate::SessionName) `Account`. Say it once with an alias:
/// `type MyCart = Typed<Cart, Account>`.
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
pub struct Typed<T, N = Innermost> {
    session: Session,
    data: PhantomData<fn() -> (T, N)>,
}

impl<T: SessionData> Typed<T> {
    /// The place of `T` in this session, whichever it is.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self::at(session.clone())
    }
}

impl<T: SessionData, N> Typed<T, N> {
    pub(crate) fn at(session: Session) -> Self {
        Self {
            session,
            data: PhantomData,
        }
    }

    /// Returns the value, or the default if there is none. One of a former type goes through
    /// [`SessionData::recover`].
    ///
    /// # Errors
    ///
    /// As for [`Session::get`].
    pub fn read(&self) -> Result<T, Error> {
        Ok(self.session.get_by(T::KEY, parse)?.unwrap_or_default())
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
    pub fn update(&self, mut update: impl FnMut(&mut T) + Send + 'static) -> Result<T, Error> {
        self.session.update_by(T::KEY, move |old| {
            let mut value: T = old.map(parse).transpose()?.unwrap_or_default();
            update(&mut value);
            Ok(value)
        })
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

impl<T: SessionData, N: SessionName> From<SessionOf<N>> for Typed<T, N> {
    fn from(session: SessionOf<N>) -> Self {
        Self::at(session.into_session())
    }
}

impl<T, N> Clone for Typed<T, N> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            data: PhantomData,
        }
    }
}

impl<T: SessionData, N> fmt::Debug for Typed<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("key", &T::KEY)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
