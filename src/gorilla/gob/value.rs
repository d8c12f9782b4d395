//! A Go value, as gob writes it.

use super::types::TypeId;

/// A Go value, as gob writes it.
///
/// Gob writes all sizes of signed integers alike, and likewise those of unsigned integers, floats
/// and complex numbers. A value in an interface, as all values of a session are, carries the
/// registered name of its exact type: an `int8` is an [`Int`](Self::Int) in a
/// [`Named`](Self::Named) `int8`. A pointer is written as the value that it points to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A `bool`.
    Bool(bool),
    /// A signed integer of any size.
    Int(i64),
    /// An unsigned integer of any size.
    Uint(u64),
    /// A float of any size.
    Float(f64),
    /// A complex number of any size: its real and its imaginary part.
    Complex(f64, f64),
    /// A `string`. In Go it need not be UTF-8.
    String(Vec<u8>),
    /// A `[]byte`.
    Bytes(Vec<u8>),
    /// An interface that holds nothing.
    Nil,
    /// An interface that holds a value.
    Named {
        /// The name under which Go has registered the value's type, such as `int64`,
        /// `[]interface {}` or `main.Person`.
        name: String,
        /// The value.
        value: Box<Self>,
    },
    /// A slice or an array.
    List {
        /// The type of the list.
        ty: TypeId,
        /// The elements.
        items: Vec<Self>,
    },
    /// A map. Go writes maps in random order; here a map keeps its order.
    Map {
        /// The type of the map.
        ty: TypeId,
        /// The keys and their elements.
        entries: Vec<(Self, Self)>,
    },
    /// A struct.
    Struct {
        /// The type of the struct.
        ty: TypeId,
        /// The nonzero fields, in order: the index in
        /// [`Definition::Struct`](super::Definition::Struct), and the value.
        fields: Vec<(usize, Self)>,
    },
    /// A value whose type writes its own bytes, such as `time.Time`.
    Opaque {
        /// The type of the value.
        ty: TypeId,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// Makes a `string`.
    ///
    /// ```
    /// use silverback::gorilla::gob::Value;
    ///
    /// assert_eq!(Value::string("user").as_str(), Some("user"));
    /// ```
    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into().into_bytes())
    }

    /// Puts the value into an interface, under the name that Go has registered for its type.
    ///
    /// ```
    /// use silverback::gorilla::gob::Value;
    ///
    /// let age = Value::Int(41).named("int");
    /// assert_eq!(age.name(), Some("int"));
    /// assert_eq!(age.concrete(), &Value::Int(41));
    /// ```
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let (name, value) = (name.into(), Box::new(self));
        Self::Named { name, value }
    }

    /// Returns the text of a `string`, in an interface or not. Returns `None` for anything else,
    /// and for a `string` that is not UTF-8.
    ///
    /// ```
    /// use silverback::gorilla::gob::Value;
    ///
    /// assert_eq!(Value::string("a").named("string").as_str(), Some("a"));
    /// assert_eq!(Value::String(vec![0xff]).as_str(), None);
    /// ```
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self.concrete() {
            Self::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Returns the registered name of the value in an interface.
    ///
    /// ```
    /// use silverback::gorilla::gob::Value;
    ///
    /// assert_eq!(Value::Uint(1).named("uint8").name(), Some("uint8"));
    /// assert_eq!(Value::Nil.name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Returns the value in an interface, or the value itself if it is not in one.
    ///
    /// ```
    /// use silverback::gorilla::gob::Value;
    ///
    /// assert_eq!(Value::Bool(true).named("bool").concrete(), &Value::Bool(true));
    /// ```
    #[must_use]
    pub fn concrete(&self) -> &Self {
        let mut value = self;
        while let Self::Named { value: held, .. } = value {
            value = held;
        }
        value
    }

    /// Returns the type.
    ///
    /// ```
    /// use silverback::gorilla::gob::{TypeId, Value};
    ///
    /// assert_eq!(Value::Int(1).type_id(), TypeId::INT);
    /// assert_eq!(Value::Nil.type_id(), TypeId::INTERFACE);
    /// ```
    #[must_use]
    pub const fn type_id(&self) -> TypeId {
        match self {
            Self::Bool(_) => TypeId::BOOL,
            Self::Int(_) => TypeId::INT,
            Self::Uint(_) => TypeId::UINT,
            Self::Float(_) => TypeId::FLOAT,
            Self::Complex(..) => TypeId::COMPLEX,
            Self::String(_) => TypeId::STRING,
            Self::Bytes(_) => TypeId::BYTES,
            Self::Nil | Self::Named { .. } => TypeId::INTERFACE,
            Self::List { ty, .. }
            | Self::Map { ty, .. }
            | Self::Struct { ty, .. }
            | Self::Opaque { ty, .. } => *ty,
        }
    }

    /// Moves the ids of its types as [`Types::adopt`](super::Types::adopt) does.
    pub(crate) fn move_types(&mut self, by: i32) -> Option<()> {
        match self {
            Self::Named { value, .. } => return value.move_types(by),
            Self::List { items, .. } => {
                items.iter_mut().try_for_each(|item| item.move_types(by))?
            }
            Self::Map { entries, .. } => entries.iter_mut().try_for_each(|(key, value)| {
                key.move_types(by)?;
                value.move_types(by)
            })?,
            Self::Struct { fields, .. } => {
                let mut fields = fields.iter_mut();
                fields.try_for_each(|(_, field)| field.move_types(by))?;
            }
            _ => {}
        }
        if let Self::List { ty, .. }
        | Self::Map { ty, .. }
        | Self::Struct { ty, .. }
        | Self::Opaque { ty, .. } = self
        {
            *ty = ty.moved(by)?;
        }
        Some(())
    }

    /// Returns whether Go's type of this name can hold the value: Go refuses 300 for an `int8`.
    ///
    /// Go's `int`, `uint` and `uintptr` count as 64 bits wide. Of a list or a map, all elements must
    /// fit: `[]int8` holds no 300 either. Any other name is a type of the application, which may have
    /// any size.
    ///
    /// ```
    /// use silverback::gorilla::gob::Value;
    ///
    /// assert!(Value::Int(127).fits("int8"));
    /// assert!(!Value::Int(128).fits("int8"));
    /// assert!(!Value::Float(1e300).fits("float32"));
    /// ```
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        match (self.concrete(), name) {
            (Self::Int(number), "int8") => i8::try_from(*number).is_ok(),
            (Self::Int(number), "int16") => i16::try_from(*number).is_ok(),
            (Self::Int(number), "int32") => i32::try_from(*number).is_ok(),
            (Self::Uint(number), "uint8") => u8::try_from(*number).is_ok(),
            (Self::Uint(number), "uint16") => u16::try_from(*number).is_ok(),
            (Self::Uint(number), "uint32") => u32::try_from(*number).is_ok(),
            (Self::Float(number), "float32") => fits_float32(*number),
            (Self::Complex(real, imaginary), "complex64") => {
                fits_float32(*real) && fits_float32(*imaginary)
            }
            (value, name) if basic(name).is_some() => basic(name) == Some(value.type_id()),
            (Self::List { items, .. }, name) => {
                parts(name).is_none_or(|(_, elem)| items.iter().all(|item| item.fits(elem)))
            }
            (Self::Map { entries, .. }, name) => parts(name).is_none_or(|(key, elem)| {
                let mut entries = entries.iter();
                entries.all(|(name, value)| name.fits(key) && value.fits(elem))
            }),
            _ => true,
        }
    }
}

