//! A record as a document.

use base64_simd::STANDARD;
use serde::{Deserialize, Serialize};
use silverback::{
    Timestamp,
    store::{Listed, Record, RecordKey, StoreError, Version},
};

use crate::clock::{LATEST, Moment};

/// A document in Firestore's answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) name: String,
    #[serde(default)]
    fields: Fields,
    /// The time of the last change. No two states of a document have the same.
    update_time: String,
}

/// The fields that this store writes.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Fields {
    /// The session's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// The first byte, for lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Value>,
    /// The number of bytes, for lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Value>,
    /// The end by the session's clock, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Value>,
    /// The end by Firestore's clock, for its policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Value>,
    /// Random bytes: a write that changes nothing would leave the update time as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<Value>,
}

/// The fields that a record is read from.
pub(crate) const OF_RECORD: [&str; 3] = ["data", "end", "expires"];
/// The fields of a list's entry.
pub(crate) const OF_LIST: [&str; 3] = ["end", "head", "size"];
/// The fields that a touch changes.
pub(crate) const OF_TOUCH: [&str; 2] = ["end", "expires"];
/// The field that the policy and the sweep use.
pub(crate) const EXPIRES: &str = "expires";

/// A field's value. Values of other types have none of these.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct Value {
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integer_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_value: Option<String>,
}

impl Value {
    fn bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            bytes_value: Some(STANDARD.encode_to_string(bytes)),
            ..Self::default()
        })
    }

    fn integer(number: u64) -> Option<Self> {
        Some(Self {
            integer_value: Some(number.to_string()),
            ..Self::default()
        })
    }

    fn time(time: Timestamp) -> Option<Self> {
        Some(Self {
            timestamp_value: Some(Moment::from(time).to_text()),
            ..Self::default()
        })
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode_to_vec(self.bytes_value.as_ref()?).ok()
    }

    fn to_integer(&self) -> Option<u64> {
        self.integer_value.as_ref()?.parse().ok()
    }

    fn to_time(&self) -> Option<Timestamp> {
        Some(Moment::parse(self.timestamp_value.as_ref()?)?.second())
    }
}

/// A record's end by either clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) session: Timestamp,
    pub(crate) server: Timestamp,
}

impl Ends {
    /// The state of a document with these ends and this update time.
    pub(crate) const fn state(self, updated: Moment) -> State {
        State {
            updated,
            expires: self.server,
        }
    }
}

impl Fields {
    pub(crate) fn of_record(data: &[u8], ends: Ends) -> Result<Self, StoreError> {
        let head = data.get(..1).unwrap_or_default();
        Ok(Self {
            data: Value::bytes(data),
            head: Value::bytes(head),
            size: Value::integer(data.len() as u64),
            nonce: Value::bytes(Version::random()?.as_bytes()),
            ..Self::of_touch(ends)
        })
    }

    pub(crate) fn of_touch(ends: Ends) -> Self {
        Self {
            end: Value::integer(ends.session.as_secs()),
            expires: Value::time(ends.server),
            ..Self::default()
        }
    }

    fn expires(&self) -> Option<Timestamp> {
        self.expires.as_ref()?.to_time()
    }

    fn end(&self) -> Option<Timestamp> {
        let seconds = self.end.as_ref()?.to_integer()?;
        Some(Timestamp::from_secs(seconds))
    }
}

/// The content of a version: the state of the document, and its end by Firestore's clock. So a
/// write needs no read before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) updated: Moment,
    pub(crate) expires: Timestamp,
}

impl State {
    pub(crate) fn to_version(self) -> Version {
        let (end, update) = (self.expires.as_secs(), self.updated.to_micros());
        Version::from_bytes((u128::from(end) << 64 | u128::from(update)).to_be_bytes())
    }

    /// Returns `None` if no document can be in that state.
    pub(crate) fn of(version: Version) -> Option<Self> {
        let both = u128::from_be_bytes(*version.as_bytes());
        let end = (both >> 64) as u64;
        // Firestore does not compare the end, and a `MigratingStore` flips its first bits.
        if end > LATEST {
            return None;
        }
        Some(Self {
            updated: Moment::from_micros(both as u64)?,
            expires: Timestamp::from_secs(end),
        })
    }
}

/// What is under a key.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// A record that has expired, last changed at this time.
    Over(Moment),
    /// Something other than a record, last changed at this time.
    Garbage(Moment),
    Record(Record),
}

impl Found {
    /// Returns the result of a load.
    pub(crate) fn to_record(&self) -> Result<Option<Record>, StoreError> {
        match self {
            Self::Nothing | Self::Over(_) => Ok(None),
            Self::Record(record) => Ok(Some(record.clone())),
            Self::Garbage(_) => Err(StoreError::Corrupt(
                "the document under the key is not a record".into(),
            )),
        }
    }
}

impl Document {
    /// The last part of the name.
    pub(crate) fn id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// The key, if the document is named like a record.
    pub(crate) fn key(&self) -> Option<RecordKey> {
        self.id().parse().ok()
    }

