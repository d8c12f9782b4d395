//! Ports that no two tests share.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// A free port of the loopback. No other test of this machine gets it while this lives, even while
/// no server listens on it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked by the owner of the port. The system releases the lock with the process.
    _lock: File,
}

/// Below the ports that Linux and macOS give to outgoing connections, which might take a port that
/// is free for a moment while its server restarts.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

impl Port {
    /// Takes a port.
    ///
    /// # Panics
    ///
    /// If none is free.
    #[must_use]
    pub fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes that start one after the other begin at different ports.
        let [low, high, ..] = process::id().wrapping_mul(97).to_le_bytes();
        let begin = u16::from_le_bytes([low, high]) % COUNT;
        (0..COUNT)
            .map(|_| NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
            .find_map(|next| Self::try_take(FIRST + (begin + next) % COUNT))
            .unwrap_or_else(|| panic!("no port is free from {FIRST} on"))
    }

    /// Returns its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    fn try_take(number: u16) -> Option<Self> {
        let user = rustix::process::getuid().as_raw();
        let folder = env::temp_dir().join(format!("silverback-ports-{user}"));
        fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
        let lock = File::create(folder.join(number.to_string())).ok()?;
        lock.try_lock().ok()?;
        // Another program listens there, on some address.
        let free = |address| TcpListener::bind((address, number)).is_ok();
        (free(Ipv4Addr::LOCALHOST) && free(Ipv4Addr::UNSPECIFIED)).then_some(Self {
            number,
            _lock: lock,
        })
    }
}
