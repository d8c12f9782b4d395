//! What can be chosen about a store.

use std::time::Duration;

use crate::clock::Clock;

/// What has to happen for a session to be lost that was saved.
///
/// None of these levels loses anything when the process crashes or is killed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Durability {
    /// A power failure, or a disk that fails and is mounted again: it may take the last half minute
    /// of sessions, or damage them. The default, and the fastest.
    #[default]
    None,
    /// A power failure or failing disk soon after the session was made: it may take the session, or
    /// bring a deleted one back.
    ///
    /// What was changed in a session that is there is kept, with one `fdatasync` for each change,
    /// and one of the directory for the first.
    Data,
    /// The loss of the disk: what was reported as done is kept, with one `fdatasync` and up to two
    /// more of directories.
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