/// Like Go, compares only the magnitude: excess digits are lost.
fn fits_float32(number: f64) -> bool {
    !number.is_finite() || number.abs() <= f64::from(f32::MAX)
}

/// Splits the name of a list or a map, such as `map[string]int8`: what is in the brackets, and the
/// type of the elements.
pub(in crate::gorilla) fn parts(name: &str) -> Option<(&str, &str)> {
    let inner = name
        .strip_prefix("map[")
        .or_else(|| name.strip_prefix('['))?;
    let mut open = 1;
    let end = inner.find(|character| {
        match character {
            '[' => open += 1,
            ']' => open -= 1,
            _ => {}
        }
        open == 0
    })?;
    let (key, elem) = inner.split_at(end);
    Some((key, elem.strip_prefix(']')?))
}

/// Returns the gob type of a basic Go type.
fn basic(name: &str) -> Option<TypeId> {
    Some(match name {
        "bool" => TypeId::BOOL,
        "int" | "int8" | "int16" | "int32" | "int64" => TypeId::INT,
        "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "uintptr" => TypeId::UINT,
        "float32" | "float64" => TypeId::FLOAT,
        "complex64" | "complex128" => TypeId::COMPLEX,
        "string" => TypeId::STRING,
        "[]uint8" => TypeId::BYTES,
        _ => return None,
    })
}
