//! The limits of what is read and written.

/// The bytes of a gob.
pub(super) const MAX_LEN: usize = 4 << 20;

/// The number of values, nested ones included. A value takes more room in memory than in the gob.
pub(super) const MAX_VALUES: usize = 1 << 18;

/// The depth of nested values. An interface counts as a level.
pub(super) const MAX_DEPTH: usize = 100;

/// The bytes of a registered name, as in Go.
pub(super) const MAX_NAME: usize = 1024;
