//! The value under a key.

use silverback::{
    Timestamp,
    store::{Bytes, Record, StoreError, Version},
};

/// The beginning of a record: the format's version.
const FORMAT: u8 = 1;

/// The length of what precedes a session's bytes: the format, the version (16 bytes), and the end
/// in seconds (8 bytes, big-endian).
pub(crate) const HEAD: usize = 1 + 16 + 8;

/// A record's own version and end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) expires: Timestamp,
}

impl Head {
    /// Parses the head of a value, and returns the rest with it.
    pub(crate) fn read(value: &[u8]) -> Result<(Self, &[u8]), StoreError> {
        let (format, rest) = value.split_first().ok_or_else(no_record)?;
        match *format {
            FORMAT => {}
            later if later > FORMAT => {
                return Err(StoreError::refused("a later release wrote the record"));
            }
            _ => return Err(no_record()),
        }
        let (version, rest) = rest.split_first_chunk().ok_or_else(no_record)?;
        let (end, data) = rest.split_first_chunk().ok_or_else(no_record)?;
        let head = Self {
            version: Version::from_bytes(*version),
            expires: Timestamp::from_secs(u64::from_be_bytes(*end)),
        };
        Ok((head, data))
    }

    /// Writes a value with this head.
    pub(crate) fn write(self, data: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD + data.len());
        value.push(FORMAT);
        value.extend_from_slice(self.version.as_bytes());
        value.extend_from_slice(&self.expires.as_secs().to_be_bytes());
        value.extend_from_slice(data);
        value
    }

    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

/// Makes a record from the value under a key. Returns `None` if it has expired.
pub(crate) fn read(value: &[u8], now: Timestamp) -> Result<Option<Record>, StoreError> {
    let (head, data) = Head::read(value)?;
    let record = || Record::new(Bytes::copy_from_slice(data), head.version, head.expires);
    Ok((!head.is_over(now)).then(record))
}

fn no_record() -> StoreError {
    StoreError::Corrupt("the value under the key is not a record".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            version: Version::from_u64(7),
            expires: Timestamp::from_secs(1_060),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for data in [b"".as_slice(), b"x", &[0; 1_000]] {
            let value = head().write(data);
            assert_eq!(Head::read(&value).unwrap(), (head(), data));
            let before = Timestamp::from_secs(1_059);
            let record = Record::new(data.to_vec(), head().version, head().expires);
            assert_eq!(read(&value, before).unwrap(), Some(record));
            assert_eq!(read(&value, head().expires).unwrap(), None);
        }
    }

    #[test]
    fn a_value_that_is_shorter_or_of_another_format_is_no_record() {
        let whole = head().write(b"");
        for len in 0..whole.len() {
            let cut = Head::read(&whole[..len]);
            assert!(matches!(cut, Err(StoreError::Corrupt(_))), "{len}");
        }
        let of_format = |format| [&[format], &whole[1..]].concat();
        let older = of_format(FORMAT - 1);
        assert!(matches!(Head::read(&older), Err(StoreError::Corrupt(_))));
        let later = of_format(FORMAT + 1);
        assert!(matches!(Head::read(&later), Err(StoreError::Refused(_))));
    }
}
