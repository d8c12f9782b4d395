//! Lengths of time as people write them.
//!
//! The crate `humantime` is unsuitable. It writes 400 days as `1year 1month 4days 7h 26m 24s`, in
//! mean months and years, while limits of sessions are in days. It also takes `M` for a month
//! beside `m` for a minute.

use std::{fmt::Write as _, time::Duration};

/// The units in milliseconds, largest first. The first name of each is used for writing.
const UNITS: [(u128, &[&str]); 6] = [
    (604_800_000, &["w", "week", "weeks"]),
    (86_400_000, &["d", "day", "days"]),
    (3_600_000, &["h", "hour", "hours", "hr", "hrs"]),
    (60_000, &["m", "minute", "minutes", "min", "mins"]),
    (1_000, &["s", "second", "seconds", "sec", "secs"]),
    (1, &["ms", "millisecond", "milliseconds"]),
];

/// Reads `30m`, `14 days` or `1h 30m`: each unit once, the largest first.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0_u128;
    let mut units = UNITS.iter();
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        // Units that this skips are larger, so they may not follow.
        let (millis, _) = units.find(|(_, names)| names.contains(&unit))?;
        // Six products of 64 bits and 30 fit into 128.
        total += u128::from(number.parse::<u64>().ok()?) * millis;
        rest = after.trim_start();
        if rest.is_empty() {
            let secs = u64::try_from(total / 1_000).ok()?;
            let millis = Duration::from_millis((total % 1_000) as u64);
            return Duration::from_secs(secs).checked_add(millis);
        }
    }
}

/// Writes `14d`, `1h 30m`, `1s 500ms` or `0s`. Returns `None` for a fraction of a millisecond, which
/// has no unit.
pub(super) fn write(duration: Duration) -> Option<String> {
    let mut rest = duration.as_millis();
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return None;
    }
    let mut text = String::new();
    // Weeks are left out: people count limits of sessions in days.
    for (millis, names) in UNITS.iter().skip(1) {
        let (count, unit) = (rest / millis, names.first().copied().unwrap_or_default());
        rest %= millis;
        if count > 0 {
            let space = if text.is_empty() { "" } else { " " };
            // Writing into a string cannot fail.
            let _ = write!(text, "{space}{count}{unit}");
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn lengths_of_time_are_read_and_written() {
        let rows = [
            ("30m",                   1_800,               "30m"),
            ("14 days",               1_209_600,           "14d"),
            ("1h 30m",                5_400,               "1h 30m"),
            ("1h30m",                 5_400,               "1h 30m"),
            ("  1 hour\t30  minutes ", 5_400,              "1h 30m"),
            ("90 mins",               5_400,               "1h 30m"),
            ("2w",                    1_209_600,           "14d"),
            ("1 week 1 day",          691_200,             "8d"),
            ("400days",               34_560_000,          "400d"),
            ("1d 1h 1m 1s",           90_061,              "1d 1h 1m 1s"),
            ("0s",                    0,                   "0s"),
            ("0h",                    0,                   "0s"),
            ("007 secs",              7,                   "7s"),
            ("18446744073709551615s", u64::MAX,            "213503982334601d 7h 15s"),
        ];
        for (text, secs, written) in rows {
            let duration = Duration::from_secs(secs);
            assert_eq!(parse(text), Some(duration), "{text}");
            assert_eq!(write(duration).as_deref(), Some(written));
            assert_eq!(parse(written), Some(duration), "{written}");
        }
        for (_, names) in UNITS {
            assert!(names.iter().all(|name| parse(&format!("3{name}")).is_some()), "{names:?}");
        }
    }

    #[test]
    fn fractions_of_a_second_are_kept_or_refused() {
        for (text, millis, written) in [
            ("250ms", 250, "250ms"),
            ("1500 milliseconds", 1_500, "1s 500ms"),
            ("1m 1 millisecond", 60_001, "1m 1ms"),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(text), Some(duration), "{text}");
            assert_eq!(write(duration).as_deref(), Some(written));
            assert_eq!(parse(written), Some(duration), "{written}");
        }
        assert_eq!(write(Duration::from_micros(1_500)), None);
        assert_eq!(write(Duration::MAX), None);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            " ",
            "30",
            "m",
            "30 m m",
            "1h 30",
            "30m 1h",
            "5m 5m",
            "1.5h",
            "1,5h",
            "-1h",
            "+1h",
            "1 month",
            "2 years",
            "1M",
            "1H",
            "1h, 30m",
            "1h and 30m",
            "1h\u{a0}30ä",
            "٣m",
            "1us",
            "1ms 1s",
            "18446744073709551615s 1000ms",
            "18446744073709551616s",
            "18446744073709551615m",
            "18446744073709551615d",
            "30500568904943w 18446744073709551615s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
