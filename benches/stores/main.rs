//! The cost of the stores alone, beside a floor that does the same job with the least code.
//!
//! ```text
//! cargo bench -p silverback-benches --bench stores
//! ```
//!
//! prints the tables of docs/performance.md, and takes minutes. After `--` it takes
//!
//! ```text
//! --write                    write the tables into docs/performance.md
//! DIR                        keep the files in this directory, not in that for temporary files
//! memory, files, requests, waits
//!                            run one of the four only
//! 100000                     use this many sessions instead of a million
//! ```
//!
//! With `--test` it runs everything once, at a small scale.

mod cycle;
mod files;
mod goals;
mod memory;
mod operations;
mod requests;
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

use kit::{machine, page::Page};
use silverback::{
    Timestamp,
    store::{Expiry, RecordKey},
};

/// The expiry of records that never expire.
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
    let (mut only, mut writes) = (None, false);
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
            "--write" => writes = true,
            "memory" | "files" | "requests" | "waits" => only = Some(argument),
            "--fill" => return memory::fill(arguments),
            requests::CHILD => return requests::step(arguments),
            _ => match argument.parse() {
                Ok(sessions) => scale.sessions = sessions,
                Err(_) => parent = PathBuf::from(argument),
            },
        }
    }
    let page = Page::open("performance.md", writes);
    let runs = |name| only.as_deref().is_none_or(|only| only == name);
    if runs("memory") {
        memory::run(&scale, &page)?;
    }
    if runs("files") {
        files::run(&scale, &parent, &page)?;
        operations::run(&scale, &parent, &page)?;
    }
    if runs("requests") {
        requests::run(&scale, &parent, &page)?;
    }
    if runs("waits") {
        waits::run(&scale, &parent, &page)?;
    }
    let files = machine::filesystem(&parent).map(|kind| format!("files on {kind}"));
    page.put("machine-stores", &machine::sentence(&[files]))
}

/// The sizes of the measurements.
pub(crate) struct Scale {
    pub(crate) sessions: u64,
    pub(crate) rounds: usize,
    pub(crate) calls: u32,
    pub(crate) syncs: usize,
    pub(crate) updates: u64,
}

/// A key for each number. The keys are spread like hashes.
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

/// The result of a store's operation. In memory, or outside a runtime, a store completes it in the
/// first poll.
pub(crate) fn now<T, E: fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output.expect("the store works"),
        Poll::Pending => unreachable!("nothing waits"),
    }
}
