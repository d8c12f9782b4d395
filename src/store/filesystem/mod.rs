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
//! A load first tries what the kernel promises to answer from memory (`RESOLVE_CACHED` and
//! `RWF_NOWAIT` on Linux). That never waits for the disk. An update or a touch without syncs is
//! made on the thread that asks too, if its lock is free, its pages are in memory, and it fits.
//! The kernel does not promise that such a write never waits, so each is timed, and a slow one
//! sends the next ones elsewhere for a while (`brake`). Everything else is done on the runtime's
//! threads for blocking work, which takes many times as long. A call whose future is dropped is
//! finished all the same. Outside of a Tokio runtime all work is done at once.
//!
//! # Kept files
//!
//! Opening and closing a file takes longer than reading it, so the files used last stay open
//! (`kept`). A file is used if it has a link when it is looked at, which for a change is with its
//! lock held. It has none once it was removed or another one was renamed over it, by whatever
//! process. A file that was moved by hand still has one: it is used until it is opened by its name
//! again, after a second.
//!
//! `flock` belongs to the open file. So a request takes a kept file out to use it, and two threads
//! never lock the same one; and a child process that shares files with its parent locks none of
//! them.
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
//! | `kept` | The files that stay open |
//! | `brake` | When changes may not be made on the thread that asks |
//! | `root` | `Disk`: the directory, its settings, its open files, where its sweep is |
//! | `files` | `Shard`: a record's place, and reading and writing there |
//! | `lock` | `Locked`: a record that one thread alone may change |
//! | `disk` | Load, create, update, touch and delete |
//! | `cached` | Load, update and touch on the thread that asks, if they need no disk |
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
