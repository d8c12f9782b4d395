//! The trait bounds and auto traits of the public types, checked by the compiler.

use std::{convert::Infallible, marker::PhantomData, rc::Rc};

use http::{Request, Response};
use serde::{Deserialize, Serialize};
use silverback::{
    Error, Flashes, Keys, ResponseFuture, Session, SessionConfig, SessionData, SessionLayer,
    SessionService, Sessions, Typed,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::keys;

fn shared<T: Send + Sync + 'static>() {}

/// A value that cannot leave its thread.
#[derive(Default, Deserialize, Serialize)]
struct OfOneThread(PhantomData<Rc<()>>);

impl SessionData for OfOneThread {
    const KEY: &'static str = "local";
}

#[test]
fn handles_can_be_shared_between_threads() {
    shared::<Session>();
    shared::<Sessions>();
    shared::<Flashes>();
    shared::<Typed<OfOneThread>>();
    shared::<SessionConfig>();
    shared::<SessionLayer>();
    shared::<Keys>();
    shared::<Error>();
    shared::<SessionService<(), ()>>();
    assert!(size_of::<Session>() <= 3 * size_of::<usize>());
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

fn sendable<T: Send>(_: &T) {}

#[tokio::test]
async fn the_future_is_send_if_the_inner_one_is() {
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()));
    let mut service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let future: ResponseFuture<_, _, _> = service.ready().await.unwrap().call(Request::new(()));
    sendable(&future);
    future.await.unwrap();
}

/// Neither `Clone`, nor `Send`, nor `'static`.
struct Local<'a>(&'a Rc<str>);

impl<'a> Service<Request<&'a str>> for Local<'a> {
    type Response = Response<Rc<str>>;
    type Error = &'a str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<&'a str>) -> Self::Future {
        request
            .extensions()
            .get::<Session>()
            .unwrap()
            .insert("n", 1)
            .unwrap();
        std::future::ready(Ok(Response::new(Rc::clone(self.0))))
    }
}

#[tokio::test]
async fn the_inner_service_can_be_anything() {
    let body: Rc<str> = "body".into();
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()))
        .on_failure(|failed: silverback::FailedCommit<Rc<str>>| failed.into_response());
    let response = layer
        .layer(Local(&body))
        .oneshot(Request::new("request"))
        .await
        .unwrap();
    assert!(response.headers().contains_key("set-cookie"));
}
