//! The HTTP clients that come with this crate.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// A client for the emulator.
pub(crate) fn plain() -> Client<HttpConnector, Full<Bytes>> {
    with(HttpConnector::new())
}

#[cfg(feature = "tls")]
pub(crate) type Https = hyper_rustls::HttpsConnector<HttpConnector>;

/// A client that trusts the system's certificates.
#[cfg(feature = "tls")]
pub(crate) fn secure() -> std::io::Result<Client<Https, Full<Bytes>>> {
    let provider = rustls::crypto::ring::default_provider();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)?
        .https_only()
        .enable_http1()
        .build();
    Ok(with(connector))
}

/// Makes a client that repeats no request. If a connection turns out to be closed, hyper-util uses
/// another one only for requests that it has not begun to send.
fn with<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector)
}
