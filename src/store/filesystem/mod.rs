//! Sessions in files, one file each.
//!
//! # A record's life
//!
//! The record of a key is the file `<first two hexadecimal digits>/<all 64 of them>`, with two
//! slots for two states.
//!
//! - **Load** reads both slots without a lock and takes the newer valid one.
//! - **Create** writes a temporary file and renames it, unless the name is taken.
//! - **Update and touch** lock the file, check that it still has a name, and write the slot that is
//!   *not* current, in place. A crash in the middle spoils only that slot. If the new state does
//!   not fit, a larger file with the current state is first renamed over the old one.
//! - **Delete** locks the file and unlinks it. An update that waits for the lock finds that the
//!   name is gone. An update never creates a name, so it cannot bring a session back.
//!
//! - **Sweep** checks a hint beside each file, its access time, and opens the files whose hint has
//!   passed.
//!
//! Locks are those of `flock`, held for one change, never for a whole request.
//!
//! # Threads
//!
//! A load first tries what the kernel promises to answer from memory (`RESOLVE_CACHED` and
//! `RWF_NOWAIT` on Linux), which never waits for the disk. An update or a touch without syncs also
//! runs on the calling thread, if its lock is free, its pages are in memory, and it fits. The
//! kernel does not promise that such a write never waits, so each is timed, and a slow one sends
//! the next ones elsewhere for a while (`brake`). Everything else runs on the runtime's threads for
//! blocking work, which takes many times as long. A call whose future is dropped still finishes.
//! Outside of a Tokio runtime all work runs on the calling thread.
//!
//! # Kept files
//!
//! Opening and closing a file takes longer than reading it, so the files used last stay open
//! (`kept`). A kept file is used only if it still has a link; a change checks that with the lock
//! held. A file loses its link when any process removes it or renames another over it. A file that
//! was moved by hand keeps its link: it is used until it is opened by its name again, after a
//! second.
//!
//! `flock` belongs to the open file. So a request takes a kept file out to use it, and two threads
//! never lock the same one. A child process that shares files with its parent locks none of them.
//!
//! # Files
//!
//! Each file uses those above it in this list and none below, by its imports and by the methods it
//! calls. None uses this module.
//!
//! | File | What is in it |
//! |---|---|
//! | `slot` | The bytes of a record's file |
//! | `fs` | The file operations, as a trait |
//! | `settings` | The settings, including `Durability` |
//! | `posix` | The file operations as system calls; `posix/linux` and `posix/other` have what only Linux can do, and what replaces it elsewhere |
//! | `open` | Opening the directory, and which directories are refused |
//! | `kept` | The files that stay open |
//! | `brake` | When changes must leave the calling thread |
//! | `root` | `Disk`: the directory, its settings, its open files and the position of its sweep |
//! | `files` | `Shard`: a record's place, reading and writing there |
//! | `lock` | `Locked`: a record that only one thread may change |
//! | `disk` | Load, create, update, touch and delete |
//! | `cached` | Load, update and touch on the calling thread, if they need no disk |
//! | `sweep` | Removing expired records |
//! | `browse` | Listing records by the heads of their files |
//! | `store` | `FilesystemStore`: the same on threads for blocking work |
//! | `options` | `FilesystemOptions`, and opening a store |

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
