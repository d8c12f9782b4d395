//! Go's values as JSON and back, as tables.

use serde_json::{Value as Json, json};

use super::*;
use crate::gorilla::gob::{Definition, Field, Marshaler, Time, TypeId, Types, Value};

/// The types that the tests use, and the ids of some of them.
struct Go {
    types: Types,
    list: TypeId,
    texts: TypeId,
    any_map: TypeId,
    numbers: TypeId,
    pair: TypeId,
    person: TypeId,
    time: TypeId,
    url: TypeId,
    blob: TypeId,
}

fn go() -> Go {
    let mut types = Types::new();
    let list = types.slice_of(TypeId::INTERFACE);
    let texts = types.slice_of(TypeId::STRING);
    let any_map = types.map_of(TypeId::STRING, TypeId::INTERFACE);
    let numbers = types.map_of(TypeId::INT, TypeId::STRING);
    let name = String::new;
    let (elem, len) = (TypeId::INT, 2);
    let pair = types.define(Definition::Array {
        name: name(),
        elem,
        len,
    });
    let time = Time::type_in(&mut types);
    let opaque = |name: &str, by| Definition::Opaque {
        name: name.into(),
        by,
    };
    let url = types.define(opaque("URL", Marshaler::Text));
    let blob = types.define(opaque("Blob", Marshaler::Binary));
    let field = Field::new;
    let fields = vec![
        field("Name", TypeId::STRING),
        field("Age", TypeId::INT),
        field("Admin", TypeId::BOOL),
        field("Tags", texts),
        field("Seen", time),
    ];
    let person = types.define(Definition::Struct {
        name: "Person".into(),
        fields,
    });
    Go {
        types,
        list,
        texts,
        any_map,
        numbers,
        pair,
        person,
        time,
        url,
        blob,
    }
}

impl Go {
    fn ann(&self) -> Value {
        let (ty, name, age) = (self.person, Value::string("Ann"), Value::Int(41));
        Value::Struct {
            ty,
            fields: vec![(0, name), (1, age)],
        }
    }

    fn texts(&self, texts: &[&str]) -> Value {
        let items = texts.iter().map(|text| Value::string(*text)).collect();
        Value::List {
            ty: self.texts,
            items,
        }
    }

    fn anything(&self, items: Vec<Value>) -> Value {
        Value::List {
            ty: self.list,
            items,
        }
        .named("[]interface {}")
    }

    fn fit(&mut self, json: &Json, old: &Value) -> Result<Value, Unfit> {
        let text = json.to_string();
        let types = &mut self.types;
        Fitter { types }.value(text.as_bytes(), Some(old), old.type_id())
    }
}

#[test]
fn go_values_have_their_json() {
    let go = go();
    let date = Time::from(crate::clock::Timestamp::from_secs(1_700_000_000)).to_bytes();
    let opaque = |ty, bytes: &[u8]| Value::Opaque {
        ty,
        bytes: bytes.to_vec(),
    };
    let number_map = Value::Map {
        ty: go.numbers,
        entries: vec![(Value::Int(7), Value::string("x"))],
    };
    let rows = [
        (Value::Bool(true), json!(true)),
        (Value::Int(-1).named("int8"), json!(-1)),
        (Value::Uint(u64::MAX).named("uint64"), json!(u64::MAX)),
        (Value::Float(3.0), json!(3.0)),
        (Value::Float(f64::NAN), json!(null)),
        (Value::Complex(1.0, -2.5), json!([1.0, -2.5])),
        (Value::string("ä"), json!("ä")),
        (Value::String(vec![b'a', 0xff]), json!("a\u{fffd}")),
        (Value::Nil, json!(null)),
        (
            go.anything(vec![Value::Bytes(vec![0, 255])]),
            json!(["AP8="]),
        ),
        (go.texts(&["a", "b"]), json!(["a", "b"])),
        (number_map, json!({"\0int:7": "x"})),
        (
            go.ann(),
            json!({
                "Name": "Ann", "Age": 41, "Admin": false, "Tags": [],
                "Seen": "0001-01-01T00:00:00Z",
            }),
        ),
        (opaque(go.time, &date), json!("2023-11-14T22:13:20Z")),
        (opaque(go.time, b"odd"), json!("b2Rk")),
        (
            opaque(go.url, b"https://example.com"),
            json!("https://example.com"),
        ),
        (opaque(go.blob, &[1, 2]), json!("AQI=")),
    ];
    for (value, json) in rows {
        assert_eq!(to_json(&value, &go.types), json, "{value:?}");
    }
    assert_eq!(
        stored(&Value::Bytes(vec![7]).named("[]uint8"), &go.types),
        [0, 7]
    );
}

