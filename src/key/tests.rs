use std::io::Write as _;

use super::*;

const HEX: &str = "9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e";

fn states(keys: &Keys) -> Vec<KeyState> {
    keys.list().into_iter().map(|(_, state)| state).collect()
}

#[test]
fn text_forms_of_one_secret_give_one_key() {
    let id = Key::from_hex(HEX).unwrap().id();
    let base64 = "nw0ea3pcTT4vGgucjX5vWks8LR4Pmot8bV5POiscDZ4";
    for text in [
        HEX.to_uppercase(),
        base64.into(),
        format!("{base64}="),
        base64.replace(['+', '/'], "-"),
    ] {
        assert_eq!(
            Keys::parse(&text).unwrap().list(),
            [(id, KeyState::Active)],
            "{text}"
        );
    }
}

#[test]
fn other_text_is_refused_with_the_reason() {
    let check = |text: &str, expected: fn(&KeyError) -> bool| {
        let error = Keys::parse(text).expect_err(text);
        assert!(expected(&error), "{text:?}: {error:?}");
    };
    check("", |e| matches!(e, KeyError::NoKey));
    check(" ,\n", |e| matches!(e, KeyError::NoKey));
    check("secret!", |e| matches!(e, KeyError::InvalidEncoding));
    check(&"0a".repeat(16), |e| {
        matches!(e, KeyError::TooShort { len: 16 })
    });
    check("c2hvcnQ", |e| matches!(e, KeyError::TooShort { len: 5 }));
    check("active: secret!", |e| {
        e.to_string().contains("leave out the space")
    });
    check(&"0".repeat(64), |e| matches!(e, KeyError::Weak));
    check(&format!("{HEX} {HEX}"), |e| {
        matches!(e, KeyError::Duplicate(_))
    });
    check(&format!("retired:{HEX}"), |e| {
        matches!(e, KeyError::NotOneActive)
    });
    check(&format!("live:{HEX}"), |e| {
        matches!(e, KeyError::InvalidEncoding)
    });
    check(&format!("{HEX},active:{}", HEX.replace('9', "8")), |e| {
        matches!(e, KeyError::NotOneActive)
    });
}

/// As `openssl rand -base64 96` and `head -c 96 /dev/urandom | base64` print one key.
#[test]
fn a_key_of_two_lines_is_never_two_keys() {
    let line =
        |len: usize, first: char| format!("{first}{}", "xY3/".repeat(len / 4))[..len].to_owned();
    let [one, other, rest] = [line(64, 'a'), line(64, 'b'), line(24, 'c')];
    let [long, end] = [line(76, 'a'), line(52, 'b')];
    let second = HEX.replace('9', "8");
    #[rustfmt::skip]
    let rows = [
        (format!("{one}\n{other}\n"),             None),
        (format!("{one}\r\n{rest}\r\n"),          None),
        (format!("{one} {other}"),                None),
        (format!("active:{one}\n{other}"),        None),
        (format!("{second}\n{one}\n{rest}"),      None),
        (format!("{long}\n{end}"),                None),
        (format!("{one}{other}"),                 Some(1)),
        (format!("{one}\n"),                      Some(1)),
        (format!("{one},{other}"),                Some(2)),
        (format!("{one},\n{other}"),              Some(2)),
        (format!("{one}\nretired:{other}"),       Some(2)),
        (format!("{HEX}\n{second}"),              Some(2)),
        (format!("{}\n{}", line(44, 'a'), line(44, 'b')), Some(2)),
    ];
    for (text, count) in rows {
        match (Keys::parse(&text), count) {
            (Ok(keys), count) => assert_eq!(Some(keys.list().len()), count, "{text:?}"),
            (Err(KeyError::Wrapped), None) => {}
            (Err(error), _) => panic!("{text:?}: {error}"),
        }
    }
}

#[test]
fn quotes_are_named() {
    for text in [
        format!("\"{HEX}\""),
        format!("'{HEX}'"),
        format!("retired:\"{HEX}\""),
        format!("\u{201c}{HEX}\u{201d}"),
    ] {
        let error = Keys::parse(&text).unwrap_err();
        assert!(matches!(error, KeyError::Quoted), "{text}: {error}");
        assert!(error.to_string().contains("quotes"), "{error}");
    }
}

#[test]
fn keys_are_read_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(format!("{HEX}\n").as_bytes()).unwrap();
    let read = Keys::from_file(file.path()).unwrap();
    assert_eq!(read.list(), Keys::parse(HEX).unwrap().list());
}

