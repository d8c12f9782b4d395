//! Go's times.

use super::{super::*, from_hex, to_hex};

#[test]
fn times_are_read_and_written() {
    for (hex, text) in [
        // `time.UTC`, and a zone of zero minutes.
        ("010000000edd7270f02f072f40ffff", "2024-02-29T12:34:56.789Z"),
        ("010000000edd7270f0000000000000", "2024-02-29T12:34:56Z"),
        (
            "010000000edd7270f000000000003c",
            "2024-02-29T13:34:56+01:00",
        ),
        (
            "010000000edd7270f000000000fe20",
            "2024-02-29T04:34:56-08:00",
        ),
        // Go's zero time.
        ("010000000000000000000000000000", "0001-01-01T00:00:00Z"),
    ] {
        let bytes = from_hex(hex);
        let time = Time::from_bytes(&bytes).unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!(to_hex(&time.to_bytes()), hex);
        if !hex.ends_with("0000") {
            assert_eq!(text.parse(), Ok(time));
        }
    }
}

/// The last second of the year 9999 in UTC, as a value that never expires, and the one after it.
/// The date in their zone counts.
#[test]
fn a_time_beyond_the_calendar_is_shown_in_seconds() {
    for (hex, text) in [
        ("7f 00000000 ffff", "9999-12-31T23:59:59Z"),
        ("7f 00000000 003c", "253402300799"),
        ("7f 00000000 ffc4", "9999-12-31T22:59:59-01:00"),
        ("80 00000000 ffff", "253402300800"),
        ("80 00000000 ffc4", "9999-12-31T23:00:00-01:00"),
    ] {
        let bytes = from_hex(&format!("0100000049778638{hex}"));
        let time = Time::from_bytes(&bytes).unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!(time.to_bytes(), bytes);
    }
}

/// Amsterdam was 19 minutes and 32 seconds east of Greenwich until 1937.
#[test]
fn zones_with_seconds_are_kept() {
    let bytes = from_hex("020000000e00000000000000000013 20");
    let time = Time::from_bytes(&bytes).unwrap();
    assert_eq!(to_hex(&time.to_bytes()), to_hex(&bytes));
}

#[test]
fn other_bytes_are_not_a_time() {
    for hex in [
        "",
        "010000000edd7270f02f072f40ff",
        "010000000edd7270f02f072f40ffff00",
        "030000000edd7270f02f072f40ffff",
        // A full second of nanoseconds, and a time that 64 bits cannot hold.
        "010000000edd7270f03b9aca00ffff",
        "01800000000000000000000000ffff",
    ] {
        assert_eq!(Time::from_bytes(&from_hex(hex)), None, "{hex}");
    }
    assert!("yesterday".parse::<Time>().is_err());
}

#[test]
fn a_time_in_a_session_is_opaque() {
    let mut gob = Gob::session();
    let ty = Time::type_in(&mut gob.types);
    let time: Time = "2024-02-29T12:34:56.789Z".parse().unwrap();
    let bytes = time.to_bytes();
    gob.insert("t", Value::Opaque { ty, bytes }.named(Time::NAME));
    assert!(
        to_hex(&gob.encode().unwrap()).starts_with(
            "0d7f040102ff80000110011000 0010ff81050101"
                .replace(' ', "")
                .as_str()
        )
    );
}
