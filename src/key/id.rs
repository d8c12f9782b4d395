//! The name of a key.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{self, OfText, ParseError, Text};

/// A key's name: four bytes derived from its secret.
///
/// It displays as eight lower-case hexadecimal digits, parses from them, and serde uses them too.
///
/// ```
/// use silverback::{Key, KeyId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Key::generate()?;
/// let from_a_form: KeyId = key.id().to_string().parse()?;
/// assert_eq!(from_a_form, key.id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyId(pub(super) [u8; 4]);

impl KeyId {
    pub(crate) const LEN: usize = 4;

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", base16ct::HexDisplay(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Text for KeyId {
    const EXPECTED: &'static str = "8 lower-case hexadecimal digits";
}

impl FromStr for KeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text::from_hex(text).map(Self).ok_or(Self::ERROR)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(OfText::new())
    }
}
