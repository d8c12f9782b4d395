//! Numbers and strings, as in the documentation of Go's package or as Go writes them.

use super::{super::*, from_hex, to_hex};

/// Returns the bytes after the message's length, the type, and the zero before a value that is not
/// a struct.
fn written(value: &Value) -> String {
    let bytes = Gob::new(Types::new(), value.clone()).encode().unwrap();
    assert_eq!(Gob::decode(&bytes).unwrap().value, *value);
    to_hex(&bytes[3..])
}

#[test]
fn unsigned_integers() {
    for (number, hex) in [
        (0, "00"),
        (7, "07"),
        (127, "7f"),
        (128, "ff80"),
        (255, "ffff"),
        (256, "fe0100"),
        (u64::MAX, "f8ffffffffffffffff"),
    ] {
        assert_eq!(written(&Value::Uint(number)), hex, "{number}");
    }
}

#[test]
fn signed_integers() {
    for (number, hex) in [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (-64, "7f"),
        (64, "ff80"),
        (-129, "fe0101"),
        (i64::MAX, "f8fffffffffffffffe"),
        (i64::MIN, "f8ffffffffffffffff"),
    ] {
        assert_eq!(written(&Value::Int(number)), hex, "{number}");
    }
}

#[test]
fn floats() {
    for (number, hex) in [
        (0.0, "00"),
        (17.0, "fe3140"),
        (3.25, "fe0a40"),
        (-0.0, "ff80"),
    ] {
        assert_eq!(written(&Value::Float(number)), hex, "{number}");
    }
    assert_eq!(written(&Value::Complex(17.0, -0.0)), "fe3140ff80");
}

#[test]
fn the_bits_of_a_nan_are_kept() {
    let bytes = Gob::new(
        Types::new(),
        Value::Float(f64::from_bits(0x7ff8_0000_0000_0123)),
    );
    match Gob::decode(&bytes.encode().unwrap()).unwrap().value {
        Value::Float(number) => assert_eq!(number.to_bits(), 0x7ff8_0000_0000_0123),
        other => panic!("{other:?}"),
    }
}

#[test]
fn strings_and_bytes() {
    assert_eq!(written(&Value::string("")), "00");
    assert_eq!(written(&Value::String(vec![0xff, 0])), "02ff00");
    assert_eq!(written(&Value::Bytes(vec![0, 1])), "020001");
    assert_eq!(written(&Value::Bool(true)), "01");
    assert_eq!(written(&Value::Nil), "00");
}

/// Go does not require the shortest encoding.
#[test]
fn numbers_with_leading_zeros_are_read() {
    let gob = Gob::decode(&from_hex("ff06 06 00 fd000007")).unwrap();
    assert_eq!(gob.value, Value::Uint(7));
}

#[test]
fn a_struct_keeps_the_fields_that_are_present() {
    let mut types = Types::new();
    let names = ["A", "B", "C"];
    let fields = names.map(|name| Field::new(name, TypeId::INT)).to_vec();
    let name = "T".to_owned();
    let ty = types.define(Definition::Struct { name, fields });
    for (fields, hex) in [
        (vec![], "00"),
        (vec![(0, 1)], "010200"),
        (vec![(2, 1)], "030200"),
        (vec![(0, 1), (2, -1)], "0102020100"),
    ] {
        let fields = fields.into_iter().map(|(index, n)| (index, Value::Int(n)));
        let fields = fields.collect();
        let gob = Gob::new(types.clone(), Value::Struct { ty, fields });
        let bytes = gob.encode().unwrap();
        assert_eq!(Gob::decode(&bytes).unwrap().value, gob.value);
        assert!(to_hex(&bytes).ends_with(&format!("ff80{hex}")), "{hex}");
    }
}

#[test]
fn an_array_has_the_length_of_its_type() {
    let mut types = Types::new();
    let (name, elem) = (String::new(), TypeId::INT);
    let ty = types.define(Definition::Array { name, elem, len: 2 });
    let of = |items: &[i64]| {
        let items = items.iter().copied().map(Value::Int).collect();
        Gob::new(types.clone(), Value::List { ty, items })
    };
    let bytes = of(&[1, 2]).encode().unwrap();
    assert_eq!(Gob::decode(&bytes).unwrap(), of(&[1, 2]));
    assert_eq!(of(&[1]).encode().unwrap_err().kind(), GobErrorKind::Count);
}

