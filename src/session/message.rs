//! Flash messages with a level.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

/// A flash message with a level, so that a page can show successes and failures differently.
///
/// It is a message like any other: [`flash`](crate::Session::flash) leaves one, and
/// [`flashes::<FlashMessage>()`](crate::Session::flashes) takes them. A plain text is read as
/// [`Info`](FlashLevel::Info). It displays as its text, which is not escaped for HTML.
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
///     let note = |message: &FlashMessage| format!("{}: {message}", message.level);
///     Ok(messages.iter().map(note).collect())
/// }
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct FlashMessage {
    /// Its level.
    pub level: FlashLevel,
    /// Its text.
    pub text: String,
}

/// The level of a [`FlashMessage`]. It displays as its name, such as `success`, which can serve as
/// a CSS class.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FlashLevel {
    /// `success`: the request is done.
    Success,
    /// `info`: something worth knowing.
    Info,
    /// `warning`: done, but worth a look.
    Warning,
    /// `error`: not done.
    Error,
}

impl FlashMessage {
    /// Makes a message with this level.
    ///
    /// ```
    /// use silverback::{FlashLevel, FlashMessage};
    ///
    /// let level = if 3 > 2 { FlashLevel::Warning } else { FlashLevel::Info };
    /// let message = FlashMessage::new(level, "Three failed logins since your last visit");
    /// assert_eq!(message.level, FlashLevel::Warning);
    /// ```
    pub fn new(level: FlashLevel, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { level, text }
    }

    /// Makes a message about a success.
    ///
    /// ```
    /// use silverback::{FlashLevel, FlashMessage};
    ///
    /// assert_eq!(FlashMessage::success("Saved").level, FlashLevel::Success);
    /// ```
    pub fn success(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Success, text)
    }

    /// Makes a message about something worth knowing.
    ///
    /// ```
    /// use silverback::{FlashLevel, FlashMessage};
    ///
    /// assert_eq!(FlashMessage::info("We close at six").level, FlashLevel::Info);
    /// ```
    pub fn info(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Info, text)
    }

    /// Makes a message about a success that is worth a look.
    ///
    /// ```
    /// use silverback::{FlashLevel, FlashMessage};
    ///
    /// assert_eq!(FlashMessage::warning("One item was sold out").level, FlashLevel::Warning);
    /// ```
    pub fn warning(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Warning, text)
    }

    /// Makes a message about a failure.
    ///
    /// ```
    /// use silverback::{FlashLevel, FlashMessage};
    ///
    /// assert_eq!(FlashMessage::error("The card was refused").level, FlashLevel::Error);
    /// ```
    pub fn error(text: impl Into<String>) -> Self {
        Self::new(FlashLevel::Error, text)
    }
}

impl FlashLevel {
    const ALL: [Self; 4] = [Self::Success, Self::Info, Self::Warning, Self::Error];
    const NAMES: &[&str] = &["success", "info", "warning", "error"];

    /// Returns the level's name.
    ///
    /// ```
    /// use silverback::FlashLevel;
    ///
    /// assert_eq!(FlashLevel::Success.as_str(), "success");
    /// ```
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

/// Written as `["success", "Saved"]`, since room in cookies is scarce.
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
    fn a_plain_text_has_the_level_info() {
        let message: FlashMessage = serde_json::from_str("\"hi\"").unwrap();
        assert_eq!(message, FlashMessage::info("hi"));
    }

    #[test]
    fn anything_else_is_not_a_message() {
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
