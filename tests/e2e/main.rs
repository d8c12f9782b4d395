//! A small site behind caching proxies, and with Java as its client. `examples/shop` tests a whole
//! application with browsers and `curl`.
//!
//! A test whose program is missing (`curl`, `go`, `nginx`, `haproxy`, `varnishd`, `java`) prints a
//! note and passes, or fails if the environment variable `CI` is set.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

#[cfg(feature = "gorilla")]
#[path = "../go/both.rs"]
mod both;
mod clients;
#[cfg(feature = "gorilla")]
mod go;
#[cfg(feature = "gorilla")]
mod go_sessions;
#[cfg(feature = "gorilla")]
mod gobs;
mod proxies;
mod site;

use std::env;

#[cfg(feature = "gorilla")]
use self::go::GoServer;

/// Returns whether the program is installed. If not, prints a note, or panics if `CI` is set.
fn require(binary: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(binary).is_file());
    if !found {
        let ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(
            !ci,
            "`{binary}` is not installed, and with CI set no test may be skipped"
        );
        println!("skipped: `{binary}` is not installed");
    }
    found
}
