//! The locks, atomics and thread-locals of what threads share in a request.
//!
//! In tests with `--cfg shuttle` they are those of the crate of that name, which decides at each of
//! them which thread goes on.

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
