//! What every operation is done with: the directory, its settings, and where its sweep is.

use std::sync::Mutex;

use super::settings::Settings;

/// A store's directory and its settings.
#[derive(Debug)]
pub(super) struct Disk<F> {
    pub(super) fs: F,
    pub(super) settings: Settings,
    pub(super) cursor: Mutex<Cursor>,
}

impl<F> Disk<F> {
    pub(super) fn new(fs: F, settings: Settings) -> Self {
        Self {
            fs,
            settings,
            cursor: Mutex::default(),
        }
    }
}

/// Where a sweep in steps is.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The shard to list next.
    pub(super) shard: u16,
    /// What is left of the one before.
    pub(super) names: Vec<String>,
}
