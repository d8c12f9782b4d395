use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;
use crate::key::{Key, KeyState};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn stamp(purpose: Purpose) -> Stamp {
    let token_id = (purpose == Purpose::Values).then_some([9; 16]);
    Stamp {
        issued: NOW,
        created: NOW,
        ttl: 3_600,
        token_id,
    }
}

fn seal(codec: &Codec, payload: &[u8]) -> String {
    let token = codec
        .seal(&stamp(codec.purpose), None, payload.len(), |out| {
            out.extend_from_slice(payload)
        })
        .unwrap();
    let mut value = String::new();
    token.encode_to(&mut value);
    assert_eq!(value.len(), token.encoded_len());
    value
}

fn open(codec: &Codec, value: &str) -> Result<Vec<u8>, Refusal> {
    codec
        .open(value.as_bytes(), NOW)
        .map(|opened| opened.payload.as_slice().to_vec())
}

fn codec_of(keys: &Keys, mode: Mode, purpose: Purpose) -> Codec {
    Codec::new(keys.clone(), mode, purpose, "session", "")
}

fn every_codec() -> Vec<Codec> {
    let keys = Keys::generate().unwrap();
    let modes = [Mode::Sealed, Mode::Signed];
    let purposes = [Purpose::Values, Purpose::Reference];
    modes
        .iter()
        .flat_map(|&mode| purposes.map(|purpose| codec_of(&keys, mode, purpose)))
        .collect()
}

