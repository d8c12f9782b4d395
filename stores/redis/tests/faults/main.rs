//! Two servers of an application on one Redis, and failures between them and it. No acknowledged
//! write is lost, and no ended session comes back.
//!
//! The short form runs with the other tests. The long one prints what it survived:
//!
//! ```sh
//! SILVERBACK_SOAK=1 cargo test --release -p silverback-redis --all-features --test faults -- --nocapture
//! ```

#![cfg(all(feature = "cluster", feature = "sentinel"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod counting;
mod cuts;
mod damage;
mod failover;
mod silence;
mod site;
