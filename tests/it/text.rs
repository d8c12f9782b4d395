//! Names and times as text and in serde formats.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Visitor, value},
    forward_to_deserialize_any,
};
use silverback::{Key, KeyId, KeyState, ParseError, Rejection, Timestamp, store::RecordKey};

use crate::support::{HOUR, Kind, START};

/// Checks that the value prints as this text, parses from it, and is this text in JSON.
fn is_text<T>(value: T, text: &str)
where
    T: Copy + Debug + Display + PartialEq + Serialize + DeserializeOwned,
    T: FromStr<Err = ParseError>,
{
    assert_eq!(value.to_string(), text);
    assert_eq!(text.parse(), Ok(value), "{text}");
    let json = format!("{text:?}");
    assert_eq!(serde_json::to_string(&value).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value, "{text}");
}

/// Checks that these texts do not parse, and that the error does not quote them.
fn is_not<T>(others: &[&str], expected: &str)
where
    T: Debug + DeserializeOwned + FromStr<Err = ParseError>,
{
    for other in others {
        let error = other.parse::<T>().unwrap_err().to_string();
        assert_eq!(error, format!("expected {expected}"), "{other}");
        let json = serde_json::to_string(other).unwrap();
        let error = serde_json::from_str::<T>(&json).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("expected {expected} at line 1")),
            "{error}"
        );
    }
}

#[test]
fn a_record_key_is_64_digits() {
    let (text, upper) = ("0f".repeat(32), "0F".repeat(32));
    is_text(RecordKey::from_bytes([0x0f; 32]), &text);
    let others = [
        "",
        "0f",
        &upper,
        &format!("{text}00"),
        &format!(" {}", &text[1..]),
    ];
    is_not::<RecordKey>(&others, "64 lower-case hexadecimal digits");
    let error = serde_json::from_str::<RecordKey>("7")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected 64 lower-case hexadecimal digits"),
        "{error}"
    );
}

#[test]
fn a_key_id_is_8_digits() {
    let id = Key::generate().unwrap().id();
    is_text(id, &id.to_string());
    is_not::<KeyId>(
        &["", "0f0f0f0", "0f0f0f0f0", "0F0F0F0F"],
        "8 lower-case hexadecimal digits",
    );
}

#[test]
fn a_time_is_rfc_3339() {
    #[rustfmt::skip]
    let rows = [
        (0,                "1970-01-01T00:00:00Z"),
        (951_782_400,      "2000-02-29T00:00:00Z"),
        (1_800_000_000,    "2027-01-15T08:00:00Z"),
        (253_402_300_799,  "9999-12-31T23:59:59Z"),
        (253_402_300_800,  "253402300800"),
        (u64::MAX,         "18446744073709551615"),
    ];
    for (secs, text) in rows {
        is_text(Timestamp::from_secs(secs), text);
    }
    assert_eq!(
        format!("{:>22}", Timestamp::default()),
        "  1970-01-01T00:00:00Z"
    );
    for other in [
        "1800000000",
        "2027-01-15T08:00:00.999Z",
        "2027-01-15T09:30:00+01:30",
        "2027-01-14T23:00:00-09:00",
    ] {
        assert_eq!(
            other.parse(),
            Ok(Timestamp::from_secs(1_800_000_000)),
            "{other}"
        );
    }
    let others = [
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "2027-01-15",
        "2027-01-15T08:00:00",
        "2027-02-29T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "18446744073709551616",
        "now",
    ];
    is_not::<Timestamp>(
        &others,
        "a time such as 2027-01-15T08:00:00Z, or whole seconds since 1970",
    );
}

#[test]
fn a_number_is_a_time_in_seconds() {
    let time = Some(Timestamp::from_secs(1_800_000_000));
    assert_eq!(serde_json::from_str("1800000000").ok(), time);
    for other in ["-1", "1.5", "true", "[]", "{}", "null", r#"{"secs":1}"#] {
        let error = serde_json::from_str::<Timestamp>(other)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected a time such as 2027-01-15"),
            "{other}: {error}"
        );
    }
}

