//! Turns values into the bytes in frames, and back: JSON, without the losses that serde_json lets
//! pass, or raw bytes.
//!
//! ```text
//! value: JSON, or 0 u8 | bytes
//! ```
//!
//! No JSON begins with a zero byte (RFC 8259, section 2).

use std::{any::type_name, fmt, io};

use serde::{Serialize, de::DeserializeOwned, ser};

use crate::error::{Error, ErrorKind};

/// serde_json refuses to read anything nested deeper.
const MAX_DEPTH: usize = 127;

/// Appends a value as JSON.
///
/// # Errors
///
/// [`ErrorKind::SerializeFailed`] for values that JSON cannot express or that would read back
/// differently: NaN and infinity (written as `null`), `Some` of a value that is written as `null`,
/// integers beyond 64 bits (most readers read them as floats), and values nested more than 127
/// deep.
pub(super) fn append_json<T: Serialize + ?Sized>(
    out: &mut impl io::Write,
    value: &T,
) -> Result<(), Error> {
    let refuse = |error: serde_json::Error| Error::with_source(ErrorKind::SerializeFailed, error);
    value.serialize(Probe { depth: 0 }).map_err(refuse)?;
    serde_json::to_writer(out, value).map_err(refuse)
}

/// Returns a value as JSON, like [`append_json`].
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(128);
    append_json(&mut out, value)?;
    Ok(out)
}

/// Why a value could not be read. It does not show the value, as serde's messages do.
#[derive(Debug)]
struct Mismatch {
    wanted: &'static str,
    /// A field that the type requires and the value lacks.
    missing: Option<String>,
    column: usize,
}

