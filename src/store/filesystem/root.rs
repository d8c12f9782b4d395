//! What every operation is done with: the directory, its settings, the files that are kept open, and
//! where the sweep is.

use std::{io, sync::Mutex};

use rustix::io::Errno;

use super::{brake::Brake, fs::Fs, kept::Kept, settings::Settings};

/// A store's directory and its settings.
#[derive(Debug)]
pub(super) struct Disk<F: Fs> {
    pub(super) fs: F,
    pub(super) settings: Settings,
    pub(super) kept: Kept<F::File>,
    pub(super) brake: Brake,
    pub(super) cursor: Mutex<Cursor>,
}

impl<F: Fs> Disk<F> {
    pub(super) fn new(fs: F, settings: Settings) -> Self {
        // On a network file system, links do not tell whether a file was removed.
        let kept = Kept::new(if settings.is_network {
            0
        } else {
            settings.kept_files
        });
        Self {
            fs,
            settings,
            kept,
            brake: Brake::default(),
            cursor: Mutex::default(),
        }
    }

    /// Opens something. If too many files are open, it closes those that are kept and tries again.
    pub(super) fn open<T>(&self, open: impl Fn(&F) -> io::Result<T>) -> io::Result<T> {
        match open(&self.fs) {
            Err(error) if are_too_many(&error) && self.kept.close_all() => open(&self.fs),
            opened => opened,
        }
    }
}

fn are_too_many(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Where a sweep in steps is.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The shard to list next.
    pub(super) shard: u16,
    /// What is left of the one before.
    pub(super) names: Vec<String>,
}