/// TOML has its own times, without quotes.
#[test]
fn toml_writes_a_time_in_each_of_its_ways() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Restored {
        at: Timestamp,
    }
    let restored = Restored {
        at: Timestamp::from_secs(1_800_000_000),
    };
    for at in [
        "2027-01-15T08:00:00Z",
        "2027-01-15 08:00:00Z",
        "2027-01-15T09:00:00+01:00",
        "\"2027-01-15T08:00:00Z\"",
        "1_800_000_000",
    ] {
        assert_eq!(
            toml::from_str::<Restored>(&format!("at = {at}")).unwrap(),
            restored,
            "{at}"
        );
    }
    assert_eq!(
        toml::to_string(&restored).unwrap(),
        "at = \"2027-01-15T08:00:00Z\"\n"
    );
    for at in ["2027-01-15T08:00:00", "2027-01-15", "08:00:00", "-1"] {
        let error = toml::from_str::<Restored>(&format!("at = {at}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected a time such as 2027-01-15T08:00:00Z"),
            "{error}"
        );
    }
}

/// A format that is not self-describing, like most binary ones.
struct Binary(&'static str);

impl<'de> Deserializer<'de> for Binary {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("nobody knows"))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn binary_formats_have_the_same_text() {
    let time = Timestamp::deserialize(Binary("2027-01-15T08:00:00Z"));
    assert_eq!(time, Ok(Timestamp::from_secs(1_800_000_000)));
    let key = RecordKey::deserialize(Binary(&"0f".repeat(32).leak()[..]));
    assert_eq!(key, Ok(RecordKey::from_bytes([0x0f; 32])));
}

#[test]
fn a_time_is_the_systems() {
    let secs = |secs| {
        (
            Timestamp::from_secs(secs),
            UNIX_EPOCH + Duration::from_secs(secs),
        )
    };
    for (time, system) in [secs(0), secs(1_800_000_000), secs(253_402_300_799)] {
        assert_eq!(SystemTime::from(time), system);
        assert_eq!(Timestamp::from(system), time);
        assert_eq!(Timestamp::from(system + Duration::from_millis(999)), time);
    }
    let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    assert_eq!(SystemTime::from(Timestamp::from_secs(u64::MAX)), end);
    assert_eq!(
        Timestamp::from(UNIX_EPOCH - Duration::from_secs(9)),
        Timestamp::default()
    );
}

#[test]
fn reasons_and_states_are_words() {
    #[rustfmt::skip]
    let reasons = [
        (Rejection::Malformed, "malformed"), (Rejection::UnknownKey, "unknown_key"),
        (Rejection::Tampered, "tampered"),   (Rejection::NotYetValid, "not_yet_valid"),
        (Rejection::Expired, "expired"),     (Rejection::Ambiguous, "ambiguous"),
        (Rejection::NotFound, "not_found"),  (Rejection::Corrupt, "corrupt"),
        (Rejection::Revoked, "revoked"),     (Rejection::Renewed, "renewed"),
        (Rejection::Ended, "ended"),
    ];
    for (reason, word) in reasons {
        assert_eq!(serde_json::to_value(reason).unwrap(), word);
        assert_eq!(
            serde_json::from_value::<Rejection>(word.into()).unwrap(),
            reason
        );
    }
    let states = [
        (KeyState::Active, "active"),
        (KeyState::Pending, "pending"),
        (KeyState::Retired, "retired"),
        (KeyState::Revoked, "revoked"),
    ];
    for (state, word) in states {
        assert_eq!(serde_json::to_value(state).unwrap(), word);
        assert_eq!(
            serde_json::from_value::<KeyState>(word.into()).unwrap(),
            state
        );
    }
    let error = serde_json::from_str::<KeyState>("\"Active\"")
        .unwrap_err()
        .to_string();
    let all = "expected one of `active`, `pending`, `retired`, `revoked`";
    assert!(
        error.contains(&format!("unknown variant `Active`, {all}")),
        "{error}"
    );
    let error = serde_json::from_str::<KeyState>("1")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("invalid type: integer `1`, expected one of"),
        "{error}"
    );
}

#[tokio::test]
async fn a_subjects_sessions_are_json() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.world();
        let jar = &mut world.logged_in("ada", "laptop").await;
        world.clock.advance(HOUR);
        let list = async |session: silverback::Session| {
            session.load().await.unwrap();
            let sessions = session.subject_sessions().await.unwrap();
            (
                serde_json::to_value(&sessions).unwrap(),
                session.record_key(),
            )
        };
        let ((json, key), _) = world.visit(jar, list).await;
        let expected = serde_json::json!([{
            "record_key": key.unwrap().to_string(),
            "since": START.to_string(),
            "created_at": START.to_string(),
            "last_used": START.saturating_add(HOUR).to_string(),
            "note": "laptop",
            "is_current": true,
        }]);
        assert_eq!(json, expected, "{kind:?}");
    }
}
