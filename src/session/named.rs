//! Types that select a session of a request.

use std::{fmt, marker::PhantomData, ops::Deref};

use super::Session;
use crate::{
    error::{Error, ErrorKind},
    name::SessionName,
};

/// The session of this [name](SessionName), in whichever layer it is: an extractor for axum.
///
/// It dereferences to [`Session`]. `Option<SessionOf<N>>` is `None` if the visitor has none yet.
///
/// ```
/// # use silverback::{Error, SessionName, SessionOf};
/// # #[derive(Clone, Copy)]
/// # struct Account;
/// # impl SessionName for Account { const NAME: &'static str = "account"; }
/// async fn greet(account: SessionOf<Account>) -> Result<String, Error> {
///     let user: Option<String> = account.get("user")?;
///     Ok(format!("Hello, {}", user.as_deref().unwrap_or("stranger")))
/// }
/// ```
pub struct SessionOf<N: SessionName> {
    session: Session,
    name: PhantomData<fn() -> N>,
}

impl<N: SessionName> SessionOf<N> {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            name: PhantomData,
        }
    }

    /// Wraps a session of this name, such as a [detached](Session::detached) one in a unit test of
    /// a handler.
    ///
    /// ```
    /// # use silverback::{Error, Key, Session, SessionConfig, SessionName, SessionOf};
    /// # #[derive(Clone, Copy)]
    /// # struct Account;
    /// # impl SessionName for Account { const NAME: &'static str = "account"; }
    /// # async fn greet(account: SessionOf<Account>) -> Result<String, Error> { Ok("Hello".into()) }
    /// # async fn f(key: Key) -> Result<(), Box<dyn std::error::Error>> {
    /// let account = Session::detached(&SessionConfig::cookie(Account, key))?;
    /// let greeting = greet(SessionOf::of(&account)?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownName`] if the session has another name.
    pub fn of(session: &Session) -> Result<Self, Error> {
        if session.name() == N::NAME {
            Ok(Self::new(session.clone()))
        } else {
            Err(Error::new(ErrorKind::UnknownName).of(N::NAME))
        }
    }

    /// Returns the session without its type, for functions that take any.
    ///
    /// ```
    /// # use silverback::{Error, Session, SessionName, SessionOf};
    /// # #[derive(Clone, Copy)]
    /// # struct Account;
    /// # impl SessionName for Account { const NAME: &'static str = "account"; }
    /// async fn log_out(account: SessionOf<Account>) -> Result<(), Error> {
    ///     end(account.into_session()).await
    /// }
    ///
    /// async fn end(session: Session) -> Result<(), Error> {
    ///     session.destroy().await
    /// }
    /// ```
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }
}

impl<N: SessionName> Deref for SessionOf<N> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<N: SessionName> Clone for SessionOf<N> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            name: PhantomData,
        }
    }
}

impl<N: SessionName> fmt::Debug for SessionOf<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

/// Selects the session that a plain [`Session`] is: the first one of the innermost layer around the
/// handler.
///
/// If layers are nested, use a [`SessionName`] instead: see [`Session`](Session#several-layers).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Innermost;

/// Selects the session of an extractor: that of a [`SessionName`], or the [`Innermost`] one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session",
    label = "not a `SessionName`",
    note = "write `impl SessionName for {Self} {{ const NAME: &'static str = \"account\"; }}` with the session's name"
)]
pub trait Selector: 'static {
    #[doc(hidden)]
    const NAME: Option<&'static str>;
}

impl Selector for Innermost {
    const NAME: Option<&'static str> = None;
}

impl<N: SessionName> Selector for N {
    const NAME: Option<&'static str> = Some(N::NAME);
}
