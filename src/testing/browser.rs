//! A browser in front of a service, without a network.

use std::{
    fmt::{self, Debug},
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use tower_service::Service;

use super::{Body, Jar, Page, body};
use crate::clock::Clock;

/// A browser that visits a Tower service, without a network. It keeps the cookies that it gets, and
/// sends them with its requests.
///
/// The service is anything that takes and returns `http` messages: an axum `Router`, a
/// [`SessionService`](crate::SessionService) around a function, a tonic server. It must be `Clone`.
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use silverback::{Key, Session, SessionConfig, SessionLayer, testing::Browser};
/// use tower::{Layer, service_fn};
///
/// async fn count<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
///     let session = request.extensions().get::<Session>().expect("the layer is around");
///     let count = |n: &mut u32| {
///         *n += 1;
///         *n
///     };
///     let visits = session.update("visits", count).expect("there is room");
///     Ok(Response::new(format!("visit {visits}")))
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), silverback::KeyError> {
/// let layer = SessionLayer::new(SessionConfig::cookie("session", Key::generate()?));
/// let ada = Browser::new(layer.layer(service_fn(count)));
/// let bob = ada.another();
/// assert_eq!(ada.get("/").await.text(), "visit 1");
/// assert_eq!(ada.get("/").await.text(), "visit 2");
/// assert_eq!(bob.get("/").await.text(), "visit 1");
/// # Ok(())
/// # }
/// ```
///
/// A clone is another tab: it shares the jar, and requests of both may overlap.
/// [`another`](Self::another) makes another visitor. A browser is a Tower service itself, so a
/// client on top of it, such as tonic's, keeps its cookies in the jar.
pub struct Browser<S> {
    service: S,
    jar: Arc<Mutex<Jar>>,
    pub(super) clock: Clock,
    origin: Uri,
}

impl<S> Browser<S> {
    /// Makes a browser without cookies, at `https://localhost`.
    ///
    /// ```
    /// use silverback::{Keys, SessionConfig, SessionLayer, testing::Browser};
    /// use tower::Layer;
    ///
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// # #[derive(Clone)]
    /// # struct MyService;
    /// let layer = SessionLayer::new(SessionConfig::cookie("session", Keys::generate()?));
    /// let browser = Browser::new(layer.layer(MyService)); // or an axum `Router`
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(service: S) -> Self {
        Self {
            service,
            jar: Arc::default(),
            clock: Clock::system(),
            origin: Uri::from_static("https://localhost"),
        }
    }

    /// Sets the browser's clock, which decides when cookies expire. Give it the clock of the layer
    /// and the store.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Clock, Timestamp, testing::Browser};
    /// # fn f<S>(browser: Browser<S>) {
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let browser = browser.clock(clock.clone()); // and the layer's, and the store's
    /// clock.advance(Duration::from_secs(86_400));
    /// # }
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        self.jar(|jar| *jar = std::mem::take(jar).clock(clock.clone()));
        Self { clock, ..self }
    }

    /// Visits another host than `https://localhost`, such as `http://example.com:8080`.
    ///
    /// ```
    /// # use silverback::testing::Browser;
    /// # fn f<S>(browser: Browser<S>) {
    /// let browser = browser.at("https://shop.example.com");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If `origin` is not a scheme and a host.
    #[must_use]
    #[track_caller]
    pub fn at(self, origin: &str) -> Self {
        let origin = address(origin);
        assert!(
            origin.scheme().is_some() && origin.host().is_some(),
            "an origin has a scheme and a host, as https://example.com"
        );
        Self { origin, ..self }
    }

    /// Makes the browser of another visitor to the same service, with an empty jar.
    ///
    /// ```
    /// # use silverback::testing::Browser;
    /// # fn f<S: Clone>(ada: Browser<S>) {
    /// let bob = ada.another();
    /// assert!(bob.jar(|jar| jar.is_empty()));
    /// # }
    /// ```
    #[must_use]
    pub fn another(&self) -> Self
    where
        S: Clone,
    {
        Self {
            jar: Arc::new(Mutex::new(Jar::new().clock(self.clock.clone()))),
            ..self.clone()
        }
    }

    /// Reads or changes the jar. The closure must use neither this browser nor a clone of it, which
    /// would deadlock.
    ///
    /// ```
    /// # use silverback::testing::Browser;
    /// # fn f<S>(browser: &Browser<S>) {
    /// let stolen = browser.jar(|jar| jar.clone());
    /// browser.jar(|jar| jar.close()); // as when the browser is closed
    /// browser.jar(|jar| *jar = stolen);
    /// # }
    /// ```
    pub fn jar<R>(&self, work: impl FnOnce(&mut Jar) -> R) -> R {
        work(&mut self.jar.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the full address of a request.
    pub(super) fn address(&self, uri: &Uri) -> Uri {
        whole(uri, &self.origin)
    }

    fn add_headers(&self, address: &Uri, headers: &mut HeaderMap) {
        let host = address.authority().map(|host| host.as_str());
        if let Some(Ok(host)) = host.map(HeaderValue::try_from) {
            headers.entry(header::HOST).or_insert(host);
        }
        if let Some(cookies) = self.jar(|jar| jar.header(address)) {
            headers.append(header::COOKIE, cookies);
        }
    }
}

/// Requests.
impl<S: Clone> Browser<S> {
    /// Requests a page, and reads it to its end.
    ///
    /// ```
    /// # use silverback::{Error, Key, Session, SessionConfig, SessionLayer, testing::Browser};
    /// # async fn count<B>(request: http::Request<B>) -> Result<http::Response<String>, Error> {
    /// #     let session = request.extensions().get::<Session>().expect("the layer is around");
    /// #     let visits = session.update("visits", |n: &mut u32| { *n += 1; *n })?;
    /// #     Ok(http::Response::new(format!("visit {visits}")))
    /// # }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::cookie("session", Key::generate()?);
    /// # let layer = SessionLayer::new(config.clone());
    /// # let service = tower::Layer::layer(&layer, tower::service_fn(count));
    /// let browser = Browser::new(service);
    /// let page = browser.get("/").await;
    /// assert_eq!(page.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If `path` is not a path, or the service or the body fails.
    pub async fn get<R>(&self, path: &str) -> Page
    where
        S: Service<Request<Body>, Response = Response<R>>,
        S::Error: Debug,
        R: http_body::Body,
        R::Error: Debug,
    {
        self.visit(request(Method::GET, path, Body::empty())).await
    }

    /// Posts a body with this `Content-Type`, and reads the response to its end.
    ///
    /// ```
    /// # use silverback::testing::{Body, Browser};
    /// # async fn f<S, R>(browser: Browser<S>)
    /// # where
    /// #     S: tower::Service<http::Request<Body>, Response = http::Response<R>> + Clone,
    /// #     S::Error: std::fmt::Debug,
    /// #     R: http_body_util::BodyExt,
    /// #     R::Error: std::fmt::Debug,
    /// # {
    /// let answer = browser.post("/cart", "application/json", r#"{"item":7}"#).await;
    /// assert_eq!(answer.status(), 303);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`get`](Self::get), and if the content type is not a valid header value.
    pub async fn post<R>(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Page
    where
        S: Service<Request<Body>, Response = Response<R>>,
        S::Error: Debug,
        R: http_body::Body,
        R::Error: Debug,
    {
        let mut request = request(Method::POST, path, body.into());
        let kind = HeaderValue::try_from(content_type).expect("a content type is a header's value");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.visit(request).await
    }

    /// Submits a form with these fields, encoded as browsers do, and reads the answer to its end.
    ///
    /// ```
    /// # use silverback::testing::Browser;
    /// # async fn f<S, R>(browser: Browser<S>)
    /// # where
    /// #     S: tower::Service<http::Request<silverback::testing::Body>, Response = http::Response<R>> + Clone,
    /// #     S::Error: std::fmt::Debug,
    /// #     R: http_body_util::BodyExt,
    /// #     R::Error: std::fmt::Debug,
    /// # {
    /// let answer = browser.submit("/login", &[("user", "ada"), ("password", "secret")]).await;
    /// let home = browser.follow(&answer).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`get`](Self::get).
    pub async fn submit<R>(&self, path: &str, fields: &[(&str, &str)]) -> Page
    where
        S: Service<Request<Body>, Response = Response<R>>,
        S::Error: Debug,
        R: http_body::Body,
        R::Error: Debug,
    {
        let form = "application/x-www-form-urlencoded";
        self.post(path, form, body::encode(fields)).await
    }

    /// Follows a page's redirect, with a GET.
    ///
    /// ```
    /// # use silverback::testing::{Body, Browser};
    /// # async fn f<S, R>(browser: Browser<S>)
    /// # where
    /// #     S: tower::Service<http::Request<Body>, Response = http::Response<R>> + Clone,
    /// #     S::Error: std::fmt::Debug,
    /// #     R: http_body_util::BodyExt,
    /// #     R::Error: std::fmt::Debug,
    /// # {
    /// let form = "application/x-www-form-urlencoded";
    /// let answer = browser.post("/login", form, "user=ada&password=secret").await;
    /// let home = browser.follow(&answer).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`get`](Self::get), and if the page does not redirect.
    pub async fn follow<R>(&self, page: &Page) -> Page
    where
        S: Service<Request<Body>, Response = Response<R>>,
        S::Error: Debug,
        R: http_body::Body,
        R::Error: Debug,
    {
        let to = page.location().expect("the page redirects");
        let host = |uri: &Uri| (uri.scheme().cloned(), uri.authority().cloned());
        let to = if host(&page.address) == host(&self.origin) {
            to
        } else {
            whole(&to, &page.address)
        };
        self.get(&to.to_string()).await
    }

    /// Sends any request, and reads the response to its end.
    ///
    /// ```
    /// # use silverback::testing::{Body, Browser};
    /// # async fn f<S, R>(browser: Browser<S>)
    /// # where
    /// #     S: tower::Service<http::Request<Body>, Response = http::Response<R>> + Clone,
    /// #     S::Error: std::fmt::Debug,
    /// #     R: http_body_util::BodyExt,
    /// #     R::Error: std::fmt::Debug,
    /// # {
    /// let request = http::Request::delete("/cart").body(Body::empty()).unwrap();
    /// assert_eq!(browser.visit(request).await.status(), 200);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the service or the body fails.
    #[expect(clippy::panic, reason = "a test fails")]
    pub async fn visit<B, R>(&self, request: Request<B>) -> Page
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Debug,
        R: http_body::Body,
        R::Error: Debug,
    {
        let address = self.address(request.uri());
        let response = self.send(request).await;
        let response = response.unwrap_or_else(|error| panic!("the service failed: {error:?}"));
        Page::read(address, response).await
    }

    /// Sends any request, and returns the service's response. Its cookies are in the jar by then;
    /// its body may still be streaming.
    ///
    /// ```
    /// # use silverback::testing::{Body, Browser};
    /// # async fn f<S, R>(browser: Browser<S>)
    /// # where
    /// #     S: tower::Service<http::Request<Body>, Response = http::Response<R>> + Clone,
    /// #     S::Error: std::fmt::Debug,
    /// #     R: http_body_util::BodyExt,
    /// #     R::Error: std::fmt::Debug,
    /// # {
    /// let request = http::Request::get("/export").body(Body::empty()).unwrap();
    /// let response = browser.send(request).await.unwrap();
    /// assert_eq!(response.status(), 200);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn send<B, R>(&self, mut request: Request<B>) -> Result<Response<R>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
    {
        let address = self.address(request.uri());
        self.add_headers(&address, request.headers_mut());
        let mut service = self.service.clone();
        poll_fn(|cx| service.poll_ready(cx)).await?;
        let response = service.call(request).await?;
        self.jar(|jar| jar.keep(&address, response.headers()));
        Ok(response)
    }
}

/// Returns the full address of what was requested of an origin.
fn whole(uri: &Uri, origin: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    if parts.authority.is_none() {
        let origin = origin.clone().into_parts();
        (parts.scheme, parts.authority) = (origin.scheme, origin.authority);
        let path = parts.path_and_query.take();
        parts.path_and_query = path.or(Some(http::uri::PathAndQuery::from_static("/")));
    }
    Uri::from_parts(parts).unwrap_or_else(|_| origin.clone())
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    (*request.method_mut(), *request.uri_mut()) = (method, address(path));
    request
}

#[track_caller]
pub(super) fn address(text: &str) -> Uri {
    text.parse().expect("an address, such as /cart")
}

/// The cookies are in the jar when the response is returned. Its body may still be streaming.
impl<S, B, R> Service<Request<B>> for Browser<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // `call` waits until the clone that serves the request is ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let browser = self.clone();
        Box::pin(async move { browser.send(request).await })
    }
}

impl<S: Clone> Clone for Browser<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            jar: Arc::clone(&self.jar),
            clock: self.clock.clone(),
            origin: self.origin.clone(),
        }
    }
}

impl<S> fmt::Debug for Browser<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser")
            .field("origin", &self.origin)
            .field("jar", &self.jar(|jar| format!("{jar:?}")))
            .finish_non_exhaustive()
    }
}