/// The struct points to its own type.
#[test]
fn a_recursive_type_has_finite_json() {
    // The first id of every table.
    let next = Types::new().slice_of(TypeId::INT);
    let mut types = Types::new();
    let fields = vec![Field::new("N", TypeId::INT), Field::new("Next", next)];
    let ty = types.define(Definition::Struct {
        name: "Node".into(),
        fields,
    });
    assert_eq!(ty, next);
    let node = Value::Struct {
        ty,
        fields: Vec::new(),
    };
    assert_eq!(to_json(&node, &types), json!({"N": 0, "Next": null}));
}

#[test]
fn a_value_that_changes_keeps_its_type_if_it_fits() {
    let mut go = go();
    let (one, ann) = (Value::Int(1), go.ann().named("main.Person"));
    let bob = Value::Struct {
        ty: go.person,
        fields: vec![
            (0, Value::string("Bob")),
            (2, Value::Bool(true)),
            (3, go.texts(&["x"])),
        ],
    };
    let bobs_json = json!({"Name": "Bob", "Age": 0, "Admin": true, "Tags": ["x"]});
    let array = |a, b| {
        let items = vec![Value::Int(a), Value::Int(b)];
        Value::List { ty: go.pair, items }.named("main.Pair")
    };
    let date = |secs| Value::Opaque {
        ty: go.time,
        bytes: Time::from(crate::clock::Timestamp::from_secs(secs)).to_bytes(),
    };
    let mixed = go.anything(vec![
        Value::Int(1).named("int8"),
        Value::string("a").named("string"),
    ]);
    let mixed_after = go.anything(vec![
        Value::Int(2).named("int8"),
        Value::string("a").named("string"),
        Value::Bool(true).named("bool"),
    ]);
    let texts = |go: &Go, texts: &[&str]| go.texts(texts).named("[]string");
    let (ints, halves) = (
        go.types.slice_of(TypeId::INT),
        go.types.slice_of(TypeId::FLOAT),
    );
    let small = |numbers: &[i64]| {
        let items = numbers.iter().map(|number| Value::Int(*number)).collect();
        Value::List { ty: ints, items }.named("[]int8")
    };
    let floats = |numbers: &[f64]| {
        let items = numbers.iter().map(|number| Value::Float(*number)).collect();
        Value::List { ty: halves, items }.named("[]float32")
    };
    let rows = [
        (
            one.clone().named("int64"),
            json!(2),
            Value::Int(2).named("int64"),
        ),
        (
            one.clone().named("int8"),
            json!(127),
            Value::Int(127).named("int8"),
        ),
        (
            one.clone().named("int8"),
            json!(128),
            Value::Int(128).named("int"),
        ),
        (
            one.clone().named("main.Level"),
            json!(3),
            Value::Int(3).named("main.Level"),
        ),
        (
            one.clone().named("int"),
            json!("x"),
            Value::string("x").named("string"),
        ),
        (
            one.named("int"),
            json!(1.5),
            Value::Float(1.5).named("float64"),
        ),
        (
            Value::Uint(1).named("uint16"),
            json!(9),
            Value::Uint(9).named("uint16"),
        ),
        (
            Value::Uint(1).named("uint16"),
            json!(-9),
            Value::Int(-9).named("int"),
        ),
        (
            Value::Float(1.5).named("float32"),
            json!(2),
            Value::Float(2.0).named("float32"),
        ),
        (
            Value::Float(1.5).named("float32"),
            json!(1e300),
            Value::Float(1e300).named("float64"),
        ),
        (
            Value::Float(1.5).named("float32"),
            json!(1 << 24),
            Value::Float(16_777_216.0).named("float32"),
        ),
        (
            Value::Float(1.5).named("float32"),
            json!((1 << 24) + 1),
            Value::Int((1 << 24) + 1).named("int"),
        ),
        (
            Value::Complex(1.5, 0.0).named("complex64"),
            json!([0.1, -2]),
            Value::Complex(0.1, -2.0).named("complex64"),
        ),
        (
            Value::Complex(1.5, 0.0).named("complex64"),
            json!([0, i32::MAX]),
            go.anything(vec![
                Value::Int(0).named("int"),
                Value::Int(i32::MAX.into()).named("int"),
            ]),
        ),
        (Value::Bool(true).named("bool"), json!(null), Value::Nil),
        (
            Value::Nil,
            json!(u64::MAX),
            Value::Uint(u64::MAX).named("uint64"),
        ),
        (
            texts(&go, &["a"]),
            json!(["a", "b"]),
            texts(&go, &["a", "b"]),
        ),
        (texts(&go, &[]), json!(["b"]), texts(&go, &["b"])),
        (
            texts(&go, &["a"]),
            json!([1]),
            go.anything(vec![Value::Int(1).named("int")]),
        ),
        (mixed, json!([2, "a", true]), mixed_after),
        (array(1, 2), json!([3, 4]), array(3, 4)),
        (array(1, 2), json!([]), go.anything(Vec::new())),
        (small(&[1, 2]), json!([3, 127]), small(&[3, 127])),
        (
            small(&[1, 2]),
            json!([3, 128]),
            go.anything(vec![
                Value::Int(3).named("int"),
                Value::Int(128).named("int"),
            ]),
        ),
        (
            floats(&[0.5]),
            json!([(1 << 24) + 1]),
            go.anything(vec![Value::Int((1 << 24) + 1).named("int")]),
        ),
        (
            floats(&[0.5]),
            json!([1 << 24, 0.1]),
            floats(&[16_777_216.0, 0.1]),
        ),
        (ann.clone(), bobs_json, bob.named("main.Person")),
        (ann, json!("gone"), Value::string("gone").named("string")),
        (
            date(1_700_000_000).named("time.Time"),
            json!("2023-11-14T22:13:21Z"),
            date(1_700_000_001).named("time.Time"),
        ),
        (
            Value::Bytes(vec![7]).named("[]uint8"),
            json!("YWJj"),
            Value::string("YWJj").named("string"),
        ),
        (
            Value::Bytes(vec![7]).named("[]uint8"),
            json!("Bw=="),
            Value::string("Bw==").named("string"),
        ),
    ];
    for (old, json, expected) in rows {
        assert_eq!(
            go.fit(&json, &old).as_ref(),
            Ok(&expected),
            "{json} over {old:?}"
        );
    }
}

