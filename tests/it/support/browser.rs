//! A browser: a jar of cookies that reads response headers.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Request, Response, header};
use silverback::{Error, ErrorKind};

/// A browser that keeps every cookie, whatever its path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(pub(crate) BTreeMap<String, String>);

impl Jar {
    pub(crate) fn with(name: &str, value: &str) -> Self {
        Self(BTreeMap::from([(name.into(), value.into())]))
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn request(&self) -> Request<()> {
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::new(());
        if !pairs.is_empty() {
            let field = HeaderValue::from_str(&pairs.join("; ")).unwrap();
            request.headers_mut().insert(header::COOKIE, field);
        }
        request
    }

    pub(crate) fn keep(&mut self, headers: &HeaderMap) {
        for cookie in set_cookies(headers) {
            let pair = cookie.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if cookie.contains("Max-Age=0;") {
                self.0.remove(name);
            } else {
                self.0.insert(name.into(), value.into());
            }
        }
    }
}

pub(crate) fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// The only `Set-Cookie` header of the response.
#[track_caller]
pub(crate) fn set_cookie(response: &Response<String>) -> String {
    let mut all = set_cookies(response.headers());
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub(crate) fn no_cookie(response: &Response<String>) -> bool {
    !response.headers().contains_key(header::SET_COOKIE)
}

/// Why the commit failed, if it did.
pub(crate) fn failure(response: &Response<String>) -> Option<ErrorKind> {
    response.extensions().get::<Error>().map(Error::kind)
}
