//! A session with each kind of value, as Go 1.19 writes it, beside the expected value.

use serde_json::Value as Json;

use super::{super::*, from_hex, to_hex};

const VECTORS: &str = include_str!("../../../../tests/vectors/gob_go1.19.json");

/// Go's types, and the expected value in an interface. The tests of structs are below.
fn expected(types: &mut Types) -> Vec<(&'static str, Value)> {
    let mut slice = |name, elem, items| {
        let ty = types.slice_of(elem);
        (name, Value::List { ty, items })
    };
    let ints = |items: &[i64]| items.iter().copied().map(Value::Int).collect::<Vec<_>>();
    let lists = [
        slice("[]int", TypeId::INT, ints(&[-1, 0, 1])),
        slice(
            "[]string",
            TypeId::STRING,
            vec![Value::string("a"), Value::string("")],
        ),
        slice(
            "[]bool",
            TypeId::BOOL,
            vec![Value::Bool(true), Value::Bool(false)],
        ),
        slice("[]float64", TypeId::FLOAT, vec![Value::Float(0.5)]),
        slice("[]uint16", TypeId::UINT, vec![]),
    ];
    let scalars = [
        ("bool", Value::Bool(true)),
        ("int", Value::Int(-1)),
        ("int8", Value::Int(i8::MIN.into())),
        ("int16", Value::Int(i16::MIN.into())),
        ("int32", Value::Int(i32::MIN.into())),
        ("int64", Value::Int(i64::MIN)),
        ("uint", Value::Uint(1)),
        ("uint8", Value::Uint(u8::MAX.into())),
        ("uint16", Value::Uint(u16::MAX.into())),
        ("uint32", Value::Uint(u32::MAX.into())),
        ("uint64", Value::Uint(u64::MAX)),
        ("uintptr", Value::Uint(7)),
        ("float32", Value::Float(0.5)),
        ("float64", Value::Float(-0.1)),
        ("complex64", Value::Complex(1.0, 2.0)),
        ("complex128", Value::Complex(-1.5, 0.0)),
        ("string", Value::string("é")),
        ("string", Value::String(vec![0xff])),
        ("[]uint8", Value::Bytes(vec![0, 1, 2, 255])),
    ];
    let (name, elem) = (String::new(), TypeId::INT);
    let ty = types.define(Definition::Array { name, elem, len: 3 });
    let items = ints(&[1, 0, 3]);
    let array = ("[3]int", Value::List { ty, items });
    let all = scalars.into_iter().chain(lists).chain([array]);
    all.collect()
}

fn vectors() -> Vec<(String, Gob)> {
    let file: Json = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(file["go"], "go1.19.8");
    let vectors = file["vectors"].as_array().unwrap().iter().map(|vector| {
        let bytes = from_hex(vector["hex"].as_str().unwrap());
        let gob = Gob::decode(&bytes).unwrap();
        let written = gob.encode().unwrap();
        assert_eq!(Gob::decode(&written).unwrap(), gob, "{}", to_hex(&bytes));
        (vector["type"].as_str().unwrap().to_owned(), gob)
    });
    vectors.collect()
}

/// Replaces the ids of one table by those of another.
fn translated(value: &Value, from: &Types, to: &mut Types) -> Value {
    match value {
        Value::List { ty, items } => {
            let ty = to.define(from.get(*ty).unwrap().clone());
            let items = items.clone();
            Value::List { ty, items }
        }
        value => value.clone(),
    }
}

#[test]
fn every_kind_is_read() {
    let mut types = Types::new();
    let expected = expected(&mut types);
    let read = vectors();
    assert_eq!(read[0], ("<nil>".to_owned(), read[0].1.clone()));
    assert_eq!(read[0].1.get("v"), Some(&Value::Nil));
    for ((name, value), (ty, gob)) in expected.iter().zip(&read[1..]) {
        let held = gob.get("v").unwrap();
        assert_eq!((held.name(), &**ty), (Some(*name), *name));
        let held = translated(held.concrete(), &gob.types, &mut types);
        assert_eq!(held, *value, "{name}");
    }
}

