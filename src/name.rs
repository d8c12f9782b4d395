//! The names of sessions: strings, and types that the compiler checks.

/// A session's name as a type, so that the compiler catches typos.
///
/// Give it to the settings, and ask for it in handlers: by [`Sessions::get`](crate::Sessions::get),
/// and with axum by [`SessionOf`](crate::SessionOf), [`Typed`](crate::Typed) and
/// [`Flashes`](crate::Flashes). They find the session in whichever layer has it, however many are
/// around the handler.
///
/// ```
/// use silverback::{Error, Keys, SessionConfig, SessionLayer, SessionName, Sessions};
///
/// #[derive(Clone, Copy)]
/// struct Account;
///
/// impl SessionName for Account {
///     const NAME: &'static str = "account";
/// }
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let layer = SessionLayer::new(SessionConfig::cookie(Account, Keys::generate()?));
/// # Ok(())
/// # }
///
/// async fn page(sessions: Sessions) -> Result<Option<String>, Error> {
///     sessions.get(Account).await?.get("user")
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session",
    label = "not a `SessionName`",
    note = "write `impl SessionName for {Self} {{ const NAME: &'static str = \"account\"; }}` with the session's name"
)]
pub trait SessionName: 'static {
    /// The name in the settings: a token (RFC 9110, section 5.6.2), without `__Host-`.
    const NAME: &'static str;
}

/// A value that names a session: a string, or a [`SessionName`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session",
    label = "neither a string nor a `SessionName`",
    note = "a session is named by a string, such as `\"account\"`, or by a type that implements `SessionName`"
)]
pub trait Named {
    /// Returns the name.
    ///
    /// ```
    /// use silverback::Named;
    ///
    /// assert_eq!("account".name(), "account");
    /// ```
    fn name(&self) -> &str;
}

impl<N: SessionName> Named for N {
    fn name(&self) -> &str {
        N::NAME
    }
}

impl Named for &str {
    fn name(&self) -> &str {
        self
    }
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for &String {
    fn name(&self) -> &str {
        self
    }
}
