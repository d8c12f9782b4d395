//! The basis of every operation: the directory, its settings, the files that stay open, and the
//! position of the sweep.

use std::{io, sync::Mutex};

use rustix::io::Errno;

use super::{brake::Brake, fs::Fs, kept::KeptFiles, settings::Settings};

/// A store's directory and its settings.
#[derive(Debug)]
pub(super) struct Disk<F: Fs> {
    pub(super) fs: F,
    pub(super) settings: Settings,
    pub(super) kept: KeptFiles<F::File>,
    pub(super) brake: Brake,
    pub(super) cursor: Mutex<Cursor>,
}

impl<F: Fs> Disk<F> {
    pub(super) fn new(fs: F, settings: Settings) -> Self {
        // On a network file system, links do not reveal whether a file was removed.
        let kept = KeptFiles::new(if settings.is_network {
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

    /// Opens a file or directory. If too many are open, closes the kept files and tries again.
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

/// The position of a sweep in steps.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The shard to list next.
    pub(super) shard: u16,
    /// The names left of the shard before.
    pub(super) names: Vec<String>,
}
