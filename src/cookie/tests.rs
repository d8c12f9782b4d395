use proptest::prelude::*;

use super::*;

fn request<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> RequestCookies {
    let mut cookies = RequestCookies::new();
    fields.into_iter().for_each(|field| cookies.keep(field));
    cookies
}

fn few<'a>(fields: &[&'a [u8]], name: &str, expected: &[&'a str]) {
    let fields: Vec<_> = fields
        .iter()
        .map(|field| HeaderValue::from_bytes(field).unwrap())
        .collect();
    let cookies = request(&fields);
    let expected: Vec<_> = expected.iter().map(|value| value.as_bytes()).collect();
    let finder = Finder::new(name);
    assert_eq!(different(&cookies, &finder), expected, "{fields:?}");
    assert_eq!(
        cookies.find(&finder),
        expected_match(&expected),
        "{fields:?}"
    );
}

fn different<'a>(cookies: &'a RequestCookies, finder: &'a Finder) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    for value in cookies.all_named(finder) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

fn expected_match<'a>(different: &[&'a [u8]]) -> CookieMatch<'a> {
    match different {
        [] => CookieMatch::Nothing,
        [value] => CookieMatch::One(value),
        _ => CookieMatch::Several,
    }
}

#[test]
fn our_cookie_is_found_among_others() {
    few(&[b"sid=good"], "sid", &["good"]);
    few(&[b"a=1; sid=good; b=2"], "sid", &["good"]);
    few(&[b"a=1;sid=good;"], "sid", &["good"]);
    few(&[b" \t sid=good \t "], "sid", &["good"]);
    few(&[b";;; ; sid=good;;"], "sid", &["good"]);
    few(&[b"x=\xff; sid=good; y=\xe2\x82"], "sid", &["good"]);
    few(&[b"x; =y; =; sid=good"], "sid", &["good"]);
    few(&[b"x=\"a;sid=good\"; y=1"], "sid", &["good\""]);
    few(&[b"sid="], "sid", &[""]);
    few(&[b"sid=a=b"], "sid", &["a=b"]);
    few(&[b"sid=same; sid=same", b"sid=same"], "sid", &["same"]);
    few(
        &[b"a=1", b"sid=x", b"b=2", b"c=3", b"d=4", b"sid=y"],
        "sid",
        &["x", "y"],
    );
}

#[test]
fn short_and_long_fields_are_all_read() {
    for len in (0..=3)
        .chain(INLINE_LEN - 16..=INLINE_LEN + 2)
        .chain([3_000])
    {
        let filler = format!("x={}", "y".repeat(len));
        let long = [
            filler.as_bytes(),
            b"a=1",
            filler.as_bytes(),
            b"sid=z",
            filler.as_bytes(),
            b"sid=w",
        ];
        few(&long, "sid", &["z", "w"]);
        few(
            &[format!("sid={}", "v".repeat(len)).as_bytes()],
            "sid",
            &[&"v".repeat(len)],
        );
    }
}

#[test]
fn a_lookalike_is_not_our_cookie() {
    let name = "__Host-sid";
    for field in [
        b"" as &[u8],
        b";;; ;",
        b"__Host-sid",
        b"=__Host-sid=x",
        b"=sid=x",
        b"__%48ost-sid=x",
        b"__host-sid=x",
        b"__Host-sid =x",
        b"\"__Host-sid\"=x",
        b"\xe2\x80\x80__Host-sid=x",
        b"\xc2\x85__Host-sid=x",
        b"\xc2\xa0__Host-sid=x",
        b"x__Host-sid=x",
        b"__Host-sidx=x",
        b"$Version=1, __Host-sid=x",
        b"a=b, __Host-sid=x",
    ] {
        few(&[field], name, &[]);
    }
}

#[test]
fn removal_and_limits() {
    let set = set(
        "sid",
        (1, |out: &mut String| out.push('v')),
        Some((Duration::MAX, Timestamp::from_secs(784_111_777))),
        "; Secure",
    )
    .unwrap();
    assert_eq!(
        set,
        "sid=v; Max-Age=34560000; Expires=Mon, 11 Dec 1995 08:49:37 GMT; Secure"
    );
    let removal = removal("sid", "; Secure").unwrap();
    assert_eq!(
        removal,
        "sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure"
    );
}