#[test]
fn a_map_keeps_its_types() {
    let mut go = go();
    let ty = go.numbers;
    let map = |entries: &[(i64, &str)]| {
        let entries = entries.iter();
        let entries = entries.map(|(key, text)| (Value::Int(*key), Value::string(*text)));
        let entries = entries.collect();
        Value::Map { ty, entries }.named("map[int]string")
    };
    let json = json!({"\0int:7": "y", "\0int:8": "z"});
    let fitted = go.fit(&json, &map(&[(7, "x")]));
    assert_eq!(fitted, Ok(map(&[(7, "y"), (8, "z")])));
}

#[test]
fn a_field_keeps_the_type_in_its_interface() {
    let mut go = go();
    let ty = go.types.define(Definition::Struct {
        name: "Two".into(),
        fields: ["A", "B"]
            .map(|name| Field::new(name, TypeId::INTERFACE))
            .into(),
    });
    let two = |a, b| {
        let (a, b) = (Value::Int(a).named("int8"), Value::Uint(b).named("uint16"));
        let fields = vec![(0, a), (1, b)];
        Value::Struct { ty, fields }
    };
    assert_eq!(go.fit(&json!({"A": 3, "B": 4}), &two(1, 2)), Ok(two(3, 4)));
}

/// As by Go's encoder.
#[test]
fn a_field_that_is_zero_is_left_out() {
    let mut go = go();
    let numbers = [
        ("U", TypeId::UINT),
        ("F", TypeId::FLOAT),
        ("C", TypeId::COMPLEX),
    ];
    let ty = go.types.define(Definition::Struct {
        name: "Numbers".into(),
        fields: numbers.map(|(name, ty)| Field::new(name, ty)).into(),
    });
    let fields = vec![(0, Value::Uint(7))];
    let old = Value::Struct { ty, fields };
    for (json, left) in [
        (json!({"U": 0, "F": 0.0, "C": [0.0, 0.0]}), 0),
        (json!({"U": 1, "F": 0.5, "C": [0.0, 1.0]}), 3),
    ] {
        let fitted = go.fit(&json, &old);
        let Ok(Value::Struct { fields, .. }) = fitted else {
            panic!("{fitted:?}")
        };
        assert_eq!(fields.len(), left, "{json}");
    }
}