    /// Returns `None` if the update time is invalid.
    pub(crate) fn updated(&self) -> Option<Moment> {
        Moment::parse(&self.update_time)
    }

    /// Interprets the document at this time by Firestore's clock.
    pub(crate) fn found(&self, now: Moment) -> Option<Found> {
        let updated = self.updated()?;
        Some(match self.record(updated) {
            None => Found::Garbage(updated),
            Some((_, expires)) if expires <= now.second() => Found::Over(updated),
            Some((record, _)) => Found::Record(record),
        })
    }

    fn record(&self, updated: Moment) -> Option<(Record, Timestamp)> {
        let expires = self.fields.expires()?;
        let version = State { updated, expires }.to_version();
        let data = self.fields.data.as_ref()?.to_bytes()?;
        Some((Record::new(data, version, self.fields.end()?), expires))
    }

    /// Returns `None` if this is not a record of this store.
    pub(crate) fn listed(&self) -> Option<Listed> {
        let key = self.key()?;
        let head = self.fields.head.as_ref()?.to_bytes()?;
        let size = self.fields.size.as_ref()?.to_integer()?;
        Some(Listed::new(
            key,
            &head,
            self.fields.end()?,
            usize::try_from(size).ok()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATED: &str = "2026-11-26T21:32:36.032665Z";

    fn document(fields: &str) -> Document {
        let text = format!(r#"{{"name":"n","fields":{fields},"updateTime":"{UPDATED}"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn found(fields: &str, now: u64) -> Found {
        let now = Moment::from(Timestamp::from_secs(now));
        document(fields).found(now).unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let ends = Ends {
            session: Timestamp::from_secs(9_000),
            server: Timestamp::from_secs(5_000),
        };
        let updated = Moment::parse(UPDATED).unwrap();
        for data in [b"".as_slice(), b"x", &[0xff; 1_000]] {
            let fields = Fields::of_record(data, ends).unwrap();
            let text = serde_json::to_string(&fields).unwrap();
            let Found::Record(record) = found(&text, 4_999) else {
                panic!("{text}");
            };
            let expires = ends.server;
            let version = State { updated, expires }.to_version();
            assert_eq!(record, Record::new(data.to_vec(), version, ends.session));
            assert!(matches!(found(&text, 5_000), Found::Over(at) if at == updated));
            let key = RecordKey::from_bytes([7; 32]);
            let mut document = document(&text);
            assert_eq!(document.listed(), None, "{}", document.name);
            document.name = format!("projects/p/databases/d/documents/c/{key}");
            let listed = document.listed().unwrap();
            assert_eq!(listed, Listed::new(key, data, ends.session, data.len()));
        }
    }

    #[test]
    fn a_document_without_a_field_is_not_a_record() {
        let (data, end) = (r#"{"bytesValue":"AQ=="}"#, r#"{"integerValue":"9"}"#);
        let expires = r#"{"timestampValue":"9999-01-01T00:00:00Z"}"#;
        let all = |data: &str, end: &str, expires: &str| {
            format!(r#"{{"data":{data},"end":{end},"expires":{expires}}}"#)
        };
        assert!(matches!(
            found(&all(data, end, expires), 1),
            Found::Record(_)
        ));
        for (data, end, expires) in [
            (end, end, expires),
            (r#"{"bytesValue":"%"}"#, end, expires),
            (r#"{"stringValue":"AQ=="}"#, end, expires),
            (r#"{"mapValue":{"fields":{"bytesValue":{}}}}"#, end, expires),
            (r#"{"nullValue":null}"#, end, expires),
            (data, r#"{"integerValue":"-9"}"#, expires),
            (data, r#"{"doubleValue":9}"#, expires),
            (data, end, r#"{"stringValue":"9999-01-01T00:00:00Z"}"#),
            (data, end, "{}"),
        ] {
            let fields = all(data, end, expires);
            assert!(matches!(found(&fields, 1), Found::Garbage(_)), "{fields}");
        }
        assert!(matches!(found("{}", 1), Found::Garbage(_)));
        let without_fields = format!(r#"{{"name":"n","updateTime":"{UPDATED}"}}"#);
        let empty: Document = serde_json::from_str(&without_fields).unwrap();
        assert!(matches!(
            empty.found(Moment::default()),
            Some(Found::Garbage(_))
        ));
    }

    #[test]
    fn a_version_contains_state_and_end() {
        let state = State {
            updated: Moment::parse(UPDATED).unwrap(),
            expires: Timestamp::from_secs(1_800_000_000),
        };
        assert_eq!(State::of(state.to_version()), Some(state));
        assert_eq!(State::of(Version::from_bytes([0xff; 16])), None);
        assert_eq!(State::of(Version::from_u64(u64::MAX)), None);
        for bit in [126, 127] {
            let version = u128::from_be_bytes(*state.to_version().as_bytes()) ^ 1 << bit;
            let version = Version::from_bytes(version.to_be_bytes());
            assert_eq!(State::of(version), None);
        }
    }
}
