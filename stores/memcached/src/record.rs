//! The value under a key, and its time to live.

use std::time::Duration;

use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Record, StoreError, Version},
};

/// The beginning of a record, unlike other programs' values. The digit is the format's version. It
/// keeps its place in later formats, and values of those are left alone.
const MAGIC: &[u8; 4] = b"sbm1";

/// The length of what precedes a session's bytes: the magic, the version (16 bytes), and the end by
/// the session's clock in seconds (8 bytes, big-endian).
pub(crate) const HEAD: usize = MAGIC.len() + 16 + 8;

pub(crate) fn write(version: Version, end: Timestamp, data: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + data.len());
    value.extend_from_slice(MAGIC);
    value.extend_from_slice(version.as_bytes());
    value.extend_from_slice(&end.as_secs().to_be_bytes());
    value.extend_from_slice(data);
    value
}

/// Makes a record from the value under a key.
pub(crate) fn read(value: Vec<u8>) -> Result<Record, StoreError> {
    let head = || {
        let rest = value.strip_prefix(MAGIC)?;
        let (version, rest) = rest.split_first_chunk()?;
        let (end, _) = rest.split_first_chunk()?;
        let end = Timestamp::from_secs(u64::from_be_bytes(*end));
        Some((Version::from_bytes(*version), end))
    };
    let (version, end) = match (head(), value.as_slice()) {
        (Some(head), _) => head,
        (None, [b's', b'b', b'm', b'2'..=b'9', ..]) => {
            return Err(StoreError::refused("a later release wrote the record"));
        }
        (None, _) => {
            let sentence = "the value under the key is not a record";
            return Err(StoreError::Corrupt(sentence.into()));
        }
    };
    let data = Bytes::from(value).split_off(HEAD);
    Ok(Record::new(data, version, end))
}

/// How long the server should keep a record: seconds from now, a point in time, or -1 for a record
/// that is already over.
///
/// memcached counts in its own whole seconds, so that of 3 seconds only 2 may be left when the
/// record is written: hence one more. It takes a number over thirty days for a point in time, of 31
/// bits.
pub(crate) fn time_to_live(expiry: Expiry, now: Timestamp) -> i64 {
    const MOST: u64 = 30 * 86_400;
    if expiry.after == Duration::ZERO {
        return -1;
    }
    let left = expiry.after.as_secs().saturating_add(1);
    if left <= MOST {
        return left.cast_signed();
    }
    let end = now.as_secs().saturating_add(left);
    let latest = u64::from(u32::MAX >> 1);
    match end <= latest || now.as_secs() + MOST < latest {
        true => end.min(latest).cast_signed(),
        // From 2038 on, at most thirty days can be expressed.
        false => MOST.cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let (version, end) = (Version::from_u64(7), Timestamp::from_secs(1_060));
        for data in [b"".as_slice(), b"x", &[0; 1_000]] {
            let record = read(write(version, end, data)).unwrap();
            assert_eq!(record, Record::new(data.to_vec(), version, end));
        }
    }

    #[test]
    fn a_value_that_is_shorter_or_begins_otherwise_is_no_record() {
        let whole = write(Version::from_u64(7), Timestamp::from_secs(1), b"");
        for len in 0..whole.len() {
            let cut = read(whole[..len].to_vec());
            assert!(matches!(cut, Err(StoreError::Corrupt(_))), "{len}");
        }
        for at in 0..MAGIC.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(matches!(read(changed), Err(StoreError::Corrupt(_))), "{at}");
        }
        for later in [&b"sbm2"[..], b"sbm9 and more"] {
            let read = read(later.to_vec());
            assert!(matches!(read, Err(StoreError::Refused(_))), "{later:?}");
        }
    }

    #[test]
    fn an_end_is_sent_as_the_server_expects_it() {
        let now = Timestamp::from_secs(1_800_000_000);
        let told = |after| {
            let end = Timestamp::from_secs(now.as_secs().saturating_add(after));
            time_to_live(Expiry::new(end, now), now)
        };
        let month = 30 * 86_400;
        assert_eq!(told(0), -1);
        assert_eq!(told(1), 2);
        assert_eq!(told(month - 1), 2_592_000);
        assert_eq!(told(month), 1_800_000_000 + 2_592_001);
        assert_eq!(told(400 * 86_400), 1_800_000_000 + 400 * 86_400 + 1);
        assert_eq!(told(u64::MAX), i64::from(i32::MAX));
        let late = Timestamp::from_secs(2_200_000_000);
        let expiry = Expiry::new(late.saturating_add(Duration::from_secs(2 * month)), late);
        assert_eq!(time_to_live(expiry, late), 2_592_000);
    }
}
