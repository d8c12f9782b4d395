//! The shop as its visitors see it: through `curl` with a cookie jar, and through a browser.
//!
//! The tests need `curl`, `chromium` and `chromedriver`, and axe-core in the file that `AXE` names.
//! `examples/kit` says what happens without them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod browser;
mod curl;
mod looks;
mod shop;

/// A key for shops that are started twice.
const KEY: &str = "9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e";
const MONTH: u64 = 30 * 86_400;
