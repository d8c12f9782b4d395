use proptest::prelude::*;

use super::*;

fn samples() -> Vec<Content> {
    let created = Timestamp::from_secs(1_800_000_000);
    let persistences = [
        Persistence::Configured,
        Persistence::UntilBrowserCloses,
        Persistence::For {
            since: created,
            length: Duration::from_secs(99),
        },
    ];
    let attributes = [
        None,
        Some(CookieAttributes::default()),
        Some(
            CookieAttributes::default()
                .path("/shop")
                .domain("example.com")
                .same_site(SameSite::None)
                .partitioned(true)
                .http_only(false),
        ),
    ];
    let mut frames = Frames::default();
    frames.insert("user", b"\"Ada\"");
    let mut samples = Vec::new();
    for persistence in persistences {
        for attributes in &attributes {
            for name in [None, Some("user-7")] {
                let (since, listed) = (created, created);
                let subject = name.map(|name| Subject {
                    name: name.into(),
                    since,
                    listed,
                    note: None,
                });
                let (attributes, subject) =
                    (attributes.clone().map(Box::new), subject.map(Box::new));
                let authenticated = name.map(|_| Timestamp::from_secs(1_800_000_099).into());
                let particulars = Particulars {
                    persistence,
                    attributes,
                    authenticated,
                    subject,
                    ..Particulars::default()
                };
                samples.push(Content {
                    created,
                    revision: name.map_or(0, |_| 7),
                    frames: frames.clone(),
                    particulars: Some(particulars.into()),
                });
            }
        }
    }
    samples
}

/// The last writes of a record after `count` writes.
fn writes(count: u8) -> Writes {
    let at = Timestamp::from_secs(1_800_000_000);
    let with = |writes: Writes, number| writes.with(Some([number; 8]), at, Duration::ZERO);
    (0..count).fold(Writes::default(), with)
}

/// Every field of a content, default or not.
fn shown(content: &Content) -> String {
    let Content {
        created,
        revision,
        frames,
        ..
    } = content;
    format!("{created:?} {revision} {frames:?} {:?}", **content)
}

#[test]
fn a_record_reads_back_as_it_was() {
    let id = SessionId::generate().unwrap();
    for content in samples() {
        for (writes, browser) in [
            (writes(0), Browser::Knows),
            (writes(1), Browser::NeverHeard),
            (writes(8), Browser::Knows),
        ] {
            let bytes = content.encode_record(&writes, browser);
            for stored in [bytes.clone(), seal_record(&id, &bytes).unwrap()] {
                let stored = decode_record(stored.into(), &id, false).unwrap();
                let Stored::Session {
                    content: read,
                    writes: noted,
                    browser: heard,
                } = stored
                else {
                    panic!("{content:?}")
                };
                assert_eq!(shown(&content), shown(&read));
                assert_eq!((&noted, heard), (&writes, browser));
            }
            let revision = if content.revision > 0 { 4 } else { 0 };
            let head = 1 + writes.encoded_len() + 5;
            assert!(content.payload_len() + revision >= bytes.len() - head);
        }
    }
}

/// Whether it is copied or shared, it shows no later change of the content.
#[test]
fn a_shared_record_never_changes() {
    let id = SessionId::generate().unwrap();
    for len in [10, LARGE + 10] {
        let mut new = Content::new(Timestamp::from_secs(1_800_000_000));
        new.frames.insert("first", &vec![b'1'; len]);
        new.frames.insert("second", b"1");
        let record = new.encode_record(Writes::none(), Browser::Knows);
        // A record that the store keeps, and one that it does not.
        let kept = Bytes::from(record);
        let given = Bytes::copy_from_slice(&kept);
        for bytes in [kept.clone(), given] {
            let Ok(Stored::Session { mut content, .. }) = decode_record(bytes, &id, false) else {
                panic!("it is a session");
            };
            assert_eq!(shown(&content), shown(&new));
            content.revision = 0;
            content.frames.insert("second", b"2");
            let expected = content.encode_record(Writes::none(), Browser::Knows);
            let shared = content.share_record(Writes::none(), Browser::Knows);
            assert_eq!(shared, expected);
            content.frames.insert("second", b"3");
            content.frames.insert("third", b"3");
            content.frames.remove("first");
            assert_eq!(shared, expected);
            assert_eq!(content.frames.get("second"), Some(b"3" as &[u8]));
            content.frames.clear();
            assert_eq!(shared, expected);
        }
        assert_eq!(kept, new.encode_record(Writes::none(), Browser::Knows));
    }
}

