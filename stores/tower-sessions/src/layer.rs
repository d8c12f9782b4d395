//! The `Session` of tower-sessions, over silverback's layer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use http::{Extensions, Request, Response, StatusCode};
use silverback::Session;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    answer::{failed, failed_with},
    request::{RequestStore, id_of},
    row::random_id,
};

/// A layer that gives handlers a `tower_sessions::Session` that is the request's
/// [`silverback::Session`]. Place it inside a [`SessionLayer`](silverback::SessionLayer), in place
/// of `SessionManagerLayer`.
///
/// ```
/// use axum::{Router, routing::get};
/// use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
/// use silverback_tower_sessions::TowerSessionLayer;
/// use tower_sessions::{Session, session::Error};
///
/// async fn visits(session: Session) -> String {
///     let visits: u32 = session.get("visits").await.ok().flatten().unwrap_or(0);
///     session.insert("visits", visits + 1).await.expect("the store answers");
///     format!("visit {}", visits + 1)
/// }
///
/// # fn main() -> Result<(), silverback::KeyError> {
/// let config = SessionConfig::new("account", MemoryStore::new(), Keys::generate()?);
/// let app: Router = Router::new()
///     .route("/", get(visits))
///     // instead of .layer(SessionManagerLayer::new(store))
///     .layer((SessionLayer::new(config), TowerSessionLayer::v0_14()));
/// # Ok(())
/// # }
/// ```
///
/// If the layer has several sessions, this uses the first. Without a `SessionLayer` around it there
/// is no session, and tower-sessions' extractor reports that. Handlers can take the
/// [`silverback::Session`] as well, and see there what tower-sessions has
/// [saved](#when-changes-are-written).
///
/// # What each call does
///
/// | tower-sessions | Here |
/// |---|---|
/// | `get`, `get_value`, `insert`, `insert_value`, `remove`, `remove_value` | the same. The first call reads the session, which counts as [use](Session#loading) |
/// | `clear` | removes all values that it shows. A session that is then empty ends |
/// | `save` | writes this request's changes to the store, merged with those of other requests |
/// | `load` | reads the session again if the response is over. Before that it discards unsaved changes |
/// | `delete`, `flush` | [`destroy`](Session::destroy): final, even for requests under way. After `delete`, `save` is an error; after `flush` the next value starts a new session under a new ID |
/// | `cycle_id` | [`renew`](Session::renew): the ID changes with the response, the values stay, and the old ID is worthless |
/// | `id` | 16 bytes of the [`record_key`](Session::record_key): the same in each request until the ID changes, and not a secret. A session that this request has begun gets one when it is saved |
/// | `set_expiry` | [`persist_for`](Session::persist_for), or [`until_browser_closes`](Session::until_browser_closes) for `OnSessionEnd`. It stays with the session |
/// | `expiry`, `expiry_date`, `expiry_age` | the value this request has set. Otherwise tower-sessions' default: ask [`expires_at`](Session::expires_at) |
/// | `is_modified`, `is_empty` | the same |
///
/// Flash messages and values from [`insert_bytes`](Session::insert_bytes) are not shown, and stay as
/// they are.
///
/// # When changes are written
///
/// With the response, as in tower-sessions: if anything has changed and the status is below 500. If
/// the save fails, silverback answers: 409 if the session has ended meanwhile, otherwise 500 or
/// 503.
///
/// A session that is not used is not read: no call of the store, no cookie, no `Vary`. Its cookie
/// is opened in any case, for the sake of `id`.
#[derive(Clone, Copy)]
pub struct TowerSessionLayer {
    open: Open,
}

/// Makes a `Session` of tower-sessions.
type Open = fn(Option<i128>, Arc<RequestStore>) -> Box<dyn Opened>;

/// A `Session` of either version of tower-sessions.
#[async_trait]
pub(crate) trait Opened: Send + Sync {
    fn put_into(&self, extensions: &mut Extensions);
    fn has_id(&self) -> bool;
    fn is_modified(&self) -> bool;
    async fn is_empty(&self) -> bool;
    fn wish(&self) -> Option<Wish>;
    /// Returns whether the save succeeded.
    async fn save(&self) -> bool;
}

