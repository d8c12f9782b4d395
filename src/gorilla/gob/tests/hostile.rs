//! Bytes that are not a gob.

use super::{super::*, from_hex, to_hex, vectors::gobs};

fn refused(hex: &str) -> (GobErrorKind, usize) {
    let error = Gob::decode(&from_hex(hex)).unwrap_err();
    (error.kind(), error.offset())
}

#[test]
fn other_bytes_are_refused() {
    let unknown = |id| GobErrorKind::UnknownType(TypeId::new(id));
    for (hex, kind, offset) in [
        ("", GobErrorKind::Truncated, 0),
        ("00", GobErrorKind::Truncated, 1),
        ("05 0c 00", GobErrorKind::Count, 1),
        ("03 0c 00 05", GobErrorKind::Count, 4),
        ("03 06 00 fe 07 07", GobErrorKind::Truncated, 4),
        ("03 06 00 80", GobErrorKind::Number, 4),
        ("0b 06 00 f7 010203040506070809", GobErrorKind::Number, 4),
        ("f7010203040506070809", GobErrorKind::Number, 1),
        // Another number in place of the zero before a value that is not a struct.
        ("03 0c 01 00", GobErrorKind::Field, 3),
        ("04 ff80 00 00", unknown(64), 4),
        ("02 12 00", unknown(9), 3),
        ("02 00 00", unknown(0), 3),
        // Definitions: none, of an unknown kind, two at once, with bytes after it, of a basic type,
        // without an element type.
        ("03 7f 00 00", GobErrorKind::Definition, 3),
        ("03 7f 08 00", GobErrorKind::Definition, 3),
        ("0c 7f 020102ff80000110000100", GobErrorKind::Definition, 12),
        ("0d 7f 020102ff8000011000000000", GobErrorKind::Excess, 12),
        (
            "0a 0f 020102100001100000",
            GobErrorKind::DuplicateType(TypeId::INTERFACE),
            11,
        ),
        ("09 7f 020102ff80000000", GobErrorKind::Definition, 9),
        // A name that is not UTF-8.
        ("04 10 00 01 ff", GobErrorKind::Name, 5),
    ] {
        assert_eq!(refused(hex), (kind, offset), "{hex}");
    }
    let slice = "0b 7f 020102ff8000011000 00";
    assert_eq!(
        refused(&format!("{slice} {slice}")).0,
        GobErrorKind::DuplicateType(TypeId::new(64))
    );
    // A name that is too long for Go.
    let long = format!("fe040a 10 00 fe0401 {} 0402 0000", "61".repeat(0x401));
    assert_eq!(refused(&long).0, GobErrorKind::Name);
}

/// A `[]T` of a struct without fields at the end of a message, where its elements have no bytes.
#[test]
fn elements_without_bytes_are_refused() {
    let types = "0c 7f 020102ff8000 01 ff82 0000 0d ff81 030101 0154 01 ff82 000000";
    let kind = |value| refused(&format!("{types} {value}")).0;
    assert_eq!(kind("04 ff80 00 01 01 00"), GobErrorKind::Truncated);
    assert_eq!(kind("07 ff80 00 fdffffff"), GobErrorKind::Count);
    Gob::decode(&from_hex(&format!("{types} 06 ff80 00 02 00 00"))).unwrap();
}

/// Nested interfaces: an `[]interface{}` in an `[]interface{}`, each with one element.
fn nested(depth: usize) -> Gob {
    let mut types = Types::new();
    let ty = types.slice_of(TypeId::INTERFACE);
    let mut value = Value::Nil;
    for _ in 0..depth {
        let items = vec![value];
        value = Value::List { ty, items }.named("[]interface {}");
    }
    Gob::new(types, value)
}

#[test]
fn depth_is_bounded() {
    let deepest = nested(49);
    let bytes = deepest.encode().unwrap();
    assert_eq!(Gob::decode(&bytes).unwrap(), deepest);
    let error = nested(50).encode().unwrap_err();
    assert_eq!(error.kind(), GobErrorKind::TooDeep);

    // A recursive type: `type T struct { Next *T }`.
    let ty = "19 ff81 030101 0154 01 ff82 0001 01 01 044e657874 01 ff82 0000 00";
    let deep = |depth: usize| {
        let value = format!("{}{}", "01".repeat(depth), "00".repeat(depth + 1));
        let len = 2 + value.len() / 2;
        Gob::decode(&from_hex(&format!("{ty} fe{len:04x} ff82 {value}")))
    };
    deep(99).unwrap();
    assert_eq!(deep(100).unwrap_err().kind(), GobErrorKind::TooDeep);
    assert_eq!(deep(20_000).unwrap_err().kind(), GobErrorKind::TooDeep);
}

#[test]
fn values_and_bytes_are_bounded() {
    let list = |count: usize| {
        let mut types = Types::new();
        let ty = types.slice_of(TypeId::BOOL);
        let items = vec![Value::Bool(false); count];
        Gob::new(types, Value::List { ty, items }).encode().unwrap()
    };
    Gob::decode(&list((1 << 18) - 1)).unwrap();
    let error = Gob::decode(&list(1 << 18)).unwrap_err();
    assert_eq!(error.kind(), GobErrorKind::TooLarge);
    let long = Gob::new(Types::new(), Value::Bytes(vec![0; 4 << 20]));
    let error = Gob::decode(&long.encode().unwrap()).unwrap_err();
    assert_eq!(error.kind(), GobErrorKind::TooLarge);
}

/// Go ignores it too, so both read the same sessions.
#[test]
fn everything_after_the_value_is_ignored() {
    let gob = Gob::decode(&from_hex("05 0c 00 01 61 07 03 06 00 01")).unwrap();
    assert_eq!(gob.value, Value::string("a"));
}

#[test]
fn a_truncated_gob_is_refused() {
    for bytes in gobs() {
        for len in 0..bytes.len() {
            assert!(
                Gob::decode(&bytes[..len]).is_err(),
                "{len} {}",
                to_hex(&bytes)
            );
        }
    }
}

/// A changed gob that can be read can also be written, and then reads the same.
#[test]
fn changed_bytes_are_read_or_refused() {
    let rounds = match std::env::var_os("SILVERBACK_SOAK") {
        Some(_) => 20_000_000,
        None => 20_000,
    };
    let all = gobs();
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..rounds {
        let mut bytes = all[random(all.len())].clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes.insert(at, random(256) as u8),
                _ => drop(bytes.remove(at)),
            }
        }
        match Gob::decode(&bytes) {
            Ok(gob) => {
                read += 1;
                let written = gob.encode().unwrap();
                let again = Gob::decode(&written).unwrap().encode().unwrap();
                assert_eq!(to_hex(&again), to_hex(&written), "{}", to_hex(&bytes));
            }
            Err(_) => refused += 1,
        }
    }
    assert!(
        read > rounds / 10 && refused > rounds / 10,
        "{read} {refused}"
    );
}
