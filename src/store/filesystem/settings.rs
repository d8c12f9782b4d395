//! What can be chosen about a store.

use std::time::Duration;

use crate::clock::Clock;

/// What a saved session survives.
///
/// At every level it survives that the process crashes or is killed. The levels differ in what can
/// lose it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Durability {
    /// A power failure, or a failing disk that is mounted again, may lose the last half minute of
    /// sessions, or damage them. The default, and the fastest.
    #[default]
    None,
    /// A power failure or a failing disk soon after the session was made may lose the session, or
    /// bring a deleted one back.
    ///
    /// Changes of a session that exists are kept, with one `fdatasync` for each change, and one of
    /// the folder for the first.
    Data,
    /// Only the loss of the disk loses it. What was reported as done is kept, with one `fdatasync`
    /// and up to two more of folders.
    Full,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) durability: Durability,
    pub(super) max_record_bytes: usize,
    pub(super) lock_timeout: Duration,
    /// A file that is open may keep a link there although its name has gone.
    pub(super) is_network: bool,
    /// How many files of records stay open.
    pub(super) kept_files: usize,
    /// Whether a write may be done on the thread that asks for it.
    pub(super) inline_writes: bool,
    pub(super) clock: Clock,
}
