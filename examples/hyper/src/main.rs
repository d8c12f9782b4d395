//! Plain hyper and Tower, no framework: counts a visitor's visits. The handler takes requests with
//! any body, so that a test can call it: only hyper can make an `Incoming`.
//!
//! ```text
//! cargo run -p example-hyper
//! curl -b jar -c jar http://localhost:8080/
//! ```

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
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
    println!("http://localhost:8080");
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

async fn handle<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
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

async fn visit<B>(request: &Request<B>) -> Result<Response<Full<Bytes>>, Error> {
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

#[cfg(test)]
mod tests {
    use silverback::testing::{Browser, Calls, FlakyStore};

    use super::*;

    #[tokio::test]
    async fn visits_are_counted_for_each_visitor() {
        let config = SessionConfig::cookie("session", Keys::generate().unwrap());
        let service = SessionLayer::new(config.clone()).layer(service_fn(handle));
        let ada = Browser::new(service);
        assert_eq!(ada.get("/").await.text(), "visit 1\n");
        assert_eq!(ada.get("/").await.text(), "visit 2\n");
        assert_eq!(ada.another().get("/").await.text(), "visit 1\n");

        let session = ada.session(&config).await.unwrap();
        assert_eq!(session.get("visits").unwrap(), Some(2));
        ada.seed(&config, |session| session.insert("visits", 99))
            .await
            .unwrap();
        assert_eq!(ada.get("/").await.text(), "visit 100\n");
    }

    #[tokio::test]
    async fn a_visit_counts_once_if_the_stores_answer_is_lost() {
        let store = FlakyStore::new(MemoryStore::new());
        let config = SessionConfig::new("session", store.clone(), Keys::generate().unwrap());
        let ada = Browser::new(SessionLayer::new(config).layer(service_fn(handle)));
        ada.get("/").await;
        store.fail_next(Calls::Reads);
        let answer = ada.get("/").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ada.get("/").await.text(), "visit 2\n");
        store.lose_next_answer();
        assert_eq!(
            ada.get("/").await.text(),
            "visit 3\n",
            "the store is asked once more"
        );
        assert_eq!(
            ada.get("/").await.text(),
            "visit 4\n",
            "and nothing is done twice"
        );
    }

    #[tokio::test]
    async fn a_missing_layer_is_reported() {
        let answer = Browser::new(service_fn(handle)).get("/").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.text(), "no session layer");
    }
}
