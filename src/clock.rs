//! Time as sessions see it: whole seconds since the Unix epoch, read from a clock that tests can
//! set.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cookie::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Unexpected, Visitor},
};

use crate::text::{self, ParseError, Text};

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can express.
const END_OF_9999: u64 = 253_402_300_799;

/// A point in time, in whole seconds since the Unix epoch.
///
/// Sessions live for minutes to months, so seconds are fine enough, and every store can keep them
/// as an integer. Arithmetic saturates: no duration overflows it.
///
/// It displays as RFC 3339, in UTC, and serde writes the same text. People and JavaScript's `Date`
/// read that right, where a number may be seconds or milliseconds. It parses from such a text, with
/// any offset, and from whole seconds, which serde takes as a number too. TOML may write the time
/// without quotes.
///
/// ```
/// use std::time::SystemTime;
/// use silverback::Timestamp;
///
/// let time = Timestamp::from_secs(1_800_000_000);
/// assert_eq!(time.to_string(), "2027-01-15T08:00:00Z");
/// assert_eq!("2027-01-15T09:00:00+01:00".parse(), Ok(time));
/// assert_eq!("1800000000".parse(), Ok(time)); // as `date +%s` prints it
/// assert_eq!(Timestamp::from(SystemTime::from(time)), time);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last second of the year 9999: no session ends later.
    pub(crate) const LATEST: Self = Self(END_OF_9999);

    /// Makes a timestamp from seconds since the Unix epoch.
    ///
    /// ```
    /// # use silverback::Timestamp;
    /// assert_eq!(Timestamp::from_secs(0).to_string(), "1970-01-01T00:00:00Z");
    /// ```
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Returns the seconds since the Unix epoch.
    ///
    /// ```
    /// # use silverback::Timestamp;
    /// assert_eq!(Timestamp::from_secs(60).as_secs(), 60);
    /// ```
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Returns the time `duration` later. A fraction of a second is dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::Timestamp;
    /// let time = Timestamp::from_secs(60).saturating_add(Duration::from_millis(1_900));
    /// assert_eq!(time, Timestamp::from_secs(61));
    /// ```
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Returns the time that has passed since `earlier`. It is zero if `earlier` is later.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::Timestamp;
    /// let (early, late) = (Timestamp::from_secs(60), Timestamp::from_secs(90));
    /// assert_eq!(late.saturating_since(early), Duration::from_secs(30));
    /// assert_eq!(early.saturating_since(late), Duration::ZERO);
    /// ```
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

/// A time after the year 9999 becomes the last second of that year: not every system can represent
/// a later one.
impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_secs(time.0.min(END_OF_9999))
    }
}

impl Timestamp {
    fn to_rfc3339(self) -> Option<String> {
        let secs = i64::try_from(self.0).ok()?;
        let time = OffsetDateTime::from_unix_timestamp(secs).ok()?;
        time.format(&Rfc3339).ok()
    }
}

/// A time after the year 9999 is written as its seconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_rfc3339() {
            Some(time) => f.pad(&time),
            None => self.0.fmt(f),
        }
    }
}

impl Text for Timestamp {
    const EXPECTED: &'static str =
        "a time such as 2027-01-15T08:00:00Z, or whole seconds since 1970";
}

/// A fraction of a second is dropped. A time before 1970 is an error.
impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self).map_err(|_| Self::ERROR);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Self::ERROR)?;
        let secs = u64::try_from(time.unix_timestamp()).map_err(|_| Self::ERROR)?;
        Ok(Self(secs))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(OfTextOrSeconds)
        } else {
            // Such a format may not announce the next type.
            deserializer.deserialize_str(OfTextOrSeconds)
        }
    }
}

struct OfTextOrSeconds;

impl<'de> Visitor<'de> for OfTextOrSeconds {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Timestamp::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, secs: u64) -> Result<Timestamp, E> {
        Ok(Timestamp(secs))
    }

    fn visit_i64<E: de::Error>(self, secs: i64) -> Result<Timestamp, E> {
        let secs = u64::try_from(secs);
        secs.map(Timestamp).map_err(|_| E::custom(Timestamp::ERROR))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Timestamp, A::Error> {
        match text::of_toml(map)? {
            Some(time) => self.visit_str(&time),
            None => Err(de::Error::invalid_type(Unexpected::Map, &self)),
        }
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
    /// Makes a clock that reads the system's time: the default of layers and stores.
    ///
    /// On Linux, with the feature `filesystem`, this is the time of the kernel's last tick, up to
    /// 10 ms behind [`SystemTime`].
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp};
    /// assert!(Clock::system().now() > Timestamp::from_secs(1_700_000_000));
    /// ```
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Makes a clock that stands at `start` until you move it.
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp};
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// assert_eq!(clock.now(), Timestamp::from_secs(1_800_000_000));
    /// ```
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.as_secs()))))
    }

    /// Moves a manual clock and its clones forward. The system's clock is left alone.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Clock, Timestamp};
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// clock.clone().advance(Duration::from_secs(60));
    /// assert_eq!(clock.now(), Timestamp::from_secs(1_800_000_060));
    /// ```
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }

    /// Sets a manual clock and its clones, backwards too. The system's clock is left alone.
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp};
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// clock.set(Timestamp::from_secs(1_700_000_000)); // as after a time server's wrong answer
    /// ```
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(secs) = &self.0 {
            secs.store(to.as_secs(), Ordering::SeqCst);
        }
    }

    /// Returns the current time.
    ///
    /// ```
    /// # use silverback::{Clock, Session, Error};
    /// /// Returns whether the session ends within five minutes.
    /// fn ends_soon(session: &Session, clock: &Clock) -> Result<bool, Error> {
    ///     let end = session.expires_at()?;
    ///     Ok(end.is_some_and(|end| end.saturating_since(clock.now()).as_secs() < 300))
    /// }
    /// ```
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_time(),
            Source::Manual(secs) => Timestamp(secs.load(Ordering::SeqCst)),
        }
    }
}

/// On Linux, the time of the kernel's last tick, a few milliseconds ago. The kernel writes the same
/// time into files, and reading it does not wait for the processor's counter.
#[cfg(all(feature = "filesystem", target_os = "linux"))]
fn system_time() -> Timestamp {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::RealtimeCoarse);
    Timestamp(time.tv_sec.try_into().unwrap_or(0))
}

#[cfg(not(all(feature = "filesystem", target_os = "linux")))]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn system_time() -> Timestamp {
    SystemTime::now().into()
}
