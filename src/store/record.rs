//! What goes into a store and comes out of it.

use std::{fmt, time::Duration};

use super::{Bytes, StoreError};
use crate::{
    clock::{Clock, Timestamp},
    crypto,
};

/// How fresh a load has to be.
///
/// Sessions are read as `Current` unless their settings allow less. A store with only one kind of
/// read ignores the difference.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store must handle each kind of read"
)]
pub enum Read {
    /// The result of every write that has been answered: a linearizable read, past any cache or
    /// replica.
    Current,
    /// An earlier state of the store; its own docs say how old at most. A cache may answer, but
    /// must never remember that there is no record.
    Recent,
}

/// When a record expires, in two ways: a store whose server has a clock uses `after`, one that uses
/// this machine's clock takes [`checked_at`](Self::checked_at).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "these two fields are the whole end, and tests of stores write it out"
)]
pub struct Expiry {
    /// The end by the session's clock, in the year 9999 at the latest.
    pub at: Timestamp,
    /// How far away the end is, in whole seconds.
    pub after: Duration,
}

impl Expiry {
    /// Makes the expiry of a record that is written `now`. An end after the year 9999 becomes that
    /// year's last second, since not every server can express a later time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::{Timestamp, store::Expiry};
    ///
    /// let expiry = Expiry::new(Timestamp::from_secs(1_060), Timestamp::from_secs(1_000));
    /// assert_eq!(expiry.after, Duration::from_secs(60));
    /// ```
    #[must_use]
    pub const fn new(at: Timestamp, now: Timestamp) -> Self {
        let is_later = at.as_secs() > Timestamp::LATEST.as_secs();
        let at = if is_later { Timestamp::LATEST } else { at };
        Self {
            at,
            after: at.saturating_since(now),
        }
    }

    /// Returns the end, for a store whose clock reads `now`.
    ///
    /// ```
    /// use silverback::{Timestamp, store::{Expiry, StoreError}};
    ///
    /// let (end, now) = (Timestamp::from_secs(1_060), Timestamp::from_secs(1_000));
    /// assert_eq!(Expiry::new(end, now).checked_at(now).unwrap(), end);
    /// let tomorrow = Timestamp::from_secs(87_400);
    /// assert!(matches!(
    ///     Expiry::new(end, now).checked_at(tomorrow),
    ///     Err(StoreError::ClocksDiffer { .. })
    /// ));
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::ClocksDiffer`] if the record should live but has already expired by this
    /// clock, which is more than ten minutes ahead of the session's. With a smaller difference, the
    /// write may just have taken that long to arrive.
    pub fn checked_at(self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let session = Timestamp::from_secs(self.at.as_secs().saturating_sub(self.after.as_secs()));
        let is_over = self.at <= now && !self.after.is_zero();
        if is_over && now.saturating_since(session) > DELAY {
            return Err(StoreError::ClocksDiffer {
                session,
                store: now,
            });
        }
        Ok(self.at)
    }
}

/// The longest that a write may take to reach the store: its process may be stopped meanwhile.
pub(super) const DELAY: Duration = Duration::from_secs(600);

/// What a store accepts, and what its users can rely on.
///
/// ```
/// use silverback::store::Limits;
///
/// let limits = Limits { record_bytes: 1 << 20, ..Limits::default() };
/// assert!(!limits.never_waits && !limits.may_forget);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a store writes it out, the rest with `..Limits::default()`"
)]
pub struct Limits {
    /// The most bytes of a record's data. The default is `usize::MAX`.
    pub record_bytes: usize,
    /// Every method completes at its first poll, as with data in this process's memory. Sessions of
    /// such a store need no [`load`](crate::Session::load) and allocate no future. If a method
    /// waits all the same, it fails. The default is `false`.
    pub never_waits: bool,
    /// The store may drop records before their end without notice, as memcached does, or Redis with
    /// an evicting policy. The ends of sessions in cookies and the lists of subjects cannot be kept
    /// there. The default is `false`.
    pub may_forget: bool,
    /// The store's client repeats a write on its own when the answer is lost, as the clients of
    /// Redis Cluster and the AWS SDKs do. A [`Conflict`](StoreError::Conflict) or
    /// [`Exists`](StoreError::Exists) may then come from the write's own first attempt, so a
    /// session checks each time. The default is `false`: a refused write did not happen.
    pub may_repeat: bool,
    /// The store may have dropped ends of sessions that were set up to this time. Sessions in a
    /// cookie that were created by then are refused. Set it in a store of bounded size that
    /// otherwise keeps every end. The default is `None`.
    pub forgotten_until: Option<Timestamp>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: usize::MAX,
            never_waits: false,
            may_forget: false,
            may_repeat: false,
            forgotten_until: None,
        }
    }
}

