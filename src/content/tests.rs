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
                let (revision, former) = (name.map_or(0, |_| 7), None);
                let authenticated = name.map(|_| Timestamp::from_secs(1_800_000_099));
                samples.push(Content {
                    created,
                    persistence,
                    attributes,
                    authenticated,
                    subject,
                    former,
                    revision,
                    frames: frames.clone(),
                });
            }
        }
    }
    samples
}

#[test]
fn a_record_reads_back_as_it_was() {
    let id = SessionId::generate().unwrap();
    for content in samples() {
        for browser in [Browser::Knows, Browser::NeverHeard] {
            let bytes = content.encode_record(*b"12345678", browser);
            for stored in [bytes.clone(), seal_record(&id, &bytes).unwrap()] {
                let stored = decode_record(stored.into(), &id, false).unwrap();
                let Stored::Session {
                    content: read,
                    write,
                    browser: heard,
                } = stored
                else {
                    panic!("{content:?}")
                };
                assert_eq!(format!("{content:?}"), format!("{read:?}"));
                assert_eq!((&write, heard), (b"12345678", browser));
            }
            let revision = if content.revision > 0 { 4 } else { 0 };
            assert!(content.payload_len() + revision >= bytes.len() - 1 - 8 - 5);
        }
    }
}

#[test]
fn a_sealed_record_opens_with_its_id_only_and_unchanged() {
    let id = SessionId::generate().unwrap();
    let record = samples()[0].encode_record([0; 8], Browser::Knows);
    let sealed = seal_record(&id, &record).unwrap();
    assert!(decode_record(sealed.clone().into(), &SessionId::generate().unwrap(), true).is_none());
    assert!(
        decode_record(record.into(), &id, true).is_none(),
        "nobody can put a readable one in its place"
    );
    assert!(sealed.windows(3).all(|bytes| bytes != b"Ada"));
    for bit in 8..sealed.len() * 8 {
        let mut bent = sealed.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_record(bent.into(), &id, true).is_none(), "bit {bit}");
    }
}

#[test]
fn a_record_of_a_later_format_is_not_guessed_at() {
    let mut bytes = samples()[0].encode_record([0; 8], Browser::Knows);
    bytes[0] = 4;
    assert!(decode_record(bytes.into(), &SessionId::generate().unwrap(), false).is_none());
}

proptest! {
    #[test]
    fn arbitrary_bytes_decode_without_panic(bytes: Vec<u8>) {
        let _ = decode_record(bytes.clone().into(), &SessionId::generate().unwrap(), false);
        let _ = Content::decode_payload(Timestamp::default(), bytes.into());
    }
}
