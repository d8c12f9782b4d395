//! The stores on their real servers. If a server is not installed, its tests are skipped with a
//! note. With `CI` set they fail.
//!
//! ```text
//! SILVERBACK_SOAK=1 cargo test -p silverback-sqlx --all-features --test it faults -- --nocapture
//! ```
//!
//! runs the long form of the fault tests and prints the failures that were survived.
#![cfg(unix)]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod contract;
mod deletions;
mod faults;
mod plans;
mod refusals;
mod support;
mod tables;
mod tls;
mod upkeep;
mod waiting;
