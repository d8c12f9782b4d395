//! Which session of a request is meant, said by a type.

use std::{fmt, marker::PhantomData, ops::Deref};

use super::Session;
use crate::name::SessionName;

/// The session of this [name](SessionName), in whichever layer has it: an extractor for axum.
///
/// It is used as the [`Session`] that it is. `Option<SessionOf<N>>` is `None` if the visitor has
/// none yet.
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
pub struct SessionOf<N> {
    session: Session,
    name: PhantomData<fn() -> N>,
}

impl<N: SessionName> SessionOf<N> {
    #[cfg_attr(not(feature = "axum"), allow(dead_code))]
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            name: PhantomData,
        }
    }

    /// Returns the session without its type.
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }
}

impl<N> Deref for SessionOf<N> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<N> Clone for SessionOf<N> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for SessionOf<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

/// The session that a plain [`Session`] is: the first one of the innermost layer around the handler.
///
/// Say a [`SessionName`] instead where layers are nested: see [`Session`](Session#several-layers).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Innermost;

/// Which session an extractor takes: that of a [`SessionName`], or the [`Innermost`] one.
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
