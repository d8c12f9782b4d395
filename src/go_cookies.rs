//! The cookies of a request and of a response, for layers that take gorilla's sessions out and put
//! others in.

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

/// The cookies of a header: each pair, its name, and its value as Go would read it.
fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    header.split(|byte| *byte == b';').map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let value = value.get(1..).unwrap_or_default();
        let bare = value.strip_prefix(b"\"");
        let bare = bare.and_then(|value| value.strip_suffix(b"\""));
        (pair, name.trim_ascii(), bare.unwrap_or(value))
    })
}

/// The values of the request's cookies of this name.
pub(crate) fn presented<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let all = headers.get_all(COOKIE).iter();
    let all = all.flat_map(|header| pairs(header.as_bytes()));
    all.filter(move |(_, other, _)| *other == name.as_bytes())
        .map(|(_, _, value)| value)
}

/// Removes the request's cookies of this name that `is_removed` picks by value. Adds those
/// with these values.
pub(crate) fn replace(
    headers: &mut HeaderMap,
    name: &str,
    is_removed: impl Fn(&[u8]) -> bool,
    values: &[String],
) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for header in headers.get_all(COOKIE) {
        let is_removed = |other: &[u8], value: &[u8]| other == name.as_bytes() && is_removed(value);
        let others = pairs(header.as_bytes()).filter(|(_, other, value)| !is_removed(other, value));
        kept.extend(others.map(|(pair, _, _)| pair.to_vec()));
    }
    let added = values.iter().map(|value| format!("{name}={value}"));
    kept.extend(added.map(String::into_bytes));
    headers.remove(COOKIE);
    // Parts of a header, and the text of a cookie, are valid in a header.
    if let Ok(cookies) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
        && !kept.is_empty()
    {
        headers.insert(COOKIE, cookies);
    }
}

/// The cookies that a response sets, for changing them.
pub(crate) fn read_set_cookies(headers: &mut HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(SET_COOKIE).iter().cloned().collect()
}

/// Replaces the cookies that a response sets.
pub(crate) fn write_set_cookies(headers: &mut HeaderMap, cookies: Vec<HeaderValue>) {
    headers.remove(SET_COOKIE);
    headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
}

/// The headers that set a cookie of this name.
pub(crate) fn of_name<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> impl Iterator<Item = &'a HeaderValue> {
    let all = headers.get_all(SET_COOKIE).iter();
    all.filter(move |header| parse_set_cookie(header, name).is_some())
}

/// The value that a header sets for a cookie of this name, and the attributes after it.
pub(crate) fn parse_set_cookie<'a>(
    header: &'a HeaderValue,
    name: &str,
) -> Option<(&'a [u8], &'a [u8])> {
    let header = header.as_bytes();
    let set = header.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    let end = memchr::memchr(b';', set).unwrap_or(set.len());
    Some(set.split_at(end))
}

/// A header that sets a cookie.
pub(crate) fn set_cookie_header(name: &str, value: &str, attributes: &[u8]) -> Option<HeaderValue> {
    let header = [name.as_bytes(), b"=", value.as_bytes(), attributes].concat();
    HeaderValue::from_bytes(&header).ok()
}
