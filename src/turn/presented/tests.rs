//! What the cookies under one name amount to, as tables.

use base64_simd::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::*;
use crate::{
    codec::Stamp,
    config::{AttributesTag, SessionConfig},
    key::{Key, KeyState, Keys},
    store::{CookieStore, MemoryStore},
};

const CREATED: Timestamp = Timestamp::from_secs(1_799_996_400);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The attributes tag in a cookie with a reference.
const TAG: AttributesTag = *b"@;";

fn key(byte: u8) -> Key {
    let secret: Vec<u8> = (0..32).map(|at| at ^ byte).collect();
    Key::from_bytes(&secret).unwrap()
}

/// A session that is in a cookie or, once it has outgrown it, in a record.
fn settings() -> Settings {
    let keys = Keys::new(key(1));
    keys.add(key(2), KeyState::Retired).unwrap();
    settings_of(keys)
}

fn settings_of(keys: Keys) -> Settings {
    let config = SessionConfig::new("sid", CookieStore::new().overflow(MemoryStore::new()), keys)
        .cookie_name("sid");
    config.build().unwrap()
}

/// A cookie's value: a session (`t`) or a reference to one (`r`), the session's number, then
/// modifiers.
///
/// | | |
/// |---|---|
/// | `'` | another cookie of the same session |
/// | `-` | of a retired key |
/// | `?` | of an unknown key |
/// | `!` | changed |
/// | `<`, `>` | expired, of the future |
/// | `.` | refers to an invalid ID |
/// | `+` | of a later release |
///
/// `x` is not a token.
fn value(word: &str) -> String {
    let (kind, rest) = word.split_at(1);
    if kind == "x" {
        return rest.into();
    }
    let (number, special) = rest.split_at(1);
    value_of(number.parse().unwrap(), kind, special)
}

fn value_of(number: u8, kind: &str, special: &str) -> String {
    let id = [number; 16];
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
        created: CREATED,
        ttl: 3_600,
        token_id: (kind == "t").then_some(id),
    };
    let codec = match kind {
        "t" => &settings.codec,
        _ => settings.reference_codec(),
    };
    let mut payload = id.to_vec();
    match (kind, special) {
        (_, ".") => payload = b"no ID".to_vec(),
        ("r", _) => payload.extend_from_slice(&TAG),
        _ => {}
    }
    let token = codec.seal(&stamp, None, payload.len(), |out| {
        out.extend_from_slice(&payload)
    });
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
    field(words.split_whitespace().map(value))
}

/// All cookies in one field, which keeps their order.
fn field(values: impl Iterator<Item = String>) -> RequestCookies {
    let pairs: Vec<_> = values.map(|value| format!("sid={value}")).collect();
    let mut cookies = RequestCookies::new();
    cookies.keep(&HeaderValue::from_str(&pairs.join("; ")).unwrap());
    cookies
}

fn found(words: &str) -> String {
    described(&Presented::find(&settings(), &cookies(words), NOW))
}

fn described(presented: &Presented) -> String {
    match presented {
        Presented::Nothing(None) => "nothing".into(),
        Presented::Nothing(Some(rejection)) => format!("{rejection:?}"),
        Presented::LaterFormat => "later".into(),
        Presented::One(candidate) => name(candidate),
        Presented::Several(candidates) => {
            let names: Vec<_> = candidates.iter().map(name).collect();
            names.join(" or ")
        }
        Presented::TooMany => "too many".into(),
    }
}

/// As [`value`], followed by the key of a retired cookie.
fn name(candidate: &Accepted) -> String {
    let (stamp, kind, id) = match &candidate.payload {
        Payload::Values(stamp, _) => (stamp, "t", stamp.token_id.unwrap().to_vec()),
        Payload::Reference(stamp, id, tag) => {
            assert_eq!(*tag, TAG);
            (stamp, "r", id.as_bytes().to_vec())
        }
        Payload::Foreign(_) => panic!("nothing is shared"),
    };
    let number = id[0];
    let (special, of) = match candidate.current {
        true => ("", key(1)),
        false => ("-", key(2)),
    };
    assert!(candidate.maker.map(|maker| maker.key) == Some(of.id()) && stamp.created == CREATED);
    format!("{kind}{number}{special}")
}

#[test]
#[rustfmt::skip]
fn cookies_of_one_name_are_a_few_sessions_at_most() {
    let rows = [
        ("",                  "nothing"),
        // One, and what is wrong with it.
        ("t1",                "t1"),
        ("r1",                "r1"),
        ("t1-",               "t1-"),
        ("r1-",               "r1-"),
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
        ("r1>",               "r1"),
        // The first that is bad is told.
        ("xyz t1?",           "Malformed"),
        ("t1? xyz",           "UnknownKey"),
        ("r1< t1! xyz",       "Expired"),
        // One that is valid, among bad ones.
        ("t1 xyz",            "t1"),
        ("xyz t1",            "t1"),
        ("t1? t2! r3< t4",    "t4"),
        ("r1 xyz",            "r1"),
        ("xyz r1",            "r1"),
        // Of a later release: only if there is nothing else.
        ("t1+",               "later"),
        ("r1+",               "later"),
        ("t1+ xyz",           "later"),
        ("t1? t1+",           "later"),
        ("t1 t2+",            "t1"),
        ("r1+ r2",            "r2"),
        ("t1 t2 t3+",         "t1 or t2"),
        // Of several it is asked which live, and of one session's which is the later one.
        ("r1 r1'",            "r1 or r1"),
        ("r1- r1",            "r1- or r1"),
        ("t1 t1'",            "t1 or t1"),
        ("t1 t2",             "t1 or t2"),
        ("r1 r2",             "r1 or r2"),
        ("t1 r2",             "t1 or r2"),
        ("r2 t1-",            "r2 or t1-"),
        ("t1 r1",             "t1 or r1"),
        ("xyz t1 t2? t2",     "t1 or t2"),
        ("t1 r2 t3 r4",       "t1 or r2 or t3 or r4"),
        ("t1 x r2 t3! t3 r4", "t1 or r2 or t3 or r4"),
        // More than anybody has by accident.
        ("t1 r2 t3 r4 t5",    "too many"),
        ("r1 r1' r1- t1 t1'", "too many"),
        ("t1 x r2 t3 x! r4 t5 x", "too many"),
        // The very same are one.
        ("r1 r1 r1 r1 r1 r1", "r1"),
    ];
    for (words, expected) in rows {
        assert_eq!(found(words), expected, "{words}");
    }
}

