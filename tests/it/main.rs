//! Everything a user can see, one module per behaviour.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod adverse;
mod axum;
mod bounds;
mod bounds_of_lifetimes;
mod concurrency;
mod configuration;
mod conflicts;
mod expired_records;
mod flash;
mod headers;
mod hostile;
mod hyper;
mod kept_handles;
mod key_rings;
mod lifecycle;
mod lifetimes;
mod limits;
#[cfg(feature = "tracing")]
mod logs;
mod many_sessions;
mod outcomes;
mod outgrown;
mod overflow;
mod presented_cookies;
mod revocation;
mod rosters;
mod rotation;
mod stores;
mod subjects;
mod tidy;
mod tonic;
mod values;
