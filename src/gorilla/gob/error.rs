//! Why a gob cannot be read or written.

use std::{error, fmt};

use super::types::TypeId;

/// The bytes are not a gob, or a value cannot be written as one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GobError {
    kind: GobErrorKind,
    offset: usize,
}

/// What is wrong with a gob.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GobErrorKind {
    /// The bytes end in the middle of a value, or of a message.
    Truncated,
    /// A message that defines a type holds more than the definition.
    Excess,
    /// There are more bytes or more values than [the limits](super#limits) allow.
    TooLarge,
    /// Values or types are nested more deeply than [the limits](super#limits) allow.
    TooDeep,
    /// A number has more than 64 bits.
    Number,
    /// A slice, map, string or array has more elements than there are bytes, or an array does not
    /// have as many as its type says.
    Count,
    /// The name of a type or a field is not UTF-8, or a registered name is empty or longer than
    /// 1,024 bytes, which Go refuses.
    Name,
    /// The definition of a type is wrong.
    Definition,
    /// A type is defined twice, or under an id that Go reserves.
    DuplicateType(TypeId),
    /// A type is used but not defined.
    UnknownType(TypeId),
    /// A struct has a field that its type does not have.
    Field,
    /// A value does not have the type that its place requires. Only writing can fail with this.
    Mismatch,
}

impl GobError {
    pub(super) const fn new(kind: GobErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// Returns what is wrong.
    #[must_use]
    pub const fn kind(&self) -> GobErrorKind {
        self.kind
    }

    /// Returns how many bytes had been read or written when the error was found.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for GobErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Truncated => "the bytes end too early",
            Self::Excess => "a definition is followed by other bytes",
            Self::TooLarge => "there are too many bytes or values",
            Self::TooDeep => "values are nested too deeply",
            Self::Number => "a number is longer than 64 bits",
            Self::Count => "a number of elements is wrong",
            Self::Name => "a name is empty, too long or not UTF-8",
            Self::Definition => "the definition of a type is wrong",
            Self::DuplicateType(id) => return write!(f, "type {} is defined twice", id.get()),
            Self::UnknownType(id) => return write!(f, "type {} is not defined", id.get()),
            Self::Field => "a struct has a field that its type does not have",
            Self::Mismatch => "a value does not have the type that its place requires",
        };
        f.write_str(what)
    }
}

impl fmt::Display for GobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gob: {} (byte {})", self.kind, self.offset)
    }
}

impl error::Error for GobError {}
