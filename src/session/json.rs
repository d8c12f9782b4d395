//! Values to JSON and back, without the losses that serde_json lets pass.

use std::{any::type_name, fmt};

use serde::{Serialize, ser};

use crate::error::{Error, ErrorKind};

/// serde_json refuses to read anything nested deeper.
const MAX_DEPTH: usize = 127;

/// # Errors
///
/// [`ErrorKind::SerializeFailed`] for what JSON has no word for, and for what would read back as
/// something else: NaN and infinity (written as `null`), integers beyond 64 bits (read as floats by
/// most readers), and values nested more than 127 deep.
pub(super) fn append_json<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), Error> {
    let refuse = |error: serde_json::Error| Error::with_source(ErrorKind::SerializeFailed, error);
    value.serialize(Probe { depth: 0 }).map_err(refuse)?;
    serde_json::to_writer(out, value).map_err(refuse)
}

/// As [`append_json`], into a buffer of its own.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(128);
    append_json(&mut out, value)?;
    Ok(out)
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| {
        Error::with_source(ErrorKind::DeserializeFailed, Mismatch::of::<T>(&error))
    })
}

/// Why a value could not be read, without the value: serde's sentences quote it.
#[derive(Debug)]
struct Mismatch {
    wanted: &'static str,
    /// What stands in the type's definition, and no value.
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
            Some(field) => write!(f, "it is no `{wanted}`: field `{field}` is missing"),
            None => write!(f, "it is no `{wanted}` from column {column} of its JSON on"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// A copy of a value's JSON; a small one takes no allocation.
pub(super) struct JsonCopy {
    small: [u8; Self::SMALL],
    len: usize,
    large: Vec<u8>,
}

impl JsonCopy {
    const SMALL: usize = 64;

    pub(super) const fn new() -> Self {
        Self {
            small: [0; Self::SMALL],
            len: 0,
            large: Vec::new(),
        }
    }

    pub(super) fn fill(&mut self, json: &[u8]) {
        match self.small.get_mut(..json.len()) {
            Some(small) => small.copy_from_slice(json),
            None => self.large.extend_from_slice(json),
        }
        self.len = json.len();
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.small.get(..self.len).unwrap_or(&self.large)
    }
}

/// Walks over a value and writes nothing.
#[derive(Clone, Copy)]
struct Probe {
    depth: usize,
}

impl Probe {
    fn refuse(what: &'static str) -> serde_json::Error {
        ser::Error::custom(what)
    }

    fn float(finite: bool) -> Result<(), serde_json::Error> {
        if finite {
            Ok(())
        } else {
            Err(Self::refuse("NaN and infinity have no JSON"))
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

    fn visit<T: Serialize + ?Sized>(self, value: &T) -> Result<(), serde_json::Error> {
        value.serialize(self)
    }
}

macro_rules! harmless {
    ($($method:ident($($value:ty),*);)*) => {
        $(fn $method(self, $(_: $value),*) -> Result<(), serde_json::Error> {
            Ok(())
        })*
    };
}

impl ser::Serializer for Probe {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    harmless! {
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
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, value: f32) -> Result<(), Self::Error> {
        Self::float(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Self::Error> {
        Self::float(value.is_finite())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Self::Error> {
        let fits = i64::try_from(value).is_ok() || u64::try_from(value).is_ok();
        if fits {
            Ok(())
        } else {
            Err(Self::refuse(
                "an integer beyond 64 bits; keep it as a string",
            ))
        }
    }

    fn serialize_u128(self, value: u128) -> Result<(), Self::Error> {
        if u64::try_from(value).is_ok() {
            Ok(())
        } else {
            Err(Self::refuse(
                "an integer beyond 64 bits; keep it as a string",
            ))
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        self.visit(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.visit(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.deeper()?.visit(value)
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
            type Ok = ();
            type Error = serde_json::Error;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? part: &T) -> Result<(), Self::Error> {
                self.visit(part)
            })*

            fn end(self) -> Result<(), Self::Error> {
                Ok(())
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
    fn what_json_would_change_is_refused() {
        assert!(
            refused(f64::NAN) && refused(f32::INFINITY) && refused(vec![Some(f64::NEG_INFINITY)])
        );
        assert!(refused(u128::from(u64::MAX) + 1) && refused(i128::from(i64::MIN) - 1));
        assert!(refused(Shape::Circle(f64::NAN)) && refused(Shape::Square { side: f64::NAN }));
        assert!(refused(Shape::Line(0.0, f64::NAN)) && refused(BTreeMap::from([("k", f64::NAN)])));
        assert!(refused(BTreeMap::from([(vec![1], 1)])), "a list is no key");
    }

    #[test]
    fn what_json_keeps_is_kept() {
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
    fn what_is_written_can_be_read_however_deep() {
        let nested = |depth| {
            let mut value = serde_json::Value::Null;
            for _ in 0..depth {
                value = serde_json::Value::Array(vec![value]);
            }
            value
        };
        let deepest = nested(MAX_DEPTH);
        let json = to_json(&deepest).unwrap();
        assert_eq!(from_json::<serde_json::Value>(&json).unwrap(), deepest);
        assert!(refused(nested(MAX_DEPTH + 1)));
    }
}
