//! Everything a user can see, one module per behaviour.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod adverse;
mod after_response;
mod axum;
mod bounds;
mod cancellation;
mod commit;
mod concurrency;
mod configuration;
mod eviction;
mod failing_store;
mod flash;
mod grpc;
mod headers;
mod hyper;
mod lifecycle;
mod lifetimes;
#[cfg(feature = "tracing")]
mod logs;
mod lost_answers;
mod many_sessions;
mod names;
mod outcomes;
mod overflow;
mod presented_cookies;
mod revocation;
mod rotation;
mod stores;
mod subjects;
mod tidy;
mod tonic;
mod values;
