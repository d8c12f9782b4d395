//! A tonic server on loopback.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use silverback::{Session, SessionConfig, SessionLayer, store::IntoBackend};
use tokio::net::TcpListener;
use tonic::{
    body::Body,
    server::NamedService,
    transport::{Channel, Server, server::TcpIncoming},
};
use tower::Service;

use crate::support::{
    keys,
    scripted::{Before, Fail, Load, Scripted, Update},
    streams::Late,
    visits::{VisitsClient, VisitsServer},
};

async fn client(store: impl IntoBackend) -> VisitsClient {
    client_of(store, VisitsServer).await
}

async fn client_of<S>(store: impl IntoBackend, service: S) -> VisitsClient
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let layer = SessionLayer::new(SessionConfig::new("s", store, keys()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    VisitsClient::new(
        Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap(),
    )
}

#[tokio::test]
async fn a_tonic_service_has_sessions() {
    for store in [
        silverback::store::CookieStore::new().into_backend(),
        Scripted::default().into_backend(),
    ] {
        let mut client = client(store).await;
        for n in 1..=3 {
            assert_eq!(client.visit().await.unwrap(), n);
        }
    }
}

#[tokio::test]
async fn a_failed_load_is_unavailable_and_a_failed_save_is_not() {
    let remote = Scripted::default();
    let mut client = client(remote.clone()).await;
    client.visit().await.unwrap();
    for (calls, code, message) in [
        (Load, tonic::Code::Unavailable, "session"),
        (Update, tonic::Code::Internal, "session not saved"),
    ] {
        remote.at(Before, calls, Fail);
        let error = client.visit().await.unwrap_err();
        let status = error.downcast_ref::<tonic::Status>().unwrap();
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

/// Counts the visit once more while the reply streams.
#[derive(Clone)]
struct CountsTwice(VisitsServer);

impl NamedService for CountsTwice {
    const NAME: &'static str = VisitsServer::NAME;
}

impl Service<http::Request<Body>> for CountsTwice {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let session = request.extensions().get::<Session>().unwrap().clone();
        let reply = self.0.call(request);
        Box::pin(async move {
            let streaming = session.clone();
            let count = async move {
                streaming.load().await.unwrap();
                streaming.update("visits", |n: &mut u64| *n += 1).unwrap();
            };
            let saving = |body| session.save_at_end(Late::new(body, count)).unwrap();
            Ok(reply.await?.map(saving).map(Body::new))
        })
    }
}

/// The status is in the trailers, which come after the save.
#[tokio::test]
async fn a_stream_whose_session_is_not_saved_is_no_success() {
    let remote = Scripted::default();
    let mut client = client_of(remote.clone(), CountsTwice(VisitsServer)).await;
    for n in [1, 3, 5] {
        assert_eq!(client.visit().await.unwrap(), n);
    }
    // The first update is the handler's.
    remote.nth(2, Before, Update, Fail);
    let error = client.visit().await.unwrap_err();
    let status = error.downcast_ref::<tonic::Status>().unwrap();
    assert_ne!(status.code(), tonic::Code::Ok);
    assert_eq!(client.visit().await.unwrap(), 8, "7 was saved, and not 8");
}