/// What a store keeps of one session.
#[derive(Clone, Eq, PartialEq)]
pub struct Record {
    data: Bytes,
    version: Version,
    expires: Timestamp,
}

impl Record {
    /// Makes a record from what the store has kept.
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// let record = Record::new("data", version, end);
    /// assert_eq!((record.data(), record.version(), record.expires()), (&b"data"[..], version, end));
    /// ```
    #[must_use]
    pub fn new(data: impl Into<Bytes>, version: Version, expires: Timestamp) -> Self {
        Self {
            data: data.into(),
            version,
            expires,
        }
    }

    /// Returns the session's bytes.
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// assert_eq!(Record::new("data", version, end).data(), b"data");
    /// ```
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns the session's bytes without copying them.
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// # let record = Record::new("data", version, end);
    /// let longer = Record::new(record.into_data(), version, Timestamp::from_secs(1_900_000_000));
    /// ```
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// Returns the version that an [`update`](super::Store::update) has to expect.
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// assert_eq!(Record::new("data", version, end).version(), version);
    /// ```
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Returns when the record expires, by the session's clock.
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// assert_eq!(Record::new("data", version, end).expires(), end);
    /// ```
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Returns whether the record has expired by the system's clock.
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// let old = Record::new("data", version, Timestamp::from_secs(1_000));
    /// assert!(old.is_expired());
    /// ```
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.is_expired_at(Clock::system().now())
    }

    /// Returns whether the record has expired at this time, for a store with a [`Clock`].
    ///
    /// ```
    /// # use silverback::{Timestamp, store::{Record, Version}};
    /// # let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_800_000_000));
    /// let record = Record::new("data", version, end);
    /// assert!(record.is_expired_at(end)); // from its end on
    /// ```
    #[must_use]
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

/// Shows no data.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("len", &self.data.len())
            .field("version", &self.version)
            .field("expires", &self.expires)
            .finish()
    }
}

/// The state of a record, in 16 bytes that only the store can interpret.
///
/// Every [`create`](super::Store::create) and [`update`](super::Store::update) makes a version that
/// its key has never had, even if the record was deleted, dropped or restored from a backup in
/// between. A store makes a [random](Self::random) one, or uses a sequence of its server that
/// outlives restarts and restores. A counter is enough only where the data and all its readers end
/// together, and then it must be the store's, not the record's.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Version([u8; 16]);

impl Version {
    /// Makes a version of 128 random bits.
    ///
    /// ```
    /// use silverback::store::Version;
    ///
    /// # fn main() -> Result<(), silverback::store::StoreError> {
    /// assert_ne!(Version::random()?, Version::random()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the operating system provides no random bytes.
    pub fn random() -> Result<Self, StoreError> {
        let bytes = crypto::random()
            .map_err(|_| StoreError::refused("the operating system gave no random bytes"))?;
        Ok(Self(bytes))
    }

