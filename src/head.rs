//! The part of the request that the way out needs.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use crate::turn::Origin;

#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) is_grpc: bool,
    /// Nobody sees the response now, whatever it says.
    pub(crate) is_unseen: bool,
}

impl Head {
    /// The head of a request; `has_cookies` is whether it has any.
    pub(crate) fn of<B>(request: &Request<B>, has_cookies: bool) -> Self {
        let (method, headers) = (request.method(), request.headers());
        // Only a GET is fetched ahead of a click. Without a cookie there is nothing to use up.
        let may_prefetch = has_cookies && method == Method::GET;
        Self {
            method: method.clone(),
            // Every call of gRPC is a POST (its protocol over HTTP/2, "Requests").
            is_grpc: method == Method::POST && is_grpc(headers),
            is_unseen: method == Method::HEAD || may_prefetch && is_prefetch(headers),
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        if self.method == Method::GET || self.method == Method::HEAD {
            Origin::Read
        } else {
            Origin::Request
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    // Not "application/grpc-web", which is another protocol.
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// Returns whether the browser fetches a page ahead of the click. The Fetch standard has
/// `Sec-Purpose` for this, with the kind of prefetch as a parameter.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says_so = |value: &HeaderValue| {
        let mut parts = value.as_bytes().split(|byte| matches!(byte, b';' | b','));
        parts
            .next()
            .is_some_and(|first| first.trim_ascii().eq_ignore_ascii_case(b"prefetch"))
    };
    headers.get(&SEC_PURPOSE).is_some_and(says_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_call_is_a_post_of_its_type() {
        for (method, kind, expected) in [
            (Method::POST, "application/grpc", true),
            (Method::POST, "application/grpc+proto", true),
            (Method::POST, "application/grpc; x=y", true),
            (Method::POST, "application/grpc-web", false),
            (Method::POST, "text/html", false),
            (Method::GET, "application/grpc", false),
        ] {
            let request = Request::builder().method(&method);
            let request = request.header(header::CONTENT_TYPE, kind).body(());
            let head = Head::of(&request.expect("a request"), false);
            assert_eq!(head.is_grpc, expected, "{method} {kind}");
        }
    }

    #[test]
    fn a_prefetch_is_known_by_the_first_token() {
        for (name, value, expected) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("sec-purpose", "prefetch;anonymous-client-ip", true),
            ("sec-purpose", " Prefetch ; prerender", true),
            ("sec-purpose", "prerender;prefetch", false),
            ("sec-purpose", "prefetching", false),
            ("sec-purpose", "", false),
            ("x-purpose", "prefetch", false),
        ] {
            for (method, may_be) in [(Method::GET, true), (Method::POST, false)] {
                let request = Request::builder().method(method).header(name, value);
                let request = request.body(()).expect("a request");
                let is_unseen = |has_cookies| Head::of(&request, has_cookies).is_unseen;
                assert_eq!(is_unseen(true), expected && may_be, "{name}: {value}");
                assert!(!is_unseen(false), "{name}: {value}");
            }
        }
    }
}
