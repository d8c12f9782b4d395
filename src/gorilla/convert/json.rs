//! Go's values as JSON.

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde_json::{Map, Number, Value as Json};

use crate::gorilla::gob::{Definition, Field, Gob, Marshaler, Time, TypeId, Types, Value};

/// Marks a stored value as bytes instead of JSON: see `session/json.rs`.
pub(super) const BYTES: u8 = 0;
/// Marks the text of a key that is not a plain `string`.
pub(super) const OTHER_KEY: char = '\0';

/// The name of `time.Time` in a definition.
const TIME: &str = "Time";

/// How deep zero values are expanded, since Go's struct types may be recursive.
const MAX_ZEROS: usize = 8;

/// Returns the value as a session stores it: JSON or, behind a zero, bytes.
pub(crate) fn stored(value: &Value, types: &Types) -> Vec<u8> {
    match value.concrete() {
        Value::Bytes(bytes) => [&[BYTES], bytes.as_slice()].concat(),
        value => to_json(value, types).to_string().into_bytes(),
    }
}

pub(crate) fn to_json(value: &Value, types: &Types) -> Json {
    let float = |number: f64| Number::from_f64(number).map_or(Json::Null, Json::Number);
    match value {
        Value::Bool(is) => Json::Bool(*is),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Float(number) => float(*number),
        Value::Complex(real, imaginary) => Json::Array(vec![float(*real), float(*imaginary)]),
        Value::String(text) => String::from_utf8_lossy(text).into(),
        Value::Bytes(bytes) => STANDARD.encode_to_string(bytes).into(),
        Value::Nil => Json::Null,
        Value::Named { value, .. } => to_json(value, types),
        Value::List { items, .. } => items.iter().map(|item| to_json(item, types)).collect(),
        Value::Map { entries, .. } => {
            let entries = entries.iter();
            let entry =
                |(key, value): &(Value, Value)| (key_text(key, types), to_json(value, types));
            Json::Object(entries.map(entry).collect())
        }
        Value::Struct { ty, fields } => Json::Object(struct_json(*ty, fields, types)),
        Value::Opaque { ty, bytes } => opaque_json(*ty, bytes, types).into(),
    }
}

fn struct_json(ty: TypeId, fields: &[(usize, Value)], types: &Types) -> Map<String, Json> {
    let Some(Definition::Struct { fields: all, .. }) = types.get(ty) else {
        return Map::new();
    };
    let field = |(at, field): (usize, &Field)| {
        let value = fields.iter().find(|(index, _)| *index == at);
        let json = match value {
            Some((_, value)) => to_json(value, types),
            None => zero_json(field.ty, types, 0),
        };
        (field.name.clone(), json)
    };
    all.iter().enumerate().map(field).collect()
}

/// Returns the JSON of a field that Go left out. A missing struct or array was behind a nil
/// pointer.
pub(super) fn zero_json(ty: TypeId, types: &Types, depth: usize) -> Json {
    match ty {
        TypeId::BOOL => false.into(),
        TypeId::INT | TypeId::UINT => 0.into(),
        TypeId::FLOAT => 0.0.into(),
        TypeId::STRING | TypeId::BYTES => "".into(),
        TypeId::COMPLEX => Json::Array(vec![0.0.into(), 0.0.into()]),
        ty => match types.get(ty) {
            Some(Definition::Slice { .. }) => Json::Array(Vec::new()),
            Some(Definition::Map { .. }) => Json::Object(Map::new()),
            Some(definition) if depth < MAX_ZEROS && is_time(definition) => {
                "0001-01-01T00:00:00Z".into()
            }
            _ => Json::Null,
        },
    }
}

pub(super) fn is_time(definition: &Definition) -> bool {
    matches!(definition, Definition::Opaque { name, .. } if name == TIME)
}

/// Names the type `time.Time` in a gob that does not. Go leaves the name out of all gobs of a process
/// that first met the type as the element of a list or a map.
pub(crate) fn name_times(gob: &mut Gob) {
    let mut found: BTreeMap<TypeId, bool> = BTreeMap::new();
    let unnamed: Vec<_> = gob.types.unnamed().collect();
    if !unnamed.is_empty() {
        find_times(&gob.value, &unnamed, &mut found);
    }
    for (ty, _) in found.into_iter().filter(|(_, is_time)| *is_time) {
        gob.types.name(ty, TIME);
    }
}

/// Finds out of which of these types all values are times.
fn find_times(value: &Value, of: &[TypeId], found: &mut BTreeMap<TypeId, bool>) {
    let mut find = |value: &Value| find_times(value, of, found);
    match value {
        Value::Named { value, .. } => find(value),
        Value::List { items, .. } => items.iter().for_each(find),
        Value::Map { entries, .. } => entries.iter().for_each(|(key, value)| {
            find(key);
            find(value);
        }),
        Value::Struct { fields, .. } => fields.iter().for_each(|(_, field)| find(field)),
        Value::Opaque { ty, bytes } if of.contains(ty) => {
            *found.entry(*ty).or_insert(true) &= Time::from_bytes(bytes).is_some();
        }
        _ => {}
    }
}

fn opaque_json(ty: TypeId, bytes: &[u8], types: &Types) -> String {
    let definition = types.get(ty);
    if definition.is_some_and(is_time)
        && let Some(time) = Time::from_bytes(bytes)
    {
        return time.to_string();
    }
    match definition {
        Some(Definition::Opaque {
            by: Marshaler::Text,
            ..
        }) => String::from_utf8_lossy(bytes).into_owned(),
        _ => STANDARD.encode_to_string(bytes),
    }
}

/// Returns the text of a key. A `string` is its own text. For any other key the text is a zero, the
/// name of its Go type, a colon and its JSON, so no two keys of a map share one.
pub(crate) fn key_text(key: &Value, types: &Types) -> String {
    let name = key.name().unwrap_or(match key.concrete() {
        Value::String(_) => "string",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Bool(_) => "bool",
        Value::Float(_) => "float64",
        _ => "",
    });
    // A map that is declared with `string` keys has no others.
    let is_plain = |text: &str| key.name().is_none() || !text.starts_with(OTHER_KEY);
    match (key.as_str(), key.concrete()) {
        (Some(text), _) if name == "string" && is_plain(text) => text.to_owned(),
        (None, Value::String(bytes)) => {
            other_key(name, &bytes.iter().map(|byte| Json::from(*byte)).collect())
        }
        // As values they are `null`, all three.
        (_, Value::Float(number)) if !number.is_finite() => {
            other_key(name, &number.to_string().into())
        }
        (_, key) => other_key(name, &to_json(key, types)),
    }
}

pub(crate) fn other_key(name: &str, json: &Json) -> String {
    format!("{OTHER_KEY}{name}:{json}")
}
