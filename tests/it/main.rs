//! Everything a user can see, one module per behaviour. Modules about files are for Unix, as their
//! store is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod after_response;
mod answers;
mod authentication;
mod axum;
mod bounds;
mod bounds_of_lifetimes;
mod browsers;
mod browsing;
mod budget;
mod caches;
mod cancellation;
mod clock_skew;
mod commit;
mod concurrency;
mod configuration;
mod conflicts;
mod cookie_bytes;
mod detached;
mod driven_operations;
mod emptied;
mod ends_beside_renewals;
mod ends_by_key;
mod events;
mod eviction;
mod expired_records;
mod explained;
mod failing_store;
mod failing_updates;
mod first_idle;
mod first_use;
mod flaky_store;
mod flash;
mod former_names;
#[cfg(feature = "gorilla")]
mod gorilla;
#[cfg(feature = "gorilla")]
mod gorilla_cases;
#[cfg(all(feature = "gorilla", unix))]
mod gorilla_files;
#[cfg(feature = "gorilla")]
mod gorilla_moves;
#[cfg(feature = "gorilla")]
mod gorilla_records;
mod grpc;
mod headers;
mod hot_records;
mod hyper;
#[cfg(unix)]
mod in_files;
#[cfg(feature = "gorilla")]
mod interleaved;
mod jar;
mod key_rings;
mod late_cookies;
mod late_reads;
mod later_formats;
mod lifecycle;
mod lifetimes;
mod limits;
mod listed_sessions;
mod liveness;
mod logout_wins;
#[cfg(feature = "tracing")]
mod logs;
mod lost_answers;
mod lost_calls;
mod many_sessions;
mod marks;
mod mid_request_ends;
mod mistakes;
mod moved_meanwhile;
#[cfg(unix)]
mod moves;
mod names;
mod nested_layers;
mod older_types;
mod other_layers;
mod outcomes;
mod outgrowing;
mod outgrown;
mod overflow;
mod polls;
mod presented_cookies;
mod records_by_key;
mod renewals;
mod retries;
mod revocation;
mod roster_failures;
mod rosters;
#[cfg(unix)]
mod rosters_in_files;
mod rotation;
mod round_trips;
mod saving_bodies;
mod schedules;
mod sealed_rosters;
mod session_limit;
mod set_cookie_length;
mod settings_files;
mod shrunk;
mod store_limits;
mod stores;
mod subject_keys;
mod subjects;
mod take;
mod text;
mod times;
mod tonic;
mod touched;
mod tried_again;
mod two_cookies;
mod unseen;
mod user_code;
mod value_model;
mod values;