/// An error says what is wrong and what to do, and reveals no secret.
#[test]
fn errors_say_what_to_do() {
    let ring = Keys::new(Key::from_hex(HEX).unwrap());
    let (active, _) = ring.list()[0];
    let short = "2b7e151628aed2a6abf7158809cf4f3c";
    let errors = [
        Keys::parse("").unwrap_err(),
        Keys::parse(short).unwrap_err(),
        Keys::parse(&format!("{HEX}!")).unwrap_err(),
        Keys::parse(&format!("\"{HEX}\"")).unwrap_err(),
        Keys::parse(&"00".repeat(32)).unwrap_err(),
        Keys::parse(&format!("retired:{HEX}")).unwrap_err(),
        ring.revoke(active).unwrap_err(),
        ring.revoke(Key::generate().unwrap().id()).unwrap_err(),
        ring.add(Key::from_hex(HEX).unwrap(), KeyState::Pending)
            .unwrap_err(),
        KeyError::Revoked(active),
        KeyError::Wrapped,
        KeyError::MissingVariable("SESSION_KEY".to_owned()),
        Keys::from_file("/no/such/key").unwrap_err(),
        Keys::from_file("/").unwrap_err(),
    ];
    for error in errors {
        let sentence = error.to_string();
        let (wrong, advice) = sentence.rsplit_once(": ").expect(&sentence);
        assert!(!wrong.is_empty() && !advice.is_empty(), "{sentence}");
        for secret in [short, HEX] {
            assert!(!sentence.contains(secret), "{sentence}");
        }
    }
}

#[test]
fn words_give_the_states_of_keys() {
    let other = HEX.replace('9', "8");
    let parse = |text: &str| states(&Keys::parse(text).unwrap());
    assert_eq!(
        parse(&format!("{HEX},{other}")),
        [KeyState::Active, KeyState::Retired]
    );
    assert_eq!(
        parse(&format!("pending:{HEX}\n{other}")),
        [KeyState::Pending, KeyState::Active]
    );
    assert_eq!(
        parse(&format!("active:{HEX} revoked:{other}")),
        [KeyState::Active, KeyState::Revoked]
    );
}

#[test]
fn rotation_keeps_one_key_active() {
    let keys = Keys::generate().unwrap();
    let first = keys.list()[0].0;
    let next = Key::generate().unwrap();
    keys.add(next.clone(), KeyState::Pending).unwrap();
    assert!(matches!(
        keys.add(next.clone(), KeyState::Retired),
        Err(KeyError::Duplicate(_))
    ));
    assert!(matches!(
        keys.add(Key::generate().unwrap(), KeyState::Active),
        Err(KeyError::NotOneActive)
    ));
    assert!(matches!(keys.revoke(first), Err(KeyError::NotOneActive)));

    keys.rotate(next.clone()).unwrap();
    assert_eq!(states(&keys), [KeyState::Active, KeyState::Retired]);
    keys.revoke(first).unwrap();
    assert_eq!(states(&keys), [KeyState::Active, KeyState::Revoked]);
    keys.rotate(next).unwrap();
    assert_eq!(states(&keys), [KeyState::Active, KeyState::Revoked]);
}

#[test]
fn a_stolen_key_is_replaced_and_revoked_at_once() {
    let keys = Keys::generate().unwrap();
    let [stolen, next, third] = [(); 3].map(|()| Key::generate().unwrap());
    keys.rotate(stolen.clone()).unwrap();
    keys.add(next.clone(), KeyState::Pending).unwrap();
    let generation = keys.generation();
    keys.rotate_and_revoke(next.clone()).unwrap();
    assert_eq!(
        keys.generation(),
        generation + 1,
        "readers see both changes or neither"
    );
    let found = keys.list();
    assert_eq!(found[0], (next.id(), KeyState::Active));
    assert!(found.contains(&(stolen.id(), KeyState::Revoked)));
    assert_eq!(
        found[2].1,
        KeyState::Retired,
        "the first key keeps its state"
    );

    let same = keys.rotate_and_revoke(next);
    assert!(matches!(same, Err(KeyError::Duplicate(_))), "{same:?}");
    let back = keys.rotate_and_revoke(stolen);
    assert!(matches!(back, Err(KeyError::Revoked(_))), "{back:?}");
    assert_eq!(keys.list(), found);
    keys.rotate_and_revoke(third).unwrap();
    let states = states(&keys);
    assert_eq!(
        states.iter().filter(|s| **s == KeyState::Revoked).count(),
        2
    );
}

#[test]
fn a_revoked_key_does_not_come_back() {
    let keys = Keys::generate().unwrap();
    let bad = Key::generate().unwrap();
    keys.add(bad.clone(), KeyState::Revoked).unwrap();
    assert!(matches!(keys.rotate(bad), Err(KeyError::Revoked(_))));
}

#[test]
fn debug_shows_no_secret() {
    let key = Key::from_hex(HEX).unwrap();
    let shown = format!("{key:?} {:?} {:?}", Keys::new(key.clone()), key.id());
    assert!(
        !shown.contains("9f0d1e") && !shown.contains("159"),
        "{shown}"
    );
}

#[test]
fn a_missing_variable_is_named() {
    let error = Keys::from_env("SILVERBACK_NO_SUCH_KEY").unwrap_err();
    assert!(error.to_string().contains("SILVERBACK_NO_SUCH_KEY"));
}

#[test]
fn a_missing_file_keeps_its_cause() {
    let error = Keys::from_file("/no/such/key").unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    assert!(
        format!("{error:?}").starts_with("/no/such/key: the key file cannot be read ("),
        "{error:?}"
    );
}
