//! A session of tower-sessions without its version, and its bytes in a store.
//!
//! ```text
//! record: 64 u8 | JSON object of the values
//! ended:  65 u8
//! ```
//!
//! None of silverback's own records begins with one of these
//! ([`RecordKind`](silverback::store::RecordKind)).

use std::collections::HashMap;

use ring::digest;
use serde_json::Value;
use silverback::{
    Timestamp,
    store::{Bytes, RecordKey, StoreError, Version},
};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::failure::Failure;

/// The values of a session of tower-sessions.
pub(crate) type Data = HashMap<String, Value>;

const VALUES: u8 = 64;
const ENDED: u8 = 65;

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: i128,
    pub(crate) data: Data,
    pub(crate) expires: OffsetDateTime,
}

/// The content of a store's record.
pub(crate) enum Content {
    Values(Data),
    /// The session has ended, and must not come back.
    Ended,
}

impl Content {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        match bytes {
            [VALUES, json @ ..] => {
                let data = serde_json::from_slice(json);
                // serde's error would quote the value.
                let data = data.map_err(|_| Failure::Decode("the values are no JSON".to_owned()));
                data.map(Self::Values)
            }
            [ENDED] => Ok(Self::Ended),
            _ => Err(Failure::Decode(
                "it is not a record of this crate".to_owned(),
            )),
        }
    }

    pub(crate) const fn ended() -> Bytes {
        Bytes::from_static(&[ENDED])
    }
}

pub(crate) fn values(data: &Data) -> Result<Bytes, Failure> {
    let mut bytes = vec![VALUES];
    match serde_json::to_writer(&mut bytes, data) {
        Ok(()) => Ok(bytes.into()),
        Err(error) => Err(Failure::Encode(error.to_string())),
    }
}

/// The key of a session's record. Readers of the store do not learn the ID.
pub(crate) fn key_of(id: i128) -> RecordKey {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"silverback tower-sessions v1");
    hash.update(&id.to_le_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    RecordKey::from_bytes(key)
}

/// A new random ID.
pub(crate) fn random_id() -> Result<i128, StoreError> {
    let bytes = Version::random()?;
    Ok(i128::from_le_bytes(*bytes.as_bytes()))
}

/// The time, rounded up, since stores keep whole seconds.
pub(crate) fn timestamp(time: OffsetDateTime) -> Timestamp {
    let begun = u8::from(time.nanosecond() > 0);
    let seconds = time.unix_timestamp().saturating_add(begun.into());
    Timestamp::from_secs(seconds.try_into().unwrap_or_default())
}

pub(crate) fn date(time: Timestamp) -> OffsetDateTime {
    let seconds = time.as_secs().try_into().unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or_else(|_| PrimitiveDateTime::MAX.assume_utc())
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn a_key_shows_no_id() {
        let key = key_of(7);
        assert_eq!(key, key_of(7));
        assert_ne!(key, key_of(8));
        assert!(!key.as_bytes().windows(2).any(|bytes| bytes == [7, 0]));
    }

    #[test]
    fn an_end_is_never_too_early() {
        let second = OffsetDateTime::UNIX_EPOCH + Duration::seconds(9);
        assert_eq!(timestamp(second).as_secs(), 9);
        assert_eq!(timestamp(second + Duration::nanoseconds(1)).as_secs(), 10);
        assert_eq!(timestamp(second - Duration::days(1)).as_secs(), 0);
        assert_eq!(date(Timestamp::from_secs(9)), second);
        // The last second that a store can keep.
        let latest = OffsetDateTime::from_unix_timestamp(253_402_300_799);
        assert_eq!(date(Timestamp::from_secs(253_402_300_799)), latest.unwrap());
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let data = Data::from([("n".to_owned(), Value::from(7))]);
        let bytes = values(&data).unwrap();
        assert!(matches!(Content::read(&bytes), Ok(Content::Values(read)) if read == data));
        assert!(matches!(
            Content::read(&Content::ended()),
            Ok(Content::Ended)
        ));
        for other in [&[] as &[u8], &[1, 2, 3], &[VALUES], &[ENDED, 1]] {
            assert!(
                matches!(Content::read(other), Err(Failure::Decode(_))),
                "{other:?}"
            );
        }
    }
}
