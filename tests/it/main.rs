//! Everything a user can see, one module per behaviour.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod adverse;
mod axum;
mod bounds;
mod concurrency;
mod configuration;
mod flash;
mod headers;
mod hostile;
mod hyper;
mod lifecycle;
mod lifetimes;
mod liveness;
#[cfg(feature = "tracing")]
mod logs;
mod many_sessions;
mod outcomes;
mod overflow;
mod presented_cookies;
mod revocation;
mod rotation;
mod stores;
mod subjects;
mod tonic;
mod values;