/// A store in memory counts the bytes it was given, but keeps the whole allocation.
#[test]
fn a_shared_record_takes_little_more_than_its_length() {
    let id = SessionId::generate().unwrap();
    for grown in 0..40 {
        let mut new = Content::new(Timestamp::from_secs(1_800_000_000));
        new.frames.insert("first", &[b'1'; LARGE + 10]);
        let record = Bytes::from(new.encode_record(Writes::none(), Browser::Knows));
        let Ok(Stored::Session { mut content, .. }) = decode_record(record, &id, false) else {
            panic!("it is a session");
        };
        for number in 0..grown {
            content.frames.insert(&number.to_string(), &[b'2'; 100]);
        }
        let shared = content.share_record(Writes::none(), Browser::Knows);
        drop(content);
        let len = shared.len();
        let capacity = shared.try_into_mut().unwrap().capacity();
        assert!(capacity <= len + len / 4 + 64, "{grown}: {len}, {capacity}");
    }
}

#[test]
fn a_sealed_record_opens_only_unchanged_and_with_its_id() {
    let id = SessionId::generate().unwrap();
    let record = samples()[0].encode_record(&writes(1), Browser::Knows);
    let sealed = seal_record(&id, &record).unwrap();
    let other = SessionId::generate().unwrap();
    assert_eq!(unreadable(&sealed, &other, true), Unreadable::Damaged);
    let put_there = unreadable(&record, &id, true);
    assert_eq!(put_there, Unreadable::Damaged, "a readable record");
    assert!(sealed.windows(3).all(|bytes| bytes != b"Ada"));
    for bit in 8..sealed.len() * 8 {
        let mut bent = sealed.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            unreadable(&bent, &id, true),
            Unreadable::Damaged,
            "bit {bit}"
        );
    }
}

fn unreadable(bytes: &[u8], id: &SessionId, must_be_sealed: bool) -> Unreadable {
    decode_record(bytes.to_vec().into(), id, must_be_sealed).unwrap_err()
}

/// Why a record that begins with this byte cannot be read; `None` for today's formats.
fn why(first: u8) -> Option<Unreadable> {
    match first {
        1 | 3 => None,
        4..=7 | 10..=15 | 17..=23 | 26..=30 | 0x80..=0xc0 => Some(Unreadable::Later),
        _ => Some(Unreadable::Damaged),
    }
}

/// The records of this crate begin with 1 to 30, and those being moved to another store with 0x80
/// to 0xc0. A record of a later release exists, and must not count as an empty session.
#[test]
fn a_record_of_a_later_format_is_not_guessed_at() {
    let mut bytes = samples()[0].encode_record(&writes(1), Browser::Knows);
    let id = SessionId::generate().unwrap();
    for (first, expected) in (0..=255).map(|first| (first, why(first))) {
        bytes[0] = first;
        let Some(expected) = expected else { continue };
        assert_eq!(unreadable(&bytes, &id, false), expected, "{first}");
        let sealed = seal_record(&id, &bytes).unwrap();
        // A sealed record holds a session.
        if (4..8).contains(&first) {
            assert_eq!(unreadable(&sealed, &id, true), Unreadable::Later);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_decode_without_panic(bytes: Vec<u8>) {
        let _ = decode_record(bytes.clone().into(), &SessionId::generate().unwrap(), false);
        let _ = Content::decode_payload(Timestamp::default(), bytes.into());
    }
}
