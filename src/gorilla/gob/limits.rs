//! What is read and written at most.

/// Bytes of a gob.
pub(super) const MAX_LEN: usize = 4 << 20;

/// Values, those within others included. Each takes more room in memory than in the gob.
pub(super) const MAX_VALUES: usize = 1 << 18;

/// How deep values are within others. An interface counts as one.
pub(super) const MAX_DEPTH: usize = 100;

/// Bytes of a registered name, as in Go.
pub(super) const MAX_NAME: usize = 1024;