#[test]
fn bytes_keep_their_type_if_it_is_one_of_bytes() {
    let mut go = go();
    let bytes = |name| Value::Bytes(vec![7]).named(name);
    for (old, name) in [
        (bytes("json.RawMessage"), "json.RawMessage"),
        (Value::Int(1).named("main.Level"), "[]uint8"),
    ] {
        let types = &mut go.types;
        let fitted = Fitter { types }.value(b"\0\x08", Some(&old), TypeId::INTERFACE);
        assert_eq!(fitted, Ok(Value::Bytes(vec![8]).named(name)));
    }
}

#[test]
fn an_unchanged_value_stays_to_the_byte() {
    let mut go = go();
    let text = Value::String(vec![b'a', 0xff]).named("string");
    let nan = Value::Float(f64::NEG_INFINITY).named("float64");
    let blob = Value::Opaque {
        ty: go.blob,
        bytes: vec![1, 2],
    }
    .named("main.Blob");
    for value in [text, nan, blob] {
        let value = go.anything(vec![value]);
        let stored = stored(&value, &go.types);
        let types = &mut go.types;
        let kept = Fitter { types }.value(&stored, Some(&value), TypeId::INTERFACE);
        assert_eq!(kept, Ok(value));
    }
}

#[test]
fn new_values_get_the_types_that_go_expects() {
    let mut go = go();
    let (list, map) = (go.list, go.any_map);
    let nested = Value::Map {
        ty: map,
        entries: vec![(
            Value::string("n"),
            Value::List {
                ty: list,
                items: vec![Value::Nil],
            }
            .named("[]interface {}"),
        )],
    };
    let rows: [(&[u8], Value); 8] = [
        (b"true", Value::Bool(true).named("bool")),
        (b"-7", Value::Int(-7).named("int")),
        (b"9223372036854775808", Value::Uint(1 << 63).named("uint64")),
        (b"1.0", Value::Float(1.0).named("float64")),
        (b"\"a\"", Value::string("a").named("string")),
        (b"null", Value::Nil),
        (b"\0\xff", Value::Bytes(vec![0xff]).named("[]uint8")),
        (b"{\"n\":[null]}", nested.named("map[string]interface {}")),
    ];
    for (stored, expected) in rows {
        let types = &mut go.types;
        let value = Fitter { types }.value(stored, None, TypeId::INTERFACE);
        assert_eq!(value, Ok(expected), "{stored:?}");
    }
}

