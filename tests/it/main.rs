//! Everything a user can see, one module per behaviour.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod after_response;
mod axum;
mod bounds;
mod bounds_of_lifetimes;
mod cancellation;
mod commit;
mod concurrency;
mod configuration;
mod conflicts;
mod cookie_bytes;
mod driven_operations;
mod eviction;
mod expired_records;
mod failing_store;
mod flash;
mod grpc;
mod headers;
mod hyper;
mod key_rings;
mod late_cookies;
mod lifecycle;
mod lifetimes;
mod limits;
mod listed_sessions;
mod liveness;
#[cfg(feature = "tracing")]
mod logs;
mod lost_answers;
mod many_sessions;
mod marks;
mod mid_request_ends;
mod names;
mod outcomes;
mod outgrowing;
mod outgrown;
mod overflow;
mod presented_cookies;
mod renewals;
mod revocation;
mod roster_failures;
mod rosters;
mod rosters_in_files;
mod rotation;
mod round_trips;
mod schedules;
mod sealed_rosters;
mod session_limit;
mod shrunk;
mod stores;
mod subjects;
mod tonic;
mod user_code;
mod values;
