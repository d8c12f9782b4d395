//! One setting of a file, as it is read and written: a switch, a number, a text.

use std::{fmt, time::Duration};

use cookie::SameSite;
use serde::{Serialize, Serializer, ser};

use super::duration;
use crate::{
    clock::Timestamp,
    text::{ParseError, Text as _},
};

/// A value that was read from a file.
///
/// Numbers and switches may come as text, since environment variables hold nothing else.
#[derive(Debug)]
pub(super) enum Input<'v> {
    Bool(bool),
    Number(u64),
    Text(&'v str),
    /// A kind of value that no setting has, such as a list.
    Other(&'static str),
}

/// What a setting expects, as part of an error's sentence.
pub(super) type Expected = &'static str;

const LENGTH_OF_TIME: Expected =
    "a length of time such as \"30m\", \"1h 30m\" or \"14 days\", or a number of seconds";

impl Input<'_> {
    pub(super) fn bool(&self) -> Result<bool, Expected> {
        match self {
            Self::Bool(is) => Ok(*is),
            Self::Text("true") => Ok(true),
            Self::Text("false") => Ok(false),
            _ => Err("true or false"),
        }
    }

    pub(super) fn text(&self) -> Result<String, Expected> {
        match self {
            Self::Text(text) => Ok((*text).to_owned()),
            _ => Err("text, in quotes"),
        }
    }

    pub(super) fn count(&self) -> Result<usize, Expected> {
        let number = self.number();
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or("a whole number, not below zero")
    }

    pub(super) fn duration(&self) -> Result<Duration, Expected> {
        let duration = match (self.number(), self) {
            (Some(secs), _) => Some(Duration::from_secs(secs)),
            (None, Self::Text(text)) => duration::parse(text),
            _ => None,
        };
        duration.ok_or(LENGTH_OF_TIME)
    }

    pub(super) fn time(&self) -> Result<Timestamp, Expected> {
        match self {
            Self::Number(secs) => Ok(Timestamp::from_secs(*secs)),
            Self::Text(text) => text.parse().map_err(|_: ParseError| Timestamp::EXPECTED),
            _ => Err(Timestamp::EXPECTED),
        }
    }

    /// Ignores case, as browsers do (RFC 6265bis, section 5.6.7).
    pub(super) fn same_site(&self) -> Result<SameSite, Expected> {
        let all = [SameSite::Strict, SameSite::Lax, SameSite::None];
        let Self::Text(text) = self else {
            return Err(SAME_SITE);
        };
        let mut all = all.into_iter();
        all.find(|same_site| same_site.to_string().eq_ignore_ascii_case(text))
            .ok_or(SAME_SITE)
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
    }
}

const SAME_SITE: Expected = "\"Strict\", \"Lax\" or \"None\"";

/// Shows the value as an error quotes it.
impl fmt::Display for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(is) => is.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// A value to be written to a file.
#[derive(Debug)]
pub(super) enum Output {
    Bool(bool),
    Count(usize),
    Length(Duration),
    Text(String),
    Tables(Vec<Vec<(&'static str, Self)>>),
}

impl Output {
    /// Returns `None` if there is no table.
    pub(super) fn tables(tables: impl Iterator<Item = Vec<(&'static str, Self)>>) -> Option<Self> {
        let tables: Vec<_> = tables.collect();
        (!tables.is_empty()).then_some(Self::Tables(tables))
    }

    pub(super) fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(is) => is.serialize(serializer),
            Self::Count(count) => count.serialize(serializer),
            Self::Length(length) => match duration::write(*length) {
                Some(text) => text.serialize(serializer),
                None => Err(ser::Error::custom(format_args!(
                    "{length:?} cannot be written: the smallest unit of a file is a millisecond"
                ))),
            },
            Self::Text(text) => text.serialize(serializer),
            Self::Tables(tables) => serializer.collect_seq(tables.iter().map(|it| Fields(it))),
        }
    }
}

/// A table to be written.
struct Fields<'a>(&'a [(&'static str, Output)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, value)| (field, value)))
    }
}