#[test]
fn a_value_of_another_type_is_not_written() {
    let refused = |types: &Types, value| {
        let error = Gob::new(types.clone(), value).encode().unwrap_err();
        error.kind()
    };
    let mut types = Types::new();
    let ty = types.slice_of(TypeId::INT);
    let structure = Definition::Struct {
        name: "T".to_owned(),
        fields: vec![Field::new("A", TypeId::INT)],
    };
    let structure = types.define(structure);
    let list = |items| Value::List { ty, items };
    assert_eq!(
        refused(&types, list(vec![Value::Uint(1)])),
        GobErrorKind::Mismatch
    );
    let entries = Vec::new();
    assert_eq!(
        refused(&types, Value::Map { ty, entries }),
        GobErrorKind::Mismatch
    );
    let bytes = Vec::new();
    let none = TypeId::new(70);
    assert_eq!(
        refused(&types, Value::Opaque { ty: none, bytes }),
        GobErrorKind::UnknownType(none)
    );
    for fields in [
        vec![(1, Value::Int(1))],
        vec![(0, Value::Int(1)), (0, Value::Int(1))],
    ] {
        let ty = structure;
        assert_eq!(
            refused(&types, Value::Struct { ty, fields }),
            GobErrorKind::Field
        );
    }
    let long = Value::Int(1).named("n".repeat(1_025));
    assert_eq!(refused(&types, long), GobErrorKind::Name);
}

#[test]
fn numbers_fit_the_kinds_that_hold_them() {
    for (value, name, fits) in [
        (Value::Int(-128), "int8", true),
        (Value::Int(-129), "int8", false),
        (Value::Int(1 << 15), "int16", false),
        (Value::Int(1 << 31), "int32", false),
        (Value::Int(i64::MIN), "int64", true),
        (Value::Int(i64::MIN), "int", true),
        (Value::Int(1), "uint8", false),
        (Value::Uint(256), "uint8", false),
        (Value::Uint(1 << 16), "uint16", false),
        (Value::Uint(1 << 32), "uint32", false),
        (Value::Uint(u64::MAX), "uintptr", true),
        (Value::Float(f64::INFINITY), "float32", true),
        (Value::Float(1e39), "float32", false),
        (Value::Complex(0.0, 1e39), "complex64", false),
        (Value::Complex(1e39, 0.0), "complex64", false),
        (Value::Complex(0.0, 1e39), "complex128", true),
        (Value::string("1"), "int", false),
        (Value::Int(1).named("int"), "int8", true),
        (Value::Int(1), "main.Role", true),
    ] {
        assert_eq!(value.fits(name), fits, "{value:?} {name}");
    }
}

#[test]
fn lists_and_maps_fit_if_their_elements_do() {
    let mut types = Types::new();
    let (ints, keys) = (types.slice_of(TypeId::INT), TypeId::STRING);
    let floats = types.map_of(keys, TypeId::FLOAT);
    let lists = types.map_of(keys, ints);
    let list = |number| {
        let (ty, items) = (ints, vec![Value::Int(1), Value::Int(number)]);
        Value::List { ty, items }
    };
    let map = |ty, key: Value, elem| {
        let entries = vec![(key, elem)];
        Value::Map { ty, entries }
    };
    let text = || Value::string("k");
    let float = map(floats, text(), Value::Float(1e39));
    let nested = map(lists, text(), list(128));
    let keyed = map(types.map_of(ints, keys), list(128), text());
    for (value, name, fits) in [
        (list(127), "[]int8", true),
        (list(128), "[]int8", false),
        (list(128), "[2]int8", false),
        (list(128), "[]int16", true),
        (list(128), "[]main.Role", true),
        (list(128), "main.Roles", true),
        (list(1), "[]uint8", false),
        (float.clone(), "map[string]float32", false),
        (float, "map[string]float64", true),
        (nested.clone(), "map[string][]int8", false),
        (nested, "map[string][]int16", true),
        (keyed.clone(), "map[[2]int8]string", false),
        (keyed, "map[[2]int16]string", true),
    ] {
        assert_eq!(value.fits(name), fits, "{value:?} {name}");
    }
}
