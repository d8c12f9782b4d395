//! Base64 in the URL alphabet, with padding, as Go reads it.
//!
//! Go skips line breaks and ignores the unused bits of the last character (`encoding/base64`,
//! without `Strict`). It refuses everything else.

use base64_simd::URL_SAFE;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE.encode_to_string(bytes)
}

/// The number of characters that this many bytes take.
pub(super) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let mut text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !is_break(byte))
        .collect();
    let free = match text.as_slice() {
        [.., b'=', b'='] => 4,
        [.., b'='] => 2,
        _ => 0,
    };
    let last = text.len().checked_sub(1 + free / 2);
    if free > 0 {
        let last = text.get_mut(last?)?;
        let value = ALPHABET.iter().position(|byte| byte == last)?;
        *last = *ALPHABET.get(value >> free << free)?;
    }
    URL_SAFE.decode_to_vec(&text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The results are those of Go 1.19 and 1.27.
    #[test]
    fn everything_that_go_reads_is_read() {
        let rows: &[(&str, Option<&[u8]>)] = &[
            ("", Some(b"")),
            ("\r\n", Some(b"")),
            ("YQ==", Some(b"a")),
            ("YR==", Some(b"a")),
            ("YX==", Some(b"a")),
            ("YWI=", Some(b"ab")),
            ("YWJ=", Some(b"ab")),
            ("YW\nJj", Some(b"abc")),
            ("YQ=\r=\n", Some(b"a")),
            ("-_-_", Some(&[0xfb, 0xff, 0xbf])),
            ("+/+/", None),
            ("YQ", None),
            ("YWI", None),
            ("YWJjZ", None),
            ("YQ==YQ==", None),
            ("YQ==Y", None),
            ("Y===", None),
            ("====", None),
            ("=", None),
            ("==", None),
            ("Y W=", None),
            ("\"YQ\"", None),
            (" YQ==", None),
        ];
        for (text, bytes) in rows {
            assert_eq!(decode(text.as_bytes()).as_deref(), *bytes, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn encoded_bytes_are_decoded(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
