//! The cookie jar of `testing`.

use http::{HeaderMap, Uri, header};
use silverback::{Clock, testing::Jar};

use crate::support::{DAY, SECOND, START};

const HOME: &str = "https://example.com/";

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

/// The `Cookie` header that a jar with these cookies, set from `from`, sends to `to`.
fn sent(from: &str, cookies: &[&str], to: &str) -> String {
    let mut jar = Jar::new();
    for cookie in cookies {
        jar.set(&uri(from), cookie);
    }
    let sent = jar.header(&uri(to)).unwrap_or_else(|| "".parse().unwrap());
    sent.to_str().unwrap().to_owned()
}

#[test]
fn a_cookie_goes_where_it_belongs() {
    for (from, cookie, to, goes) in [
        (HOME, "a=1", HOME, true),
        (HOME, "a=1", "https://example.com/x?y", true),
        (HOME, "a=1", "https://other.com/", false),
        (HOME, "a=1", "https://sub.example.com/", false),
        (
            HOME,
            "a=1; Domain=example.com",
            "https://sub.example.com/",
            true,
        ),
        (
            HOME,
            "a=1; Domain=.example.com",
            "https://EXAMPLE.com/",
            true,
        ),
        (
            HOME,
            "a=1; Domain=example.com",
            "https://badexample.com/",
            false,
        ),
        (HOME, "a=1; Domain=other.com", "https://other.com/", false),
        (
            "https://s.example.com/",
            "a=1; Domain=example.com",
            HOME,
            true,
        ),
        (
            "https://127.0.0.1/",
            "a=1; Domain=0.0.1",
            "https://127.0.0.1/",
            false,
        ),
        (HOME, "a=1; Path=/shop", "https://example.com/shop", true),
        (HOME, "a=1; Path=/shop", "https://example.com/shop/x", true),
        (
            HOME,
            "a=1; Path=/shop",
            "https://example.com/shopping",
            false,
        ),
        (HOME, "a=1; Path=/shop/", "https://example.com/shop", false),
        (HOME, "a=1; Path=/shop/", "https://example.com/shop/x", true),
        (
            "https://example.com/a/b",
            "x=1",
            "https://example.com/a/c",
            true,
        ),
        (
            "https://example.com/a/b",
            "x=1",
            "https://example.com/c",
            false,
        ),
        (
            "https://example.com/a/b",
            "x=1; Path=c",
            "https://example.com/a",
            true,
        ),
        (HOME, "a=1; Secure", HOME, true),
        (HOME, "a=1; Secure", "wss://example.com/", true),
        (HOME, "a=1; Secure", "http://example.com/", false),
        ("http://example.com/", "a=1; Secure", HOME, false),
        ("http://example.com/", "a=1", "http://example.com/", true),
        (
            "http://localhost:8080/",
            "a=1; Secure",
            "http://localhost/",
            true,
        ),
        (
            "http://127.0.0.1/",
            "a=1; Secure",
            "http://127.0.0.1/",
            true,
        ),
        ("http://[::1]/", "a=1; Secure", "http://[::1]/", true),
    ] {
        let is_sent = !sent(from, &[cookie], to).is_empty();
        assert_eq!(is_sent, goes, "{cookie:?} from {from} to {to}");
    }
}

#[test]
fn a_browser_refuses_contradictory_attributes() {
    for (cookie, taken) in [
        ("__Host-a=1; Path=/; Secure", true),
        ("__Host-a=1; Path=/", false),
        ("__Host-a=1; Path=/x; Secure", false),
        ("__host-a=1; Path=/; Secure; Domain=example.com", false),
        ("__Secure-a=1; Secure; Path=/x", true),
        ("__Secure-a=1", false),
        ("__Http-a=1; Secure; HttpOnly", true),
        ("__Http-a=1; Secure", false),
        ("a=1; SameSite=None", false),
        ("a=1; SameSite=None; Secure", true),
        ("a=1; Partitioned", false),
        ("a=1; Partitioned; Secure", true),
        ("no pair", false),
        ("=1", false),
    ] {
        let mut jar = Jar::new();
        assert_eq!(jar.set(&uri(HOME), cookie), taken, "{cookie}");
        assert_eq!(jar.is_empty(), !taken, "{cookie}");
    }
}