impl Mismatch {
    fn of<T>(error: &serde_json::Error) -> Self {
        let sentence = error.to_string();
        let missing = sentence.strip_prefix("missing field `");
        let missing = missing.and_then(|rest| rest.split('`').next());
        Self {
            wanted: type_name::<T>(),
            missing: missing.map(str::to_owned),
            column: error.column(),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, column, .. } = self;
        match &self.missing {
            Some(field) => write!(f, "it is not a `{wanted}`: field `{field}` is missing"),
            None => write!(f, "its JSON is not a `{wanted}`, as byte {column} shows"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// Reads a value. For a type that is never written as `null`, `null` is `None`.
pub(super) fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<Option<T>, Error> {
    serde_json::from_slice(json).map(Some).or_else(|error| {
        let kind = ErrorKind::DeserializeFailed;
        match json {
            b"null" => Ok(None),
            [BYTES, ..] => Err(Error::with_source(
                kind,
                "it is bytes: read it with `get_bytes`",
            )),
            _ => Err(Error::with_source(kind, Mismatch::of::<T>(&error))),
        }
    })
}

/// The first byte of a value that is bytes.
const BYTES: u8 = 0;

pub(super) fn is_json(value: &[u8]) -> bool {
    value.first() != Some(&BYTES)
}

pub(super) fn wrap_bytes(bytes: &[u8]) -> Vec<u8> {
    [&[BYTES], bytes].concat()
}

/// # Errors
///
/// [`ErrorKind::DeserializeFailed`] if it is JSON.
pub(super) fn unwrap_bytes(value: &[u8]) -> Result<Vec<u8>, Error> {
    match value {
        [BYTES, bytes @ ..] => Ok(bytes.to_vec()),
        _ => Err(Error::with_source(
            ErrorKind::DeserializeFailed,
            "it is not bytes: read it with `get`",
        )),
    }
}

/// Walks over a value without writing it. Returns whether JSON writes it as `null`.
#[derive(Clone, Copy)]
struct Probe {
    depth: usize,
}

impl Probe {
    fn refuse(what: &'static str) -> serde_json::Error {
        ser::Error::custom(what)
    }

    fn float(finite: bool) -> Result<bool, serde_json::Error> {
        if finite {
            Ok(false)
        } else {
            Err(Self::refuse("NaN and infinity have no JSON"))
        }
    }

    fn integer(fits: bool) -> Result<bool, serde_json::Error> {
        if fits {
            Ok(false)
        } else {
            Err(Self::refuse(
                "an integer beyond 64 bits; keep it as a string",
            ))
        }
    }

    fn deeper(self) -> Result<Self, serde_json::Error> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            Err(Self::refuse("nested too deep to be read back"))
        } else {
            Ok(Self { depth })
        }
    }

    fn visit<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, serde_json::Error> {
        value.serialize(self)
    }
}

macro_rules! harmless {
    ($is_null:literal: $($method:ident($($value:ty),*);)*) => {
        $(fn $method(self, $(_: $value),*) -> Result<bool, serde_json::Error> {
            Ok($is_null)
        })*
    };
}

impl ser::Serializer for Probe {
    type Ok = bool;
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    harmless! {
        false:
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    harmless! {
        true:
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
    }

    fn serialize_f32(self, value: f32) -> Result<bool, Self::Error> {
        Self::float(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<bool, Self::Error> {
        Self::float(value.is_finite())
    }

    fn serialize_i128(self, value: i128) -> Result<bool, Self::Error> {
        Self::integer(i64::try_from(value).is_ok() || u64::try_from(value).is_ok())
    }

    fn serialize_u128(self, value: u128) -> Result<bool, Self::Error> {
        Self::integer(u64::try_from(value).is_ok())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Self::Error> {
        if self.visit(value)? {
            Err(Self::refuse(
                "`Some` of a null would be read back as `None`",
            ))
        } else {
            Ok(false)
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<bool, Self::Error> {
        self.visit(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<bool, Self::Error> {
        self.deeper()?.visit(value).map(|_| false)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Self::Error> {
        self.deeper()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Self::Error> {
        self.deeper()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        self.deeper()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        self.deeper()?.deeper()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Self::Error> {
        self.deeper()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        self.deeper()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        self.deeper()?.deeper()
    }
}

macro_rules! parts {
    ($($trait:ident { $($method:ident($($name:ty)?);)* })*) => {
        $(impl ser::$trait for Probe {
            type Ok = bool;
            type Error = serde_json::Error;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? part: &T) -> Result<(), Self::Error> {
                self.visit(part).map(drop)
            })*

            fn end(self) -> Result<bool, Self::Error> {
                Ok(false)
            }
        })*
    };
}

parts! {
    SerializeSeq { serialize_element(); }
    SerializeTuple { serialize_element(); }
    SerializeTupleStruct { serialize_field(); }
    SerializeTupleVariant { serialize_field(); }
    SerializeMap { serialize_key(); serialize_value(); }
    SerializeStruct { serialize_field(&'static str); }
    SerializeStructVariant { serialize_field(&'static str); }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Circle(f64),
        Square { side: f64 },
        Line(f64, f64),
        Nothing,
    }

    fn refused<T: Serialize>(value: T) -> bool {
        to_json(&value).is_err_and(|error| error.kind() == ErrorKind::SerializeFailed)
    }

    #[test]
    fn values_that_json_would_change_are_refused() {
        assert!(
            refused(f64::NAN) && refused(f32::INFINITY) && refused(vec![Some(f64::NEG_INFINITY)])
        );
        assert!(refused(u128::from(u64::MAX) + 1) && refused(i128::from(i64::MIN) - 1));
        assert!(refused(Shape::Circle(f64::NAN)) && refused(Shape::Square { side: f64::NAN }));
        assert!(refused(Shape::Line(0.0, f64::NAN)) && refused(BTreeMap::from([("k", f64::NAN)])));
        assert!(
            refused(BTreeMap::from([(vec![1], 1)])),
            "a list cannot be a key"
        );
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Wrapped<T>(T);

    #[test]
    fn some_of_a_null_is_refused_everywhere() {
        let null = serde_json::Value::Null;
        assert!(refused(Some(())) && refused(Some(None::<u8>)) && refused(Some(Unit)));
        assert!(refused(Some(&null)) && refused(Some(Wrapped(()))) && refused(Wrapped(Some(()))));
        assert!(refused([Some(Some(1)), Some(None)]) && refused(BTreeMap::from([("k", Some(()))])));
        let fine = Some((Ok::<_, ()>(()), [()], Wrapped([null])));
        assert_eq!(to_json(&fine).unwrap(), br#"[{"Ok":null},[null],[null]]"#);
    }

    #[test]
    fn null_is_none_for_types_that_are_never_null() {
        let null = to_json(&()).unwrap();
        assert_eq!(from_json::<()>(&null).unwrap(), Some(()));
        assert_eq!(from_json::<Unit>(&null).unwrap(), Some(Unit));
        assert_eq!(from_json::<Option<u8>>(&null).unwrap(), Some(None));
        assert_eq!(from_json::<u8>(&null).unwrap(), None);
        assert!(from_json::<u8>(b"\"null\"").is_err());
    }

    #[test]
    fn values_that_json_keeps_are_written() {
        assert_eq!(to_json(&Shape::Nothing).unwrap(), b"\"Nothing\"");
        assert_eq!(
            to_json(&u128::from(u64::MAX)).unwrap(),
            b"18446744073709551615"
        );
        assert_eq!(
            to_json(&i128::from(i64::MIN)).unwrap(),
            b"-9223372036854775808"
        );
        assert_eq!(to_json("nul \0").unwrap(), b"\"nul \\u0000\"");
    }

    #[test]
    fn nested_values_are_read_or_refused() {
        let nested = |depth| {
            let mut value = serde_json::Value::Null;
            for _ in 0..depth {
                value = serde_json::Value::Array(vec![value]);
            }
            value
        };
        let deepest = nested(MAX_DEPTH);
        let json = to_json(&deepest).unwrap();
        assert_eq!(from_json(&json).unwrap(), Some(deepest));
        assert!(refused(nested(MAX_DEPTH + 1)));
    }
}
