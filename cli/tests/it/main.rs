//! The tool as operators run it, on every store, filled through the library.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

mod support;

mod cookies;
mod doctor;
mod drills;
mod importing;
mod keys;
mod migrating;
mod refusals;
mod shell;
mod stores;
mod sweeping;
mod terminal;