fn of_type(ty: &str) -> (Gob, Value) {
    let all = vectors();
    let (_, gob) = all.into_iter().find(|(name, _)| name == ty).unwrap();
    let held = gob.get("v").unwrap().concrete().clone();
    (gob, held)
}

#[test]
fn fields_have_names_and_zeros_are_left_out() {
    let (gob, person) = of_type("main.Person");
    let Value::Struct { ty, fields } = person else {
        panic!("{person:?}");
    };
    let Some(Definition::Struct { name, fields: all }) = gob.types.get(ty) else {
        panic!("{ty:?}");
    };
    assert_eq!(name, "Person");
    let all: Vec<_> = all.iter().map(|field| &*field.name).collect();
    assert_eq!(
        all,
        [
            "Name", "Age", "Admin", "Role", "Tags", "Visits", "Home", "Work", "Born", "Extra",
            "Grid", "Ratio", "Phase", "Raw",
        ]
    );
    let given: Vec<_> = fields.iter().map(|(index, _)| all[*index]).collect();
    assert_eq!(
        given,
        [
            "Name", "Age", "Role", "Tags", "Home", "Work", "Born", "Extra", "Grid", "Raw"
        ]
    );
    assert_eq!(fields[1].1, Value::Int(-41));
    assert_eq!(fields[7].1, Value::Int(5).named("int64"));
}

#[test]
fn recursive_types_are_read() {
    let (gob, node) = of_type("main.Node");
    let Value::Struct { ty, fields } = node else {
        panic!("{node:?}");
    };
    let Value::Struct { ty: next, fields } = &fields[1].1 else {
        panic!("{fields:?}");
    };
    assert_eq!((ty, &fields[..]), (*next, &[(0, Value::Int(2))][..]));
    assert!(gob.types.get(ty).is_some());
}

#[test]
fn times_of_go_are_read() {
    let times = vectors().into_iter().filter(|(ty, _)| ty == "time.Time");
    let times = times.map(|(_, gob)| match gob.get("v").unwrap().concrete() {
        Value::Opaque { bytes, .. } => Time::from_bytes(bytes).unwrap().to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        times.collect::<Vec<_>>(),
        ["2024-02-29T12:34:56.789Z", "2024-02-29T13:34:56.789+01:00"]
    );
}

#[test]
fn types_that_write_their_own_bytes_are_opaque() {
    for (ty, marshaler, written) in [
        ("main.Celsius", Marshaler::Gob, &b"21.5"[..]),
        ("main.Point", Marshaler::Binary, &[1, 2]),
    ] {
        let (gob, value) = of_type(ty);
        let Value::Opaque { ty, bytes } = value else {
            panic!("{value:?}");
        };
        assert_eq!(bytes, written);
        assert!(
            matches!(gob.types.get(ty), Some(Definition::Opaque { by, .. }) if *by == marshaler)
        );
    }
}

#[test]
fn a_pointer_is_known_by_its_name() {
    let (gob, value) = of_type("*main.Pointed");
    assert_eq!(gob.get("v").unwrap().name(), Some("*main.Pointed"));
    assert!(matches!(value, Value::Struct { .. }));
}

#[test]
fn another_gobs_types_get_free_ids() {
    let with = |elem| {
        let mut types = Types::new();
        (types.slice_of(elem), types)
    };
    let ((id, mut types), (_, theirs)) = (with(TypeId::INT), with(TypeId::STRING));
    assert_eq!(types.adopt(&types.clone()), Some(0), "they are the same");
    assert_eq!(types.adopt(&theirs), Some(1));
    for (id, elem) in [(id, TypeId::INT), (id.moved(1).unwrap(), TypeId::STRING)] {
        let name = String::new();
        assert_eq!(types.get(id), Some(&Definition::Slice { name, elem }));
    }
}
