//! A page whose handler is a closure, and a browser's jar.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use silverback::{
    Clock, Key, MemoryStore, SessionConfig, SessionLayer, Timestamp,
    testing::{FlakyStore, Jar},
};
use tokio::sync::Mutex;
use tower::{Layer, ServiceExt, service_fn};

use super::{layer, tower_sessions::Session};

static URI: LazyLock<Uri> = LazyLock::new(|| Uri::from_static("https://localhost/"));

/// A site with the session of tower-sessions over silverback's layer.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) clock: Clock,
    pub(crate) store: FlakyStore<MemoryStore>,
    pub(crate) config: SessionConfig,
}

/// A boxed future. Without the box, the compiler loses track of one future inside another.
type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The session of a request, of either crate.
pub(crate) struct Both {
    pub(crate) tower: Session,
    pub(crate) own: silverback::Session,
}

impl Site {
    pub(crate) fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let store = FlakyStore::new(MemoryStore::new().clock(clock.clone()));
        let config = SessionConfig::new("s", store.clone(), Key::generate().unwrap());
        Self {
            config: config.idle_timeout(Duration::from_secs(3_600)),
            clock,
            store,
        }
    }

    pub(crate) fn jar(&self) -> Jar {
        Jar::new().clock(self.clock.clone())
    }

    /// Runs `work` as the handler of a request. Returns its result and the response.
    pub(crate) fn serve<'a, T, F>(
        &self,
        jar: &'a mut Jar,
        work: impl FnOnce(Both) -> F + Send + 'static,
    ) -> Answer<'a, (T, Response<String>)>
    where
        T: Send + 'static,
        F: Future<Output = (T, StatusCode)> + Send + 'static,
    {
        let sessions = SessionLayer::new(self.config.clone()).clock(self.clock.clone());
        let told = Arc::new(Mutex::new((Some(work), None)));
        let cell = Arc::clone(&told);
        let handler = service_fn(move |request: Request<()>| {
            let both = Both {
                tower: request.extensions().get().cloned().unwrap(),
                own: request.extensions().get().cloned().unwrap(),
            };
            let cell = Arc::clone(&cell);
            async move {
                let work = cell.lock().await.0.take().unwrap();
                let (result, status) = work(both).await;
                cell.lock().await.1 = Some(result);
                let mut response = Response::new(String::new());
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        let service = (sessions, layer()).layer(handler);
        Box::pin(async move {
            let response = service.oneshot(request(jar)).await.unwrap();
            jar.keep(&URI, response.headers());
            let result = told.lock().await.1.take().unwrap();
            (result, response)
        })
    }

    /// As [`serve`](Self::serve), for a handler that succeeds.
    pub(crate) fn visit<'a, T, F>(
        &self,
        jar: &'a mut Jar,
        work: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Answer<'a, (T, Response<String>)>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let work = |both: Both| {
            let work = work(both.tower);
            async { (work.await, StatusCode::OK) }
        };
        self.serve(jar, work)
    }

    /// A request that stores a number.
    pub(crate) fn put<'a>(
        &self,
        jar: &'a mut Jar,
        key: &'static str,
        value: u32,
    ) -> Answer<'a, StatusCode> {
        let put = move |session: Session| async move { session.insert(key, value).await.unwrap() };
        let visit = self.visit(jar, put);
        Box::pin(async { visit.await.1.status() })
    }

    pub(crate) fn get<'a>(&self, jar: &'a mut Jar, key: &'static str) -> Answer<'a, Option<u32>> {
        let get = move |session: Session| async move { session.get(key).await.unwrap() };
        let visit = self.visit(jar, get);
        Box::pin(async { visit.await.0 })
    }
}

pub(crate) fn request(jar: &Jar) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = URI.clone();
    if let Some(cookies) = jar.header(&URI) {
        request.headers_mut().insert(header::COOKIE, cookies);
    }
    request
}

pub(crate) fn set_cookies(headers: &HeaderMap) -> Vec<&str> {
    let cookies = headers.get_all(header::SET_COOKIE).iter();
    cookies.map(|cookie| cookie.to_str().unwrap()).collect()
}
