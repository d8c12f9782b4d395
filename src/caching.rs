//! What caches may do with a response.
//!
//! `Vary: Cookie` alone is not enough: a shared cache would show a flash message twice, and show
//! the page of a logged-out user to anyone who still sends the old cookie. A stored `Set-Cookie`
//! would hand one visitor's session to the next.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry, OccupiedEntry},
};

use crate::{state::Use, trace};

/// What a response about a session tells caches, if it sets no cookie and the handler says nothing.
const OF_VISITOR: &str = "private, no-cache";

/// Tells an outer layer that an inner one has set `Cache-Control`, not the handler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetByLayer;

/// Tells caches that the response depends on a session. Returns whether this set `Cache-Control`.
pub(crate) fn note_use(headers: &mut HeaderMap, used: Use) -> bool {
    if used >= Use::Absent {
        vary_by_cookie(headers);
    }
    // The response is for one visitor, and stale as soon as the session changes or ends.
    used == Use::There && {
        let directives = const { HeaderValue::from_static(OF_VISITOR) };
        insert_first(headers, header::CACHE_CONTROL, directives).is_none()
    }
}

/// Removes the `Cache-Control` of an inner layer, which set no cookie, so that the one for cookies
/// takes its place.
#[cold]
pub(crate) fn forget_use(headers: &mut HeaderMap) {
    let mut said = headers.get_all(header::CACHE_CONTROL).iter();
    if said.all(|value| value == OF_VISITOR) {
        headers.remove(header::CACHE_CONTROL);
    }
}

/// Sets a field unless the handler has set it, and otherwise returns the handler's values. Not
/// inlined, so that all fields share one copy of the code.
#[inline(never)]
fn insert_first(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: HeaderValue,
) -> Option<OccupiedEntry<'_, HeaderValue>> {
    match headers.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
            None
        }
        Entry::Occupied(entry) => Some(entry),
    }
}

fn vary_by_cookie(headers: &mut HeaderMap) {
    let cookie = || const { HeaderValue::from_static("Cookie") };
    if let Some(mut there) = insert_first(headers, header::VARY, cookie()) {
        let covers = |token: &[u8]| token == b"*" || token.eq_ignore_ascii_case(b"cookie");
        let mut tokens = there
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        if !tokens.any(|token| covers(token.trim_ascii())) {
            there.append(cookie());
        }
    }
}

/// Keeps a session's cookie out of shared caches. The handler's directives stay, unless they would
/// let a shared cache keep the cookie.
pub(crate) fn keep_cookies_out(headers: &mut HeaderMap, allows_shared: bool) {
    if !allows_shared && headers.keys().any(|name| is_targeted(name.as_str())) {
        remove_targeted(headers);
    }
    vary_by_cookie(headers);
    let directive = const { HeaderValue::from_static("no-store") };
    let is_said = insert_first(headers, header::CACHE_CONTROL, directive).is_some();
    if is_said && !allows_shared && directives(headers, &header::CACHE_CONTROL).allow_shared() {
        trace::forbade_shared_caching(header::CACHE_CONTROL.as_str());
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        );
    }
}

/// Removes fields that certain caches follow instead of `Cache-Control` (RFC 9213 and its
/// predecessors), if they allow those caches to keep the response.
#[cold]
fn remove_targeted(headers: &mut HeaderMap) {
    let targeted = headers.keys().filter(|name| is_targeted(name.as_str()));
    let allowing = targeted.filter(|name| match name.as_str() {
        "x-accel-expires" => headers.get_all(*name).iter().any(|value| value != "0"),
        _ => directives(headers, name).allow_targeted(),
    });
    let allowing: Vec<HeaderName> = allowing.cloned().collect();
    for name in allowing {
        trace::forbade_shared_caching(name.as_str());
        headers.remove(name);
    }
}

fn is_targeted(name: &str) -> bool {
    // `CDN-Cache-Control`, `Cloudflare-CDN-Cache-Control`, `Vercel-CDN-Cache-Control` ..; Varnish
    // and Fastly; Akamai; nginx.
    let is_known = |name| {
        matches!(
            name,
            "surrogate-control" | "edge-control" | "x-accel-expires"
        )
    };
    name.len() >= "edge-control".len() && (name.ends_with("-cache-control") || is_known(name))
}

/// The directives of all fields of a name (RFC 9111, section 5.2).
#[derive(Clone, Copy, Debug, Default)]
struct Directives {
    no_store: bool,
    /// Whether caches that know the response's status ignore `no_store` (section 5.2.2.3).
    must_understand: bool,
    private: bool,
    no_cache: bool,
    /// Whether caches may keep the response although they would not by default.
    public: bool,
    /// Whether the response is fresh for some time.
    fresh: bool,
    /// Whether another parser may read other directives.
    is_malformed: bool,
}

