//! What the stores take by themselves, beside a floor that does the same job with the least code.
//!
//! ```text
//! cargo bench --bench stores              as in docs/performance.md; takes minutes
//! cargo bench --bench stores -- DIR       with the files in another directory than the temporary one
//! cargo bench --bench stores -- memory    one of them alone: memory, files, waits
//! cargo bench --bench stores -- 100000    with so many sessions instead of a million
//! ```
//!
//! With `--test` it does all of it once and small.

mod files;
mod memory;
mod operations;
mod table;
mod time;
mod waits;

use std::{
    env,
    error::Error,
    fmt,
    future::Future,
    path::PathBuf,
    pin::pin,
    task::{Context, Poll, Waker},
};

use silverback::{
    Timestamp,
    store::{Expiry, RecordKey},
};

/// When sessions end that never do.
pub(crate) const NEVER: Expiry = until(Timestamp::from_secs(u64::MAX));

pub(crate) const fn until(end: Timestamp) -> Expiry {
    Expiry::new(end, Timestamp::from_secs(0))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut scale = Scale {
        sessions: 1_000_000,
        rounds: 200,
        calls: 250,
        syncs: 500,
        updates: 1_000_000,
    };
    let mut parent = env::temp_dir();
    let mut only = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--bench" => {}
            "--test" => {
                scale = Scale {
                    sessions: 2_000,
                    rounds: 2,
                    calls: 2,
                    syncs: 2,
                    updates: 200,
                }
            }
            "memory" | "files" | "waits" => only = Some(argument),
            "--fill" => return memory::fill(arguments),
            _ => match argument.parse() {
                Ok(sessions) => scale.sessions = sessions,
                Err(_) => parent = PathBuf::from(argument),
            },
        }
    }
    let is_chosen = |part| only.as_deref().is_none_or(|only| only == part);
    if is_chosen("memory") {
        memory::run(&scale)?;
    }
    if is_chosen("files") {
        files::run(&scale, &parent)?;
        operations::run(&scale, &parent)?;
    }
    if is_chosen("waits") {
        waits::run(&scale, &parent)?;
    }
    Ok(())
}

/// How much is measured.
pub(crate) struct Scale {
    pub(crate) sessions: u64,
    pub(crate) rounds: usize,
    pub(crate) calls: u32,
    pub(crate) syncs: usize,
    pub(crate) updates: u64,
}

/// Keys that are spread as hashes are.
pub(crate) fn key_of(number: u64) -> RecordKey {
    let mut bytes = [0; 32];
    let mut hash = number;
    for part in bytes.as_chunks_mut::<8>().0 {
        hash = (hash ^ (hash >> 31))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(0x1656_67b1_9e37_79f9);
        *part = (hash ^ (hash >> 29)).to_be_bytes();
    }
    RecordKey::from_bytes(bytes)
}

/// The store does its work when it is polled first: in memory, or outside of a runtime.
pub(crate) fn now<T, E: fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output.expect("the store works"),
        Poll::Pending => unreachable!("nothing waits"),
    }
}
