//! gRPC with tonic: the session is in the request's extensions, its cookie in the metadata.
//!
//! The README has commands that log in, use the session and log out.

/// The output of `tonic_prost_build::compile_protos("proto/visits.proto")`. It is checked in so
/// that the example needs no `protoc`. A project generates it in its build script, and includes it
/// with `tonic::include_proto!("visits")`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod visits;

#[cfg(test)]
mod tests;

use std::error::Error as StdError;

use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tonic::{Request, Response, Status, transport::Server};

use visits::{
    LogInReply, LogInRequest, LogOutReply, LogOutRequest, VisitReply, VisitRequest,
    visits_server::{Visits, VisitsServer},
};

struct Counter;

#[tonic::async_trait]
impl Visits for Counter {
    /// A real service checks a password first.
    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<LogInReply>, Status> {
        let session = session(&request).await?;
        session.renew(); // a new ID: anyone who had the old one is locked out
        let name = request.into_inner().name;
        session.insert("user", name).map_err(status)?;
        Ok(Response::new(LogInReply {}))
    }

    async fn visit(&self, request: Request<VisitRequest>) -> Result<Response<VisitReply>, Status> {
        let session = session(&request).await?;
        let user = session.get::<String>("user").map_err(status)?;
        let name = user.ok_or_else(|| Status::unauthenticated("log in first"))?;
        let count = session.update("visits", |n: &mut u64| {
            *n += 1;
            *n
        });
        let count = count.map_err(status)?;
        Ok(Response::new(VisitReply { name, count }))
    }

    async fn log_out(
        &self,
        request: Request<LogOutRequest>,
    ) -> Result<Response<LogOutReply>, Status> {
        let session = session(&request).await?;
        session.destroy().await.map_err(status)?; // the session has ended when this returns
        Ok(Response::new(LogOutReply {}))
    }
}

/// Returns the session of a call, read from its store.
async fn session<T: Sync>(request: &Request<T>) -> Result<Session, Status> {
    let session = request.extensions().get::<Session>().cloned();
    let session = session.ok_or_else(|| Status::internal("no session layer"))?;
    session.load().await.map_err(status)?;
    Ok(session)
}

/// The code tells the client whether to call again. The log gets the error.
#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err` passes it by value"
)]
fn status(error: Error) -> Status {
    eprintln!("{error:?}");
    Status::new(error.answer().grpc_code().into(), error.client_message())
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
