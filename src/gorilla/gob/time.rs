//! The bytes of Go's `time.Time`.

use std::{fmt, str::FromStr};

use cookie::time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::{
    clock::Timestamp,
    text::{ParseError, Text},
};

use super::types::{Definition, Marshaler, TypeId, Types};

/// The seconds from the start of the year 1, Go's epoch, to that of 1970.
const TO_UNIX: i64 = 62_135_596_800;

/// The versions of the format. The second has a byte for the seconds of the time zone.
const MINUTES: u8 = 1;
const SECONDS: u8 = 2;

/// Go's value for `time.UTC`, in place of the zone's minutes.
const UTC: i16 = -1;

/// Go's `time.Time`: a time with its zone.
///
/// Its text is RFC 3339 with a fraction, as in Go's JSON.
///
/// ```
/// use silverback::gorilla::gob::Time;
///
/// let time: Time = "2024-02-29T12:34:56.789Z".parse()?;
/// assert_eq!(Time::from_bytes(&time.to_bytes()), Some(time));
/// # Ok::<_, silverback::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Time {
    unix: i64,
    nanos: u32,
    /// Seconds east of UTC. `None` is `time.UTC` itself.
    zone: Option<i32>,
}

impl Time {
    /// The name under which `gob.Register(time.Time{})` registers the type.
    pub const NAME: &'static str = "time.Time";

    /// Reads the bytes that `time.Time` writes. Returns `None` for anything else.
    ///
    /// ```
    /// use silverback::gorilla::gob::Time;
    ///
    /// assert_eq!(Time::from_bytes(b"no time"), None);
    /// ```
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (secs, rest) = rest.split_first_chunk::<8>()?;
        let (nanos, rest) = rest.split_first_chunk::<4>()?;
        let (minutes, rest) = rest.split_first_chunk::<2>()?;
        let secs_of_zone = match (*version, rest) {
            (MINUTES, []) => 0,
            (SECONDS, [secs]) => i32::from(*secs as i8),
            _ => return None,
        };
        let minutes = i16::from_be_bytes(*minutes);
        let zone = i32::from(minutes) * 60 + secs_of_zone;
        let time = Self {
            unix: i64::from_be_bytes(*secs).checked_sub(TO_UNIX)?,
            nanos: u32::from_be_bytes(*nanos),
            zone: (minutes != UTC).then_some(zone),
        };
        (time.nanos < 1_000_000_000).then_some(time)
    }

    /// Writes the bytes as Go does.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let zone = self.zone.unwrap_or(i32::from(UTC) * 60);
        let (minutes, secs) = (zone / 60, zone % 60);
        let minutes = i16::try_from(minutes).unwrap_or(UTC);
        let mut bytes = Vec::with_capacity(16);
        bytes.push(if secs == 0 { MINUTES } else { SECONDS });
        bytes.extend_from_slice(&self.unix.saturating_add(TO_UNIX).to_be_bytes());
        bytes.extend_from_slice(&self.nanos.to_be_bytes());
        bytes.extend_from_slice(&minutes.to_be_bytes());
        if secs != 0 {
            bytes.push(secs as u8);
        }
        bytes
    }

    /// Returns the time in whole seconds. A time before 1970 becomes the epoch itself.
    ///
    /// ```
    /// use silverback::{Timestamp, gorilla::gob::Time};
    ///
    /// let time = Timestamp::from_secs(1_700_000_000);
    /// assert_eq!(Time::from(time).timestamp(), time);
    /// ```
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_secs(u64::try_from(self.unix).unwrap_or(0))
    }

    /// Returns the type of times in this table, as [`Types::define`] does.
    pub fn type_in(types: &mut Types) -> TypeId {
        types.define(Definition::Opaque {
            name: "Time".to_owned(),
            by: Marshaler::Gob,
        })
    }

    fn to_rfc3339(self) -> Option<String> {
        let zone = UtcOffset::from_whole_seconds(self.zone.unwrap_or(0)).ok()?;
        // Near the ends of the calendar, only its date there counts.
        let secs = self.unix.checked_add(zone.whole_seconds().into())?;
        let nanos = i128::from(secs) * 1_000_000_000 + i128::from(self.nanos);
        let there = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        there.replace_offset(zone).format(&Rfc3339).ok()
    }
}

/// The time is in UTC.
impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self {
            unix: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            nanos: 0,
            zone: None,
        }
    }
}

/// A time that RFC 3339 cannot express, such as a year of five digits or a zone with seconds, is
/// written as seconds since 1970.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_rfc3339() {
            Some(time) => f.pad(&time),
            None => self.unix.fmt(f),
        }
    }
}

impl Text for Time {
    const EXPECTED: &'static str = "a time such as 2027-01-15T08:00:00.5Z";
}

/// The zone `Z` is Go's `time.UTC`.
impl FromStr for Time {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Self::ERROR)?;
        Ok(Self {
            unix: time.unix_timestamp(),
            nanos: time.nanosecond(),
            zone: match text.ends_with(['Z', 'z']) {
                true => None,
                false => Some(time.offset().whole_seconds()),
            },
        })
    }
}
