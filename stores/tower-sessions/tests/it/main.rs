//! Both versions of tower-sessions over silverback, and what is built on them.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "the tests of each version are the same, and its types are others"
)]

mod axum_login;
mod axum_messages;
mod browser;
mod log;
mod rows;
mod v0_14;
mod v0_15;
