//! Firestore's times, and its clock.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::SystemTime,
};

use silverback::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A time in microseconds since 1970, the finest that Firestore has.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Moment(i64);

/// The last second that Firestore and RFC 3339 can express.
pub(crate) const LATEST: u64 = 253_402_300_799;

impl Moment {
    /// Returns `None` beyond the year 9999.
    pub(crate) fn from_micros(micros: u64) -> Option<Self> {
        let is_sayable = micros / 1_000_000 <= LATEST;
        is_sayable.then_some(Self(micros.cast_signed()))
    }

    pub(crate) fn to_micros(self) -> u64 {
        self.0.max(0).cast_unsigned()
    }

    /// The time by this machine's clock.
    #[allow(
        clippy::disallowed_methods,
        reason = "a Clock has whole seconds, and an answer comes within milliseconds"
    )]
    pub(crate) fn of_system() -> Self {
        let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = passed.unwrap_or_default().as_micros();
        Self(i64::try_from(micros).unwrap_or_default())
    }

    /// Reads a time of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let micros = time.unix_timestamp_nanos() / 1_000;
        i64::try_from(micros).ok().map(Self)
    }

    pub(crate) fn to_text(self) -> String {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000);
        let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
        text.unwrap_or_default()
    }

    /// The second that contains this moment.
    pub(crate) fn second(self) -> Timestamp {
        Timestamp::from_secs(self.to_micros() / 1_000_000)
    }
}

/// The beginning of the second.
impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self((time.as_secs().min(LATEST) * 1_000_000).cast_signed())
    }
}

/// How far Firestore's clock is ahead of the system's, in microseconds, according to its answers.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(AtomicI64);

impl ServerClock {
    /// Learns from an answer that Firestore's clock showed `there` between `asked` and `answered`
    /// by the system's clock.
    pub(crate) fn hear(&self, there: Moment, asked: Moment, answered: Moment) {
        let (least, most) = (there.0 - answered.0, there.0 - asked.0);
        // Otherwise the system's clock was set back in between.
        if least <= most {
            let ahead = self.0.load(Ordering::Relaxed).clamp(least, most);
            self.0.store(ahead, Ordering::Relaxed);
        }
    }

    /// Firestore's time when the system's clock shows `here`.
    pub(crate) fn at(&self, here: Moment) -> Moment {
        Moment(here.0.saturating_add(self.0.load(Ordering::Relaxed)))
    }

    pub(crate) fn now(&self) -> Moment {
        self.at(Moment::of_system())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_728_756_032_665, "2026-11-26T21:32:36.032665Z"),
            (LATEST * 1_000_000, "9999-12-31T23:59:59Z"),
        ] {
            let moment = Moment::from_micros(micros).unwrap();
            assert_eq!((moment.to_micros(), &*moment.to_text()), (micros, text));
            assert_eq!(Moment::parse(text), Some(moment));
        }
        let with_nanos = Moment::parse("2026-11-26T21:32:36.032665999Z");
        assert_eq!(with_nanos, Moment::from_micros(1_795_728_756_032_665));
        for text in ["", "2026-11-26", "1795728756"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
        assert_eq!(Moment::from_micros(u64::MAX), None);
        assert_eq!(Moment::from_micros((LATEST + 1) * 1_000_000), None);
    }

    #[test]
    fn a_moment_is_in_a_second() {
        let last = Moment::from_micros(7_999_999).unwrap();
        assert_eq!(last.second(), Timestamp::from_secs(7));
        let begin = Moment::from(Timestamp::from_secs(8));
        assert_eq!(begin.to_micros(), last.to_micros() + 1);
        let latest = Moment::from(Timestamp::from_secs(u64::MAX));
        assert_eq!(latest.second(), Timestamp::from_secs(LATEST));
        let before_1970 = Moment::parse("1969-12-31T23:59:59Z").unwrap();
        assert_eq!(before_1970.second(), Timestamp::default());
    }

    #[test]
    fn the_clock_is_between_question_and_answer() {
        let (clock, at) = (ServerClock::default(), |micros| Moment(micros));
        assert_eq!(clock.at(at(1_000)), at(1_000), "nothing is known");
        clock.hear(at(1_050), at(1_000), at(1_100));
        assert_eq!(clock.at(at(2_000)), at(2_000), "it may be the same");
        // 900 to 1,000 ahead.
        clock.hear(at(2_900), at(1_900), at(2_000));
        assert_eq!(clock.at(at(3_000)), at(3_900));
        // An answer that was under way for long reveals less.
        clock.hear(at(4_000), at(3_000), at(9_000));
        assert_eq!(clock.at(at(9_000)), at(9_900));
        // 950 to 970 ahead.
        clock.hear(at(10_960), at(9_990), at(10_010));
        assert_eq!(clock.at(at(11_000)), at(11_950));
        // The system's clock was set: first between question and answer, then for good.
        clock.hear(at(12_000), at(11_000), at(5_000));
        assert_eq!(clock.at(at(5_000)), at(5_950));
        clock.hear(at(12_100), at(5_000), at(5_010));
        assert_eq!(clock.at(at(6_000)), at(13_090));
    }
}
