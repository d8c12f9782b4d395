//! Flash messages with a level.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use super::{Flashes, named::Selector};
use crate::error::Error;

/// A flash message with a level, so that a page can show success and failure apart.
///
/// It is a message like any other: [`flash`](crate::Session::flash) leaves one, and
/// [`flashes::<FlashMessage>()`](crate::Session::flashes) takes them. A plain text that was left is
/// read as [`Info`](FlashLevel::Info). Shown, it is its text; it is not escaped for HTML.
///
/// ```
/// use silverback::{Error, FlashMessage, Session};
///
/// fn rename(session: &Session) -> Result<(), Error> {
///     session.flash(FlashMessage::success("Your profile was saved"))
/// }
///
/// /// On the next page.
/// fn notes(session: &Session) -> Result<Vec<String>, Error> {
///     let messages: Vec<FlashMessage> = session.flashes()?;
///     let note = |message: &FlashMessage| format!("<p class={}>{message}", message.level);
///     Ok(messages.iter().map(note).collect())
/// }
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct FlashMessage {
    /// How it is meant.
    pub level: FlashLevel,
    /// What it says.
    pub text: String,
}

/// How a [`FlashMessage`] is meant. Its name, such as `success`, does for a CSS class.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FlashLevel {
    /// `success`: what the visitor asked for is done.
    Success,
    /// `info`: good to know.
    Info,
    /// `warning`: done, but look at it.
    Warning,
    /// `error`: not done.
    Error,
}

impl FlashMessage {
    /// A message of this level.
    pub fn new(level: FlashLevel, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { level, text }
    }

    /// A message that something is done.
    pub fn success(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Success, text)
    }

    /// A message that is good to know.
    pub fn info(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Info, text)
    }

    /// A message that something is done, and to be looked at.
    pub fn warning(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Warning, text)
    }

    /// A message that something is not done.
    pub fn error(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Error, text)
    }
}

impl FlashLevel {
    const ALL: [Self; 4] = [Self::Success, Self::Info, Self::Warning, Self::Error];
    const NAMES: &[&str] = &["success", "info", "warning", "error"];

    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Messages with a level; see [`FlashMessage`].
impl<N: Selector> Flashes<N> {
    /// Leaves a message that something is done.
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`](crate::Session::flash).
    pub fn success(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::success(text))
    }

    /// Leaves a message that is good to know.
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`](crate::Session::flash).
    pub fn info(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::info(text))
    }

    /// Leaves a message that something is done, and to be looked at.
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`](crate::Session::flash).
    pub fn warning(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::warning(text))
    }

    /// Leaves a message that something is not done.
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`](crate::Session::flash).
    pub fn error(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::error(text))
    }
}

impl fmt::Display for FlashMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for FlashLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As `["success", "Saved"]`: cookies are short.
impl Serialize for FlashMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.level, &self.text).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FlashMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessageVisitor)
    }
}

impl Serialize for FlashLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FlashLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let level = Self::ALL.into_iter().find(|level| level.as_str() == name);
        level.ok_or_else(|| de::Error::unknown_variant(&name, Self::NAMES))
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = FlashMessage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a level and a text, or a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FlashMessage, E> {
        Ok(FlashMessage::info(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<FlashMessage, A::Error> {
        let missing = |len| de::Error::invalid_length(len, &self);
        let level = parts.next_element()?.ok_or_else(|| missing(0))?;
        let text = parts.next_element()?.ok_or_else(|| missing(1))?;
        Ok(FlashMessage { level, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back_with_their_level() {
        for (level, name) in FlashLevel::ALL.into_iter().zip(FlashLevel::NAMES) {
            let message = FlashMessage::new(level, "hi");
            let json = serde_json::to_string(&message).unwrap();
            assert_eq!(json, format!("[\"{name}\",\"hi\"]"));
            assert_eq!(
                serde_json::from_str::<FlashMessage>(&json).unwrap(),
                message
            );
            assert_eq!(
                (message.to_string(), level.to_string()),
                ("hi".into(), (*name).to_owned())
            );
        }
    }

    #[test]
    fn a_plain_text_is_an_information() {
        let message: FlashMessage = serde_json::from_str("\"hi\"").unwrap();
        assert_eq!(message, FlashMessage::info("hi"));
    }

    #[test]
    fn anything_else_is_no_message() {
        for json in [
            "7",
            "[]",
            "[\"info\"]",
            "[\"loud\",\"hi\"]",
            "[\"info\",\"a\",\"b\"]",
            "{}",
        ] {
            assert!(
                serde_json::from_str::<FlashMessage>(json).is_err(),
                "{json}"
            );
        }
    }
}
