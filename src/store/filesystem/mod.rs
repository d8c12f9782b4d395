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
//!
//! # Files
//!
//! Each file knows those above it in this list and none below, by its imports and by the methods it
//! calls. None of them knows this one.
//!
//! | File | What is in it |
//! |---|---|
//! | `slot` | The bytes of a record's file |
//! | `fs` | The file operations, as a trait |
//! | `settings` | What can be chosen, `Durability` among it |
//! | `posix` | The file operations as system calls |
//! | `open` | How the directory is opened and which ones are refused |
//! | `root` | `Disk`: the directory, its settings, where its sweep is |
//! | `files` | `Shard`: a record's place, and reading and writing there |
//! | `lock` | `Locked`: a record that one thread alone may change |
//! | `disk` | Load, create, update, touch and delete |
//! | `sweep` | Removing what is over |
//! | `browse` | Listing records by the heads of their files |
//! | `store` | `FilesystemStore`: the same on threads for blocking work |
//! | `options` | `FilesystemOptions`, and what opens a store |

mod brake;
mod browse;
mod cached;
mod disk;
mod files;
mod fs;
mod kept;
mod lock;
mod open;
mod options;
mod posix;
mod root;
mod settings;
mod slot;
mod store;
mod sweep;
#[cfg(test)]
mod tests;

pub use self::{options::FilesystemOptions, settings::Durability, store::FilesystemStore};
