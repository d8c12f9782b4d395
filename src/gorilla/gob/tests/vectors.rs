//! Gobs that Go has written.

use serde_json::Value as Json;

use super::{super::*, from_hex, shown::shown, to_hex};

const VECTORS: &str = include_str!("../../../../tests/vectors/gorilla-1.4.0.json");

fn vectors() -> Vec<Json> {
    let file: Json = serde_json::from_str(VECTORS).unwrap();
    let all = file["vectors"].as_array().unwrap().iter();
    let gobs: Vec<_> = all.filter(|vector| vector["serializer"] == "gob").collect();
    assert_eq!(gobs.len(), 10);
    gobs.into_iter().cloned().collect()
}

/// The gobs of the vectors, for tests that change them.
pub(super) fn gobs() -> Vec<Vec<u8>> {
    let hex = |vector: &Json| vector["serialized_hex"].as_str().unwrap().to_owned();
    vectors().iter().map(|v| from_hex(&hex(v))).collect()
}

/// `{"foo": "bar"}` by Go 1.19, whose first id is 65.
const GO_1_19: &str = "0eff81040102ff820001100110000020ff82000106737472696e670c050003666f6f\
                       06737472696e670c050003626172";

#[test]
fn vectors_are_read() {
    for vector in vectors() {
        let bytes = from_hex(vector["serialized_hex"].as_str().unwrap());
        let gob = Gob::decode(&bytes).unwrap();
        assert_eq!(shown(&gob), vector["value"], "{}", vector["id"]);
    }
}

#[test]
fn vectors_survive_a_round_trip() {
    for bytes in gobs() {
        let gob = Gob::decode(&bytes).unwrap();
        let written = gob.encode().unwrap();
        assert_eq!(Gob::decode(&written).unwrap(), gob, "{}", to_hex(&bytes));
    }
}

/// Go defines the types of values in interfaces inside these. The writer defines them in front.
#[test]
fn a_gob_of_one_type_is_written_as_go_writes_it() {
    let all = gobs();
    let same = all
        .iter()
        .filter(|bytes| Gob::decode(bytes).unwrap().encode().unwrap() == **bytes);
    assert_eq!(same.count(), 6);
    let bytes = from_hex(GO_1_19);
    let gob = Gob::decode(&bytes).unwrap();
    assert_eq!(to_hex(&gob.encode().unwrap()), to_hex(&bytes));
}

#[test]
fn types_come_ahead_of_the_value() {
    let flash = "0d7f040102ff800001100110000030ff80000106737472696e670c0800065f666c617368\
                 0e5b5d696e74657266616365207b7dff81020102ff82000110000012ff820f000106737472696e67\
                 0c0400026869";
    let gob = Gob::decode(&from_hex(flash)).unwrap();
    assert_eq!(
        to_hex(&gob.encode().unwrap()),
        "0d7f040102ff80000110011000000cff81020102ff82000110000036ff80000106737472696e670c0800065f66\
         6c6173680e5b5d696e74657266616365207b7dff820f000106737472696e670c0400026869"
    );
}

#[test]
fn unused_types_are_not_written() {
    let mut gob = Gob::session();
    let ty = gob.types.slice_of(TypeId::INTERFACE);
    let empty = gob.encode().unwrap();
    let items = vec![Value::Nil];
    gob.insert("_flash", Value::List { ty, items }.named("[]interface {}"));
    assert!(gob.encode().unwrap().len() > empty.len());
    gob.remove("_flash");
    assert_eq!(gob.encode().unwrap(), empty);
}

#[test]
fn new_types_take_free_ids() {
    let mut gob = Gob::decode(&from_hex(GO_1_19)).unwrap();
    assert_eq!(gob.types.slice_of(TypeId::INTERFACE).get(), 64);
    assert_eq!(gob.types.slice_of(TypeId::STRING).get(), 66);
    assert_eq!(
        gob.types.map_of(TypeId::INTERFACE, TypeId::INTERFACE).get(),
        65
    );
}

#[test]
fn order_and_kinds_are_kept_when_a_value_is_replaced() {
    let mut gob = Gob::session();
    gob.insert("a", Value::Int(1).named("int64"));
    gob.insert("b", Value::Uint(2).named("uint8"));
    let entries = |gob: &mut Gob, key, value| match &mut gob.value {
        Value::Map { entries, .. } => entries.push((key, value)),
        other => panic!("{other:?}"),
    };
    entries(&mut gob, Value::Int(42).named("int"), Value::Nil);
    gob.insert("a", Value::Int(3).named("int64"));
    gob.insert("c", Value::Bool(true).named("bool"));
    let gob = Gob::decode(&gob.encode().unwrap()).unwrap();
    let kinds = gob.entries().iter().map(|(key, value)| {
        let key = key.as_str().unwrap_or("42");
        format!("{key} {}", value.name().unwrap_or("nil"))
    });
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, ["a int64", "b uint8", "42 nil", "c bool"]);
    assert_eq!(gob.get("a").unwrap().concrete(), &Value::Int(3));
}

#[test]
fn typed_maps_have_plain_keys() {
    let dghubble = "0eff8d040102ff8e00010c010c000013ff8e00010775\
                    7365722d696406613162326333";
    let mut gob = Gob::decode(&from_hex(dghubble)).unwrap();
    assert_eq!(gob.get("user-id").unwrap().as_str(), Some("a1b2c3"));
    gob.insert("b", Value::string("c"));
    let gob = Gob::decode(&gob.encode().unwrap()).unwrap();
    assert_eq!(gob.entries()[1], (Value::string("b"), Value::string("c")));
}
