//! A move from tower-sessions to silverback's own layer that logs nobody out.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use silverback::{Clock, Session};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Former,
    cookie::{FormerCookie, Seal},
};
use crate::{
    answer::{failed, former_failed},
    failure::Failure,
    row::{Row, date},
};

/// A layer that moves the sessions of tower-sessions into silverback's, each when its visitor
/// comes. Place it inside a [`SessionLayer`](silverback::SessionLayer).
///
/// ```
/// use axum::{Router, routing::get};
/// use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
/// use silverback_tower_sessions::{Former, FormerSessions};
///
/// async fn user(session: Session) -> Result<String, Error> {
///     Ok(format!("user {:?}", session.get::<u64>("user")?))
/// }
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let old = tower_sessions::MemoryStore::default(); // the store that you used so far
/// let config = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?);
/// let app: Router = Router::new().route("/", get(user)).layer((
///     SessionLayer::new(config),
///     FormerSessions::new(Former::v0_14(old)), // until the last session in `old` is over
/// ));
/// # Ok(())
/// # }
/// ```
///
/// # What happens to a session
///
/// If a request has the cookie of tower-sessions and no valid one of yours, it gets a new session
/// with the old one's values before the handler runs. The new session is saved at once, with the
/// timeouts of your configuration. Unless the response is a 5xx or a 408, the old cookie is removed,
/// the response gets `Cache-Control: private, no-store` and loses fields that certain caches follow
/// instead, such as `CDN-Cache-Control`. The old record ends in 60 seconds.
///
/// - **Requests at the same time.** A page loads its parts side by side, so several requests may
///   bring the old cookie. In those 60 seconds each gets its own session. The browser keeps the
///   cookie that arrives last, and the other sessions are never used again.
/// - **Logout.** A request that has both cookies deletes the old record at once. So does one whose
///   handler ends the session it was just given. After any other logout, a copy of the old cookie
///   works for the rest of those 60 seconds.
/// - **Retries.** If the move is cut off at any point, or the browser never gets the response, the
///   old session stays for at least another minute.
///
/// If the former store fails or does not answer [in time](Former::timeout), or yours does not, the
/// answer is 503, and the handler does not run: an empty session in place of the existing one would
/// log the visitor out.
///
/// Requests without the old cookie only have their `Cookie` fields searched.
#[derive(Clone, Debug)]
pub struct FormerSessions(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    former: Former,
    cookie: FormerCookie,
    clock: Clock,
}

/// How long a session that has been moved can be moved again.
const GRACE: Duration = Duration::from_secs(60);

impl FormerSessions {
    /// Moves the sessions of `former`. By default the cookie is that of tower-sessions' defaults:
    /// its name is `id`, its path is `/`, and it is neither signed nor encrypted.
    ///
    /// ```
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// let former = FormerSessions::new(Former::v0_14(old));
    /// ```
    #[must_use]
    pub fn new(former: Former) -> Self {
        let cookie = FormerCookie {
            name: "id".into(),
            path: "/".into(),
            domain: None,
            seal: Seal::None,
        };
        Self(Arc::new(Shared {
            former,
            cookie,
            clock: Clock::system(),
        }))
    }

    /// Sets the cookie's name, as `SessionManagerLayer::with_name` did.
    ///
    /// ```
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// let former = FormerSessions::new(Former::v0_14(old)).name("sid");
    /// ```
    #[must_use]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.with(|shared| shared.cookie.name = name.into())
    }

    /// Sets the cookie's path, as `SessionManagerLayer::with_path` did. Browsers remove a cookie
    /// only by its own path.
    ///
    /// ```
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// let former = FormerSessions::new(Former::v0_14(old)).path("/shop");
    /// ```
    #[must_use]
    pub fn path(self, path: impl Into<Cow<'static, str>>) -> Self {
        self.with(|shared| shared.cookie.path = path.into())
    }

    /// Sets the cookie's domain, as `SessionManagerLayer::with_domain` did.
    ///
    /// ```
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// let former = FormerSessions::new(Former::v0_14(old)).domain("example.com");
    /// ```
    #[must_use]
    pub fn domain(self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.with(|shared| shared.cookie.domain = Some(domain.into()))
    }

    /// Accepts only signed cookies, as `SessionManagerLayer::with_signed` made them.
    ///
    /// ```
    /// use cookie::Key; // `tower_sessions::cookie::Key`
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// # let key = Key::generate();
    /// let former = FormerSessions::new(Former::v0_14(old)).signed(key);
    /// ```
    #[cfg(feature = "signed")]
    #[must_use]
    pub fn signed(self, key: cookie::Key) -> Self {
        self.with(|shared| shared.cookie.seal = Seal::Signed(key))
    }

    /// Accepts only encrypted cookies, as `SessionManagerLayer::with_private` made them.
    ///
    /// ```
    /// use cookie::Key; // `tower_sessions::cookie::Key`
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// # let key = Key::generate();
    /// let former = FormerSessions::new(Former::v0_14(old)).private(key);
    /// ```
    #[cfg(feature = "private")]
    #[must_use]
    pub fn private(self, key: cookie::Key) -> Self {
        self.with(|shared| shared.cookie.seal = Seal::Private(key))
    }

    /// Sets the clock that counts the 60 seconds of an old record. The former store uses the
    /// system's.
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp};
    /// # use silverback_tower_sessions::{Former, FormerSessions};
    /// # let old = tower_sessions::MemoryStore::default();
    /// let clock = Clock::manual(Timestamp::from_secs(4_000_000_000));
    /// let former = FormerSessions::new(Former::v0_14(old)).clock(clock);
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        self.with(|shared| shared.clock = clock)
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S> Layer<S> for FormerSessions {
    type Service = FormerSessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FormerSessionService {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

/// The service that [`FormerSessions`] makes.
#[derive(Clone, Debug)]
pub struct FormerSessionService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for FormerSessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Default + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let Some(visit) = Visit::of(&self.shared, &request) else {
            return Box::pin(self.inner.call(request));
        };
        // Only the service that was polled ready may be called (`tower_service::Service`).
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        Box::pin(visit.serve(inner, request))
    }
}

