//! The format of the sessions that a Go program shares.

use std::{fmt, ops::Deref};

use serde::Serialize;
use serde_json::Value as Json;

use super::{
    convert,
    envelope::SecureCookie,
    gob::{Definition, Gob, TypeId, Types, Value},
    layout::GoLayout,
};

/// The format of a session that gorilla/sessions or dghubble/sessions keeps in a cookie, for
/// [`SessionConfig::write_gorilla`](crate::SessionConfig::write_gorilla) and
/// [`SessionConfig::read_gorilla`](crate::SessionConfig::read_gorilla).
///
/// | Setting | Default |
/// |---|---|
/// | [`payload`](Self::payload) | [`GoPayload::Sessions`]: gorilla's `CookieStore` |
/// | [`flash_queue`](Self::flash_queue) | `_flash` alone, as the queue of [`Session::flash`](crate::Session::flash) |
///
/// Keys, ages and lengths are set on the [`SecureCookie`].
///
/// ```
/// use silverback::{
///     Keys, SessionConfig,
///     gorilla::{Gorilla, KeyPair, SecureCookie},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (hash_key, block_key) = ([7; 32], [9; 16]);
/// // Go: sessions.NewCookieStore(hashKey, blockKey)
/// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
/// let account = SessionConfig::cookie("account", Keys::generate()?)
///     .write_gorilla(Gorilla::new(cookies));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Gorilla {
    pub(crate) cookies: SecureCookie,
    pub(crate) payload: GoPayload,
    queues: Vec<String>,
    /// The layout of a server-side store, if an outer layer keeps the sessions there.
    pub(super) layout: Option<GoLayout>,
}

/// The payload of a Go cookie.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum GoPayload {
    /// A gob of `map[interface{}]interface{}`, as in the `CookieStore` of gorilla/sessions.
    #[default]
    Sessions,
    /// A gob of `map[string]T`, as in dghubble/sessions. Inserting a value that is not a `T` fails
    /// with [`ErrorKind::SerializeFailed`](crate::ErrorKind::SerializeFailed).
    MapOf(GoType),
    /// A JSON object, as securecookie's `JSONEncoder` writes it.
    Json,
}

/// The type of the values of a Go map.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GoType {
    /// `any`, which is `interface{}`.
    Any,
    /// `bool`.
    Bool,
    /// `int` and the signed integers of other sizes.
    Int,
    /// `uint` and the unsigned integers of other sizes.
    Uint,
    /// `float64` and `float32`.
    Float,
    /// `[]byte`.
    Bytes,
    /// `string`.
    String,
}

impl GoType {
    const fn id(self) -> TypeId {
        match self {
            Self::Any => TypeId::INTERFACE,
            Self::Bool => TypeId::BOOL,
            Self::Int => TypeId::INT,
            Self::Uint => TypeId::UINT,
            Self::Float => TypeId::FLOAT,
            Self::Bytes => TypeId::BYTES,
            Self::String => TypeId::STRING,
        }
    }
}

/// The names of the default queue: gorilla's, and ours.
const FLASH: (&str, &str) = ("_flash", "");

impl Gorilla {
    /// Makes the format of gorilla's `CookieStore`, with these keys, ages and lengths.
    ///
    /// ```
    /// use silverback::gorilla::{Gorilla, KeyPair, SecureCookie};
    ///
    /// let gorilla = Gorilla::new(SecureCookie::new([KeyPair::signing([7; 32])?])?);
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[doc(alias = "NewCookieStore")]
    #[must_use]
    pub fn new(cookies: SecureCookie) -> Self {
        Self {
            cookies,
            payload: GoPayload::default(),
            queues: Vec::new(),
            layout: None,
        }
    }

    /// Sets the payload of the cookies.
    ///
    /// ```
    /// use silverback::gorilla::{GoPayload, GoType, Gorilla, KeyPair, SecureCookie};
    ///
    /// # let (hash_key, block_key) = ([7; 32], [9; 32]);
    /// // Go: sessions.NewCookieStore[string](config, hashKey, blockKey), of dghubble/sessions
    /// let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
    /// let dghubble = Gorilla::new(cookies).payload(GoPayload::MapOf(GoType::String));
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub const fn payload(mut self, payload: GoPayload) -> Self {
        self.payload = payload;
        self
    }

