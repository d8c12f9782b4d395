//! Waiting for several servers to agree.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Waits until the condition holds.
///
/// # Panics
///
/// If it does not hold within two minutes.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "not yet: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
