//! Plain hyper and Tower, no framework: counts a visitor's visits.
//!
//! ```text
//! cargo run --example hyper
//! curl -b jar -c jar http://localhost:8080/
//! ```

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config =
        SessionConfig::new("session", MemoryStore::new(), Keys::generate()?).insecure_local_http();
    let service = SessionLayer::new(config).layer(service_fn(handle));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                eprintln!("connection: {error}");
            }
        });
    }
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(visit(&request).await.unwrap_or_else(|error| refuse(&error)))
}

fn refuse(error: &Error) -> Response<Full<Bytes>> {
    let answer = error.answer();
    let mut response = Response::new(Full::from("session error"));
    *response.status_mut() = answer.status();
    if let Some(delay) = answer.retry_after() {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, delay.as_secs().into());
    }
    response
}

async fn visit(request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let Some(session) = request.extensions().get::<Session>() else {
        let mut response = Response::new(Full::from("no session layer"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(response);
    };
    session.load().await?;
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(Response::new(Full::from(format!("visit {n}\n"))))
}