#[test]
fn dates_have_the_format_of_http() {
    for (secs, expected) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_800_000_000, "Fri, 15 Jan 2027 08:00:00 GMT"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let mut date = String::new();
        push_lifespan(&mut date, Duration::ZERO, Timestamp::from_secs(secs));
        assert_eq!(date, format!("; Max-Age=0; Expires={expected}"));
    }
    let mut date = String::new();
    push_lifespan(
        &mut date,
        Duration::from_secs(1),
        Timestamp::from_secs(253_402_300_799),
    );
    assert_eq!(date, "; Max-Age=1", "there is no such date");
}

/// The simplest possible reader of RFC 6265, for comparison.
fn slowly<'a>(field: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    for pair in field.split(|byte| *byte == b';') {
        let start = pair
            .iter()
            .position(|byte| !b" \t".contains(byte))
            .unwrap_or(pair.len());
        let end = pair
            .iter()
            .rposition(|byte| !b" \t".contains(byte))
            .map_or(start, |last| last + 1);
        let pair = &pair[start..end];
        if let Some(equals) = pair.iter().position(|byte| *byte == b'=')
            && &pair[..equals] == name.as_bytes()
            && !found.contains(&&pair[equals + 1..])
        {
            found.push(&pair[equals + 1..]);
        }
    }
    found
}

/// A `Set-Cookie` field as a browser reads it: name, value, attributes in lower case.
fn as_browser(field: &HeaderValue) -> (String, String, Vec<(String, String)>) {
    let text = field.to_str().unwrap();
    let mut parts = text.split(';');
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    let attributes = parts.map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (key.trim().to_ascii_lowercase(), value.trim().to_owned())
    });
    (
        name.trim().to_owned(),
        value.trim().to_owned(),
        attributes.collect(),
    )
}

fn same_site() -> impl Strategy<Value = SameSite> {
    prop_oneof![
        Just(SameSite::Lax),
        Just(SameSite::Strict),
        Just(SameSite::None)
    ]
}

proptest! {
    #[test]
    fn any_field_reads_as_by_the_simple_reader(field in "[ \t;=ab]{0,80}", name in "a|b|ab|aab|abab") {
        let value = HeaderValue::from_str(&field).unwrap();
        let (slow, finder) = (slowly(field.as_bytes(), &name), Finder::new(&name));
        let cookies = request([&value]);
        prop_assert_eq!(different(&cookies, &finder), &*slow);
        prop_assert_eq!(cookies.find(&finder), expected_match(&slow));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(field: Vec<u8>, name in "[a-z]{1,4}") {
        prop_assert_eq!(Finder::new(&name).values(&field).count() > 5_000, false);
    }

    #[test]
    fn attributes_are_refused_or_sent_exactly(
        name in "(__[Hh]ost-|__Secure-|__HTTP-|__Host-Http-)?[a-z;= \u{e9}|]{0,8}",
        path in "(/[a-z;%, \u{7f}]{0,8}|[a-z]{0,3})",
        domain in proptest::option::of("[.]?[a-z0-9.;-]{0,12}"),
        flags: (bool, bool, bool),
        same_site in same_site(),
    ) {
        let mut attributes = CookieAttributes::default()
            .path(&path).secure(flags.0).http_only(flags.1).partitioned(flags.2).same_site(same_site);
        if let Some(domain) = &domain {
            attributes = attributes.domain(domain);
        }
        if attributes.check(&name).is_ok() {
            let set = set(&name, (5, |out: &mut String| out.push_str("value")), None, &attributes.render()).unwrap();
            let removal = removal(&name, &attributes.render()).unwrap();
            let (sent_name, value, sent) = as_browser(&set);
            prop_assert_eq!((&*sent_name, &*value), (&*name, "value"));
            let mut expected = vec![("path".to_owned(), path), ("samesite".to_owned(), same_site.to_string())];
            expected.extend(domain.map(|domain| ("domain".to_owned(), domain.trim_start_matches('.').to_owned())));
            let names = [("secure", flags.0), ("httponly", flags.1), ("partitioned", flags.2)];
            expected.extend(names.iter().filter(|(_, on)| *on).map(|(name, _)| ((*name).to_owned(), String::new())));
            expected.sort();
            let mut sorted = sent.clone();
            sorted.sort();
            prop_assert_eq!(sorted, expected);
            let removed = as_browser(&removal).2;
            prop_assert!(sent.iter().all(|attribute| removed.contains(attribute)));
            let lower = name.to_ascii_lowercase();
            if lower.starts_with("__host-") {
                prop_assert!(flags.0 && attributes.path == "/" && attributes.domain.is_none());
            }
        }
    }
}
