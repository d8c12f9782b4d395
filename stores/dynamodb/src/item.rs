//! A record as an item of the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use silverback::{
    Timestamp,
    store::{Bytes, Record, RecordKey, StoreError, Version},
};

pub(crate) type Item = HashMap<String, AttributeValue>;

// The attributes. No name is a reserved word, so expressions can use them directly.
/// The partition key: the 64 hexadecimal digits of a record's key, as a string.
pub(crate) const ID: &str = "id";
/// The record's version: 16 bytes.
pub(crate) const VERSION: &str = "version";
/// The record's end by the session's clock, in seconds since 1970. DynamoDB's time to live uses it.
pub(crate) const EXPIRES: &str = "expires";
/// The session's bytes.
pub(crate) const CONTENT: &str = "content";

/// DynamoDB's limit for an item, including the names of the attributes.
const ITEM: usize = 400 << 10;
/// A number takes up to 21 bytes.
const NUMBER: usize = 21;
/// The room that is left for a session's bytes.
pub(crate) const ROOM: usize =
    ITEM - (ID.len() + 64 + VERSION.len() + 16 + EXPIRES.len() + NUMBER + CONTENT.len());

/// An item with only the key, as reads and deletes need it.
pub(crate) fn named(key: &RecordKey) -> Item {
    HashMap::from([(ID.to_owned(), AttributeValue::S(key.to_string()))])
}

pub(crate) fn write(key: &RecordKey, version: Version, expires: Timestamp, data: Bytes) -> Item {
    let mut item = named(key);
    item.insert(VERSION.to_owned(), self::version(version));
    item.insert(EXPIRES.to_owned(), time(expires));
    let content = AttributeValue::B(Blob::new(Vec::from(data)));
    item.insert(CONTENT.to_owned(), content);
    item
}

pub(crate) fn version(version: Version) -> AttributeValue {
    AttributeValue::B(Blob::new(*version.as_bytes()))
}

pub(crate) fn time(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_secs().to_string())
}

/// Makes a record from an item. Another program's item, or a part of a record, is `Corrupt`.
pub(crate) fn read(mut item: Item) -> Result<Record, StoreError> {
    let head = version_of(&item).zip(expires(&item));
    match (head, item.remove(CONTENT)) {
        (Some((version, expires)), Some(AttributeValue::B(content))) => {
            Ok(Record::new(content.into_inner(), version, expires))
        }
        _ => Err(StoreError::Corrupt("the item is not a record".into())),
    }
}

fn version_of(item: &Item) -> Option<Version> {
    let bytes = item.get(VERSION)?.as_b().ok()?;
    Some(Version::from_bytes(bytes.as_ref().try_into().ok()?))
}

fn expires(item: &Item) -> Option<Timestamp> {
    let seconds = item.get(EXPIRES)?.as_n().ok()?.parse();
    seconds.ok().map(Timestamp::from_secs)
}

/// The ID of the item, even of another program's.
pub(crate) fn id(item: &Item) -> Option<&str> {
    item.get(ID)?.as_s().ok().map(String::as_str)
}

/// Returns `None` if the item does not belong to this store.
pub(crate) fn key(item: &Item) -> Option<RecordKey> {
    id(item)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: RecordKey = RecordKey::from_bytes([7; 32]);

    fn item() -> Item {
        let end = Timestamp::from_secs(1_060);
        write(&KEY, Version::from_u64(7), end, Bytes::from_static(b"data"))
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = read(item()).unwrap();
        let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_060));
        assert_eq!(record, Record::new("data", version, end));
        assert_eq!(key(&item()), Some(KEY));
    }

    #[test]
    fn an_item_of_another_shape_is_no_record() {
        let text = || AttributeValue::S("1060".to_owned());
        for name in [VERSION, EXPIRES, CONTENT] {
            let mut lacking = item();
            lacking.remove(name);
            assert!(matches!(read(lacking), Err(StoreError::Corrupt(_))));
            let mut other = item();
            other.insert(name.to_owned(), text());
            assert!(matches!(read(other), Err(StoreError::Corrupt(_))));
        }
        for (name, value) in [
            (VERSION, AttributeValue::B(Blob::new([0; 15]))),
            (VERSION, AttributeValue::B(Blob::new([0; 17]))),
            (EXPIRES, AttributeValue::N("-1".to_owned())),
            (EXPIRES, AttributeValue::N("1.5".to_owned())),
        ] {
            let mut other = item();
            other.insert(name.to_owned(), value);
            assert!(matches!(read(other), Err(StoreError::Corrupt(_))));
        }
    }

    #[test]
    fn a_key_is_64_digits() {
        let named = |id: &str| Item::from([(ID.to_owned(), AttributeValue::S(id.to_owned()))]);
        for id in ["", "cart", &"A".repeat(64), &"a".repeat(63)] {
            assert_eq!(key(&named(id)), None, "{id}");
        }
        assert_eq!(key(&Item::new()), None);
    }
}
