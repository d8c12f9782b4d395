//! The store's behaviour beyond the contract, on real servers.

#![cfg(all(feature = "cluster", feature = "redis-1", feature = "sentinel"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod browsing;
mod cluster;
mod confirmed;
mod connections;
mod errors;
mod failover;
mod keys;
mod round_trips;
mod support;
