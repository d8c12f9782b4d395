//! A value as the vectors describe it: `{"t": type, "v": value}`, with the keys of a map sorted.

use serde_json::{Value as Json, json};

use super::super::{Definition, Gob, Time, Types, Value};

pub(super) fn shown(gob: &Gob) -> Json {
    let ty = match &gob.value {
        Value::String(_) => "string".to_owned(),
        Value::Map { ty, .. } => match gob.types.get(*ty) {
            Some(Definition::Map { key, elem, .. }) => {
                let name = |id: super::super::TypeId| match id.get() {
                    6 => "string",
                    8 => "interface {}",
                    _ => "?",
                };
                format!("map[{}]{}", name(*key), name(*elem))
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    described(&gob.types, &ty, &gob.value)
}

fn described(types: &Types, ty: &str, value: &Value) -> Json {
    let inner = |value: &Value| match value {
        Value::Named { name, value } => described(types, name, value),
        Value::Nil => json!({"t": "nil", "v": null}),
        Value::String(_) => described(types, "string", value),
        Value::Bool(_) => described(types, "bool", value),
        Value::Int(_) => described(types, "int", value),
        other => panic!("{other:?}"),
    };
    let shown = match value {
        Value::String(_) => json!(value.as_str().unwrap()),
        Value::Bool(value) => json!(value),
        Value::Int(number) => json!(number.to_string()),
        Value::List { items, .. } => items.iter().map(inner).collect(),
        Value::Map { entries, .. } => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| json!({"k": inner(key), "v": inner(value)}));
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by_key(|entry| entry["k"]["v"].to_string());
            Json::Array(entries)
        }
        Value::Struct { ty, fields } => {
            let Some(Definition::Struct { fields: all, .. }) = types.get(*ty) else {
                panic!("{ty:?}");
            };
            let fields = fields
                .iter()
                .map(|(index, value)| (all[*index].name.clone(), inner(value)));
            Json::Object(fields.collect())
        }
        Value::Opaque { bytes, .. } => json!(Time::from_bytes(bytes).unwrap().to_string()),
        other => panic!("{other:?}"),
    };
    json!({"t": ty, "v": shown})
}
