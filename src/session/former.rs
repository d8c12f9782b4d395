//! Values of a type that has changed since they were stored.

use std::fmt;

use serde::de::DeserializeOwned;

use super::json::{from_json, is_json};

/// What to do with a stored value that no longer matches its [`SessionData`](crate::SessionData)
/// type: [`SessionData::FORMER`](crate::SessionData::FORMER).
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use silverback::{Former, SessionData};
///
/// #[derive(Default, Deserialize, Serialize)]
/// struct Cart {
///     items: Vec<(u64, u32)>,
/// }
///
/// /// What earlier releases stored: items, and no counts.
/// #[derive(Deserialize)]
/// struct OldCart {
///     items: Vec<u64>,
/// }
///
/// impl From<OldCart> for Cart {
///     fn from(old: OldCart) -> Self {
///         Self { items: old.items.into_iter().map(|item| (item, 1)).collect() }
///     }
/// }
///
/// impl SessionData for Cart {
///     const KEY: &'static str = "cart";
///     const FORMER: Former<Self> = Former::from_type::<OldCart>();
/// }
/// ```
///
/// [`Ignore`](Self::Ignore) and a migration leave an event in the log. Both keep the stored value
/// as it is until you write.
#[non_exhaustive]
pub enum Former<T> {
    /// The value counts as missing, so that no visitor is stuck with an error until the session
    /// ends.
    Ignore,
    /// Reading the value fails with
    /// [`ErrorKind::DeserializeFailed`](crate::ErrorKind::DeserializeFailed). Use this for values
    /// that must not be lost.
    Fail,
    /// This function makes a new value from the old JSON. If it returns `None`, reading the value
    /// fails as with [`Fail`](Self::Fail). To ignore a value instead, return `Some` of a default.
    ///
    /// No lock is held while it runs. It runs again if another request saves first.
    Migrate(fn(json: &str) -> Option<T>),
}

impl<T> Former<T> {
    /// Migrates values that were stored as an `Old`. Anything else is an error.
    ///
    /// ```
    /// # use silverback::{Former, SessionData};
    /// # #[derive(serde::Deserialize, serde::Serialize)]
    /// struct Theme { name: String }
    ///
    /// impl From<String> for Theme {
    ///     fn from(name: String) -> Self {
    ///         Self { name }
    ///     }
    /// }
    ///
    /// impl SessionData for Theme {
    ///     const KEY: &'static str = "theme";
    ///     const FORMER: Former<Self> = Former::from_type::<String>(); // a bare name before
    /// }
    /// ```
    #[must_use]
    pub const fn from_type<Old: DeserializeOwned + Into<T>>() -> Self {
        Self::Migrate(migrate::<Old, T>)
    }

    /// Replaces a stored value that is not a `T`. Returns `None` if reading it must fail, and
    /// `Some(None)` if it counts as missing.
    pub(super) fn replace(self, stored: &[u8]) -> Option<Option<T>> {
        match self {
            Self::Ignore => Some(None),
            Self::Fail => None,
            Self::Migrate(migrate) => {
                let json = str::from_utf8(stored).ok().filter(|_| is_json(stored));
                json.and_then(migrate).map(Some)
            }
        }
    }
}

fn migrate<Old: DeserializeOwned + Into<T>, T>(json: &str) -> Option<T> {
    let old: Option<Old> = from_json(json.as_bytes()).ok()?;
    old.map(Into::into)
}

impl<T> Clone for Former<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Former<T> {}

impl<T> fmt::Debug for Former<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
            Self::Migrate(_) => "Migrate",
        })
    }
}