/// Messages of one key: ten million if `SILVERBACK_SOAK` is set.
#[test]
fn no_two_messages_have_the_same_salt() {
    let keys = Keys::generate().unwrap();
    let codec = codec_of(&keys, Mode::Sealed, Purpose::Values);
    let messages = match std::env::var_os("SILVERBACK_SOAK") {
        Some(_) => 10_000_000,
        None => 100_000,
    };
    let salt_of = |token: Vec<u8>| {
        let (first, rest) = token[SALT].split_at(12);
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes[..8].try_into().unwrap());
        (word(first), word(rest))
    };
    let seal = || codec.seal_bytes(0, |_| ()).unwrap();
    let mut salts: Vec<_> = (0..messages).map(|_| salt_of(seal())).collect();
    salts.sort_unstable();
    assert!(salts.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_sealed_payload_opens_again() {
    for codec in every_codec() {
        for len in [0, 1, 31, 255, 2_900] {
            let payload = vec![0xa5; len];
            let value = seal(&codec, &payload);
            assert_eq!(value.len(), codec.token_len(len));
            assert_eq!(open(&codec, &value).unwrap(), payload);
        }
    }
}

#[test]
fn no_bit_can_be_changed() {
    for codec in every_codec() {
        let bytes = URL_SAFE_NO_PAD
            .decode_to_vec(seal(&codec, b"payload"))
            .unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(
                open(&codec, &URL_SAFE_NO_PAD.encode_to_string(&bent)).is_err(),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn only_a_whole_token_is_accepted() {
    for codec in every_codec() {
        let value = seal(&codec, b"payload");
        for end in 0..value.len() {
            assert!(
                open(&codec, &value[..end]).is_err(),
                "first {end} characters"
            );
        }
        for more in 1..=16 {
            assert!(
                open(&codec, &format!("{value}{}", "A".repeat(more))).is_err(),
                "{more} more"
            );
        }
    }
}

/// No browser keeps such a cookie, so its bytes are not worth decoding.
#[test]
fn a_token_too_long_for_a_cookie_is_refused() {
    for codec in every_codec() {
        let fits = |len: &usize| codec.token_len(*len) <= MAX_COOKIE_LEN;
        let longest = (0..MAX_COOKIE_LEN).rev().find(fits).unwrap();
        let payload = vec![1; longest + 1];
        let value = seal(&codec, &payload[1..]);
        assert_eq!(value.len(), MAX_COOKIE_LEN);
        assert_eq!(open(&codec, &value).unwrap(), payload[1..]);
        let value = seal(&codec, &payload);
        assert_eq!(open(&codec, &value), Err(Rejection::Malformed.into()));
    }
}

#[test]
fn a_token_has_one_spelling() {
    for codec in every_codec() {
        // Payload lengths that leave two and four spare bits in the last character.
        for spare in [3, 2] {
            let value = (0..3)
                .map(|len| seal(&codec, &vec![1; len]))
                .find(|v| v.len() % 4 == spare)
                .unwrap();
            for bent in other_spellings(&value) {
                assert_eq!(
                    open(&codec, &bent),
                    Err(Rejection::Malformed.into()),
                    "{bent}"
                );
            }
        }
    }
}

fn other_spellings(value: &str) -> Vec<String> {
    let (head, last) = value.split_at(value.len() - 1);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet
        .iter()
        .position(|c| *c == last.as_bytes()[0])
        .unwrap();
    let other = char::from(alphabet[at ^ 1]);
    vec![
        format!("{head}{other}"),
        format!("{value}="),
        format!("{value} "),
        format!(" {value}"),
        format!("\"{value}\""),
        format!("{}\n{}", &value[..8], &value[8..]),
        value.replacen(|c: char| c.is_ascii_alphanumeric(), "+", 1),
    ]
}

#[test]
fn a_token_opens_nowhere_else() {
    let keys = Keys::generate().unwrap();
    let make =
        |mode, purpose, name, audience| Codec::new(keys.clone(), mode, purpose, name, audience);
    let all = [
        make(Mode::Sealed, Purpose::Values, "a", ""),
        make(Mode::Sealed, Purpose::Values, "b", ""),
        make(Mode::Sealed, Purpose::Values, "a", "b"),
        make(Mode::Sealed, Purpose::Values, "ab", ""),
        make(Mode::Sealed, Purpose::Reference, "a", ""),
        make(Mode::Signed, Purpose::Values, "a", ""),
        make(Mode::Signed, Purpose::Reference, "a", ""),
        make(Mode::Signed, Purpose::Reference, "b", ""),
        make(Mode::Sealed, Purpose::Roster, "a", ""),
        Codec::new(
            Keys::generate().unwrap(),
            Mode::Sealed,
            Purpose::Values,
            "a",
            "",
        ),
    ];
    for (from, sealer) in all.iter().enumerate() {
        let value = seal(sealer, &[7; 40]);
        for (to, opener) in all.iter().enumerate() {
            assert_eq!(
                open(opener, &value).is_ok(),
                from == to,
                "made by {from}, opened by {to}"
            );
        }
    }
}

#[test]
fn times_are_checked_to_the_second() {
    for codec in every_codec() {
        let value = seal(&codec, b"");
        let at = |secs: u64| {
            codec
                .open(value.as_bytes(), Timestamp::from_secs(secs))
                .map(drop)
        };
        let issued = NOW.as_secs();
        if codec.purpose == Purpose::Values {
            assert_eq!(at(issued - 61), Err(Rejection::NotYetValid.into()));
        } else {
            assert_eq!(at(0), Ok(()), "the record's times decide");
        }
        assert_eq!(at(issued - 60), Ok(()));
        assert_eq!(at(issued + 3_599), Ok(()));
        assert_eq!(at(issued + 3_600), Err(Rejection::Expired.into()));
        assert_eq!(at(u64::MAX), Err(Rejection::Expired.into()));
    }
}

#[test]
fn a_skew_is_allowed_to_the_second() {
    for skew in [0, 1, 3_600] {
        let keys = Keys::generate().unwrap();
        let codec = codec_of(&keys, Mode::Sealed, Purpose::Values);
        let codec = codec.with_skew(Duration::from_secs(skew));
        let value = seal(&codec, b"");
        let early = |secs| {
            let now = Timestamp::from_secs(NOW.as_secs() - secs);
            codec.open(value.as_bytes(), now).map(drop)
        };
        assert_eq!(early(skew), Ok(()));
        assert_eq!(early(skew + 1), Err(Rejection::NotYetValid.into()));
    }
}

/// Such a token would have no absolute end.
#[test]
fn a_token_is_no_older_than_its_session() {
    for codec in every_codec() {
        for (after, expected) in [(0, Ok(())), (1, Err(Rejection::Malformed.into()))] {
            let stamp = Stamp {
                created: NOW.saturating_add(Duration::from_secs(after)),
                ..stamp(codec.purpose)
            };
            let mut value = String::new();
            let token = codec.seal(&stamp, None, 0, |_| {}).unwrap();
            token.encode_to(&mut value);
            assert_eq!(codec.open(value.as_bytes(), NOW).map(drop), expected);
        }
    }
}

#[test]
fn a_later_version_is_recognised_by_its_key() {
    let (known, unknown) = (Keys::generate().unwrap(), Keys::generate().unwrap());
    let codec = codec_of(&known, Mode::Sealed, Purpose::Values);
    let later = Err(Refusal::LaterFormat);
    let malformed = Err(Rejection::Malformed.into());
    #[rustfmt::skip]
    let rows = [
        (0x12, &known,   later.clone()),
        (0x1f, &known,   later.clone()),
        (0x22, &known,   later),
        (0x12, &unknown, malformed.clone()),
        (0x10, &known,   malformed.clone()),
        (0x01, &known,   malformed.clone()),
        (0x21, &known,   malformed),
    ];
    for (version, keys, expected) in rows {
        let value = seal(&codec_of(keys, Mode::Sealed, Purpose::Values), b"payload");
        let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(value).unwrap();
        bytes[0] = version;
        let found = open(&codec, &URL_SAFE_NO_PAD.encode_to_string(&bytes));
        assert_eq!(found, expected, "{version:x}");
        bytes.truncate(KID.end);
        let short = open(&codec, &URL_SAFE_NO_PAD.encode_to_string(&bytes));
        assert_eq!(short, expected, "{version:x}, shorter than ours");
        bytes.truncate(KID.end - 1);
        let none = open(&codec, &URL_SAFE_NO_PAD.encode_to_string(&bytes));
        assert_eq!(
            none,
            Err(Rejection::Malformed.into()),
            "{version:x}, no key id"
        );
    }
    let first = known.list()[0].0;
    known.rotate(Key::generate().unwrap()).unwrap();
    known.revoke(first).unwrap();
    assert_eq!(open(&codec, "EgAAAAA"), Err(Rejection::Malformed.into()));
}

#[test]
fn rotation_logs_nobody_out_and_revocation_does() {
    for mode in [Mode::Sealed, Mode::Signed] {
        let keys = Keys::generate().unwrap();
        let codec = codec_of(&keys, mode, Purpose::Values);
        let old = seal(&codec, b"old");
        let first = keys.list()[0].0;
        keys.rotate(Key::generate().unwrap()).unwrap();

        let opened = codec.open(old.as_bytes(), NOW).unwrap();
        assert!(!opened.current);
        let new = seal(&codec, b"new");
        assert!(codec.open(new.as_bytes(), NOW).unwrap().current);

        keys.revoke(first).unwrap();
        assert_eq!(open(&codec, &old), Err(Rejection::UnknownKey.into()));
        assert_eq!(open(&codec, &new).unwrap(), b"new");
    }
}

/// Whatever other threads derive at that moment.
#[test]
fn a_revocation_counts_from_the_next_token_on() {
    let keys = Keys::generate().unwrap();
    let codec = codec_of(&keys, Mode::Signed, Purpose::Reference);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    seal(&codec, b"payload");
                }
            });
        }
        for round in 0..2_000 {
            let stolen = seal(&codec, b"payload");
            keys.rotate_and_revoke(Key::generate().unwrap()).unwrap();
            let opened = open(&codec, &stolen);
            if opened != Err(Rejection::UnknownKey.into()) || seal(&codec, b"payload") == stolen {
                is_over.store(true, Ordering::Relaxed);
                panic!("round {round}: {opened:?}");
            }
            // Keeps the ring at one key, so that deriving takes as long at the end.
            keys.replace(&Keys::new(Key::generate().unwrap()));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_maker_of_an_open_token_is_accepted_until_it_is_revoked() {
    let keys = Keys::generate().unwrap();
    let codec = codec_of(&keys, Mode::Signed, Purpose::Reference);
    let value = seal(&codec, b"id");
    let maker = codec.open(value.as_bytes(), NOW).unwrap().maker;
    assert!(codec.accepts(maker));
    keys.rotate(Key::generate().unwrap()).unwrap();
    assert!(codec.accepts(maker), "it is retired");
    keys.revoke(maker.key).unwrap();
    assert!(!codec.accepts(maker));
}

#[test]
fn a_pending_key_opens_but_seals_nothing_and_is_not_replaced() {
    let next = Key::generate().unwrap();
    let here = Keys::generate().unwrap();
    here.add(next.clone(), KeyState::Pending).unwrap();
    let elsewhere = codec_of(&Keys::new(next), Mode::Signed, Purpose::Reference);
    let codec = codec_of(&here, Mode::Signed, Purpose::Reference);
    let newer = seal(&elsewhere, b"x");
    assert!(codec.open(newer.as_bytes(), NOW).unwrap().current);
    assert_eq!(
        open(&elsewhere, &seal(&codec, b"x")),
        Err(Rejection::UnknownKey.into())
    );
}

#[test]
fn two_tokens_of_one_payload_differ_when_sealed() {
    let codec = codec_of(&Keys::generate().unwrap(), Mode::Sealed, Purpose::Values);
    let values: std::collections::HashSet<_> = (0..1_000).map(|_| seal(&codec, b"same")).collect();
    assert_eq!(values.len(), 1_000);
}

#[derive(serde::Deserialize)]
struct Vector {
    root: String,
    mode: String,
    audience: String,
    name: String,
    purpose: String,
    issued: u64,
    created: u64,
    ttl: u32,
    token_id: String,
    payload: String,
    salt: String,
    token: String,
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn tokens_match_a_second_implementation() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../tests/vectors/token_v1.json")).unwrap();
    assert_eq!(vectors.len(), 12);
    for vector in vectors {
        let keys = Keys::new(Key::from_bytes(&unhex(&vector.root)).unwrap());
        let mode = if vector.mode == "sealed" {
            Mode::Sealed
        } else {
            Mode::Signed
        };
        let purpose = if vector.purpose == "values" {
            Purpose::Values
        } else {
            Purpose::Reference
        };
        let codec = Codec::new(keys, mode, purpose, &vector.name, &vector.audience);
        let stamp = Stamp {
            issued: Timestamp::from_secs(vector.issued),
            created: Timestamp::from_secs(vector.created),
            ttl: vector.ttl,
            token_id: unhex(&vector.token_id).try_into().ok(),
        };
        let payload = unhex(&vector.payload);
        let salt = unhex(&vector.salt).try_into().unwrap_or([0; SALT_LEN]);
        let token = codec.seal_with(salt, 0, |out| {
            stamp.encode(out);
            out.extend_from_slice(&payload);
        });
        assert_eq!(URL_SAFE_NO_PAD.encode_to_string(token), vector.token);
        let opened = codec.open(vector.token.as_bytes(), stamp.issued).unwrap();
        assert_eq!(
            (opened.stamp, opened.payload.as_slice(), opened.current),
            (stamp, &*payload, true)
        );
        let in_place = codec.open_short(vector.token.as_bytes(), stamp.issued, |payload| {
            Ok(payload.to_vec())
        });
        let in_place = in_place.unwrap();
        assert_eq!(
            (in_place.stamp, in_place.payload, in_place.current),
            (stamp, payload, true)
        );
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_rejected_without_panic(bytes: Vec<u8>) {
        for codec in every_codec() {
            proptest::prop_assert!(codec.open(&bytes, NOW).is_err());
            proptest::prop_assert!(codec.open_short(&bytes, NOW, |_| Ok(())).is_err());
            let spelled = URL_SAFE_NO_PAD.encode_to_string(&bytes);
            proptest::prop_assert!(codec.open(spelled.as_bytes(), NOW).is_err());
        }
    }
}