    /// Adds a queue of flash messages beside gorilla's default one. `key` is the key that the Go
    /// program passes to `AddFlash` and `Flashes`, and the queue of
    /// [`Session::flash_in`](crate::Session::flash_in).
    ///
    /// gorilla keeps messages among the values, and nothing tells them apart. Under any other key,
    /// a list is a value, and `flash_in` fails with
    /// [`ErrorKind::SerializeFailed`](crate::ErrorKind::SerializeFailed). So does a message whose key
    /// holds a value, and a value whose key holds messages. `_flash` and the empty key cannot be
    /// added: the queue of `Session::flash` is `_flash` in Go.
    ///
    /// ```
    /// # use silverback::gorilla::{Gorilla, KeyPair, SecureCookie};
    /// # let cookies = SecureCookie::new([KeyPair::signing([7; 32])?])?;
    /// // Go: session.AddFlash("Wrong password", "errors")
    /// let gorilla = Gorilla::new(cookies).flash_queue("errors");
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub fn flash_queue(mut self, key: impl Into<String>) -> Self {
        self.queues.push(key.into());
        self
    }

    /// Returns whether a Go program that expects this payload would read the gob.
    pub(crate) fn takes(&self, gob: &Gob) -> bool {
        let expected = match self.payload {
            GoPayload::MapOf(ty) => (TypeId::STRING, ty.id()),
            GoPayload::Sessions | GoPayload::Json => (TypeId::INTERFACE, TypeId::INTERFACE),
        };
        match gob.types.get(gob.value.type_id()) {
            Some(Definition::Map { key, elem, .. }) => (*key, *elem) == expected,
            _ => false,
        }
    }

    /// Returns the queue whose messages are under a key.
    pub(crate) fn queue_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        let is_named = || key != FLASH.1 && self.queues.iter().any(|queue| queue == key);
        match key {
            key if key == FLASH.0 => Some(FLASH.1),
            key => is_named().then_some(key),
        }
    }

    /// Returns the key that holds the messages of a queue.
    pub(crate) fn key_of<'a>(&self, queue: &'a str) -> Option<&'a str> {
        match queue {
            queue if queue == FLASH.1 => Some(FLASH.0),
            queue => self.queue_of(queue).filter(|named| *named == queue),
        }
    }

    /// A session without values.
    pub(crate) fn empty(&self) -> Gob {
        let GoPayload::MapOf(ty) = self.payload else {
            return Gob::session();
        };
        let (mut types, entries) = (Types::new(), Vec::new());
        let ty = types.map_of(TypeId::STRING, ty.id());
        Gob::new(types, Value::Map { ty, entries })
    }
}

/// A key of a Go session that is not a `string`. Use it wherever a session takes a key.
///
/// ```
/// # use silverback::{Error, Session};
/// use silverback::gorilla::GoKey;
///
/// fn user(session: &Session) -> Result<Option<i64>, Error> {
///     // Go: const userKey ctxKey = "user", and session.Values[userKey] = 7
///     session.get(&GoKey::new("main.ctxKey", "user"))
/// }
///
/// fn answer(session: &Session) -> Result<(), Error> {
///     // Go: session.Values[42] = 43
///     session.insert(&GoKey::int(42), 43)
/// }
/// ```
///
/// A key of an application's type can be read and replaced. A new one can be inserted if its type
/// is a `string`, a `bool` or a signed integer in Go.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GoKey(String);

impl GoKey {
    /// Makes a key of Go's `int`.
    #[must_use]
    pub fn int(number: i64) -> Self {
        Self(convert::other_key("int", &number.into()))
    }

    /// Makes a key of the type that Go has registered under `name`: a basic type such as `uint8`,
    /// or `main.ctxKey`. A `key` that cannot be serialized counts as `null`.
    #[must_use]
    pub fn new(name: &str, key: impl Serialize) -> Self {
        let key = serde_json::to_value(key).unwrap_or(Json::Null);
        Self(convert::other_key(name, &key))
    }
}

impl Deref for GoKey {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for GoKey {
    fn as_ref(&self) -> &str {
        self
    }
}

/// Shows the type and the key.
impl fmt::Display for GoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_start_matches('\0'))
    }
}
