//! The value under a key.

use std::{io::Write, time::Duration};

use redis::{RedisWrite, ToRedisArgs};
use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Record, StoreError, Version},
};

/// The first bytes of a record, which values of other programs do not have. The digit is the
/// version of the format. It keeps its place in later formats, and values of those are left alone.
pub(crate) const MAGIC: &[u8; 4] = b"sbr1";

/// The length of the header before a session's bytes: the magic, the version (16 bytes), and the
/// end by the session's clock in seconds (8 bytes, big-endian).
pub(crate) const HEAD: usize = MAGIC.len() + 16 + 8;

/// A record as a command's argument, without a copy of the data.
pub(crate) struct Value<'a> {
    pub(crate) version: Version,
    pub(crate) expiry: Expiry,
    pub(crate) data: &'a [u8],
}

impl ToRedisArgs for Value<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut argument = out.writer_for_next_arg();
        let end = end_of(self.expiry);
        for part in [MAGIC, self.version.as_bytes().as_slice(), &end, self.data] {
            // Writing into memory cannot fail.
            let _ = argument.write_all(part);
        }
    }
}

/// The end as a record stores it.
pub(crate) fn end_of(expiry: Expiry) -> [u8; 8] {
    expiry.at.as_secs().to_be_bytes()
}

/// How long the server keeps a record, in milliseconds. Zero if it has already ended. The server
/// stores an end in 63 bits, so "for ever" is 10,000 years.
pub(crate) fn milliseconds(expiry: Expiry) -> u64 {
    const MOST: Duration = Duration::from_secs(10_000 * 366 * 86_400);
    u64::try_from(expiry.after.min(MOST).as_millis()).unwrap_or(u64::MAX)
}

/// The header of a record.
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) expires: Timestamp,
}

impl Head {
    /// Reads the start of a value. Returns `None` if it is not a record.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let rest = value.strip_prefix(MAGIC)?;
        let (version, rest) = rest.split_first_chunk()?;
        let (end, _) = rest.split_first_chunk()?;
        Some(Self {
            version: Version::from_bytes(*version),
            expires: Timestamp::from_secs(u64::from_be_bytes(*end)),
        })
    }
}

/// Makes a record from the value under a key.
pub(crate) fn read(value: Vec<u8>) -> Result<Record, StoreError> {
    let head = Head::read(&value).ok_or_else(|| match is_later(&value) {
        true => later(),
        false => no_record(),
    })?;
    let data = Bytes::from(value).split_off(HEAD);
    Ok(Record::new(data, head.version, head.expires))
}

/// Returns whether a later release has written the value. The scripts have the same pattern.
pub(crate) fn is_later(value: &[u8]) -> bool {
    matches!(value, [b's', b'b', b'r', b'2'..=b'9', ..])
}

pub(crate) fn later() -> StoreError {
    StoreError::refused("a later release wrote the record")
}

pub(crate) fn no_record() -> StoreError {
    StoreError::Corrupt("what is under the key is not a record".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(data: &[u8]) -> Vec<u8> {
        let at = Timestamp::from_secs(1_060);
        let value = Value {
            version: Version::from_u64(7),
            expiry: Expiry::new(at, Timestamp::from_secs(1_000)),
            data,
        };
        value.to_redis_args().remove(0)
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for data in [b"".as_slice(), b"x", &[0; 1_000]] {
            let record = read(value(data)).unwrap();
            assert_eq!(record.data(), data);
            assert_eq!(record.version(), Version::from_u64(7));
            assert_eq!(record.expires(), Timestamp::from_secs(1_060));
        }
    }

    #[test]
    fn what_is_shorter_or_begins_otherwise_is_no_record() {
        let whole = value(b"");
        for len in 0..whole.len() {
            let cut = whole[..len].to_vec();
            assert!(matches!(read(cut), Err(StoreError::Corrupt(_))), "{len}");
        }
        for at in 0..MAGIC.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(matches!(read(changed), Err(StoreError::Corrupt(_))), "{at}");
        }
        for later in [&b"sbr2"[..], b"sbr9 and more"] {
            let read = read(later.to_vec());
            assert!(matches!(read, Err(StoreError::Refused(_))), "{later:?}");
        }
    }

    #[test]
    fn an_end_that_never_comes_is_one_that_the_server_takes() {
        let forever = Expiry::new(Timestamp::from_secs(u64::MAX), Timestamp::from_secs(0));
        let now_in_2500 = 530 * 366 * 86_400 * 1_000_u64;
        assert!(i64::try_from(milliseconds(forever) + now_in_2500).is_ok());
        let over = Expiry::new(Timestamp::from_secs(5), Timestamp::from_secs(5));
        assert_eq!(milliseconds(over), 0);
        let soon = Expiry::new(Timestamp::from_secs(8), Timestamp::from_secs(5));
        assert_eq!(milliseconds(soon), 3_000);
    }
}