/// A handler's wish for the session's lifetime.
pub(crate) enum Wish {
    UntilBrowserCloses,
    For(Duration),
    Over,
}

impl TowerSessionLayer {
    /// Makes a layer for handlers that take the `Session` of tower-sessions 0.14, as axum-login
    /// 0.18 and axum-messages 0.8 do.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
    /// # use silverback_tower_sessions::TowerSessionLayer;
    /// # fn f(config: SessionConfig) {
    /// let layer = (SessionLayer::new(config), TowerSessionLayer::v0_14());
    /// # }
    /// ```
    #[cfg(feature = "v0_14")]
    #[must_use]
    pub const fn v0_14() -> Self {
        Self {
            open: crate::version::v0_14::open,
        }
    }

    /// Makes a layer for handlers that take the `Session` of tower-sessions 0.15.
    ///
    /// ```
    /// # use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
    /// # use silverback_tower_sessions::TowerSessionLayer;
    /// # fn f(config: SessionConfig) {
    /// let layer = (SessionLayer::new(config), TowerSessionLayer::v0_15());
    /// # }
    /// ```
    #[cfg(feature = "v0_15")]
    #[must_use]
    pub const fn v0_15() -> Self {
        Self {
            open: crate::version::v0_15::open,
        }
    }
}

impl<S> Layer<S> for TowerSessionLayer {
    type Service = TowerSessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TowerSessionService {
            inner,
            open: self.open,
        }
    }
}

/// The service that [`TowerSessionLayer`] makes.
#[derive(Clone)]
pub struct TowerSessionService<S> {
    inner: S,
    open: Open,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for TowerSessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Future: Send + 'static,
    ResBody: Default + Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let session = request.extensions().get::<Session>().cloned();
        let exchange = session.and_then(|session| Exchange::begin(session, self.open));
        if let Some(exchange) = &exchange {
            exchange.opened.put_into(request.extensions_mut());
        }
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            Ok(match exchange {
                Some(exchange) => exchange.end(response).await,
                None => response,
            })
        })
    }
}

/// A request's session, in the form of both crates.
struct Exchange {
    store: Arc<RequestStore>,
    opened: Box<dyn Opened>,
}

impl Exchange {
    /// Returns `None` if the system has no random bytes, so that a session with a cookie could not
    /// get an ID.
    fn begin(session: Session, open: Open) -> Option<Self> {
        // A layer around this one may have begun the session.
        let is_used = session.is_used();
        let begun = is_used.then(|| session.record_key()).flatten();
        let id = match begun.or_else(|| session.claimed_key()) {
            Some(key) => Some(id_of(key.as_bytes())),
            // The session reports its own error when it is used.
            None if is_used || session.has_cookie() => Some(random_id().ok()?),
            None => None,
        };
        let store = Arc::new(RequestStore::new(session, id));
        let opened = open(id, Arc::clone(&store));
        Some(Self { store, opened })
    }

    /// Hands unsaved changes of tower-sessions over to the session.
    async fn end<B: Default>(self, response: Response<B>) -> Response<B> {
        let Self { store, opened } = self;
        let is_empty = opened.is_empty().await;
        if is_empty && store.is_cycled() {
            // `flush` after `cycle_id`: tower-sessions has nothing left to delete.
            return Self::destroy(&store, response).await;
        }
        let is_deleted = opened.has_id() && store.is_deleted();
        if !opened.is_modified() || response.status().is_server_error() || is_deleted || is_empty {
            return response;
        }
        store.finish(true);
        let is_saved = opened.save().await;
        store.finish(false);
        if !is_saved {
            return match store.take_error() {
                Some(error) => failed(&error),
                None => failed_with(StatusCode::INTERNAL_SERVER_ERROR),
            };
        }
        match opened.wish() {
            None => {}
            Some(Wish::UntilBrowserCloses) => store.session().until_browser_closes(),
            Some(Wish::For(length)) => store.session().persist_for(length),
            Some(Wish::Over) => return Self::destroy(&store, response).await,
        }
        response
    }

    async fn destroy<B: Default>(store: &RequestStore, response: Response<B>) -> Response<B> {
        match store.session().destroy().await {
            Ok(()) => response,
            Err(error) => failed(&error),
        }
    }
}

impl fmt::Debug for TowerSessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessionLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for TowerSessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessionService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
