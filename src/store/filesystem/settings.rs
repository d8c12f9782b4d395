//! The settings of a store.

use std::time::Duration;

use crate::clock::Clock;

/// What a saved session survives.
///
/// At every level it survives a crash of the process, or a kill. The levels differ in what can lose
/// it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Durability {
    /// A power failure, or a failing disk that is mounted again, may lose the last half minute of
    /// sessions, or damage them. The default, and the fastest.
    #[default]
    None,
    /// A power failure or a failing disk soon after the session was created may lose the session,
    /// or bring a deleted one back.
    ///
    /// Changes of an existing session are kept, at the cost of one `fdatasync` for each change, and
    /// one of the folder for the first.
    Data,
    /// Only the loss of the disk loses it. Every operation that succeeded is kept, at the cost of
    /// one `fdatasync` and up to two more of folders.
    Full,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) durability: Durability,
    pub(super) max_record_bytes: usize,
    pub(super) lock_timeout: Duration,
    /// On a network file system, an open file may keep a link although its name is gone.
    pub(super) is_network: bool,
    /// The number of record files that stay open.
    pub(super) kept_files: usize,
    /// Whether a write may run on the calling thread.
    pub(super) inline_writes: bool,
    pub(super) clock: Clock,
}