/// The same bytes, as from two fields with one cookie.
#[test]
fn the_same_cookie_twice_is_one() {
    let field = format!("sid={}", value("t1"));
    let mut cookies = RequestCookies::new();
    for _ in 0..70 {
        cookies.keep(&HeaderValue::from_str(&field).unwrap());
    }
    let found = Presented::find(&settings(), &cookies, NOW);
    assert_eq!(described(&found), "t1");
}

/// Planted cookies must not prevent a logout, so every session counts. One whose cookie has expired
/// may have got a newer one, and one whose cookie is not valid yet may be alive by another clock.
#[test]
#[rustfmt::skip]
fn all_sessions_are_there_to_be_ended() {
    let rows: [(_, &[u8]); 14] = [
        ("",                          &[]),
        ("t1 r2+ t3+",                &[1]),
        ("xyz t1? r1! r3.",           &[]),
        ("xyz t2> r3.",               &[2]),
        ("t2< r1< t2",                &[2, 1]),
        ("t1",                        &[1]),
        ("r1",                        &[1]),
        ("t1-",                       &[1]),
        ("t1 t1'",                    &[1]),
        ("t1 r1",                     &[1]),
        ("t2 t1",                     &[2, 1]),
        ("r1 xyz r2",                 &[1, 2]),
        ("t1 xyz r2 t3? t4",          &[1, 2, 4]),
        ("t1 t2 t3 t4 t5 t6 r7 xyz",  &[1, 2, 3, 4, 5, 6, 7]),
    ];
    for (words, numbers) in rows {
        let Claims { sessions: all, are_more, .. } = Presented::all(&settings(), &cookies(words), NOW);
        let found: Vec<_> = all.iter().map(|(id, _)| id.as_bytes()[0]).collect();
        assert_eq!((&*found, are_more), (numbers, false), "{words}");
        assert!(all.iter().all(|(_, created)| *created == CREATED), "{words}");
    }
}

/// `good` valid cookies after `bad` invalid ones.
fn flood(good: u8, bad: u8) -> RequestCookies {
    let good = (0..good).map(|number| value_of(number, "t", ""));
    let bad = (0..bad).map(|number| format!("bad{number}"));
    field(bad.chain(good))
}

/// A logout ends every valid session, however many others came. Beyond the limit it reports that
/// there are more.
#[test]
fn a_logout_ends_up_to_64_sessions() {
    //   good bad  ends  there are more
    let rows = [
        (1, 70, 1, false),
        (63, 0, 63, false),
        (64, 0, 64, false),
        (64, 70, 64, false),
        (65, 0, 64, true),
        (70, 0, 64, true),
    ];
    for (good, bad, ends, more) in rows {
        let Claims {
            sessions: all,
            are_more,
            ..
        } = Presented::all(&settings(), &flood(good, bad), NOW);
        assert_eq!((all.len(), are_more), (ends, more), "{good} {bad}");
        let first = |number| SessionId::of_token(&[number; 16]);
        let numbers = 0..u8::try_from(ends).unwrap();
        assert!(
            all.iter()
                .map(|(id, _)| id)
                .eq(&numbers.map(first).collect::<Vec<_>>())
        );
    }
}

/// Opening a session tries no more than the limit.
#[test]
fn a_session_is_looked_for_in_64_cookies() {
    //   good bad
    let rows = [
        (1, 63, "t0"),
        (1, 64, "too many"),
        (0, 64, "Malformed"),
        (0, 65, "too many"),
        (4, 60, "t0 or t1 or t2 or t3"),
        (5, 0, "too many"),
        (70, 0, "too many"),
    ];
    for (good, bad, expected) in rows {
        let found = Presented::find(&settings(), &flood(good, bad), NOW);
        assert_eq!(described(&found), expected, "{good} {bad}");
    }
}

/// For a session that is always in a record.
#[test]
fn a_session_in_a_store_has_references_alone() {
    let config = SessionConfig::new("sid", MemoryStore::new(), key(1)).cookie_name("sid");
    let settings = config.build().unwrap();
    let find = |words: &str| described(&Presented::find(&settings, &cookies(words), NOW));
    assert_eq!(find("r1"), "r1");
    assert_eq!(find("t1"), "Malformed");
    assert_eq!(find("r1 t1 r2"), "r1 or r2");
}
