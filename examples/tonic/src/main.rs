//! gRPC with tonic: the session is in the request's extensions, its cookie in the metadata.
//!
//! ```text
//! cargo run -p example-tonic
//! grpcurl -plaintext -v -proto examples/tonic/proto/visits.proto localhost:50051 visits.Visits/Visit
//! ```
//!
//! `-v` shows the `set-cookie` of the reply; `-H 'cookie: session=...'` sends it back.

/// What `tonic_prost_build::compile_protos("proto/visits.proto")` writes. It is kept here so that the
/// example needs no `protoc`; a project has it made by its build script, and says
/// `tonic::include_proto!("visits")`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod visits;

use std::error::Error as StdError;

use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tonic::{Request, Response, Status, transport::Server};

use visits::{
    VisitReply, VisitRequest,
    visits_server::{Visits, VisitsServer},
};

struct Counter;

#[tonic::async_trait]
impl Visits for Counter {
    async fn visit(&self, request: Request<VisitRequest>) -> Result<Response<VisitReply>, Status> {
        let session = request
            .extensions()
            .get::<Session>()
            .ok_or_else(|| Status::internal("no session layer"))?;
        let count = count(session).await.map_err(|error| status(&error))?;
        Ok(Response::new(VisitReply { count }))
    }
}

async fn count(session: &Session) -> Result<u64, Error> {
    session.load().await?;
    session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })
}

/// The code says whether it helps to call again; the message is for the log.
fn status(error: &Error) -> Status {
    eprintln!("{error:?}");
    Status::new(error.answer().grpc_code().into(), "session")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let config = SessionConfig::new("session", MemoryStore::new(), Keys::generate()?);
    println!("localhost:50051");
    Server::builder()
        .layer(SessionLayer::new(config.insecure_local_http()))
        .add_service(VisitsServer::new(Counter))
        .serve("127.0.0.1:50051".parse()?)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use silverback::{
        DefaultResponder, SessionService,
        testing::{Browser, Calls, FlakyStore},
    };
    use tokio::net::TcpListener;
    use tonic::{Code, transport::server::TcpIncoming};
    use tower::Layer;

    use super::{visits::visits_client::VisitsClient, *};

    type Client = Browser<SessionService<VisitsServer<Counter>, DefaultResponder>>;

    /// A client without a network, whose cookie is kept.
    fn client(config: SessionConfig) -> Client {
        Browser::new(SessionLayer::new(config).layer(VisitsServer::new(Counter)))
    }

    async fn visit(client: &Client) -> Result<u64, Status> {
        let mut client = VisitsClient::new(client.clone());
        Ok(client.visit(VisitRequest {}).await?.into_inner().count)
    }

    #[tokio::test]
    async fn visits_are_counted_for_each_client() {
        let config = SessionConfig::cookie("session", Keys::generate().unwrap());
        let ada = client(config.clone());
        assert_eq!(visit(&ada).await.unwrap(), 1);
        assert_eq!(visit(&ada).await.unwrap(), 2);
        assert_eq!(visit(&ada.another()).await.unwrap(), 1);

        ada.seed(&config, |session| session.insert("visits", 99))
            .await
            .unwrap();
        assert_eq!(visit(&ada).await.unwrap(), 100);
    }

    #[tokio::test]
    async fn a_store_that_is_down_is_a_status() {
        let store = FlakyStore::new(MemoryStore::new());
        let keys = Keys::generate().unwrap();
        let ada = client(SessionConfig::new("session", store.clone(), keys));
        visit(&ada).await.unwrap();
        for (calls, code) in [
            (Calls::Reads, Code::Unavailable),
            (Calls::Writes, Code::Internal),
        ] {
            store.fail_next(calls);
            assert_eq!(visit(&ada).await.unwrap_err().code(), code, "{calls:?}");
        }
        assert_eq!(visit(&ada).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn over_a_connection_a_client_sends_its_cookie_back_in_the_metadata() {
        let config = SessionConfig::cookie("session", Keys::generate().unwrap());
        let server = Server::builder()
            .layer(SessionLayer::new(config))
            .add_service(VisitsServer::new(Counter));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

        let url = format!("http://{address}");
        let mut client = VisitsClient::connect(url).await.unwrap();
        let first = client.visit(VisitRequest {}).await.unwrap();
        let cookie = first.metadata().get("set-cookie").unwrap();
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let mut second = Request::new(VisitRequest {});
        second
            .metadata_mut()
            .insert("cookie", pair.parse().unwrap());
        let second = client.visit(second).await.unwrap();
        assert_eq!(second.into_inner().count, 2);
    }
}