/// A request that has the cookie of tower-sessions.
struct Visit {
    shared: Arc<Shared>,
    session: Session,
    id: i128,
}

impl Visit {
    fn of<B>(shared: &Arc<Shared>, request: &Request<B>) -> Option<Self> {
        let text = shared.cookie.find(request.headers())?;
        Some(Self {
            id: shared.former.parse(&text)?,
            session: request.extensions().get::<Session>()?.clone(),
            shared: Arc::clone(shared),
        })
    }

    async fn serve<S, ReqBody, ResBody>(
        self,
        mut inner: S,
        request: Request<ReqBody>,
    ) -> Result<Response<ResBody>, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        ResBody: Default,
    {
        let is_stranger = self.session.claimed_key().is_none();
        let moved = match is_stranger {
            true => match self.move_in().await {
                Ok(moved) => moved,
                Err(NotMoved::Former(failure)) => return Ok(former_failed(&failure)),
                Err(NotMoved::Session(error)) => return Ok(failed(&error)),
            },
            false => None,
        };
        let mut response = inner.call(request).await?;
        // The session's layer keeps no values after these, and they may be in its cookie alone.
        let status = response.status();
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Ok(response);
        }
        let retired = match moved {
            Some(row) if self.still_has(&row) => self.retire(row).await,
            None if is_stranger => Ok(()),
            _ => self.shared.former.delete(self.id).await,
        };
        // Otherwise the browser sends the old cookie again, beside the new one.
        if retired.is_ok()
            && let Some(removal) = self.shared.cookie.removal()
        {
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, removal);
            keep_out_of_caches(headers);
        }
        Ok(response)
    }

    /// Gives the request's session the values of the old one.
    async fn move_in(&self) -> Result<Option<Row>, NotMoved> {
        let Some(row) = self.shared.former.load(self.id).await? else {
            return Ok(None);
        };
        self.session.load().await?;
        for (key, value) in &row.data {
            self.session.insert(key, value)?;
        }
        self.session.save().await?;
        Ok(Some(row))
    }

    /// Returns whether the handler has left any of the moved values.
    fn still_has(&self, row: &Row) -> bool {
        let mut keys = row.data.keys();
        keys.any(|key| self.session.contains_key(key).unwrap_or(true))
    }

    async fn retire(&self, row: Row) -> Result<(), Failure> {
        let end = self.shared.clock.now().saturating_add(GRACE);
        let expires = row.expires.min(date(end));
        self.shared.former.save(Row { expires, ..row }).await
    }
}

/// Keeps the removal of a cookie out of shared caches, which would take it from visitors who have
/// not moved yet.
fn keep_out_of_caches(headers: &mut HeaderMap) {
    let targeted = headers.keys().filter(|name| is_targeted(name.as_str()));
    let targeted: Vec<_> = targeted.cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
    let uncached = HeaderValue::from_static("private, no-store");
    headers.insert(header::CACHE_CONTROL, uncached);
}

/// Returns whether some caches follow this field instead of `Cache-Control`, as with silverback's
/// layer: RFC 9213, Varnish and Fastly, Akamai, nginx.
fn is_targeted(name: &str) -> bool {
    let known = ["surrogate-control", "edge-control", "x-accel-expires"];
    name.ends_with("-cache-control") || known.contains(&name)
}

enum NotMoved {
    Former(Failure),
    Session(silverback::Error),
}

impl From<Failure> for NotMoved {
    fn from(failure: Failure) -> Self {
        Self::Former(failure)
    }
}

impl From<silverback::Error> for NotMoved {
    fn from(error: silverback::Error) -> Self {
        Self::Session(error)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormerSessions")
            .field("cookie", &self.cookie.name)
            .finish_non_exhaustive()
    }
}
