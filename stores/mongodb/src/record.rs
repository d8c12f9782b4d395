//! A record as a document.

use mongodb::bson::{Binary, DateTime, RawDocument, RawDocumentBuf, rawdoc, spec::BinarySubtype};
use silverback::{
    Timestamp,
    store::{Bytes, Listed, Record, RecordKey, StoreError, Version},
};

/// The record's key, 32 bytes.
pub(crate) const ID: &str = "_id";
/// 16 random bytes, new for each write.
pub(crate) const VERSION: &str = "version";
pub(crate) const DATA: &str = "data";
/// The record's end, by the application's clock.
pub(crate) const EXPIRES: &str = "expires";

/// The largest data of a record. Its other fields take some 120 bytes of a document.
pub(crate) const ROOM: usize = (16 << 20) - 1_024;

pub(crate) fn binary(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

pub(crate) fn date(time: Timestamp) -> DateTime {
    let millis = time.as_secs().saturating_mul(1_000);
    DateTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

pub(crate) fn write(
    key: &RecordKey,
    version: Version,
    data: &[u8],
    end: Timestamp,
) -> RawDocumentBuf {
    rawdoc! {
        "_id": binary(key.as_bytes()),
        "version": binary(version.as_bytes()),
        "data": binary(data),
        "expires": date(end),
    }
}

/// Returns the key of a document, unless it is another program's.
pub(crate) fn key(document: &RawDocument) -> Option<RecordKey> {
    let id = document.get_binary(ID).ok()?;
    let is_ours = id.subtype == BinarySubtype::Generic;
    let bytes = id.bytes.try_into().ok().filter(|_| is_ours)?;
    Some(RecordKey::from_bytes(bytes))
}

pub(crate) fn version(document: &RawDocument) -> Option<Version> {
    let version = document.get_binary(VERSION).ok()?;
    version.bytes.try_into().ok().map(Version::from_bytes)
}

fn expires(document: &RawDocument) -> Option<Timestamp> {
    let millis = document.get_datetime(EXPIRES).ok()?.timestamp_millis();
    Some(Timestamp::from_secs(u64::try_from(millis).ok()? / 1_000))
}

pub(crate) fn read(document: &RawDocument) -> Result<Record, StoreError> {
    let record = || {
        let data = Bytes::copy_from_slice(document.get_binary(DATA).ok()?.bytes);
        Some(Record::new(data, version(document)?, expires(document)?))
    };
    record().ok_or_else(|| StoreError::Corrupt("the document under the key is not a record".into()))
}

/// Returns `None` if it is not a record.
pub(crate) fn listed(document: &RawDocument) -> Option<Listed> {
    let data = document.get_binary(DATA).ok()?.bytes;
    Some(Listed::new(
        key(document)?,
        data,
        expires(document)?,
        data.len(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
    /// The last second of the year 9999, after which no record lives.
    const LATEST: u64 = 253_402_300_799;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let version = Version::from_u64(7);
        for end in [0, 1_060, LATEST].map(Timestamp::from_secs) {
            for data in [b"".as_slice(), b"x", &[0; 1_000]] {
                let document = write(&KEY, version, data, end);
                let record = read(&document).unwrap();
                assert_eq!(record, Record::new(data.to_vec(), version, end));
                assert_eq!(key(&document), Some(KEY));
                assert_eq!(
                    listed(&document),
                    Some(Listed::new(KEY, data, end, data.len()))
                );
            }
        }
    }

    #[test]
    fn the_largest_record_fits_into_a_document() {
        let document = write(
            &KEY,
            Version::from_u64(7),
            &vec![1; ROOM],
            Timestamp::from_secs(LATEST),
        );
        assert!(document.as_bytes().len() <= 16 << 20);
    }

    #[test]
    fn a_document_without_the_right_fields_is_no_record() {
        let (version, data) = (binary(&[7; 16]), binary(b"x"));
        let end = date(Timestamp::from_secs(1));
        for document in [
            rawdoc! {},
            rawdoc! { "version": version.clone(), "data": data.clone() },
            rawdoc! { "version": version.clone(), "expires": end },
            rawdoc! { "data": data.clone(), "expires": end },
            rawdoc! { "version": binary(&[7; 15]), "data": data.clone(), "expires": end },
            rawdoc! { "version": version.clone(), "data": "x", "expires": end },
            rawdoc! { "version": version.clone(), "data": data.clone(), "expires": 7_i64 },
            rawdoc! { "version": version, "data": data, "expires": DateTime::from_millis(-1) },
        ] {
            let read = read(&document);
            assert!(matches!(read, Err(StoreError::Corrupt(_))), "{document:?}");
            assert_eq!(listed(&document), None);
        }
    }

    #[test]
    fn another_programs_id_is_no_key() {
        let of_subtype = |subtype, len| Binary {
            subtype,
            bytes: vec![7; len],
        };
        for document in [
            rawdoc! { "_id": "x" },
            rawdoc! { "_id": of_subtype(BinarySubtype::Generic, 31) },
            rawdoc! { "_id": of_subtype(BinarySubtype::UserDefined(0x80), 32) },
        ] {
            assert_eq!(key(&document), None, "{document:?}");
        }
    }
}