#[test]
fn typed_places_take_nothing_else() {
    let mut go = go();
    let person = go.person;
    let types = &mut go.types;
    let mut fitter = Fitter { types };
    for (stored, ty) in [
        (b"1" as &[u8], TypeId::STRING),
        (b"\"1\"", TypeId::INT),
        (b"-1", TypeId::UINT),
        (b"null", TypeId::BOOL),
        (b"\0a", TypeId::STRING),
        (b"\"YWJj\"", TypeId::BYTES),
        (b"{\"Surname\":\"x\"}", person),
        (b"{\"Age\":\"x\"}", person),
        (b"[]", person),
        (b"not json", TypeId::INTERFACE),
    ] {
        assert!(
            fitter.value(stored, None, ty).is_err(),
            "{stored:?} as {ty:?}"
        );
    }
}

#[test]
fn every_key_has_its_own_text() {
    let mut go = go();
    let rows = [
        (Value::string("user").named("string"), "user"),
        (Value::string("").named("string"), ""),
        (
            Value::string("\0int:1").named("string"),
            "\0string:\"\\u0000int:1\"",
        ),
        (Value::Int(42).named("int"), "\0int:42"),
        (Value::Int(42).named("int64"), "\0int64:42"),
        (Value::Uint(42).named("uint8"), "\0uint8:42"),
        (Value::Bool(true).named("bool"), "\0bool:true"),
        (Value::Float(1.5).named("float64"), "\0float64:1.5"),
        (
            Value::string("user").named("main.key"),
            "\0main.key:\"user\"",
        ),
        (Value::Int(1).named("main.id"), "\0main.id:1"),
    ];
    for (key, text) in rows {
        assert_eq!(key_text(&key, &go.types), text);
        let types = &mut go.types;
        assert_eq!(Fitter { types }.key(text, TypeId::INTERFACE), Ok(key));
    }
    let odd = Value::String(vec![0xff, b'a']).named("string");
    let text = "\0string:[255,97]";
    assert_eq!(key_text(&odd, &go.types), text);
    let types = &mut go.types;
    assert_eq!(
        Fitter { types }.key(text, TypeId::INTERFACE),
        Ok(odd.clone())
    );
    assert_eq!(
        Fitter { types }.key(text, TypeId::STRING),
        Ok(odd.concrete().clone())
    );
    assert_eq!(key_text(&Value::string("a"), &go.types), "a");
    for (number, text) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let key = Value::Float(number).named("float64");
        assert_eq!(key_text(&key, &go.types), format!("\0float64:\"{text}\""));
    }
    let types = &mut go.types;
    let mut fitter = Fitter { types };
    assert_eq!(fitter.key("a", TypeId::STRING), Ok(Value::string("a")));
    assert_eq!(fitter.key("\0int:1", TypeId::INT), Ok(Value::Int(1)));
    for (text, ty) in [
        ("a", TypeId::INT),
        ("\0int:1", TypeId::STRING),
        ("\0int8:300", TypeId::INTERFACE),
        ("\0int:\"x\"", TypeId::INTERFACE),
        ("\0int:", TypeId::INTERFACE),
        ("\0main.key:[1]", TypeId::INTERFACE),
        ("\0string:[97]", TypeId::INTERFACE),
        ("\0string:[255]", TypeId::INT),
        ("\0main.Name:\"a\"", TypeId::STRING),
        ("\0string:\"a\"", TypeId::STRING),
        ("\0string:\"a\"", TypeId::INTERFACE),
        ("\0uint8:1", TypeId::UINT),
        ("\0int:1", TypeId::UINT),
        ("\0float64:1", TypeId::INTERFACE),
    ] {
        assert!(fitter.key(text, ty).is_err(), "{text:?}");
    }
}
