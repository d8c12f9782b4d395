//! Reading and changing values.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    buffer::ValueBuffer,
    json::{append_json, from_json, unwrap_bytes, wrap_bytes},
};
#[cfg(doc)]
use crate::ErrorKind;
use crate::{
    error::Error,
    state::{Change, Effect},
    turn::Anchor,
};

/// Reading and changing values.
impl Session {
    /// Returns the value under `key`, or `None` if there is none.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// assert_eq!(session.get::<u64>("user")?, None);
    /// session.insert("user", 7)?;
    /// assert_eq!(session.get::<u64>("user")?, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeserializeFailed`] if the value is not a `T`, or was stored by
    /// [`insert_bytes`](Self::insert_bytes). The value stays. It happens after a change of the
    /// type: see [`SessionData`](crate::SessionData#when-a-type-changes). [`ErrorKind::NotLoaded`].
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.get_by(key, from_json)
    }

    /// Returns the value under `key`, or the type's default if there is none. The default is not
    /// stored.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// let cart: Vec<u64> = session.get_or_default("cart")?;
    /// assert!(cart.is_empty());
    /// assert!(!session.contains_key("cart")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn get_or_default<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, Error> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Like [`get`](Self::get), with a parser of the stored value.
    pub(super) fn get_by<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        // Parsed without the lock: deserializing a `T` runs code of the application.
        let mut copy = ValueBuffer::new();
        let found = self.read(|view| {
            let found = view.content.frames.get(key);
            Ok(found.map(|value| copy.extend_from_slice(value)).is_some())
        })?;
        if !found {
            return Ok(None);
        }
        parse(copy.as_slice()).map_err(|error| error.of(self.name()).of_value(key))
    }

    /// Stores `value` under `key`, as JSON. Storing an equal value is not a change and causes no
    /// save.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("user", 7)?;
    /// session.insert("roles", ["editor", "admin"])?; // a reference would do as well
    /// assert_eq!(session.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Values that JSON cannot hold are refused. A few types write JSON that they cannot read
    /// themselves, and `insert` cannot detect it: a `#[serde(flatten)]` field whose map has keys
    /// other than strings, or a field with `serialize_with` and no matching `deserialize_with`.
    /// Read such a value back once in a test.
    ///
    /// `None` and `()` are stored as `null`. [`get`](Self::get) reads `null` as the value it was,
    /// or as no value for a type that is never `null`: after `insert("user", None::<User>)`,
    /// `get::<User>("user")` is `None`.
    ///
    /// `Vec<u8>` and `&[u8]` become a list of numbers, three to four times as long as the bytes.
    /// Use [`insert_bytes`](Self::insert_bytes) for these.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SerializeFailed`] if the value cannot be written as JSON, or would read back
    /// differently: NaN, integers beyond 64 bits, and `Some` of a value that is written as `null`.
    /// `Some(())` and `Some(None)` would become `None`. The error's source names the cause.
    /// [`ErrorKind::TooLarge`] if the session would outgrow its cookie or
    /// [`max_bytes`](crate::SessionConfig::max_bytes); it stays as it was.
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    #[doc(alias = "set")]
    pub fn insert<T: Serialize>(&self, key: &str, value: T) -> Result<(), Error> {
        let mut json = ValueBuffer::new();
        append_json(&mut json, &value).map_err(|error| error.of(self.name()).of_value(key))?;
        self.put(key, json.as_slice())
    }

    /// Stores bytes under `key` as they are. Storing equal bytes is not a change.
    ///
    /// They take one byte more than their length, while [`insert`](Self::insert) would write a list
    /// of numbers.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// let verifier = [7; 32];
    /// session.insert_bytes("pkce", verifier)?;
    /// assert_eq!(session.get_bytes("pkce")?, Some(verifier.to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`insert`](Self::insert).
    pub fn insert_bytes(&self, key: &str, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.put(key, &wrap_bytes(bytes.as_ref()))
    }

    /// Returns the bytes under `key`, or `None` if there are none.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert_bytes("challenge", b"\x01\x02")?;
    /// assert_eq!(session.get_bytes("challenge")?, Some(vec![1, 2]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeserializeFailed`] if the value was stored by [`insert`](Self::insert). The
    /// value stays. [`ErrorKind::NotLoaded`].
    pub fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.get_by(key, |value| unwrap_bytes(value).map(Some))
    }

    fn put(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.write(|content| {
            let place = content.frames.place(key);
            let is_same = content.frames.at(&place) == Some(value);
            if !is_same {
                self.check_growth(content, place.growth(value.len()))?;
                content.frames.put(&place, value);
            }
            let change = || Change::Insert {
                key: key.into(),
                value: value.into(),
            };
            Ok((Effect::unless(is_same, change), ()))
        })
    }

    /// Removes the value under `key`. Returns whether there was one. A session that has nothing
    /// left is removed, as after [`clear`](Self::clear).
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("cart", [7])?;
    /// assert!(session.remove("cart")?);
    /// assert!(!session.remove("cart")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Each of several concurrent requests may get `true`. If only one may succeed, use
    /// [`take`](Self::take).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn remove(&self, key: &str) -> Result<bool, Error> {
        let removed = self.write(|content| {
            let removed = content.frames.remove(key);
            Ok((
                Effect::some(removed.then_some(|| Change::Remove { key: key.into() })),
                removed,
            ))
        })?;
        self.handle.cell().with(|state| state.keep_taken(Some(key)));
        Ok(removed)
    }

    /// Removes all values and flash messages. The [subject](Self::set_subject) and the lifetime
    /// stay. Without a subject and [`persist_for`](Self::persist_for), nothing is left: then the
    /// response removes the session's record and cookie, unless you write something.
    ///
    /// This is not a logout: see [`destroy`](Self::destroy).
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("cart", [7])?;
    /// session.clear()?;
    /// assert!(session.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn clear(&self) -> Result<(), Error> {
        self.write(|content| {
            let any = !content.frames.is_empty();
            content.frames.clear();
            Ok((Effect::some(any.then_some(|| Change::Clear)), ()))
        })?;
        // This covers messages and values that were taken: they must not be put back.
        self.handle.cell().with(|state| {
            state.taken.clear();
            state.keep_taken(None);
        });
        Ok(())
    }

    /// Returns whether there is a value under `key`.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("user", 7)?;
    /// assert!(session.contains_key("user")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn contains_key(&self, key: &str) -> Result<bool, Error> {
        self.read(|view| Ok(view.content.frames.get(key).is_some()))
    }

    /// Returns the keys. A new key comes last, and a change may move its key to the end.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("user", 7)?;
    /// session.insert("language", "de")?;
    /// assert_eq!(session.keys()?, ["user", "language"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.read(|view| Ok(view.content.frames.keys().map(str::to_owned).collect()))
    }

    /// Returns the number of values. Flash messages are not counted.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.insert("user", 7)?;
    /// session.flash("Welcome")?;
    /// assert_eq!(session.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn len(&self) -> Result<usize, Error> {
        self.read(|view| Ok(view.content.frames.keys().count()))
    }

    /// Returns whether there are no values. Flash messages are not counted.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// assert!(session.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.read(|view| Ok(view.content.frames.keys().next().is_none()))
    }
}
