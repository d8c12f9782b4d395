//! A session without a request.

use std::sync::Arc;

use super::Session;
use crate::{
    clock::Clock,
    config::SessionConfig,
    error::ConfigError,
    request::{Registry, Shared},
    state::View,
    turn::{Anchor, Origin},
};

/// A session without a layer.
impl Session {
    /// Makes a new, empty session outside of any layer and request: for unit tests of handlers, and
    /// of functions that take a `&Session`.
    ///
    /// It is loaded, wherever it is kept, and behaves like a new session in a request.
    /// [`save`](Self::save) writes a session of a store there, under a
    /// [`record_key`](Self::record_key). [`destroy`](Self::destroy) ends it. There is no response,
    /// so there is no cookie; [`testing::commit`](crate::testing::commit) does what a response
    /// would do.
    ///
    /// A handler takes it as a `Session`, as [`SessionOf::of`](crate::SessionOf::of),
    /// [`Typed::of`](crate::Typed::of) or [`Flashes::of`](crate::Flashes::of), or as
    /// [`Sessions::from`](crate::Sessions). A `SessionOf<Account>` becomes a `Typed<T, Account>` or
    /// a `Flashes<Account>` by `into()`. For several sessions, or a clock other than the system's,
    /// see [`SessionLayer::detached`](crate::SessionLayer::detached).
    ///
    /// ```
    /// use silverback::{Error, Key, Session, SessionConfig};
    ///
    /// fn greet(session: &Session) -> Result<String, Error> {
    ///     let user: Option<String> = session.get("user")?;
    ///     Ok(format!("Hello, {}", user.as_deref().unwrap_or("stranger")))
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// assert_eq!(greet(&session)?, "Hello, stranger");
    /// session.insert("user", "Ada")?;
    /// assert_eq!(greet(&session)?, "Hello, Ada");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`SessionLayer::try_new`](crate::SessionLayer::try_new).
    pub fn detached(config: &SessionConfig) -> Result<Self, ConfigError> {
        let shared = Shared::of(Arc::new(config.build()?), Clock::system());
        let registry = Registry::new(Arc::new(shared), [], Origin::Detached);
        let handle = registry.first();
        let view = View::new(handle.clock().now(), None);
        handle.cell().with(|state| state.view = Some(view));
        Ok(Self { handle })
    }
}
