//! The layer: which sessions there are, checked before the first request.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use crate::{
    clock::Clock, config::SessionConfig, error::ConfigError, request::Shared,
    responder::DefaultResponder, service::SessionService, trace,
};

/// Gives the service it wraps one or more sessions.
///
/// ```
/// use silverback::{Keys, SessionConfig, SessionLayer, store::MemoryStore};
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let keys = Keys::generate()?;
/// let layer = SessionLayer::new(SessionConfig::cookie("account", keys.clone()))
///     .with(SessionConfig::new("cart", MemoryStore::new(), keys));
/// # Ok(())
/// # }
/// ```
///
/// The handle of the first session is put into the request's extensions as a
/// [`Session`](crate::Session); [`Sessions`](crate::Sessions) has all of them. Layers can be
/// nested: each commits its own sessions, and [`Sessions`](crate::Sessions) finds those of the
/// outer ones too.
pub struct SessionLayer<R = DefaultResponder> {
    shared: Shared,
    responder: Arc<R>,
}

impl SessionLayer {
    /// Makes a layer of one session.
    ///
    /// # Panics
    ///
    /// If the settings cannot work, as browsers would drop such a cookie silently. Names and
    /// attributes are usually literals; for those that are not there is [`try_new`](Self::try_new).
    #[must_use]
    #[track_caller]
    pub fn new(config: SessionConfig) -> Self {
        Self::try_new(config).unwrap_or_else(|error| refuse(&error))
    }

    /// Makes a layer of one session.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what to change.
    pub fn try_new(config: SessionConfig) -> Result<Self, ConfigError> {
        let shared = Shared {
            sessions: Vec::new(),
            clock: Clock::system(),
        };
        Self {
            shared,
            responder: Arc::new(DefaultResponder),
        }
        .try_with(config)
    }
}

impl<R> SessionLayer<R> {
    /// Adds a session.
    ///
    /// # Panics
    ///
    /// As [`new`](SessionLayer::new), and if there is a session of that name already.
    #[must_use]
    #[track_caller]
    pub fn with(self, config: SessionConfig) -> Self {
        self.try_with(config).unwrap_or_else(|error| refuse(&error))
    }

    /// Adds a session.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what to change.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads as the other builders do"
    )]
    pub fn try_with(mut self, config: SessionConfig) -> Result<Self, ConfigError> {
        let settings = config.build()?;
        if self
            .shared
            .sessions
            .iter()
            .any(|other| other.name == settings.name)
        {
            return Err(ConfigError::DuplicateName(settings.name.into()));
        }
        let path = &settings.attributes.path;
        if path.len() > 1 && path.ends_with('/') {
            trace::path_ends_with_slash(&settings.name, path);
        }
        self.shared.sessions.push(Arc::new(settings));
        Ok(self)
    }

    /// Answers in another way when a session could not be saved; see
    /// [`Responder`](crate::Responder).
    #[must_use]
    pub fn on_failure<T>(self, responder: T) -> SessionLayer<T> {
        SessionLayer {
            shared: self.shared,
            responder: Arc::new(responder),
        }
    }

    /// Tells the time by another clock, for tests.
    ///
    /// Stores have a clock of their own: give them the same, or they take every session for
    /// expired.
    ///
    /// ```
    /// # use silverback::{Clock, Keys, SessionConfig, SessionLayer, Timestamp, store::MemoryStore};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = MemoryStore::new().clock(clock.clone());
    /// let layer = SessionLayer::new(SessionConfig::new("session", store, Keys::generate()?)).clock(clock.clone());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.shared.clock = clock;
        self
    }
}

#[track_caller]
#[expect(
    clippy::panic,
    reason = "a literal that cannot work shows at start-up, as in axum's Router"
)]
fn refuse<T>(error: &ConfigError) -> T {
    panic!("invalid session configuration: {error}")
}

impl<S, R> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(
            inner,
            Arc::new(self.shared.clone()),
            Arc::clone(&self.responder),
        )
    }
}

impl<R> Clone for SessionLayer<R> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            responder: Arc::clone(&self.responder),
        }
    }
}

impl<R> fmt::Debug for SessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.shared.sessions.iter().map(|settings| &settings.name);
        f.debug_list().entries(names).finish()
    }
}
