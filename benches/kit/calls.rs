//! The filesystem store's system calls by hand, in the same order, on the same files and with
//! nothing around them: no data is examined. One call is missing, the read of the scheduler's
//! statistics, which the store makes at most twice a millisecond.

use std::{io, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, ResolveFlags, StatxFlags},
    io::{Errno, ReadWriteFlags},
    rand::GetRandomFlags,
};
use silverback::store::RecordKey;

/// The two slots of a small record.
const FILE: usize = 2 * SLOT;
const SLOT: usize = 2_048;
/// Bytes that the store writes before the data.
const HEADER: usize = 96;
/// The number of files that the store keeps open by default.
const KEPT: usize = 128;

/// A folder of records that all have the same length.
pub struct Calls {
    root: OwnedFd,
    /// Bytes that an update writes.
    len: usize,
    /// Each record has a fixed place, so no call searches.
    kept: Vec<Option<Kept>>,
}

struct Kept {
    key: RecordKey,
    file: OwnedFd,
    /// The process that opened the file. A child shares its parent's open files.
    process: u32,
    /// Offset of the next update.
    offset: u64,
}

impl Calls {
    /// Opens a folder whose records hold `len` bytes of data.
    pub fn open(folder: &Path, len: usize) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::openat(CWD, folder, flags, Mode::empty())?,
            len: HEADER + len,
            kept: (0..KEPT).map(|_| None).collect(),
        })
    }

    /// Reads the record.
    pub fn load(&mut self, key: &RecordKey) -> io::Result<()> {
        let kept = self.take(key).map_or_else(|| self.open_file(key), Ok)?;
        kept.look()?;
        kept.read(&mut [0; FILE])?;
        self.keep(kept);
        Ok(())
    }

    /// Locks the record and writes its first slot into the two slots alternately.
    pub fn update(&mut self, key: &RecordKey) -> io::Result<()> {
        draw::<16>()?;
        let mut kept = match self.take(key) {
            Some(kept) if kept.process == std::process::id() => kept,
            _ => self.open_file(key)?,
        };
        rustix::fs::flock(&kept.file, FlockOperation::NonBlockingLockExclusive)?;
        kept.look()?;
        let mut buffer = [0; FILE];
        kept.read(&mut buffer)?;
        let (slot, _) = buffer.split_at(self.len);
        rustix::io::pwrite(&kept.file, slot, kept.offset)?;
        kept.offset = SLOT as u64 - kept.offset;
        rustix::fs::flock(&kept.file, FlockOperation::Unlock)?;
        self.keep(kept);
        Ok(())
    }

    /// The calls of a request that loads the record and changes it. Its write draws an id.
    pub fn cycle(&mut self, key: &RecordKey) -> io::Result<()> {
        self.load(key)?;
        draw::<8>()?;
        self.update(key)
    }

    fn take(&mut self, key: &RecordKey) -> Option<Kept> {
        let place = self.kept.get_mut(place_of(key))?;
        place.take_if(|kept| kept.key == *key)
    }

    /// Keeps the file open and closes the one that had its place.
    fn keep(&mut self, kept: Kept) {
        if let Some(place) = self.kept.get_mut(place_of(&kept.key)) {
            *place = Some(kept);
        }
    }

    fn open_file(&self, key: &RecordKey) -> io::Result<Kept> {
        let flags =
            OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let path = path_of(key);
        let open = |how| rustix::fs::openat2(&self.root, &path[..], flags, Mode::empty(), how);
        Ok(Kept {
            key: *key,
            file: match open(resolve | ResolveFlags::CACHED) {
                // The path is not cached, so the kernel has to read the disk.
                Err(Errno::AGAIN) => open(resolve)?,
                opened => opened?,
            },
            process: std::process::id(),
            offset: SLOT as u64,
        })
    }
}

impl Kept {
    /// Asks for everything but the times, as the store does since Linux 6.13.
    fn look(&self) -> io::Result<()> {
        let wanted = StatxFlags::TYPE
            | StatxFlags::MODE
            | StatxFlags::NLINK
            | StatxFlags::UID
            | StatxFlags::INO
            | StatxFlags::SIZE;
        let stat = rustix::fs::statx(&self.file, c"", AtFlags::EMPTY_PATH, wanted)?;
        assert_eq!(stat.stx_nlink, 1, "the record is there");
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut parts = [io::IoSliceMut::new(buffer)];
        let count = match rustix::io::preadv2(&self.file, &mut parts, 0, ReadWriteFlags::NOWAIT) {
            Err(Errno::AGAIN) => rustix::io::pread(&self.file, buffer, 0)?,
            count => count?,
        };
        assert_eq!(count, FILE, "the record is a small one");
        Ok(())
    }
}

fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    Ok(bytes)
}

fn place_of(key: &RecordKey) -> usize {
    let [.., last] = key.as_bytes();
    usize::from(*last) % KEPT
}

/// `<shard>/<name>`, without the cost of the formatter.
pub fn path_of(key: &RecordKey) -> [u8; 67] {
    let digits = key
        .as_bytes()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    let mut path = [b'/'; 67];
    let places = [0, 1].into_iter().chain(3..67);
    let shard = digits.clone().take(2);
    for (place, digit) in places.zip(shard.chain(digits)) {
        if let Some(byte) = path.get_mut(place) {
            *byte = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
        }
    }
    path
}