#[test]
fn a_later_cookie_replaces_the_one_of_its_place() {
    for (cookies, expected) in [
        (&["a=1", "a=2"][..], "a=2"),
        (&["a=1; Path=/x", "a=2"], "a=1; a=2"),
        (&["a=1", "a=2; Path=/x"], "a=2; a=1"),
        (&["a=1", "a=2; Domain=example.com"], "a=1; a=2"),
        (&["a=1; Secure", "a=2; Secure; Partitioned"], "a=1; a=2"),
        (&["a=1", "b=2", "a=; Max-Age=0"], "b=2"),
        (&["a=1", "b=2", "a=3"], "a=3; b=2"),
        (&["a=1", "b=2", "a=; Max-Age=0", "a=3"], "b=2; a=3"),
        (&["a=1; Path=/x", "a=; Max-Age=0"], "a=1"),
        (&["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
        (&["a=\"1\"; HttpOnly"], "a=\"1\""),
    ] {
        let sent = sent(HOME, cookies, "https://example.com/x");
        assert_eq!(sent, expected, "{cookies:?}");
    }
}

#[test]
fn a_site_without_https_cannot_hide_a_secure_cookie() {
    let secure = "a=1; Secure; Domain=example.com; Path=/x";
    for (from, cookie, taken) in [
        ("http://example.com/", "a=2; Path=/x", false),
        ("http://example.com/", "a=2; Path=/x/y", false),
        ("http://sub.example.com/", "a=2; Path=/x", false),
        (
            "http://example.com/",
            "a=; Path=/x; Domain=example.com; Max-Age=0",
            false,
        ),
        ("http://example.com/", "a=2; Path=/", true),
        ("http://example.com/", "a=2; Path=/xy", true),
        ("http://example.com/", "b=2; Path=/x", true),
        ("http://example.org/", "a=2; Path=/x", true),
        (HOME, "a=2; Path=/x", true),
    ] {
        let mut jar = Jar::new();
        assert!(jar.set(&uri(HOME), secure));
        assert_eq!(jar.set(&uri(from), cookie), taken, "{cookie:?} from {from}");
        let sent = jar.header(&uri("https://example.com/x")).unwrap();
        assert!(
            sent.to_str().unwrap().contains("a=1"),
            "{cookie:?} from {from}"
        );
    }
}

#[test]
fn a_cookie_may_be_long_and_in_any_language() {
    for (value, taken) in [("x".repeat(4_095), true), ("x".repeat(4_096), false)] {
        let mut jar = Jar::new();
        assert_eq!(jar.set(&uri(HOME), &format!("a={value}; Path=/")), taken);
    }
    let mut headers = HeaderMap::new();
    headers.append(header::SET_COOKIE, "a=Zo\u{eb}".try_into().unwrap());
    let mut jar = Jar::new();
    jar.keep(&uri(HOME), &headers);
    assert_eq!(
        jar.header(&uri(HOME)).unwrap().as_bytes(),
        "a=Zo\u{eb}".as_bytes()
    );
}

#[test]
fn a_cookie_goes_when_its_time_is_over() {
    const YEARS: &str = "a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT";
    for (cookie, age, is_there) in [
        ("a=1; Max-Age=60", 59 * SECOND, true),
        ("a=1; Max-Age=60", 60 * SECOND, false),
        // START is 2027-01-15, 08:00:00.
        (
            "a=1; Expires=Fri, 15 Jan 2027 08:01:00 GMT",
            59 * SECOND,
            true,
        ),
        (
            "a=1; Expires=Fri, 15 Jan 2027 08:01:00 GMT",
            60 * SECOND,
            false,
        ),
        (
            "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            SECOND,
            true,
        ),
        ("a=1; Max-Age=-1", SECOND, false),
        ("a=1; Max-Age=99999999999", 399 * DAY, true),
        ("a=1; Max-Age=99999999999", 400 * DAY, false),
        (YEARS, 399 * DAY, true),
        (YEARS, 400 * DAY, false),
        ("a=1", 4_000 * DAY, true),
    ] {
        let clock = Clock::manual(START);
        let mut jar = Jar::new().clock(clock.clone());
        jar.set(&uri(HOME), cookie);
        clock.advance(age);
        let what = format!("{cookie:?} after {age:?}");
        assert_eq!(jar.header(&uri(HOME)).is_some(), is_there, "{what}");
        assert_eq!(jar.get("a").is_some(), is_there, "{what}");
        assert_eq!(jar.is_empty(), !is_there, "{what}");
    }
}

#[test]
fn it_is_looked_into_and_changed_by_name() {
    let mut headers = HeaderMap::new();
    for cookie in ["a=1", "b=2; Max-Age=60", "a=3; Path=/x", "__Host-c=4"] {
        headers.append(header::SET_COOKIE, cookie.parse().unwrap());
    }
    let mut jar = Jar::new();
    jar.keep(&uri(HOME), &headers);
    assert_eq!(jar.names().collect::<Vec<_>>(), ["a", "b", "a"]);
    assert_eq!((jar.get("a"), jar.get("c")), (Some("3"), None));
    assert_eq!(format!("{jar:?}"), r#"["a", "b", "a"]"#, "no values");
    let mut closed = jar.clone();
    closed.close();
    assert_eq!(closed.names().collect::<Vec<_>>(), ["b"]);
    assert!(jar.remove("a") && !jar.remove("a"));
    assert_eq!(jar.names().collect::<Vec<_>>(), ["b"]);
}
