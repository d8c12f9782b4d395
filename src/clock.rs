//! Time as sessions see it: whole seconds since the Unix epoch, read from a clock that tests can
//! set.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A point in time, in whole seconds since the Unix epoch.
///
/// Sessions live for minutes to months, so seconds are fine enough, and every store can keep them
/// as an integer. Arithmetic saturates: no duration overflows it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes a timestamp of seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Returns the seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Returns the timestamp `duration` later; a fraction of a second is dropped.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Returns the time that passed since `earlier`, or zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// A time before 1970 becomes the epoch itself.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(
            time.duration_since(UNIX_EPOCH)
                .map_or(0, |passed| passed.as_secs()),
        )
    }
}

/// The source of the current time: the system's clock, or one that a test moves by hand.
///
/// ```
/// use std::time::Duration;
/// use silverback::{Clock, Timestamp};
///
/// let clock = Clock::manual(Timestamp::from_secs(1_000));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().as_secs(), 1_060);
/// ```
///
/// Give the same clock to [`SessionLayer::clock`](crate::SessionLayer::clock) and to the store, and
/// a test of an idle timeout needs no sleeping. Clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// Makes a clock that reads the system's time.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Makes a clock that stands at `start` until it is moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.as_secs()))))
    }

    /// Moves a manual clock forward; the system's clock is left alone.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }

    /// Sets a manual clock, backwards too; the system's clock is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(secs) = &self.0 {
            secs.store(to.as_secs(), Ordering::SeqCst);
        }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            Source::System => SystemTime::now().into(),
            Source::Manual(secs) => Timestamp(secs.load(Ordering::SeqCst)),
        }
    }
}
