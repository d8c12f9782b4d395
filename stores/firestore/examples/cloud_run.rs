//! Counts visits in Firestore, on Cloud Run, App Engine, GKE or any machine of Google's. The account
//! of the service needs the role Cloud Datastore User.
//!
//! ```text
//! gcloud run deploy visits --source . --set-env-vars PROJECT=shop,SESSION_KEY=...
//! ```
//!
//! Elsewhere, let a crate such as `gcp_auth` give the token.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer};
use silverback_firestore::FirestoreStore;
use tokio::{net::TcpListener, sync::Mutex};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let tokens = Arc::new(Tokens::new());
    let token = move || {
        let tokens = Arc::clone(&tokens);
        async move { tokens.get().await }
    };
    let database = format!("firestore://{}", env::var("PROJECT")?);
    let store = FirestoreStore::connect(&database, token).await?;
    let keys = Keys::from_env("SESSION_KEY")?; // from `openssl rand -base64 32`
    let sessions = SessionConfig::new("session", store.collection("visits")?, keys);
    let app = Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(sessions));
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn visit(session: Session) -> Result<String, Error> {
    session.load().await?;
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}"))
}

/// The tokens of the machine's service account, from Google's
/// [metadata server](https://cloud.google.com/run/docs/container-contract#metadata-server).
struct Tokens {
    client: Client<HttpConnector, Empty<Bytes>>,
    last: Mutex<Option<(String, Instant)>>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// In seconds.
    expires_in: u64,
}

const ADDRESS: &str = "http://metadata.google.internal/computeMetadata/v1/instance/\
                       service-accounts/default/token";

/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(60);

impl Tokens {
    fn new() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            last: Mutex::new(None),
        }
    }

    /// Returns a token. Requests that come meanwhile wait for the same one.
    async fn get(&self) -> Result<String, BoxError> {
        let mut last = self.last.lock().await;
        if let Some((token, end)) = &*last
            && *end > Instant::now()
        {
            return Ok(token.clone());
        }
        let request = Request::get(ADDRESS)
            .header("metadata-flavor", "Google")
            .body(Empty::new())?;
        let answer = self.client.request(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        let answer: Answer = serde_json::from_slice(&body)?;
        let life = Duration::from_secs(answer.expires_in).saturating_sub(MARGIN);
        *last = Some((answer.access_token.clone(), Instant::now() + life));
        Ok(answer.access_token)
    }
}
