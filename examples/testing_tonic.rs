//! A tonic server and its tests: the client calls it through a browser, without a network, so its
//! cookie is kept.
//!
//! ```text
//! cargo run --example testing_tonic --features testing
//! cargo test --example testing_tonic --features testing
//! ```

#[path = "tonic/visits.rs"]
#[allow(dead_code, reason = "its client keeps the cookie by itself")]
mod visits;

use http::uri::PathAndQuery;
use silverback::{
    DefaultResponder, Keys, SessionConfig, SessionLayer, SessionService, store::MemoryStore,
    testing::Browser,
};
use tonic::{Request, Status, client::Grpc};
use tonic_prost::ProstCodec;
use tower::Layer;
use visits::{VisitReply, VisitRequest, VisitsServer};

type Server = SessionService<VisitsServer, DefaultResponder>;

fn browser(config: SessionConfig) -> Browser<Server> {
    Browser::new(SessionLayer::new(config).layer(VisitsServer))
}

/// What a generated client does: `VisitsClient::new(browser).visit(VisitRequest {}).await`.
async fn visit(browser: &Browser<Server>) -> Result<u64, Status> {
    let mut client = Grpc::new(browser.clone());
    let codec = ProstCodec::<VisitRequest, VisitReply>::default();
    let path = PathAndQuery::from_static("/visits.Visits/Visit");
    let reply = client.unary(Request::new(VisitRequest {}), path, codec);
    Ok(reply.await?.into_inner().count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let browser = browser(SessionConfig::new(
        "session",
        MemoryStore::new(),
        Keys::generate()?,
    ));
    for _ in 0..3 {
        println!("visit {}", visit(&browser).await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use silverback::testing::{Calls, FlakyStore};

    use super::*;

    #[tokio::test]
    async fn visits_are_counted_for_each_client() {
        let config = SessionConfig::cookie("session", Keys::generate().unwrap());
        let ada = browser(config.clone());
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
        let ada = browser(SessionConfig::new(
            "session",
            store.clone(),
            Keys::generate().unwrap(),
        ));
        visit(&ada).await.unwrap();
        for (calls, code) in [
            (Calls::Reads, tonic::Code::Unavailable),
            (Calls::Writes, tonic::Code::Internal),
        ] {
            store.fail_next(calls);
            assert_eq!(visit(&ada).await.unwrap_err().code(), code, "{calls:?}");
        }
        assert_eq!(visit(&ada).await.unwrap(), 2);
    }
}
