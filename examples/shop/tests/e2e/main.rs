//! The shop as its visitors see it: through `curl` with a cookie jar, and through a browser.
//!
//! A test whose program is missing (`curl`, `chromium` and `chromedriver`, axe-core in the file that `AXE` names) says so and passes; where
//! the environment variable `CI` is set it fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod browser;
mod curl;
mod driver;
mod looks;
mod shop;

use std::env;

/// A key for shops that are started twice.
const KEY: &str = "9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e";
const MONTH: u64 = 30 * 86_400;

/// Says whether there is such a program on this machine.
fn require(binary: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(binary).is_file());
    if !found {
        skip(&format!("`{binary}` is not installed"));
    }
    found
}

fn skip(reason: &str) {
    let ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!ci, "{reason}, and with CI set no test may be skipped");
    println!("skipped: {reason}");
}
