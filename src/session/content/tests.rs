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
                let (copy_of, revision) =
                    (name.map(|_| Version::from_u64(9)), name.map_or(0, |_| 7));
                let former = None;
                samples.push(Content {
                    created,
                    persistence,
                    attributes,
                    subject,
                    former,
                    copy_of,
                    revision,
                    is_unknown: name.is_some(),
                    frames: frames.clone(),
                });
            }
        }
    }
    samples
}

#[test]
fn a_record_reads_back_as_it_was() {
    for content in samples() {
        let bytes = content.encode_record(*b"12345678");
        let id = SessionId::generate().unwrap();
        for stored in [bytes.clone(), seal_record(&id, &bytes).unwrap()] {
            let Some(Stored::Content(read, write)) = decode_record(stored.into(), &id, false)
            else {
                panic!("{content:?}")
            };
            assert_eq!(format!("{content:?}"), format!("{read:?}"));
            assert_eq!(&write, b"12345678");
        }
        let tier = if content.copy_of.is_some() { 8 + 4 } else { 0 };
        assert!(content.payload_len() + tier >= bytes.len() - 1 - 8 - 5);
        let Some(Stored::Settled(read, _)) =
            decode_record(content.encode_settled([0; 8]).into(), &id, false)
        else {
            panic!("{content:?}")
        };
        assert_eq!(format!("{content:?}"), format!("{read:?}"));
    }
}

#[test]
fn a_sealed_record_opens_with_its_id_only_and_unchanged() {
    let id = SessionId::generate().unwrap();
    let record = samples()[0].encode_record([0; 8]);
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
    let mut bytes = samples()[0].encode_record([0; 8]);
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
