//! What the cookies of one name amount to, as tables of what came.

use base64_simd::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::*;
use crate::{
    codec::Stamp,
    config::SessionConfig,
    key::{Key, KeyState, Keys},
    store::MemoryStore,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn key(byte: u8) -> Key {
    let secret: Vec<u8> = (0..32).map(|at| at ^ byte).collect();
    Key::from_bytes(&secret).unwrap()
}

/// Sessions that are in a cookie or, if they have outgrown it, in a record.
fn settings() -> Settings {
    let keys = Keys::new(key(1));
    keys.add(key(2), KeyState::Retired).unwrap();
    settings_of(keys)
}

fn settings_of(keys: Keys) -> Settings {
    let config = SessionConfig::cookie("sid", keys).overflow(MemoryStore::new());
    config.build().unwrap()
}

/// A cookie's value: a session (`t`) or a reference to one (`r`), the session's number, and behind
/// it what is special.
///
/// | | |
/// |---|---|
/// | `'` | another cookie of the same session |
/// | `-` | of a retired key |
/// | `?` | of an unknown key |
/// | `!` | changed |
/// | `<`, `>` | expired, of the future |
/// | `.` | refers to what is no ID |
/// | `+` | of a later release |
///
/// `x` is no token at all.
fn value(word: &str) -> String {
    let (kind, rest) = word.split_at(1);
    if kind == "x" {
        return rest.into();
    }
    let (number, special) = rest.split_at(1);
    let id = [number.parse().unwrap(); 16];
    let settings = settings_of(match special {
        "-" => Keys::new(key(2)),
        "?" => Keys::new(key(3)),
        _ => Keys::new(key(1)),
    });
    let stamp = Stamp {
        issued: match special {
            "'" => Timestamp::from_secs(NOW.as_secs() - 1),
            "<" => Timestamp::from_secs(NOW.as_secs() - 3_600),
            ">" => Timestamp::from_secs(NOW.as_secs() + 3_600),
            _ => NOW,
        },
        created: Timestamp::from_secs(NOW.as_secs() - 3_600),
        ttl: 3_600,
        token_id: (kind == "t").then_some(id),
    };
    let codec = match kind {
        "t" => &settings.codec,
        _ => settings.reference_codec(),
    };
    let payload = match special {
        "." => b"no ID" as &[u8],
        _ => &id,
    };
    let token = codec.seal(&stamp, payload.len(), |out| out.extend_from_slice(payload));
    let mut value = String::new();
    token.unwrap().encode_to(&mut value);
    if special == "+" {
        let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(&value).unwrap();
        bytes[0] += 1;
        value = URL_SAFE_NO_PAD.encode_to_string(&bytes);
    }
    if special == "!" {
        let other = if value[20..].starts_with('A') {
            "E"
        } else {
            "A"
        };
        value.replace_range(20..21, other);
    }
    value
}

fn cookies(words: &str) -> RequestCookies {
    let mut cookies = RequestCookies::new();
    for word in words.split_whitespace() {
        let field = format!("sid={}", value(word));
        cookies.keep(&HeaderValue::from_str(&field).unwrap());
    }
    cookies
}

fn found(words: &str) -> String {
    match Presented::find(&settings(), &cookies(words), NOW) {
        Presented::Nothing(None) => "nothing".into(),
        Presented::Nothing(Some(rejection)) => format!("{rejection:?}"),
        Presented::Ambiguous => "ambiguous".into(),
        Presented::LaterFormat => "later".into(),
        Presented::Token(opened) => {
            let [number, ..] = opened.stamp.token_id.unwrap();
            let retired = if opened.current { "" } else { ", retired" };
            format!("token {number}{retired}")
        }
        Presented::Reference { id, is_current, .. } => {
            let retired = if is_current { "" } else { ", retired" };
            format!("reference {}{retired}", id.as_bytes()[0])
        }
    }
}

#[test]
#[rustfmt::skip]
fn cookies_of_one_name_are_one_session_or_none() {
    let rows = [
        ("",                  "nothing"),
        // One, and what is wrong with it.
        ("t1",                "token 1"),
        ("r1",                "reference 1"),
        ("t1-",               "token 1, retired"),
        ("r1-",               "reference 1, retired"),
        ("x",                 "Malformed"),
        ("xyz",               "Malformed"),
        ("r1.",               "Malformed"),
        ("t1?",               "UnknownKey"),
        ("r1?",               "UnknownKey"),
        ("t1!",               "Tampered"),
        ("r1!",               "Tampered"),
        ("t1<",               "Expired"),
        ("r1<",               "Expired"),
        ("t1>",               "NotYetValid"),
        ("r1>",               "reference 1"),
        // The first that is bad is told.
        ("xyz t1?",           "Malformed"),
        ("t1? xyz",           "UnknownKey"),
        ("r1< t1! xyz",       "Expired"),
        // One that is valid, among bad ones.
        ("t1 xyz",            "token 1"),
        ("xyz t1",            "token 1"),
        ("t1? t2! r3< t4",    "token 4"),
        ("r1 xyz",            "reference 1"),
        ("xyz r1",            "reference 1"),
        // Of a later release: nobody here can tell which of them counts.
        ("t1+",               "later"),
        ("r1+",               "later"),
        ("t1 t2+",            "later"),
        ("r1+ r2",            "later"),
        ("t1+ xyz",           "later"),
        ("t1? t1+",           "later"),
        ("t1 t2 t3+",         "later"),
        // Two of one session: references say the same, and tokens may not.
        ("r1 r1",             "reference 1"),
        ("r1 r1'",            "reference 1"),
        ("r1' r1 xyz",        "reference 1"),
        ("r1 r1-",            "reference 1, retired"),
        ("r1- r1",            "reference 1, retired"),
        ("t1 t1'",            "ambiguous"),
        // Two sessions.
        ("t1 t2",             "ambiguous"),
        ("r1 r2",             "ambiguous"),
        ("t1 r2",             "ambiguous"),
        ("r2 t1",             "ambiguous"),
        ("t1 r1",             "ambiguous"),
        ("xyz t1 t2",         "ambiguous"),
        ("t1 t2 xyz",         "ambiguous"),
        ("r1 r2 r1'",         "ambiguous"),
        // More than are looked at.
        ("xa xb xc xd",       "Malformed"),
        ("xa xb xc xd xe",    "ambiguous"),
        ("t1 xb xc xd",       "token 1"),
        ("t1 xb xc xd xe",    "ambiguous"),
    ];
    for (words, expected) in rows {
        assert_eq!(found(words), expected, "{words}");
    }
}

/// The same bytes, as from two fields with one cookie.
#[test]
fn the_same_cookie_twice_is_one() {
    let value = value("t1");
    let mut cookies = RequestCookies::new();
    for _ in 0..6 {
        let field = format!("sid={value}");
        cookies.keep(&HeaderValue::from_str(&field).unwrap());
    }
    let found = Presented::find(&settings(), &cookies, NOW);
    assert!(matches!(found, Presented::Token(_)));
}

/// Nobody may keep others from logging out by planting cookies, so each session counts.
#[test]
#[rustfmt::skip]
fn all_valid_sessions_have_their_keys() {
    let rows: [(_, &[u8]); 12] = [
        ("",                          &[]),
        ("t1 r2+ t3+",                &[1]),
        ("xyz t1? r1! t2< t2> r3.",   &[]),
        ("t1",                        &[1]),
        ("r1",                        &[1]),
        ("t1-",                       &[1]),
        ("t1 t1'",                    &[1]),
        ("t1 r1",                     &[1]),
        ("t1 t2",                     &[1, 2]),
        ("r1 xyz r2",                 &[1, 2]),
        ("t1 xyz r2 t3? t4",          &[1, 2, 4]),
        ("t1 t2 t3 t4 t5 t6 r7 xyz",  &[1, 2, 3, 4, 5, 6, 7]),
    ];
    for (words, numbers) in rows {
        let keys = Presented::keys(&settings(), &cookies(words), NOW);
        let mut expected: Vec<_> = numbers.iter().map(|n| RecordKey::of(&[*n; 16])).collect();
        expected.sort_unstable();
        assert_eq!(keys, expected, "{words}");
    }
}

/// Of a session that is always in a record.
#[test]
fn a_session_in_a_store_has_references_alone() {
    let config = SessionConfig::new("sid", MemoryStore::new(), key(1));
    let settings = config.build().unwrap();
    let find = |words: &str| Presented::find(&settings, &cookies(words), NOW);
    assert!(matches!(find("r1"), Presented::Reference { .. }));
    let found = find("t1");
    assert!(matches!(
        found,
        Presented::Nothing(Some(Rejection::Malformed))
    ));
}
