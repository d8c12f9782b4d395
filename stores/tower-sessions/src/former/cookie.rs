//! The cookie of tower-sessions: an ID, in plain text, signed or encrypted.

use std::borrow::Cow;

use cookie::{Cookie, CookieJar};
use http::{HeaderMap, HeaderValue, header};

/// The cookie's former settings in `SessionManagerLayer`.
#[derive(Clone)]
pub(super) struct FormerCookie {
    pub(super) name: Cow<'static, str>,
    pub(super) path: Cow<'static, str>,
    pub(super) domain: Option<Cow<'static, str>>,
    pub(super) seal: Seal,
}

#[derive(Clone)]
pub(super) enum Seal {
    None,
    #[cfg(feature = "signed")]
    Signed(cookie::Key),
    #[cfg(feature = "private")]
    Private(cookie::Key),
}

impl FormerCookie {
    /// Returns the ID, if the request has a genuine one.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<String> {
        let mut jar = CookieJar::new();
        let fields = headers.get_all(header::COOKIE).iter();
        let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
        // Another program's cookie may be any bytes.
        for pair in pairs.filter_map(|pair| str::from_utf8(pair).ok()) {
            // tower-cookies encodes what it writes, and decodes what it reads.
            if let Ok(cookie) = Cookie::parse_encoded(pair.trim().to_owned())
                && cookie.name() == self.name
            {
                jar.add_original(cookie);
            }
        }
        let cookie = match &self.seal {
            Seal::None => jar.get(&self.name).cloned(),
            #[cfg(feature = "signed")]
            Seal::Signed(key) => jar.signed(key).get(&self.name),
            #[cfg(feature = "private")]
            Seal::Private(key) => jar.private(key).get(&self.name),
        };
        cookie.map(|cookie| cookie.value().to_owned())
    }

    /// The `Set-Cookie` value that removes the cookie from the browser.
    ///
    /// Browsers refuse even the removal of a cookie with a prefix if it lacks `Secure` (RFC
    /// 6265bis, section 5.7).
    pub(super) fn removal(&self) -> Option<HeaderValue> {
        let mut cookie = Cookie::build((self.name.as_ref(), ""))
            .path(self.path.as_ref())
            .secure(self.name.starts_with("__"))
            .build();
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.as_ref());
        }
        cookie.make_removal();
        HeaderValue::try_from(cookie.to_string()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(name: &'static str, domain: Option<&'static str>) -> FormerCookie {
        FormerCookie {
            name: name.into(),
            path: "/shop".into(),
            domain: domain.map(Into::into),
            seal: Seal::None,
        }
    }

    #[test]
    fn a_removal_has_the_cookies_attributes() {
        let removal = cookie("id", Some("example.com")).removal().unwrap();
        let removal = removal.to_str().unwrap();
        assert!(removal.starts_with("id=;"), "{removal}");
        for part in ["Path=/shop", "Domain=example.com", "Max-Age=0", "Expires="] {
            assert!(removal.contains(part), "{removal}");
        }
        assert!(!removal.contains("Secure"), "{removal}");
        let removal = cookie("__Host-id", None).removal().unwrap();
        assert!(removal.to_str().unwrap().contains("Secure"), "{removal:?}");
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie("id", None).find(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xid=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=%20; id=a%2Bb;"));
        assert_eq!(cookie("id", None).find(&headers).as_deref(), Some("a+b"));
    }
}
