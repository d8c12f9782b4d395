//! A site with one layer, visited by browsers.

use std::{convert::Infallible, sync::Mutex};

use http::{Request, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use silverback::{Clock, Rejection, Session, SessionLayer};
use tower::{Layer, ServiceExt, service_fn};

use super::{Jar, START};

pub(crate) struct Site {
    pub(crate) layer: SessionLayer,
    pub(crate) clock: Clock,
}

impl Site {
    /// A site with its own clock, which stands at [`START`].
    pub(crate) fn of(layer: SessionLayer) -> Self {
        Self::at(&Clock::manual(START), layer)
    }

    pub(crate) fn at(clock: &Clock, layer: SessionLayer) -> Self {
        Self {
            layer: layer.clock(clock.clone()),
            clock: clock.clone(),
        }
    }

    /// Serves one request with `handler`, and returns the handler's output.
    pub(crate) async fn visit<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        handler: impl FnOnce(Session) -> F,
    ) -> (T, Response<String>) {
        self.answer(jar, StatusCode::OK, handler).await
    }

    /// Like [`visit`](Self::visit), with a response of this status.
    pub(crate) async fn answer<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        status: StatusCode,
        handler: impl FnOnce(Session) -> F,
    ) -> (T, Response<String>) {
        let mut response = Response::new("ok".to_owned());
        *response.status_mut() = status;
        self.respond(jar, handler, response).await
    }

    /// Like [`visit`](Self::visit), with this response.
    pub(crate) async fn respond<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        handler: impl FnOnce(Session) -> F,
        response: Response<String>,
    ) -> (T, Response<String>) {
        let request = jar.request();
        self.serve(jar, request, handler, response).await
    }

    /// Like [`respond`](Self::respond), for this request.
    pub(crate) async fn serve<T, F: Future<Output = T>>(
        &self,
        jar: &mut Jar,
        request: Request<()>,
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
        let response = self.layer.layer(service).oneshot(request).await.unwrap();
        jar.keep(response.headers());
        let output = output.lock().unwrap().take().expect("the handler ran");
        (output, response)
    }

    pub(crate) async fn put(
        &self,
        jar: &mut Jar,
        key: &str,
        value: impl Serialize,
    ) -> Response<String> {
        let put = async |session: Session| {
            session.load().await.unwrap();
            session.insert(key, value).unwrap();
        };
        self.visit(jar, put).await.1
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, jar: &mut Jar, key: &str) -> Option<T> {
        let get = async |session: Session| {
            session.load().await.unwrap();
            session.get(key).unwrap()
        };
        self.visit(jar, get).await.0
    }

    pub(crate) async fn remove(&self, jar: &mut Jar, key: &str) -> Response<String> {
        let remove = async |session: Session| {
            session.load().await.unwrap();
            session.remove(key).unwrap();
        };
        self.visit(jar, remove).await.1
    }

    pub(crate) async fn renew(&self, jar: &mut Jar) -> Response<String> {
        self.visit(jar, async |session| session.renew()).await.1
    }

    pub(crate) async fn destroy(&self, jar: &mut Jar) -> Response<String> {
        let destroy = async |session: Session| session.destroy().await.unwrap();
        self.visit(jar, destroy).await.1
    }

    pub(crate) async fn rejection(&self, jar: &mut Jar) -> Option<Rejection> {
        let rejection = async |session: Session| {
            session.load().await.unwrap();
            session.rejection()
        };
        self.visit(jar, rejection).await.0
    }

    pub(crate) async fn log_in(&self, jar: &mut Jar, user: &str, device: &str) -> Response<String> {
        let log_in = |session| log_in(session, user, device);
        self.visit(jar, log_in).await.1
    }

    /// Returns whether a browser with these cookies is logged in. The browser ignores any cookie it
    /// gets.
    pub(crate) async fn is_alive(&self, jar: &Jar) -> bool {
        self.visit(&mut jar.clone(), user).await.0.is_some()
    }
}

/// A handler that logs in: with a new ID, a value, and the subject.
pub(crate) async fn log_in(session: Session, user: &str, device: &str) {
    session.load().await.unwrap();
    session.renew();
    session.insert("user", user).unwrap();
    session.set_subject(user, device).unwrap();
}

/// A handler that returns who is logged in.
pub(crate) async fn user(session: Session) -> Option<String> {
    session.load().await.unwrap();
    session.get("user").unwrap()
}
