//! The layer. It checks its sessions' settings before the first request.

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
    turn::Origin,
};

/// Adds one or more sessions to the service that it wraps.
///
/// ```
/// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
///
/// let keys = Keys::generate()?;
/// let layer = SessionLayer::new(SessionConfig::cookie("account", keys.clone()))
///     .with(SessionConfig::new("cart", MemoryStore::new(), keys));
/// # Ok::<(), silverback::KeyError>(())
/// ```
///
/// The handle of the first session goes into the request's extensions as a
/// [`Session`](crate::Session). [`Sessions`](crate::Sessions) has all of them. Sessions added by
/// [`with`](Self::with) are saved together.
///
/// Layers can be nested. Each saves its own sessions, and [`Sessions`](crate::Sessions) finds those
/// of outer layers too. If an inner layer cannot save its sessions, the outer layers see its 503 as
/// an ordinary response, and save nothing.
#[derive(Clone)]
pub struct SessionLayer<R = DefaultResponder> {
    shared: Shared,
    responder: R,
}

impl SessionLayer {
    /// Makes a layer with one session.
    ///
    /// ```
    /// use silverback::{Keys, SessionConfig, SessionLayer};
    ///
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the settings cannot work, since browsers would silently drop the cookie. Names and
    /// attributes are usually literals. If yours are not, use [`try_new`](Self::try_new).
    #[must_use]
    #[track_caller]
    pub fn new(config: SessionConfig) -> Self {
        accept(Self::try_new(config))
    }

    /// Makes a layer with one session, with settings that come from outside the program.
    ///
    /// ```
    /// use silverback::{Keys, SessionConfig, SessionLayer};
    ///
    /// # let keys = Keys::generate()?;
    /// let name = "my session"; // from a file
    /// let error = SessionLayer::try_new(SessionConfig::cookie(name, keys)).unwrap_err();
    /// assert!(error.to_string().contains("cannot be a cookie's name"));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what to change.
    pub fn try_new(config: SessionConfig) -> Result<Self, ConfigError> {
        let layer = Self {
            shared: Shared::default(),
            responder: DefaultResponder,
        };
        layer.try_with(config)
    }
}

impl<R> SessionLayer<R> {
    /// Adds a session.
    ///
    /// ```
    /// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
    ///
    /// let keys = Keys::generate()?;
    /// let layer = SessionLayer::new(SessionConfig::cookie("account", keys.clone()))
    ///     .with(SessionConfig::new("cart", MemoryStore::new(), keys));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`new`](SessionLayer::new), and if the layer already has a session with that name or
    /// with that cookie.
    #[must_use]
    #[track_caller]
    pub fn with(self, config: SessionConfig) -> Self {
        accept(self.try_with(config))
    }

