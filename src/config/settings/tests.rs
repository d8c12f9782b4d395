//! How a session's configuration decides where it is kept, how large it gets and what it accepts.

use super::*;
use crate::{
    codec::Stamp,
    config::SessionConfig,
    key::{Key, KeyState, Keys},
    store::{CookieStore, MemoryStore},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn key(byte: u8) -> Key {
    let secret: Vec<u8> = (0..32).map(|at| at ^ byte).collect();
    Key::from_bytes(&secret).unwrap()
}

fn cookies() -> SessionConfig {
    SessionConfig::cookie("sid", key(1)).cookie_name("sid")
}

fn to_memory() -> CookieStore {
    CookieStore::new().overflow(MemoryStore::new())
}

fn within(cookies: CookieStore) -> SessionConfig {
    SessionConfig::new("sid", cookies, key(1)).cookie_name("sid")
}

fn overflowing() -> SessionConfig {
    within(to_memory())
}

fn records() -> SessionConfig {
    SessionConfig::new("sid", MemoryStore::new(), key(1))
}

fn is_token(opened: &Accepted) -> bool {
    matches!(opened.payload, Payload::Values(..))
}

#[test]
#[rustfmt::skip]
fn the_kind_of_session_decides_its_stores() {
    let remember = MemoryStore::new;
    //                                              in a    has     has a   lists
    //                                              cookie  records store   subjects
    let rows = [
        ("cookie",             cookies(),                         true,  false, false, false),
        ("cookie, revocation", within(CookieStore::new().revocation(remember())),  true,  false, true,  true),
        ("overflow",           overflowing(),                     true,  true,  true,  false),
        ("records",            records(),                         false, true,  true,  true),
    ];
    for (row, config, may_be_in_cookie, has_records, has_store, lists) in rows {
        let settings = config.build().unwrap();
        let found = (settings.may_be_in_cookie(), settings.records().is_some());
        assert_eq!(found, (may_be_in_cookie, has_records), "{row}");
        assert_eq!((settings.has_store(), settings.rosters.is_some()), (has_store, lists), "{row}");
        assert!(settings.never_waits, "{row}");
    }
}

#[test]
fn a_session_fits_its_cookie_to_the_byte() {
    let most = |settings: &Settings| {
        let fits = |len: &usize| settings.fits_cookie(*len, None);
        (0..5_000).rev().find(fits)
    };
    let overflow = overflowing().build().unwrap();
    let limit = most(&overflow).unwrap();
    let rest = "=; Max-Age=34560000; Expires=Thu, 01 Jan 1970 00:00:00 GMT".len();
    let rest = rest + overflow.rendered.len();
    let whole = overflow.cookie_name.len() + overflow.codec.token_len(limit + 4) + rest;
    assert!((4_093..=4_096).contains(&whole), "{whole}");
    #[rustfmt::skip]
    let rows = [
        ("cookie",        cookies(),                          Some(4_999)),
        ("records",       records(),                          None),
        ("overflow",      overflowing(),                      Some(limit)),
        ("100 bytes",     within(to_memory().up_to(100)),    Some(100)),
        ("none",          within(to_memory().up_to(0)),      Some(0)),
        ("more than fit", within(to_memory().up_to(9_000)),  Some(limit)),
    ];
    for (row, config, expected) in rows {
        assert_eq!(most(&config.build().unwrap()), expected, "{row}");
    }
}

/// The limit counts the bytes of the session in a store, and of the whole cookie without one: name,
/// token, and the four bytes of the revision, which comes with the first change.
#[test]
fn a_session_is_kept_up_to_its_limit() {
    let alone = cookies().build().unwrap();
    let rest = "=; Max-Age=34560000; Expires=Thu, 01 Jan 1970 00:00:00 GMT".len();
    let rest = 3 + rest + alone.rendered.len();
    let fits = |len: &usize| rest + alone.codec.token_len(*len + 4) <= 4_096;
    let most = (0..5_000).rev().find(fits).unwrap();
    #[cfg(target_pointer_width = "64")]
    let wide = || SessionConfig::new("sid", MemoryStore::new().max_bytes(usize::MAX), key(1));
    let narrow = || MemoryStore::new().max_bytes(64 * (96 + 115 + 41 + 700));
    let in_narrow = || SessionConfig::new("sid", narrow(), key(1));
    #[rustfmt::skip]
    let rows = [
        (cookies(),                    most,       None),
        (cookies(),                    most + 1,   Some(4_096)),
        (records().max_bytes(500),     500,        None),
        (records().max_bytes(500),     501,        Some(500)),
        (overflowing().max_bytes(500), 500,        None),
        (overflowing().max_bytes(500), 501,        Some(500)),
        (records(),                    1 << 20,    None),
        #[cfg(target_pointer_width = "64")]
        (wide().max_bytes(usize::MAX), 128 << 20,  None),
        #[cfg(target_pointer_width = "64")]
        (wide().max_bytes(usize::MAX), (128 << 20) + 1, Some(128 << 20)),
        (in_narrow(),                  741,        None),
        (in_narrow(),                  742,        Some(741)),
        (in_narrow().max_bytes(500),   501,        Some(500)),
        (in_narrow().encrypt_records(), 700,       None),
        (in_narrow().encrypt_records(), 701,       Some(700)),
        (within(CookieStore::new().overflow(narrow())), 742, Some(741)),
    ];
    for (config, payload, expected) in rows {
        let settings = config.build().unwrap();
        let limit = match settings.check_size(payload, None) {
            Ok(()) => None,
            Err(ErrorKind::TooLarge { size, limit }) => {
                let is_in_bytes = settings.records().is_some();
                assert!(if is_in_bytes {
                    size == payload
                } else {
                    size > payload
                });
                Some(limit)
            }
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(limit, expected, "{payload}");
    }
}

#[test]
fn persist_for_and_ends_are_bounded() {
    const DAY: u64 = 86_400;
    let days = |days: u64| Duration::from_secs(days * DAY);
    // By clocks that are ahead and behind.
    let skews = 2 * Duration::from_secs(60);
    let apart = |days: u64| NOW.saturating_add(Duration::from_secs(days * DAY) + skews);
    let max_age = |length| cookies().max_age(days(length));
    let absolute = |length| cookies().absolute_timeout(days(length));
    #[rustfmt::skip]
    let rows = [
    //   settings                          longest wish  latest end of one made 0, 9 and 20 days ago
        (cookies(),                          30,  [30, 30, 30]),
        (cookies().persist_up_to(days(7)),   7,   [14, 7, 7]),
        (cookies().persist_up_to(days(400)), 400, [400, 400, 400]),
        (absolute(1),                        30,  [30, 30, 30]),
        (absolute(100),                      100, [100, 100, 100]),
        (absolute(100).persist_up_to(days(85)), 85, [100, 91, 85]),
        (absolute(9_000),                    400, [9_000, 8_991, 8_980]),
        // 400 days only if `max_age` is set without an absolute timeout.
        (max_age(30),                        400, [400, 400, 400]),
        (max_age(30).absolute_timeout(days(60)), 60, [60, 60, 60]),
        (max_age(50).absolute_timeout(days(50)), 50, [50, 50, 50]),
        (max_age(50).persist_up_to(days(5)), 5,   [400, 391, 380]),
    ];
    for (number, (config, longest, ends)) in rows.into_iter().enumerate() {
        let settings = config.build().unwrap();
        assert_eq!(settings.persist_up_to, days(longest), "row {number}");
        let found = [0, 9, 20].map(|ago| {
            let created = Timestamp::from_secs(NOW.as_secs() - ago * DAY);
            settings.latest_end(created, NOW)
        });
        assert_eq!(found, ends.map(apart), "row {number}");
    }
}

/// Makes a cookie with this codec.
fn value(codec: &Codec, issued: u64, is_token: bool) -> String {
    let stamp = Stamp {
        issued: Timestamp::from_secs(issued),
        created: NOW.min(Timestamp::from_secs(issued)),
        ttl: 10,
        token_id: is_token.then_some([9; 16]),
    };
    let token = codec
        .seal(&stamp, None, 18, |out| out.extend([9; 18]))
        .unwrap();
    let mut value = String::new();
    token.encode_to(&mut value);
    value
}

#[test]
fn a_cookie_of_two_kinds_is_opened_as_either() {
    let secs = NOW.as_secs();
    let of = |number| {
        let config = SessionConfig::new("sid", to_memory(), key(number));
        config.build().unwrap()
    };
    let (own, foreign) = (of(1), of(2));
    let token = |settings: &Settings, issued| value(&settings.codec, issued, true);
    let refers = |settings: &Settings, issued| value(settings.reference_codec(), issued, false);
    let bend = |value: String| format!("{}{}", &value[..20], value[20..].replace(['A', 'B'], "C"));
    #[rustfmt::skip]
    let rows = [
        ("token",            token(&own, secs),          Ok(true)),
        ("reference",        refers(&own, secs),         Ok(false)),
        ("expired token",    token(&own, secs - 10),     Err(Rejection::Expired)),
        ("expired",          refers(&own, secs - 10),    Err(Rejection::Expired)),
        ("future token",     token(&own, secs + 61),     Err(Rejection::NotYetValid)),
        ("future",           refers(&own, secs + 3_600), Ok(false)),
        ("foreign token",    token(&foreign, secs),      Err(Rejection::UnknownKey)),
        ("foreign",          refers(&foreign, secs),     Err(Rejection::UnknownKey)),
        ("changed",          bend(refers(&own, secs)),   Err(Rejection::Tampered)),
        ("no token",         "abc".into(),               Err(Rejection::Malformed)),
    ];
    for (row, value, expected) in rows {
        let opened = own.open_cookie(value.as_bytes(), NOW);
        let is_token = opened.map(|opened| is_token(&opened));
        assert_eq!(is_token, expected.map_err(Refusal::For), "{row}");
    }
    let alone = cookies().build().unwrap();
    let reference = refers(&own, secs);
    let opened = alone.open_cookie(reference.as_bytes(), NOW);
    assert_eq!(
        opened.unwrap_err(),
        Refusal::For(Rejection::Malformed),
        "it has no second kind"
    );
}

/// All signed cookies have one version, so a reference looks like a token with the wrong tag.
#[test]
fn a_signed_cookie_of_two_kinds_is_opened_as_either() {
    let settings = within(to_memory().signed()).build().unwrap();
    let reference = value(settings.reference_codec(), NOW.as_secs(), false);
    let opened = settings.open_cookie(reference.as_bytes(), NOW).unwrap();
    assert!(!is_token(&opened));
    let token = value(&settings.codec, NOW.as_secs(), true);
    let opened = settings.open_cookie(token.as_bytes(), NOW).unwrap();
    assert!(is_token(&opened));
}

/// An ID of either length is followed by the tag of the attributes.
#[test]
fn a_reference_reads_back_as_it_was() {
    let long = SessionId::generate().unwrap();
    for id in [SessionId::of_token(&[7; 16]), long] {
        let mut payload = b"behind this".to_vec();
        Settings::put_reference(&id, *b"ab", &mut payload);
        let payload = payload.strip_prefix(b"behind this").unwrap();
        assert_eq!(payload.len(), id.as_bytes().len() + 2);
        assert_eq!(Settings::open_reference(payload), Ok((id, *b"ab")));
    }
    for len in (0..40).filter(|len| ![16 + 2, 32 + 2].contains(len)) {
        let opened = Settings::open_reference(&vec![7; len]);
        assert_eq!(opened, Err(Rejection::Malformed), "{len}");
    }
}

/// The tag shows that a cookie has other attributes and must be sent again.
#[test]
fn other_attributes_have_another_tag() {
    let configs = [
        records(),
        records().attributes(|cookie| cookie.path("/shop")),
        records().attributes(|cookie| cookie.domain("example.com")),
        records().attributes(|cookie| cookie.same_site(cookie::SameSite::Strict)),
        records().attributes(|cookie| cookie.partitioned(true)),
    ];
    let tags = configs.map(|config| config.build().unwrap().tag);
    for (at, tag) in tags.iter().enumerate() {
        assert_eq!(tags.iter().position(|other| other == tag), Some(at));
    }
    let again = records()
        .attributes(|cookie| cookie.path("/shop"))
        .build()
        .unwrap();
    assert_eq!(again.tag, tags[1]);
    assert_eq!(again.tag, Settings::tag_of(&again.rendered));
}

#[test]
fn a_cookie_says_whether_its_key_is_the_active_one() {
    let keys = Keys::new(key(1));
    let settings = SessionConfig::new("sid", to_memory(), &keys)
        .build()
        .unwrap();
    let values = [
        value(&settings.codec, NOW.as_secs(), true),
        value(settings.reference_codec(), NOW.as_secs(), false),
    ];
    let is_current = |value: &String| {
        settings
            .open_cookie(value.as_bytes(), NOW)
            .map(|o| o.current)
    };
    assert!(values.iter().all(|value| is_current(value) == Ok(true)));
    keys.rotate(key(2)).unwrap();
    assert!(values.iter().all(|value| is_current(value) == Ok(false)));
    assert!(keys.list().contains(&(key(1).id(), KeyState::Retired)));
}
