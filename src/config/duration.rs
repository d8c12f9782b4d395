//! Lengths of time as people write them.
//!
//! The crate `humantime` is unsuitable. It writes 400 days as `1year 1month 4days 7h 26m 24s`, in
//! mean months and years, while limits of sessions are in days. It also takes `M` for a month
//! beside `m` for a minute.

use std::{fmt::Write as _, time::Duration};

/// The units, largest first. The first name of each is used for writing.
const UNITS: [(u64, &[&str]); 5] = [
    (604_800, &["w", "week", "weeks"]),
    (86_400, &["d", "day", "days"]),
    (3_600, &["h", "hour", "hours", "hr", "hrs"]),
    (60, &["m", "minute", "minutes", "min", "mins"]),
    (1, &["s", "second", "seconds", "sec", "secs"]),
];

/// Reads `30m`, `14 days` or `1h 30m`: each unit once, the largest first.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    let mut units = UNITS.iter();
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        // Units that this skips are larger, so they may not follow.
        let (secs, _) = units.find(|(_, names)| names.contains(&unit))?;
        let part = number.parse::<u64>().ok()?.checked_mul(*secs)?;
        total = total.checked_add(part)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(Duration::from_secs(total));
        }
    }
}

/// Writes `14d`, `1h 30m` or `0s`. Fractions of a second are dropped.
pub(super) fn write(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    // Weeks are left out: people count limits of sessions in days.
    for (secs, names) in UNITS.iter().skip(1) {
        let (count, unit) = (rest / secs, names.first().copied().unwrap_or_default());
        rest %= secs;
        if count > 0 {
            let space = if text.is_empty() { "" } else { " " };
            // Writing into a string cannot fail.
            let _ = write!(text, "{space}{count}{unit}");
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
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
            assert_eq!(write(duration), written);
            assert_eq!(parse(written), Some(duration), "{written}");
        }
        for (_, names) in UNITS {
            assert!(names.iter().all(|name| parse(&format!("3{name}")).is_some()), "{names:?}");
        }
        assert_eq!(write(Duration::from_millis(1_999)), "1s");
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
            "1ms",
            "18446744073709551616s",
            "18446744073709551615m",
            "18446744073709551615d",
            "30500568904943w 18446744073709551615s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
