//! A tonic server on loopback.

use silverback::{SessionConfig, SessionLayer, store::Backend};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Server, server::TcpIncoming};

use crate::support::{
    keys,
    scripted::{Before, Fail, Load, Scripted, Update},
};

#[path = "../../examples/tonic/visits.rs"]
mod visits;

use visits::{VisitsClient, VisitsServer};

async fn client(store: impl Into<Backend>) -> VisitsClient {
    let layer = SessionLayer::new(SessionConfig::new("s", store, keys()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(VisitsServer);
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
        Backend::from(silverback::store::CookieStore::new()),
        Scripted::default().into(),
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