    /// Makes a version from the bytes that a store has kept.
    ///
    /// ```
    /// use silverback::store::Version;
    ///
    /// fn of_row(column: &[u8]) -> Option<Version> {
    ///     Some(Version::from_bytes(column.try_into().ok()?))
    /// }
    /// ```
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes.
    ///
    /// ```
    /// use silverback::store::Version;
    ///
    /// assert_eq!(Version::from_bytes([7; 16]).as_bytes(), &[7; 16]);
    /// ```
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes a version from a server's number.
    ///
    /// ```
    /// use silverback::store::Version;
    ///
    /// assert_eq!(Version::from_u64(7).to_u64(), Some(7));
    /// ```
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self((number as u128).to_be_bytes())
    }

    /// Returns the server's number, or `None` if the version was not made from one.
    ///
    /// ```
    /// use silverback::store::Version;
    ///
    /// assert_eq!(Version::from_bytes([0xff; 16]).to_u64(), None);
    /// ```
    #[must_use]
    pub const fn to_u64(self) -> Option<u64> {
        let number = u128::from_be_bytes(self.0);
        if number <= u64::MAX as u128 {
            Some(number as u64)
        } else {
            None
        }
    }
}

/// Prints 32 hexadecimal digits.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:x})", base16ct::HexDisplay(&self.0))
    }
}

/// The purpose of a record, by its first byte: for operators, and for stores that evict records.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RecordKind {
    /// A session.
    Session,
    /// What a renewed or destroyed session leaves for a minute. A store that evicts keeps it until
    /// its end.
    Mark,
    /// A subject's list of sessions. A store that evicts drops it after sessions. If its bytes 1 to
    /// 5, a big-endian number of seconds, are not 0, all of the subject's sessions in cookies up to
    /// that time were ended. A store that drops it then says so in [`Limits::forgotten_until`].
    Roster,
    /// The end of a session in a cookie, or the note that a session has left a cookie of Go's. A
    /// store that evicts drops it last, and says so in [`Limits::forgotten_until`].
    End,
    /// Replaces a record that a [`MigratingStore`](super::MigratingStore) has moved to another
    /// store. A store that evicts keeps it until its end.
    Moved,
}

/// Added to the first byte of a record's data while the record is being moved.
pub(super) const MOVING: u8 = 0x80;
/// Added to the first byte of its copy in the other store.
pub(super) const COPY: u8 = 0xa0;
/// The first byte of what replaces a record that has been moved.
pub(super) const MOVED: u8 = 0xc0;
/// Mask for the data's own first byte in a record that is being moved. If all of its bits are set,
/// the data follows whole.
pub(super) const FIRST: u8 = 0x1f;

impl RecordKind {
    /// Returns the purpose of a record with these bytes, even if a later release wrote it, or
    /// `None` if another program did.
    ///
    /// ```
    /// use silverback::store::RecordKind;
    ///
    /// assert_eq!(RecordKind::of(b"something else"), None);
    /// ```
    #[must_use]
    pub const fn of(data: &[u8]) -> Option<Self> {
        match data {
            [1..8, ..] => Some(Self::Session),
            [8..16, ..] => Some(Self::Mark),
            [16..24, ..] => Some(Self::Roster),
            [24..FIRST, ..] => Some(Self::End),
            [MOVED, ..] => Some(Self::Moved),
            [first @ MOVING..MOVED, ..] => Self::of(&[*first & FIRST]),
            _ => None,
        }
    }

    /// Returns whether this release cannot read a record although one of this crate wrote it: a
    /// later one, or a [`MigratingStore`](super::MigratingStore).
    pub(crate) const fn is_later(data: &[u8]) -> bool {
        match data {
            [1..=3 | 8 | 9 | 16 | 24 | 25, ..] => false,
            [1..FIRST, ..] => true,
            _ => Self::is_migrating(data),
        }
    }

    /// Returns whether a record is being moved to another store, and only a
    /// [`MigratingStore`](super::MigratingStore) can read it.
    const fn is_migrating(data: &[u8]) -> bool {
        matches!(data, [MOVING..=MOVED, ..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_took_long_is_kept_until_its_end_or_for_ten_minutes() {
        let at = Timestamp::from_secs;
        for (life, arrives, is_kept) in [
            (1_000, 1_999, true),
            (1_000, 2_000, false),
            (60, 1_600, true),
            (60, 1_601, false),
            // It was over when it was sent.
            (0, 9_000, true),
        ] {
            let expiry = Expiry::new(at(1_000 + life), at(1_000));
            let checked = expiry.checked_at(at(arrives));
            assert_eq!(checked.is_ok(), is_kept, "{life} {arrives}: {checked:?}");
        }
    }
}