impl Directives {
    /// Returns whether a shared cache may keep the response and use it without asking. Without a
    /// directive it may keep it for as long as it sees fit (section 4.2.2).
    fn allow_shared(self) -> bool {
        if self.is_malformed {
            return true;
        }
        let forbid = self.private || (self.no_cache && !self.fresh);
        !self.forbid_storing() && (self.public || !forbid)
    }

    /// Returns whether no cache may keep the response.
    fn forbid_storing(self) -> bool {
        self.no_store && !self.must_understand
    }

    /// Returns whether the caches that the field targets may keep the response.
    fn allow_targeted(self) -> bool {
        self.is_malformed || self.public || !(self.forbid_storing() || self.private)
    }

    fn add(&mut self, directive: &[u8]) {
        let mut parts = directive.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        // With an argument, a directive concerns only the fields that it names.
        let is_whole = parts.next().is_none();
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        self.no_store |= is("no-store") && is_whole;
        self.must_understand |= is("must-understand");
        self.private |= is("private") && is_whole;
        self.no_cache |= is("no-cache") && is_whole;
        self.public |= is("public") || is("s-maxage");
        self.fresh |= is("max-age") || is("immutable");
    }
}

fn directives(headers: &HeaderMap, name: &HeaderName) -> Directives {
    let mut found = Directives::default();
    for value in headers.get_all(name) {
        let mut rest = value.as_bytes();
        loop {
            let (end, is_closed) = end_of_directive(rest);
            found.is_malformed |= !is_closed;
            let (directive, after) = rest.split_at(end);
            found.add(directive);
            match after.split_first() {
                Some((_, next)) => rest = next,
                None => break,
            }
        }
    }
    found
}

/// Returns the position of the next comma outside quotes, and whether all quotes before it are
/// closed.
fn end_of_directive(bytes: &[u8]) -> (usize, bool) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return (at, true),
            _ => {}
        }
    }
    (bytes.len(), !is_quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, values: &[&str]) -> HeaderMap {
        let name: HeaderName = name.parse().expect("a name");
        let values = values.iter().map(|value| value.parse().expect("a value"));
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn a_shared_cache_may_keep_responses_that_do_not_forbid_it() {
        #[rustfmt::skip]
        let rows: [(&[&str], bool); 33] = [
            (&["private"], false),
            (&["private, max-age=5"], false),
            (&["PRIVATE , Max-Age=5, immutable"], false),
            (&["private", "max-age=5"], false),
            (&["no-store"], false),
            (&["No-Store, max-age=5"], false),
            (&["no-cache"], false),
            (&["no-cache, must-revalidate"], false),
            (&["private, no-store, must-understand"], false),
            (&["no-cache, no-store, must-understand"], false),
            (&["x=\"a, public, b\", private"], false),
            (&["x=\"\\\", public\", private"], false),
            (&["public"], true),
            (&["PUBLIC"], true),
            (&["private, public"], true),
            (&["max-age=5"], true),
            (&["max-age=\"5\""], true),
            (&["max-age=5", "must-revalidate"], true),
            (&["no-cache", "max-age=5"], true),
            (&["immutable"], true),
            (&["no-store, must-understand"], true),
            (&["Must-Understand", "max-age=5, no-store"], true),
            (&["s-maxage=5"], true),
            (&["private, S-MaxAge = 5"], true),
            (&["private=\"set-cookie\", max-age=5"], true),
            (&["public, no-store=\"set-cookie\""], true),
            (&["no-cache=\"set-cookie\""], true),
            (&["must-revalidate"], true),
            (&["x-private, xno-store"], true),
            (&["x=\"private, no-store\""], true),
            (&["x=\"private\\\", no-store\""], true),
            (&["private, x=\"open"], true),
            (&[""], true),
        ];
        for (values, expected) in rows {
            let headers = headers("cache-control", values);
            let found = directives(&headers, &header::CACHE_CONTROL);
            assert_eq!(found.allow_shared(), expected, "{values:?}");
        }
    }

    #[test]
    fn targeted_fields_are_removed_unless_they_forbid_caching() {
        for (name, value, stays) in [
            ("cdn-cache-control", "max-age=60", false),
            ("cdn-cache-control", "no-store", true),
            ("cdn-cache-control", "private", true),
            ("cdn-cache-control", "no-cache", false),
            ("cdn-cache-control", "no-store, must-understand", false),
            ("cloudflare-cdn-cache-control", "max-age=60", false),
            ("vercel-cdn-cache-control", "s-maxage=60", false),
            ("surrogate-control", "max-age=60", false),
            ("surrogate-control", "no-store, content=\"ESI/1.0\"", true),
            ("edge-control", "cache-maxage=1h", false),
            ("x-accel-expires", "60", false),
            ("x-accel-expires", "0", true),
            ("x-cache", "hit", true),
        ] {
            for allows_shared in [false, true] {
                let mut headers = headers(name, &[value]);
                keep_cookies_out(&mut headers, allows_shared);
                let stays = stays || allows_shared;
                assert_eq!(headers.contains_key(name), stays, "{name}: {value}");
                assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            }
        }
    }
}
