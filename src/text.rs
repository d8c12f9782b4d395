//! Names and times as text: in a form, on a command line, in JSON.

use std::{error, fmt, marker::PhantomData, str::FromStr};

use serde::de::{self, MapAccess, Visitor};

/// A text could not be parsed.
///
/// The error says what is expected, and never quotes the text: people paste cookies into forms.
///
/// ```
/// use silverback::store::RecordKey;
///
/// let error = "abab".parse::<RecordKey>().unwrap_err();
/// assert_eq!(error.to_string(), "expected 64 lower-case hexadecimal digits");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseError {
    expected: &'static str,
}

/// A type with one text form, which serde uses too.
pub(crate) trait Text: FromStr<Err = ParseError> {
    const EXPECTED: &'static str;

    /// The error for any other text.
    const ERROR: ParseError = ParseError {
        expected: Self::EXPECTED,
    };
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl error::Error for ParseError {}

/// Reads bytes from lower-case hexadecimal digits, two for each.
pub(crate) fn from_hex<const LEN: usize>(text: &str) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let decoded = base16ct::lower::decode(text, &mut bytes).ok()?;
    (decoded.len() == LEN).then_some(bytes)
}

/// The text of a time that TOML wrote without quotes. Returns `None` for any other map.
///
/// The `toml` crate has no public name for its times, and serde has no type for them.
pub(crate) fn of_toml<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<String>, A::Error> {
    match map.next_key::<String>()? {
        Some(key) if key == "$__toml_private_datetime" => map.next_value().map(Some),
        _ => Ok(None),
    }
}

/// Reads a value from its text.
pub(crate) struct OfText<T>(PhantomData<T>);

impl<T> OfText<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Text> Visitor<'_> for OfText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Reads a value from one of a few words.
pub(crate) struct OfWords<T: 'static> {
    pub(crate) words: &'static [&'static str],
    pub(crate) values: &'static [T],
}

impl<T: Copy> Visitor<'_> for OfWords<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {:?}", self.words)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let at = self.words.iter().position(|word| *word == text);
        at.and_then(|at| self.values.get(at))
            .copied()
            .ok_or_else(|| E::unknown_variant(text, self.words))
    }
}

/// Gives serde a word for each variant of an enum.
///
/// Not serde's own macro: it would make every application that uses this crate build `syn`.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        #[allow(dead_code, reason = "not all of these types are reported")]
        impl $type {
            pub(crate) const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            pub(crate) const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::text::OfWords {
                    words: &[$($word),+],
                    values: &Self::ALL,
                })
            }
        }
    };
}

pub(crate) use words;
