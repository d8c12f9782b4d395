//! The locks, atomics and thread-locals for what threads share in a request.
//!
//! In tests with `--cfg shuttle` they come from the crate shuttle, which decides at each of them
//! which thread runs next.

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread_local,
};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};

/// shuttle's macro takes no `const` block.
#[cfg(all(test, shuttle))]
macro_rules! shuttle_thread_local {
    ($(static $name:ident: $type:ty = const $init:block;)*) => {
        shuttle::thread_local! { $(static $name: $type = $init;)* }
    };
}

#[cfg(all(test, shuttle))]
pub(crate) use shuttle_thread_local as thread_local;

#[cfg(all(test, shuttle))]
mod tests;
