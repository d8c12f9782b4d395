//! Sessions in files, one each.
//!
//! # A record's life
//!
//! The record of a key is the file `<first two hexadecimal digits>/<all 64 of them>`, with two
//! slots for two states.
//!
//! - **Load** reads both slots without a lock and takes the newer valid one.
//! - **Create** writes a temporary file and renames it, unless there is one of that name.
//! - **Update and touch** lock the file, look whether it still has a name, and write the slot that
//!   is *not* current, in place. A crash in the middle spoils that slot only. For a state that does
//!   not fit, a larger file with the current one is renamed over it first.
//! - **Delete** locks the file and unlinks it. An update that waits for the lock finds out that the
//!   name has gone: it never makes one, so it cannot bring a session back.
//!
//! - **Sweep** looks at a hint beside each file, its time of last access, and into those whose hint
//!   has passed.
//!
//! Locks are those of `flock`, held for one change and never for a request.
//!
//! # Threads
//!
//! All of this is done on the runtime's threads for blocking work, with one exception. A load first
//! tries what the kernel promises to answer from memory (`RESOLVE_CACHED` and `RWF_NOWAIT` on
//! Linux): that takes a third of the time that it takes on another thread, and never waits for the
//! disk. Writes have no such promise, even without syncs: the kernel makes a writer wait when
//! memory is full of what others have written. A call whose future is dropped is finished all the
//! same. Outside of a Tokio runtime the work is done at once.

mod disk;
mod files;
mod fs;
mod lock;
mod open;
mod options;
mod posix;
mod root;
mod settings;
mod slot;
mod store;
mod sweep;
mod sweeper;
#[cfg(test)]
mod tests;

pub use self::{
    options::FilesystemOptions, settings::Durability, store::FilesystemStore, sweep::Swept,
    sweeper::Sweeper,
};
