//! Go's gob format, in which gorilla/sessions serializes a session.
//!
//! A [`Gob`] is a [`Value`] and the [`Types`] that it uses. Every kind of Go value is preserved: an
//! `int64` stays one, and a struct is written back as it was read, without its Go source.
//!
//! ```
//! use silverback::gorilla::gob::{Gob, Value};
//!
//! // What `gob.NewEncoder(w).Encode(map[interface{}]interface{}{"user": 42})` writes.
//! let bytes = [
//!     0x0d, 0x7f, 0x04, 0x01, 0x02, 0xff, 0x80, 0x00, 0x01, 0x10, 0x01, 0x10, 0x00, 0x00, 0x1b,
//!     0xff, 0x80, 0x00, 0x01, 0x06, b's', b't', b'r', b'i', b'n', b'g', 0x0c, 0x06, 0x00, 0x04,
//!     b'u', b's', b'e', b'r', 0x03, b'i', b'n', b't', 0x04, 0x02, 0x00, 0x54,
//! ];
//! let mut gob = Gob::decode(&bytes)?;
//! assert_eq!(gob.get("user"), Some(&Value::Int(42).named("int")));
//!
//! gob.insert("user", Value::Int(43).named("int"));
//! assert_eq!(gob.encode()?.last(), Some(&0x56));
//! # Ok::<_, silverback::gorilla::gob::GobError>(())
//! ```
//!
//! # What Go requires
//!
//! - Go finds the type of a value in an interface by its registered name. `gob` registers the basic
//!   types and their slices, gorilla/sessions registers `[]interface {}`, and the application must
//!   register all others, such as `map[string]interface {}`, by `gob.Register`.
//! - The name must match the value: `int8` names a [`Value::Int`] that [fits](Value::fits).
//!
//! # Limits
//!
//! A gob has at most 4 MiB and 262,144 values, nested at most 100 deep; an interface counts as a
//! level. Reading takes at most about a hundred times as much memory as the gob has bytes, even if
//! the bytes are hostile. Everything after the first value is ignored, as in Go.

mod definition;
mod error;
mod input;
mod limits;
mod output;
mod reader;
mod time;
mod types;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub(super) use self::value::parts;
pub use self::{
    error::{GobError, GobErrorKind},
    time::Time,
    types::{Definition, Field, Marshaler, TypeId, Types},
    value::Value,
};

/// A Go value with the types that it uses.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gob {
    /// The types that the value uses. Unused types are not written.
    pub types: Types,
    /// The value.
    pub value: Value,
}

impl Gob {
    /// Combines a value with its types.
    ///
    /// ```
    /// use silverback::gorilla::gob::{Gob, Types, Value};
    ///
    /// let id = Gob::new(Types::new(), Value::string("AAAQ"));
    /// assert_eq!(id.encode()?, b"\x07\x0c\x00\x04AAAQ");
    /// # Ok::<_, silverback::gorilla::gob::GobError>(())
    /// ```
    #[must_use]
    pub const fn new(types: Types, value: Value) -> Self {
        Self { types, value }
    }

    /// Makes an empty `map[interface {}]interface {}`, the type of gorilla's sessions.
    ///
    /// ```
    /// use silverback::gorilla::gob::{Gob, Value};
    ///
    /// let mut session = Gob::session();
    /// session.insert("user", Value::string("ann").named("string"));
    /// assert_eq!(Gob::decode(&session.encode()?)?, session);
    /// # Ok::<_, silverback::gorilla::gob::GobError>(())
    /// ```
    #[must_use]
    pub fn session() -> Self {
        let mut types = Types::new();
        let ty = types.map_of(TypeId::INTERFACE, TypeId::INTERFACE);
        let entries = Vec::new();
        Self::new(types, Value::Map { ty, entries })
    }

    /// Reads a gob.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a gob, or exceed [the limits](self#limits).
    ///
    /// ```
    /// use silverback::gorilla::gob::{Gob, GobErrorKind};
    ///
    /// let error = Gob::decode(b"\x03\x0c\x00\x04ab").unwrap_err();
    /// assert_eq!(error.kind(), GobErrorKind::Count);
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, GobError> {
        let (types, value) = reader::read(bytes)?;
        Ok(Self { types, value })
    }

    /// Writes the gob: first the types that the value uses, then the value. The same gob always gives
    /// the same bytes.
    ///
    /// # Errors
    ///
    /// Fails if a value does not have the type that its place requires, if Go would refuse a name,
    /// or if values are nested more deeply than [the limits](self#limits) allow.
    ///
    /// ```
    /// use silverback::gorilla::gob::{Gob, GobErrorKind, Types, Value};
    ///
    /// let nameless = Gob::new(Types::new(), Value::Int(1).named(""));
    /// assert_eq!(nameless.encode().unwrap_err().kind(), GobErrorKind::Name);
    /// ```
    pub fn encode(&self) -> Result<Vec<u8>, GobError> {
        writer::write(&self.types, &self.value)
    }

    /// Returns the entries of a map. Anything else has none.
    ///
    /// ```
    /// use silverback::gorilla::gob::Gob;
    ///
    /// assert!(Gob::session().entries().is_empty());
    /// ```
    #[must_use]
    pub fn entries(&self) -> &[(Value, Value)] {
        match self.value.concrete() {
            Value::Map { entries, .. } => entries,
            _ => &[],
        }
    }

    /// Returns a map's value under a string key.
    ///
    /// ```
    /// use silverback::gorilla::gob::Gob;
    ///
    /// assert_eq!(Gob::session().get("user"), None);
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut entries = self.entries().iter();
        let entry = entries.find(|(name, _)| name.as_str() == Some(key));
        entry.map(|(_, value)| value)
    }

    /// Puts a value into a map under a string key. It replaces an existing value, or goes to the
    /// end. If this is not a map, nothing happens.
    ///
    /// ```
    /// use silverback::gorilla::gob::{Gob, Value};
    ///
    /// let mut session = Gob::session();
    /// session.insert("n", Value::Int(1).named("int"));
    /// session.insert("n", Value::Int(2).named("int64"));
    /// assert_eq!(session.entries().len(), 1);
    /// assert_eq!(session.get("n").unwrap().name(), Some("int64"));
    /// ```
    pub fn insert(&mut self, key: &str, value: Value) {
        let Value::Map { ty, entries } = &mut self.value else {
            return;
        };
        let mut places = entries.iter_mut();
        if let Some((_, place)) = places.find(|(name, _)| name.as_str() == Some(key)) {
            *place = value;
            return;
        }
        let name = match self.types.get(*ty) {
            Some(Definition::Map { key: ty, .. }) if *ty == TypeId::STRING => Value::string(key),
            _ => Value::string(key).named("string"),
        };
        entries.push((name, value));
    }

    /// Removes a map's value under a string key.
    ///
    /// ```
    /// use silverback::gorilla::gob::{Gob, Value};
    ///
    /// let mut session = Gob::session();
    /// session.insert("n", Value::Int(1).named("int"));
    /// session.remove("n");
    /// assert!(session.entries().is_empty());
    /// ```
    pub fn remove(&mut self, key: &str) {
        if let Value::Map { entries, .. } = &mut self.value {
            entries.retain(|(name, _)| name.as_str() != Some(key));
        }
    }
}