    /// Adds a session, with settings that come from outside the program.
    ///
    /// ```
    /// use silverback::{ConfigError, Keys, SessionConfig, SessionLayer};
    ///
    /// # let keys = Keys::generate()?;
    /// let account = SessionConfig::cookie("account", keys);
    /// let again = SessionLayer::new(account.clone()).try_with(account);
    /// assert!(matches!(again, Err(ConfigError::DuplicateName(_))));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what to change.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "consistent with the other builders"
    )]
    pub fn try_with(mut self, config: SessionConfig) -> Result<Self, ConfigError> {
        let settings = config.build()?;
        for other in &self.shared.sessions {
            other.check_apart(&settings)?;
        }
        let path = &settings.attributes.path;
        if path.len() > 1 && path.ends_with('/') {
            trace::path_ends_with_slash(&settings.name, path);
        }
        self.shared.sessions.push(Arc::new(settings));
        Ok(self)
    }

    /// Sets the response to a request whose sessions could not be saved; see
    /// [`Responder`](crate::Responder).
    ///
    /// ```
    /// use http::Response;
    /// use silverback::{FailedCommit, Keys, SessionConfig, SessionLayer};
    ///
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?)).on_failure(
    ///     |failed: FailedCommit<String>| {
    ///         let mut response = Response::new("Please try again.".to_owned());
    ///         *response.status_mut() = failed.answer().status();
    ///         response
    ///     },
    /// );
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// Each request gets a clone of the responder. Put one that is large or not `Clone` into an
    /// [`Arc`]:
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use http::Response;
    /// use silverback::{FailedCommit, Keys, Responder, SessionConfig, SessionLayer};
    ///
    /// struct Page {
    ///     text: String,
    /// }
    ///
    /// impl Responder<String> for Page {
    ///     fn respond(&self, failed: FailedCommit<String>) -> Response<String> {
    ///         let mut response = Response::new(self.text.clone());
    ///         *response.status_mut() = failed.answer().status();
    ///         response
    ///     }
    /// }
    ///
    /// let page = Arc::new(Page { text: "Please try again.".to_owned() });
    /// let config = SessionConfig::cookie("session", Keys::generate()?);
    /// let layer = SessionLayer::new(config).on_failure(page);
    /// # use tower::Layer;
    /// # let _ = async |request: http::Request<()>| {
    /// #     let inner = tower::service_fn(async |_| Ok::<_, ()>(Response::new(String::new())));
    /// #     tower::Service::call(&mut layer.layer(inner), request).await
    /// # };
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn on_failure<T: Clone>(self, responder: T) -> SessionLayer<T> {
        SessionLayer {
            shared: self.shared,
            responder,
        }
    }

    /// Decides from the head of a response whether to keep its handler's changes.
    ///
    /// `false` treats the response like a 500: values, flash messages and lifetimes stay as they
    /// were, a renewal is still carried out, and an ended session stays ended. `true` cannot keep
    /// what a 408 or 5xx discards. [`Session`](crate::Session#which-changes-last) has the table. By
    /// default, every response with a status below 500 other than 408 keeps its changes.
    ///
    /// The function is called once when the response is ready, and only for requests that used a
    /// session. It must not block.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig, SessionLayer};
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?))
    ///     .keep_if(|status, _headers| !status.is_client_error());
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn keep_if(
        mut self,
        keep_if: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.shared.keep_if = Some(Arc::new(keep_if));
        self
    }

    /// Keeps a handler's `Cache-Control: public` and the like, even beside a session's cookie.
    ///
    /// By default the layer controls what caches may do with a response:
    ///
    /// | The response | `Vary` | `Cache-Control` |
    /// |---|---|---|
    /// | used no session | – | the handler's |
    /// | asked for a session that does not exist | `Cookie` | the handler's |
    /// | used a session that exists | `Cookie` | the handler's, or `private, no-cache` |
    /// | sets or removes a session's cookie | `Cookie` | the handler's if no shared cache may keep it, or `no-store` |
    ///
    /// A shared cache may keep a response with neither `private` nor `no-store`, unless it has
    /// `no-cache` and no lifetime (RFC 9111, section 5.2). Beside `must-understand`, `no-store` does
    /// not count. Beside a session's cookie such a `Cache-Control` becomes `private, no-store`, with
    /// an event, because the cache would hand one visitor's session to the next.
    /// `CDN-Cache-Control` and similar fields (RFC 9213), `Surrogate-Control`, `Edge-Control` and
    /// `X-Accel-Expires` are removed if they allow it.
    ///
    /// Call this if your cache drops `Set-Cookie` from the responses that it keeps, or does not
    /// keep responses with `Set-Cookie`.
    ///
    /// ```
    /// # use silverback::{Keys, SessionConfig, SessionLayer};
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?))
    ///     .allow_shared_caching();
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn allow_shared_caching(mut self) -> Self {
        self.shared.allows_shared_caching = true;
        self
    }

    /// Makes sessions outside of any request: new and empty, with this layer's settings and clock.
    /// Like [`Session::detached`](crate::Session::detached), this is for unit tests: of handlers
    /// that use several sessions, or the time.
    ///
    /// ```
    /// # use silverback::{Error, Keys, MemoryStore, SessionConfig, SessionLayer, Sessions};
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
        let registry = Registry::new(Arc::new(self.shared.clone()), [], Origin::Detached);
        Sessions::from(Session::from(registry.first()))
    }

    /// Uses another clock, for tests.
    ///
    /// Stores have their own clock: give them the same one. If a store's clock is so far ahead that
    /// a session would expire at once, saving fails with
    /// [`ErrorKind::ClocksDiffer`](crate::ErrorKind::ClocksDiffer).
    ///
    /// ```
    /// # use silverback::{Clock, Keys, MemoryStore, SessionConfig, SessionLayer, Timestamp};
    /// # let keys = Keys::generate()?;
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let store = MemoryStore::new().clock(clock.clone());
    /// let layer = SessionLayer::new(SessionConfig::new("session", store, keys)).clock(clock.clone());
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.shared.clock = clock;
        self
    }
}

/// The panic names the line of the application that has the setting.
#[track_caller]
#[expect(
    clippy::panic,
    reason = "an invalid literal fails at start-up, as in axum's Router"
)]
fn accept<R>(layer: Result<SessionLayer<R>, ConfigError>) -> SessionLayer<R> {
    match layer {
        Ok(layer) => layer,
        Err(error) => panic!("invalid session configuration: {error}"),
    }
}

impl<S, R: Clone> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, Arc::new(self.shared.clone()), self.responder.clone())
    }
}

impl<R> fmt::Debug for SessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.shared.sessions.iter().map(|settings| &settings.name);
        f.debug_list().entries(names).finish()
    }
}
