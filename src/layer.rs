//! The layer: which sessions there are, checked before the first request.

use std::{fmt, sync::Arc};

use http::{HeaderMap, StatusCode};
use tower_layer::Layer;

use crate::{
    clock::Clock,
    config::SessionConfig,
    error::ConfigError,
    request::{Registry, Shared},
    responder::DefaultResponder,
    service::SessionService,
    session::Session,
    sessions::Sessions,
    trace,
};

/// Gives the service it wraps one or more sessions.
///
/// ```
/// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
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
/// outer ones too. If a layer inside cannot save its sessions, its 503 is an answer like others to
/// the layers outside, which save nothing then. Sessions added by [`with`](Self::with) are saved
/// together.
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
            keep_if: None,
            allows_shared_caching: false,
            report: Arc::default(),
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
            .any(|other| other.is_called_as(&settings))
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

    /// Says by the head of a response whether its handler's changes are kept.
    ///
    /// `false` is as if the handler had answered 500: values, flash messages and lifetimes are as
    /// before, while a renewal is done and an end stays one. `true` changes nothing: 408 and 5xx
    /// keep nothing in any case. [`Session`](crate::Session#which-changes-last) has the table. By
    /// default every response below 500 but 408 keeps its changes.
    ///
    /// It is asked once the response is there, and only for requests that used a session. It must
    /// not wait.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig, SessionLayer};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?))
    ///     .keep_if(|status, _headers| !status.is_client_error());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn keep_if(
        mut self,
        keep_if: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.shared.keep_if = Some(Arc::new(keep_if));
        self
    }

    /// Leaves a handler's `Cache-Control: public` and the like as they are beside a session's
    /// cookie.
    ///
    /// By default the layer sees to what caches may do with a response:
    ///
    /// | The response | `Vary` | `Cache-Control` |
    /// |---|---|---|
    /// | used no session | - | the handler's |
    /// | asked for a session, and there is none | `Cookie` | the handler's |
    /// | used a session that is there | `Cookie` | the handler's, or `private, no-cache` |
    /// | sets or removes a session's cookie | `Cookie` | the handler's if no shared cache may keep it, or `no-store` |
    ///
    /// A shared cache may keep what has neither `private` nor `no-store`, unless it says `no-cache`
    /// and no time (RFC 9111, section 5.2). Beside a session's cookie such a `Cache-Control` becomes
    /// `private, no-store`, with an event, because the cache would hand one visitor's session to
    /// the next. `CDN-Cache-Control` and its kind (RFC 9213), `Surrogate-Control`, `Edge-Control`
    /// and `X-Accel-Expires` are removed if they allow it.
    ///
    /// Call this if a cache of yours drops `Set-Cookie` from what it keeps, or keeps nothing that
    /// has one.
    #[must_use]
    pub fn allow_shared_caching(mut self) -> Self {
        self.shared.allows_shared_caching = true;
        self
    }

    /// Makes the sessions of a request that is none: new and empty, with this layer's settings and
    /// clock. It is for unit tests, as [`Session::detached`](crate::Session::detached) is, of handlers
    /// that use several sessions or the time.
    ///
    /// ```
    /// # use silverback::{Error, Keys, SessionConfig, SessionLayer, Sessions, store::MemoryStore};
    /// async fn check_out(sessions: Sessions) -> Result<(), Error> {
    ///     sessions.get("account").await?.flash("Thank you")?;
    ///     sessions.get("cart").await?.clear()
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Keys::generate()?;
    /// let layer = SessionLayer::new(SessionConfig::cookie("account", keys.clone()))
    ///     .with(SessionConfig::new("cart", MemoryStore::new(), keys));
    /// let sessions = layer.detached();
    /// let (account, cart) = (sessions.get("account").await?, sessions.get("cart").await?);
    /// cart.insert("item", 7)?;
    /// check_out(sessions).await?;
    /// assert_eq!(account.flashes::<String>()?, ["Thank you"]);
    /// assert!(cart.is_empty()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn detached(&self) -> Sessions {
        let registry = Registry::new(Arc::new(self.shared.clone()), [], false);
        registry.exchange.detach();
        Sessions::from(Session::from(registry.first()))
    }

    /// Tells the time by another clock, for tests.
    ///
    /// Stores have a clock of their own: give them the same. A store whose clock is so far ahead
    /// that a session would be over at once says so: [`ErrorKind::ClocksDiffer`](crate::ErrorKind::ClocksDiffer).
    ///
    /// ```
    /// # use silverback::{Clock, Keys, MemoryStore, SessionConfig, SessionLayer, Timestamp};
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
