//! A site of one layer, visited by browsers that are a jar of cookies.

pub(crate) mod schedule;
pub(crate) mod steps;
pub(crate) mod store;

use std::{collections::BTreeMap, convert::Infallible, sync::Mutex, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use silverback::{
    Clock, Key, Keys, Session, SessionConfig, SessionLayer, Sessions, Timestamp, store::MemoryStore,
};
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) struct Site {
    pub(crate) layer: SessionLayer,
    pub(crate) clock: Clock,
}

impl Site {
    pub(crate) fn of(layer: SessionLayer) -> Self {
        let clock = Clock::manual(START);
        Self {
            layer: layer.clock(clock.clone()),
            clock,
        }
    }

    /// One session named `s`, in its cookie.
    pub(crate) fn cookie() -> Self {
        Self::of(SessionLayer::new(SessionConfig::cookie("s", keys())))
    }

    /// One session named `s`, in a memory store with the site's clock.
    pub(crate) fn memory() -> (Self, MemoryStore) {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        let layer =
            SessionLayer::new(SessionConfig::new("s", store.clone(), keys())).clock(clock.clone());
        (Self { layer, clock }, store)
    }

    /// Serves one request with `handler`, and returns what it returned.
    pub(crate) async fn visit<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        handler: impl FnOnce(Session) -> F,
    ) -> (T, Response<String>) {
        self.answer(jar, StatusCode::OK, handler).await
    }

    /// As [`visit`](Self::visit), with a response of this status.
    pub(crate) async fn answer<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        status: StatusCode,
        handler: impl FnOnce(Session) -> F,
    ) -> (T, Response<String>) {
        self.respond(
            jar,
            handler,
            Response::builder()
                .status(status)
                .body("ok".to_owned())
                .unwrap(),
        )
        .await
    }

    /// As [`visit`](Self::visit), with this response.
    pub(crate) async fn respond<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        handler: impl FnOnce(Session) -> F,
        response: Response<String>,
    ) -> (T, Response<String>) {
        let (output, handler) = (Mutex::new(None), Mutex::new(Some((handler, response))));
        let service = service_fn(async |request: Request<()>| {
            let session = request
                .extensions()
                .get::<Session>()
                .cloned()
                .expect("the layer inserts it");
            let (handler, response) = handler.lock().unwrap().take().expect("called once");
            *output.lock().unwrap() = Some(handler(session).await);
            Ok::<_, Infallible>(response)
        });
        let response = self
            .layer
            .layer(service)
            .oneshot(jar.request())
            .await
            .unwrap();
        jar.keep(response.headers());
        let output = output.lock().unwrap().take().expect("the handler ran");
        (output, response)
    }
}

pub(crate) fn keys() -> Keys {
    Keys::new(Key::from_bytes(b"a key of the tests, 32 bytes long").unwrap())
}

pub(crate) fn sessions(session: &Session) -> Sessions {
    Sessions::from(session.clone())
}

/// A browser that keeps every cookie, whatever its path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(pub(crate) BTreeMap<String, String>);

impl Jar {
    pub(crate) fn with(name: &str, value: &str) -> Self {
        Self(BTreeMap::from([(name.into(), value.into())]))
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            request.headers_mut().insert(
                header::COOKIE,
                HeaderValue::from_str(&pairs.join("; ")).unwrap(),
            );
        }
        request
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in set_cookies(headers) {
            let (name, value) = cookie
                .split_once(';')
                .map_or(&*cookie, |(pair, _)| pair)
                .split_once('=')
                .unwrap();
            if cookie.contains("Max-Age=0;") {
                self.0.remove(name);
            } else {
                self.0.insert(name.into(), value.into());
            }
        }
    }
}

pub(crate) fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// The only cookie that is set.
#[track_caller]
pub(crate) fn set_cookie(response: &Response<String>) -> String {
    let mut all = set_cookies(response.headers());
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub(crate) fn no_cookie(response: &Response<String>) -> bool {
    !response.headers().contains_key(header::SET_COOKIE)
}
