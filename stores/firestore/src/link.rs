//! The connection to Firestore: one question, one answer, and nothing is asked twice.

use std::{fmt, future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use serde::{Serialize, de::DeserializeOwned};
use tower_service::Service;

use crate::fault::{BoxError, Fault};

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type Client = dyn Fn(Request<Full<Bytes>>) -> Waiting<Response<Bytes>> + Send + Sync;
type Token = dyn Fn() -> Waiting<String> + Send + Sync;

/// Sends requests to the server.
pub(crate) struct Link {
    client: Box<Client>,
    token: Box<Token>,
    /// The beginning of a URL: the endpoint, the version and the database's documents.
    base: String,
}

impl Link {
    pub(crate) fn new<S, B, F, T>(service: S, token: T, base: String) -> Arc<Self>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Arc::new(Self {
            client: Box::new(move |request| Box::pin(send(service.clone(), request))),
            token: Box::new(move || Box::pin(token())),
            base,
        })
    }

    /// Calls a [method](https://firebase.google.com/docs/firestore/reference/rest) of the documents.
    pub(crate) async fn ask<A: DeserializeOwned>(
        &self,
        method: &str,
        question: &impl Serialize,
    ) -> Result<A, Fault> {
        let body = serde_json::to_vec(question).map_err(Fault::refused)?;
        let token = (self.token)().await.map_err(Fault::unavailable)?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        let mut bearer = bearer.map_err(Fault::refused)?;
        bearer.set_sensitive(true);
        let request = Request::post(format!("{}:{method}", self.base))
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(Fault::refused)?;
        let answer = (self.client)(request).await.map_err(Fault::unavailable)?;
        if !answer.status().is_success() {
            return Err(Fault::of_answer(answer.status(), answer.body()));
        }
        serde_json::from_slice(answer.body()).map_err(|_| Fault::nonsense())
    }
}

async fn send<S, B>(
    mut service: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    poll_fn(|context| service.poll_ready(context))
        .await
        .map_err(Into::into)?;
    let answer = service.call(request).await.map_err(Into::into)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(Into::into)?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}
