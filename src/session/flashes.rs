//! The handle [`Flashes`], for handlers that only show or leave messages.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    message::FlashMessage,
    named::{Innermost, Selector, SessionOf},
};
use crate::{error::Error, name::SessionName};

/// The flash messages of a session, for handlers that need nothing else.
///
/// With axum it is an extractor. `Flashes` are those of the session that a plain [`Session`] is,
/// and `Flashes<Account>` those of the [`SessionName`](crate::SessionName) `Account`.
///
/// | You want to | Call | In a named queue |
/// |---|---|---|
/// | leave a message for the next page | [`push`](Self::push), [`Session::flash`] | [`Session::flash_in`] |
/// | leave one with a level | [`success`](Self::success), [`info`](Self::info), [`warning`](Self::warning), [`error`](Self::error) | `flash_in` of a [`FlashMessage`](crate::FlashMessage) |
/// | show them | [`take`](Self::take), [`Session::flashes`] | [`Session::flashes_in`] |
/// | show them in exactly one of several requests | [`claim`](Self::claim), [`Session::claim_flashes`] | [`Session::claim_flashes_in`] |
/// | look at them and leave them there | [`peek`](Self::peek), [`Session::peek_flashes`] | [`Session::peek_flashes_in`] |
/// | put back the ones you took | [`keep`](Self::keep), [`Session::keep_flashes`] | [`Session::keep_flashes_in`] |
///
/// A message for the page that is being answered needs no flash: show it.
///
/// ```
/// use silverback::{Error, FlashMessage, Flashes, Session};
///
/// fn save_cart(session: &Session) -> Result<(), Error> {
///     Flashes::of(session).success("Your cart was saved")
/// }
///
/// fn next_page(session: &Session) -> Result<String, Error> {
///     let messages = Flashes::of(session).take::<FlashMessage>()?; // the type that was left
///     let line = |message: &FlashMessage| format!("{}: {}\n", message.level, message.text);
///     Ok(messages.iter().map(line).collect()) // in HTML, escape the text
/// }
/// ```
pub struct Flashes<N: Selector = Innermost> {
    session: Session,
    name: PhantomData<fn() -> N>,
}

impl Flashes {
    /// Returns the messages of this session, whatever its name: for code outside axum, and for
    /// tests.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// use silverback::Flashes;
    ///
    /// Flashes::of(&session).success("Saved")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self::at(session.clone())
    }
}

impl<N: Selector> Flashes<N> {
    pub(crate) fn at(session: Session) -> Self {
        Self {
            session,
            name: PhantomData,
        }
    }

    /// Leaves a message; see [`Session::flash`].
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = silverback::Flashes::of(&session);
    /// flashes.push("Saved")?;
    /// assert_eq!(flashes.take::<String>()?, ["Saved"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`].
    pub fn push<T: Serialize>(&self, message: T) -> Result<(), Error> {
        self.session.flash(message)
    }

    /// Takes all messages; see [`Session::flashes`].
    ///
    /// ```
    /// # use silverback::{Error, FlashMessage, Flashes};
    /// async fn page(flashes: Flashes) -> Result<String, Error> {
    ///     let messages: Vec<FlashMessage> = flashes.take()?;
    ///     Ok(messages.iter().map(|message| format!("{}: {message}\n", message.level)).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::flashes`].
    pub fn take<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.session.flashes()
    }

    /// Returns all messages and leaves them there; see [`Session::peek_flashes`].
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = silverback::Flashes::of(&session);
    /// flashes.push("Saved")?;
    /// assert_eq!(flashes.peek::<String>()?, flashes.take::<String>()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::peek_flashes`].
    pub fn peek<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.session.peek_flashes()
    }

    /// Puts back the messages that this request has taken; see [`Session::keep_flashes`].
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = silverback::Flashes::of(&session);
    /// flashes.push("Saved")?;
    /// let taken: Vec<String> = flashes.take()?;
    /// flashes.keep()?; // the next page shows them
    /// assert_eq!(flashes.peek::<String>()?, taken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::keep_flashes`].
    pub fn keep(&self) -> Result<(), Error> {
        self.session.keep_flashes()
    }

    /// Takes all messages for this request alone; see [`Session::claim_flashes`].
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// # let flashes = silverback::Flashes::of(&session);
    /// flashes.push("You have won")?;
    /// assert_eq!(flashes.claim::<String>().await?, ["You have won"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::claim_flashes`].
    pub async fn claim<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.session.claim_flashes().await
    }
}

/// Messages with a level; see [`FlashMessage`].
impl<N: Selector> Flashes<N> {
    /// Leaves a message with the level [`Success`](crate::FlashLevel::Success).
    ///
    /// ```
    /// # use silverback::{FlashMessage, Flashes, Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = Flashes::of(&session);
    /// flashes.success("Saved")?;
    /// assert_eq!(flashes.take::<FlashMessage>()?, [FlashMessage::success("Saved")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`].
    pub fn success(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::success(text))
    }

    /// Leaves a message with the level [`Info`](crate::FlashLevel::Info).
    ///
    /// ```
    /// # use silverback::{FlashMessage, Flashes, Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = Flashes::of(&session);
    /// flashes.info("We close at six")?;
    /// assert_eq!(flashes.take::<FlashMessage>()?, [FlashMessage::info("We close at six")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`].
    pub fn info(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::info(text))
    }

    /// Leaves a message with the level [`Warning`](crate::FlashLevel::Warning).
    ///
    /// ```
    /// # use silverback::{FlashMessage, Flashes, Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = Flashes::of(&session);
    /// flashes.warning("One item was sold out")?;
    /// assert_eq!(flashes.take::<FlashMessage>()?, [FlashMessage::warning("One item was sold out")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`].
    pub fn warning(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::warning(text))
    }

    /// Leaves a message with the level [`Error`](crate::FlashLevel::Error).
    ///
    /// ```
    /// # use silverback::{FlashMessage, Flashes, Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let flashes = Flashes::of(&session);
    /// flashes.error("The card was refused")?;
    /// assert_eq!(flashes.take::<FlashMessage>()?, [FlashMessage::error("The card was refused")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::flash`].
    pub fn error(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(FlashMessage::error(text))
    }
}

impl<N: SessionName> From<SessionOf<N>> for Flashes<N> {
    fn from(session: SessionOf<N>) -> Self {
        Self::at(session.into_session())
    }
}

impl<N: Selector> Clone for Flashes<N> {
    fn clone(&self) -> Self {
        Self::at(self.session.clone())
    }
}

impl<N: Selector> fmt::Debug for Flashes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flashes").field(&self.session).finish()
    }
}
