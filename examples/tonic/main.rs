//! gRPC with tonic: the session is in the request's extensions, its cookie in the metadata.
//!
//! ```text
//! cargo run --example tonic
//! ```
//!
//! It starts a server, and a client that calls it three times.

mod visits;

use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Server, server::TcpIncoming};
use visits::{VisitsClient, VisitsServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let layer = SessionLayer::new(SessionConfig::new(
        "session",
        MemoryStore::new(),
        Keys::generate()?,
    ));
    let server = Server::builder().layer(layer).add_service(VisitsServer);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let channel = Channel::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut client = VisitsClient::new(channel);
    for _ in 0..3 {
        println!("visit {}", client.visit().await?);
    }
    Ok(())
}
