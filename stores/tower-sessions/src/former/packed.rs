//! The bytes of a session in the published stores: `rmp_serde::to_vec` of tower-sessions' `Record`.
//!
//! ```text
//! array of 3: the ID as 16 bytes, big-endian | map of the values | array of 9: year, day of the
//! year, hour, minute, second, nanosecond, and the offset from UTC in hours, minutes and seconds
//! ```

use time::OffsetDateTime;

use crate::{
    failure::Failure,
    row::{Data, Row},
};

pub(super) fn unpack(bytes: &[u8]) -> Result<Row, Failure> {
    let read = rmp_serde::from_slice::<(i128, Data, OffsetDateTime)>(bytes);
    // The error may quote a value.
    let refuse = |_| Failure::Decode("it is not a record of tower-sessions".to_owned());
    let (id, data, expires) = read.map_err(refuse)?;
    Ok(Row { id, data, expires })
}

pub(super) fn pack(row: &Row) -> Result<Vec<u8>, Failure> {
    let packed = rmp_serde::to_vec(&(row.id, &row.data, row.expires));
    packed.map_err(|error| Failure::Encode(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::Duration;

    use super::*;

    /// Written by tower-sessions-redis-store 0.16.
    const PACKED: &[u8] = b"\x93\xc4\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\
        \x0f\x10\x82\xa4cart\x92\x82\xa4item\xa2\xc3\xa4\xa5price\xcb?\xf8\x00\x00\x00\x00\x00\x00\
        \xc0\xa4user\x07\x99\xcd\x080\xcd\x01\x14\x07\x06(\xce\x07[\xcd\x15\x00\x00\x00";

    #[test]
    fn records_of_their_stores_are_read() {
        let row = unpack(PACKED).unwrap();
        assert_eq!(row.id, 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        let second = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
        assert_eq!(row.expires, second + Duration::nanoseconds(123_456_789));
        let data = json!({ "user": 7, "cart": [{ "item": "ä", "price": 1.5 }, null] });
        assert_eq!(json!(row.data), data);
        let again = unpack(&pack(&row).unwrap()).unwrap();
        assert_eq!((again.id, again.expires), (row.id, row.expires));
        assert_eq!(again.data, row.data);
    }

    #[test]
    fn records_are_written_like_those_of_their_stores() {
        let mut row = unpack(PACKED).unwrap();
        row.data.clear(); // whose order is any
        let packed = pack(&row).unwrap();
        assert_eq!(packed[..19], PACKED[..19]);
        assert_eq!(packed[19], 0x80);
        assert_eq!(packed[20..], PACKED[PACKED.len() - 18..]);
    }

    #[test]
    fn other_bytes_are_an_error_without_a_value() {
        for bytes in [b"" as &[u8], b"{\"user\":7}", &PACKED[..40]] {
            let Err(Failure::Decode(why)) = unpack(bytes) else {
                panic!("{bytes:?} was read")
            };
            assert_eq!(why, "it is not a record of tower-sessions");
        }
    }
}
