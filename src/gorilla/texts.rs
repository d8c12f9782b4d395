//! Sessions that Go keeps beside their cookies: a cookie has an ID, and what is kept under it is the
//! text of a cookie with the values.

use super::id::GoId;

/// As `FilesystemStore` makes them.
pub(super) const ID_BYTES: usize = 32;

/// Between a cookie and a text. It is no character of either, which are base64.
const BETWEEN: u8 = b'.';

/// A cookie with the text that is kept under its ID, as a layer hands both to the session layer.
/// Each is signed for itself, so what a browser makes of them is refused.
#[cfg(all(feature = "filesystem", unix))]
pub(crate) fn with_text(cookie: &[u8], text: &[u8]) -> Vec<u8> {
    [cookie, &[BETWEEN], text].concat()
}

/// The cookie, and the text if one came along.
pub(crate) fn split_text(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(BETWEEN, value) {
        Some(at) => (value.get(..at).unwrap_or_default(), value.get(at + 1..)),
        None => (value, None),
    }
}

/// The ID that a cookie's payload is.
pub(crate) fn id_of(payload: &[u8]) -> Option<String> {
    let id = GoId::of_gob(payload, ID_BYTES)?;
    Some(id.as_str().to_owned())
}
