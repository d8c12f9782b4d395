//! The part the tests need of what tonic's build script generates from this `.proto` file:
//!
//! ```text
//! package visits;
//! service Visits { rpc Visit(VisitRequest) returns (VisitReply); }
//! message VisitRequest {}
//! message VisitReply { uint64 count = 1; }
//! ```

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use silverback::{Error, Session};
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    metadata::{Ascii, MetadataValue},
    server::{Grpc, NamedService, UnaryService},
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::Service;

const VISIT: &str = "/visits.Visits/Visit";

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct VisitRequest {}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct VisitReply {
    #[prost(uint64, tag = "1")]
    pub(crate) count: u64,
}

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The handler. It uses its session like any other handler.
async fn visit(request: Request<VisitRequest>) -> Result<Response<VisitReply>, Status> {
    let session = request
        .extensions()
        .get::<Session>()
        .ok_or_else(|| Status::internal("no session layer"))?;
    let count = count(session)
        .await
        .map_err(|error| Status::new(error.answer().grpc_code().into(), "session"))?;
    Ok(Response::new(VisitReply { count }))
}

async fn count(session: &Session) -> Result<u64, Error> {
    session.load().await?;
    session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct VisitsServer;

impl NamedService for VisitsServer {
    const NAME: &'static str = "visits.Visits";
}

impl Service<http::Request<Body>> for VisitsServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                VISIT => Grpc::new(ProstCodec::default()).unary(Visit, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Visit;

impl UnaryService<VisitRequest> for Visit {
    type Response = VisitReply;
    type Future = BoxFuture<Response<VisitReply>, Status>;

    fn call(&mut self, request: Request<VisitRequest>) -> Self::Future {
        Box::pin(visit(request))
    }
}

/// A client that keeps its cookie.
pub(crate) struct VisitsClient {
    inner: client::Grpc<Channel>,
    cookie: Option<MetadataValue<Ascii>>,
}

impl VisitsClient {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            inner: client::Grpc::new(channel),
            cookie: None,
        }
    }

    pub(crate) async fn visit(&mut self) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::new(VisitRequest {});
        if let Some(cookie) = &self.cookie {
            request.metadata_mut().insert("cookie", cookie.clone());
        }
        self.inner.ready().await?;
        let codec = ProstCodec::<VisitRequest, VisitReply>::default();
        let reply = self
            .inner
            .unary(request, PathAndQuery::from_static(VISIT), codec)
            .await?;
        if let Some(cookie) = reply.metadata().get("set-cookie") {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            self.cookie = Some(pair.parse()?);
        }
        Ok(reply.into_inner().count)
    }
}
