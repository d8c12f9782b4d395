use serde_json::json;

use super::*;
use crate::gorilla::{KeyPair, SecureCookie, gob::Field};

fn format() -> Gorilla {
    let cookies = SecureCookie::new([KeyPair::signing([1; 32]).unwrap()]).unwrap();
    Gorilla::new(cookies).flash_queue("errors")
}

/// A session with these values and messages.
fn payload(values: &[(&str, i64)], messages: &[(&str, &str)], of: &Gorilla) -> Vec<u8> {
    let mut content = Content::new(Timestamp::default());
    for (key, value) in values {
        let value = json!(value).to_string();
        content.frames.insert(key, value.as_bytes());
    }
    for (at, (queue, text)) in messages.iter().enumerate() {
        let text = json!(text).to_string();
        let id = flash_id(9, at);
        content.frames.push_flash(queue, id, text.as_bytes());
    }
    content.to_go(of).unwrap()
}

fn shown(payload: &[u8], of: &Gorilla) -> Vec<String> {
    let content = Content::of_go(payload, of, Timestamp::default()).unwrap();
    let mut all: Vec<_> = content
        .frames
        .all()
        .map(|data| match data {
            FrameData::Value(key, value) => format!("{key}={}", String::from_utf8_lossy(value)),
            FrameData::Flash(queue, _, text) => {
                format!("{queue}!{}", String::from_utf8_lossy(text))
            }
        })
        .collect();
    all.sort();
    all
}

#[test]
fn changes_of_two_requests_are_merged() {
    for kind in [GoPayload::Sessions, GoPayload::Json] {
        let of = format().payload(kind);
        let old = payload(
            &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)],
            &[("", "shown"), ("", "kept"), ("errors", "kept")],
            &of,
        );
        let mine = payload(
            &[("a", 2), ("c", 1), ("d", 2), ("mine", 1), ("e", 1)],
            &[("", "kept"), ("errors", "kept"), ("", "mine")],
            &of,
        );
        let theirs = payload(
            &[("a", 1), ("b", 3), ("c", 3), ("d", 3), ("theirs", 1)],
            &[
                ("", "shown"),
                ("", "kept"),
                ("errors", "kept"),
                ("", "theirs"),
            ],
            &of,
        );
        let merged = merge_go([&old, &mine, &theirs], &of).unwrap().unwrap();
        assert_eq!(
            shown(&merged, &of),
            [
                "!\"kept\"",
                "!\"mine\"",
                "!\"theirs\"",
                "a=2",
                "c=3",
                "d=2",
                "errors!\"kept\"",
                "mine=1",
                "theirs=1"
            ]
        );
        assert!(merge_go([&old, &mine, b"garbage"], &of).is_none());
    }
}

#[test]
fn a_change_is_no_read() {
    use GoChange::{Emptied, Nothing, Other};
    let of = &format();
    let of_values = |values: &[(&str, i64)]| payload(values, &[], of);
    let old = payload(&[("a", 1)], &[("", "hi")], of);
    for (mine, expected) in [
        (old.clone(), Nothing),
        (payload(&[("a", 2)], &[("", "hi")], of), Other),
        (payload(&[("a", 1), ("b", 2)], &[("", "hi")], of), Other),
        (payload(&[], &[("", "hi")], of), Other),
        (payload(&[("a", 1)], &[("", "ho")], of), Other),
        (of_values(&[("a", 1)]), Other),
        (of_values(&[]), Emptied),
    ] {
        assert_eq!(change_in_go(&old, &mine, of), expected, "{mine:?}");
    }
}

#[test]
fn types_of_go_survive_a_merge() {
    let of = format();
    let mut gob = Gob::session();
    gob.insert("n", Value::Int(5).named("int64"));
    let old = gob.encode().unwrap();
    let mut changed = gob.clone();
    changed.insert("n", Value::Int(6).named("int64"));
    let mine = changed.encode().unwrap();
    gob.insert("small", Value::Uint(7).named("uint8"));
    let theirs = gob.encode().unwrap();
    let merged = merge_go([&old, &mine, &theirs], &of).unwrap().unwrap();
    let merged = Gob::decode(&merged).unwrap();
    assert_eq!(merged.get("n"), Some(&Value::Int(6).named("int64")));
    assert_eq!(merged.get("small"), Some(&Value::Uint(7).named("uint8")));
}

/// A value of a Go type that is not in the other gob, or under another id.
#[test]
fn a_struct_survives_a_merge_with_its_removal() {
    let of = format();
    let with = |age: i64| {
        let mut gob = Gob::session();
        let fields = vec![Field::new("Age", TypeId::INT)];
        let name = "Person".to_owned();
        let ty = gob.types.define(Definition::Struct { name, fields });
        let fields = vec![(0, Value::Int(age))];
        gob.insert("person", Value::Struct { ty, fields }.named("main.Person"));
        // A key of a type that is `type Name string` in Go, and no UTF-8.
        let key = Value::String(vec![0xff]).named("main.Name");
        if let Value::Map { entries, .. } = &mut gob.value {
            entries.push((key, Value::Int(age).named("int8")));
        }
        gob
    };
    let mut others = Gob::session();
    let other = others.types.slice_of(TypeId::STRING);
    let items = vec![Value::string("a")];
    let tags = Value::List { ty: other, items }.named("[]string");
    others.insert("tags", tags.clone());
    for theirs in [Gob::session(), others] {
        let [old, mine, theirs] = [with(41), with(42), theirs].map(|gob| gob.encode().unwrap());
        let merged = merge_go([&old, &mine, &theirs], &of).unwrap().unwrap();
        let merged = Gob::decode(&merged).unwrap();
        assert_eq!(
            merged.entries().len(),
            Gob::decode(&theirs).unwrap().entries().len() + 2
        );
        let person = merged.get("person").unwrap();
        assert_eq!(person.name(), Some("main.Person"));
        assert_eq!(to_json(person, &merged.types), json!({"Age": 42}));
        let last = merged
            .entries()
            .iter()
            .find(|(key, _)| key.name() == Some("main.Name"));
        assert_eq!(last.unwrap().1, Value::Int(42).named("int8"));
    }
}

/// Messages are taken by their ids.
#[test]
fn messages_of_two_queues_have_different_ids() {
    let of = format();
    let gob = payload(&[], &[("", "one"), ("errors", "other")], &of);
    let content = Content::of_go(&gob, &of, Timestamp::default()).unwrap();
    let ids: Vec<_> = ["", "errors"]
        .iter()
        .flat_map(|queue| content.frames.flashes(queue).map(|(id, _)| id))
        .collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
}
