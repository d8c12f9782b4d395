//! Go's values as JSON, and back.
//!
//! | Go | Here |
//! |---|---|
//! | `bool`, `string` | the same |
//! | `int` to `int64`, `uint` to `uint64`, `uintptr` | a number without a fraction |
//! | `float32`, `float64` | a number; NaN and the infinities are `null` |
//! | `complex64`, `complex128` | a list of two numbers |
//! | `nil` | `null` |
//! | `[]byte` | bytes; within another value a base64 string, as in Go's JSON |
//! | `time.Time` | a string (RFC 3339) |
//! | slices, arrays | lists |
//! | maps | objects, whose keys are those of [`key_text`] |
//! | structs | objects with all exported fields, in Go's spelling |
//! | others that write their own bytes | a string: their own text, or base64 |
//!
//! On the way back an unchanged value stays as it was, to the byte. A changed value gets the old
//! value's Go type if it fits, and otherwise the one that Go's JSON would give it: `bool`, `int`,
//! `float64`, `string`, `[]interface {}`, `map[string]interface {}`.

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use serde_json::{Map, Number, Value as Json};

use super::gob::{Definition, Gob, Marshaler, Time, TypeId, Types, Value};

/// Marks a stored value as bytes instead of JSON: see `session/json.rs`.
const BYTES: u8 = 0;
/// Marks the text of a key that is not a plain `string`.
const OTHER_KEY: char = '\0';

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
    let field = |(at, field): (usize, &super::gob::Field)| {
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
fn zero_json(ty: TypeId, types: &Types, depth: usize) -> Json {
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

fn is_time(definition: &Definition) -> bool {
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
        (_, key) => other_key(name, &to_json(key, types)),
    }
}

pub(crate) fn other_key(name: &str, json: &Json) -> String {
    format!("{OTHER_KEY}{name}:{json}")
}

/// A value cannot be written as the type that Go expects in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unfit {
    pub(crate) what: String,
}

impl Unfit {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// Adds the key of the value.
    pub(crate) fn of(self, key: &str) -> Self {
        let key = key.trim_start_matches(OTHER_KEY);
        Self::new(format!("{key:?}: {}", self.what))
    }
}

/// Turns a session's values into Go's.
pub(crate) struct Fitter<'t> {
    pub(crate) types: &'t mut Types,
}

impl Fitter<'_> {
    /// Parses the text of a key into a key of this type.
    pub(crate) fn key(&mut self, text: &str, ty: TypeId) -> Result<Value, Unfit> {
        let other = text.strip_prefix(OTHER_KEY);
        let other = other.and_then(|other| other.split_once(':'));
        let other = other.and_then(|(name, json)| {
            let json = serde_json::from_str::<Json>(json).ok()?;
            Some((name, json))
        });
        let Some((name, json)) = other else {
            return match ty {
                TypeId::INTERFACE if !text.starts_with(OTHER_KEY) => {
                    Ok(Value::string(text).named("string"))
                }
                TypeId::STRING => Ok(Value::string(text)),
                _ => Err(Unfit::new("it is no key of Go's map")),
            };
        };
        if ty != TypeId::INTERFACE {
            return self.fit(&json, None, ty);
        }
        let basic = match name {
            "bool" => TypeId::BOOL,
            "int" | "int8" | "int16" | "int32" | "int64" => TypeId::INT,
            "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "uintptr" => TypeId::UINT,
            "float32" | "float64" => TypeId::FLOAT,
            // A type of the application: its name does not say how gob writes it.
            _ => match &json {
                Json::String(_) => TypeId::STRING,
                Json::Bool(_) => TypeId::BOOL,
                Json::Number(_) => TypeId::INT,
                _ => return Err(Unfit::new("Go's type of the key is not known")),
            },
        };
        let key = self.fit(&json, None, basic)?;
        match key.fits(name) {
            true => Ok(key.named(name)),
            false => Err(Unfit::new(format!("the key is no {name}"))),
        }
    }

    /// Turns a stored value into a Go value of this type, in the place of `old`.
    pub(crate) fn value(
        &mut self,
        value: &[u8],
        old: Option<&Value>,
        ty: TypeId,
    ) -> Result<Value, Unfit> {
        if let Some(old) = old.filter(|old| stored(old, self.types) == value) {
            return Ok(old.clone());
        }
        if let [BYTES, bytes @ ..] = value {
            let bytes = Value::Bytes(bytes.to_vec());
            return match (ty, old) {
                (TypeId::BYTES, _) => Ok(bytes),
                // A type of the application, such as `json.RawMessage`.
                (TypeId::INTERFACE, Some(Value::Named { name, value })) => {
                    let is_bytes = matches!(**value, Value::Bytes(_));
                    Ok(bytes.named(if is_bytes { name } else { "[]uint8" }))
                }
                (TypeId::INTERFACE, _) => Ok(bytes.named("[]uint8")),
                _ => Err(Unfit::new("Go expects something else than bytes")),
            };
        }
        let json: Json = serde_json::from_slice(value).map_err(|_| Unfit::new("it is no JSON"))?;
        self.fit(&json, old, ty)
    }

    fn fit(&mut self, json: &Json, old: Option<&Value>, ty: TypeId) -> Result<Value, Unfit> {
        if let Some(old) = old.filter(|old| to_json(old, self.types) == *json) {
            return Ok(old.clone());
        }
        if ty != TypeId::INTERFACE {
            let old = old.filter(|old| old.type_id() == ty);
            return self.concrete(json, old, ty);
        }
        if let Some(Value::Named { name, value }) = old
            && let Ok(fit) = self.fit(json, Some(value), value.type_id())
            && fit.fits(name)
            && keeps_digits(json, name)
        {
            return Ok(fit.named(name));
        }
        self.natural(json)
    }

    /// Returns what Go's JSON would decode, except that whole numbers stay integers.
    fn natural(&mut self, json: &Json) -> Result<Value, Unfit> {
        Ok(match json {
            Json::Null => Value::Nil,
            Json::Bool(is) => Value::Bool(*is).named("bool"),
            Json::String(text) => Value::string(text).named("string"),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), ..) => Value::Int(number).named("int"),
                (_, Some(number), _) => Value::Uint(number).named("uint64"),
                (.., number) => Value::Float(number.unwrap_or_default()).named("float64"),
            },
            Json::Array(items) => {
                let ty = self.types.slice_of(TypeId::INTERFACE);
                let items = items.iter().map(|item| self.natural(item));
                let items = items.collect::<Result<_, _>>()?;
                Value::List { ty, items }.named("[]interface {}")
            }
            Json::Object(fields) => {
                let ty = self.types.map_of(TypeId::STRING, TypeId::INTERFACE);
                let mut entries = Vec::with_capacity(fields.len());
                for (key, value) in fields {
                    entries.push((Value::string(key), self.natural(value)?));
                }
                Value::Map { ty, entries }.named("map[string]interface {}")
            }
        })
    }

    fn concrete(&mut self, json: &Json, old: Option<&Value>, ty: TypeId) -> Result<Value, Unfit> {
        let number = |json: &Json| float(json).ok_or_else(|| unfit("a number", json));
        Ok(match ty {
            TypeId::BOOL => Value::Bool(json.as_bool().ok_or_else(|| unfit("a bool", json))?),
            TypeId::INT => Value::Int(json.as_i64().ok_or_else(|| unfit("an integer", json))?),
            TypeId::UINT => Value::Uint(
                json.as_u64()
                    .ok_or_else(|| unfit("an unsigned integer", json))?,
            ),
            TypeId::FLOAT => Value::Float(number(json)?),
            TypeId::STRING => Value::string(json.as_str().ok_or_else(|| unfit("a string", json))?),
            TypeId::BYTES => {
                let text = json
                    .as_str()
                    .and_then(|text| STANDARD.decode_to_vec(text).ok());
                Value::Bytes(text.ok_or_else(|| unfit("bytes in base64", json))?)
            }
            TypeId::COMPLEX => match json.as_array().map(Vec::as_slice) {
                Some([real, imaginary]) => Value::Complex(number(real)?, number(imaginary)?),
                _ => return Err(unfit("two numbers", json)),
            },
            ty => {
                let definition = self.types.get(ty).cloned();
                match definition.ok_or_else(|| unfit("a known type", json))? {
                    Definition::Slice { elem, .. } => self.list(json, old, (ty, elem), None)?,
                    Definition::Array { elem, len, .. } => {
                        self.list(json, old, (ty, elem), Some(len))?
                    }
                    Definition::Map { key, elem, .. } => self.map(json, old, ty, (key, elem))?,
                    Definition::Struct { fields, .. } => {
                        let fields: Vec<_> = fields
                            .into_iter()
                            .map(|field| (field.name, field.ty))
                            .collect();
                        self.structure(json, old, ty, &fields)?
                    }
                    definition @ Definition::Opaque { .. } => opaque(json, ty, &definition)?,
                }
            }
        })
    }

    fn list(
        &mut self,
        json: &Json,
        old: Option<&Value>,
        (ty, elem): (TypeId, TypeId),
        len: Option<usize>,
    ) -> Result<Value, Unfit> {
        let list = json.as_array().ok_or_else(|| unfit("a list", json))?;
        if len.is_some_and(|len| len != list.len()) {
            return Err(unfit("a list of another length", json));
        }
        let old = match old {
            Some(Value::List { items, .. }) => items.as_slice(),
            _ => &[],
        };
        let mut items = Vec::with_capacity(list.len());
        for (at, item) in list.iter().enumerate() {
            items.push(self.fit(item, old.get(at), elem)?);
        }
        Ok(Value::List { ty, items })
    }

    fn map(
        &mut self,
        json: &Json,
        old: Option<&Value>,
        ty: TypeId,
        (key_type, elem): (TypeId, TypeId),
    ) -> Result<Value, Unfit> {
        let object = json.as_object().ok_or_else(|| unfit("an object", json))?;
        let old = match old {
            Some(Value::Map { entries, .. }) => entries.as_slice(),
            _ => &[],
        };
        let mut entries = Vec::with_capacity(object.len());
        for (text, value) in object {
            let is_it = |(key, _): &&(Value, Value)| key_text(key, self.types) == *text;
            let (key, old) = match old.iter().find(is_it) {
                Some((key, old)) => (key.clone(), Some(old)),
                None => (self.key(text, key_type)?, None),
            };
            entries.push((key, self.fit(value, old, elem)?));
        }
        Ok(Value::Map { ty, entries })
    }

    fn structure(
        &mut self,
        json: &Json,
        old: Option<&Value>,
        ty: TypeId,
        all: &[(String, TypeId)],
    ) -> Result<Value, Unfit> {
        let object = json.as_object().ok_or_else(|| unfit("an object", json))?;
        if let Some(other) = object
            .keys()
            .find(|key| all.iter().all(|(name, _)| name != *key))
        {
            return Err(Unfit::new(format!("Go's struct has no field {other}")));
        }
        let old = match old {
            Some(Value::Struct { fields, .. }) => fields.as_slice(),
            _ => &[],
        };
        let mut fields = Vec::with_capacity(object.len());
        for (at, (name, ty)) in all.iter().enumerate() {
            let Some(json) = object.get(name) else {
                continue;
            };
            let old = old
                .iter()
                .find(|(index, _)| *index == at)
                .map(|(_, old)| old);
            if old.is_none() && *json == zero_json(*ty, self.types, 0) {
                continue;
            }
            let value = self.fit(json, old, *ty)?;
            if !is_zero(&value) {
                fields.push((at, value));
            }
        }
        Ok(Value::Struct { ty, fields })
    }
}

fn whole(json: &Json) -> Option<i128> {
    let signed = json.as_i64().map(i128::from);
    signed.or_else(|| json.as_u64().map(i128::from))
}

/// Returns `None` for a whole number that loses digits in a float64.
fn float(json: &Json) -> Option<f64> {
    let float = json.as_f64()?;
    let keeps_it = whole(json).is_none_or(|whole| format!("{float:.0}") == whole.to_string());
    keeps_it.then_some(float)
}

/// Returns whether a whole number keeps all its digits in the type of this name. Gob writes a
/// float32 with the digits of a float64.
fn keeps_digits(json: &Json, name: &str) -> bool {
    match (json, name) {
        (Json::Number(_), "float32") => {
            whole(json).is_none_or(|whole| format!("{:.0}", whole as f32) == whole.to_string())
        }
        (Json::Array(parts), "complex64") => parts.iter().all(|part| keeps_digits(part, "float32")),
        _ => true,
    }
}

fn unfit(wanted: &str, json: &Json) -> Unfit {
    let found = match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    };
    Unfit::new(format!("Go expects {wanted}, and this is {found}"))
}

/// Returns whether Go leaves out a field with this value.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(is) => !is,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Float(number) => number.to_bits() == 0,
        Value::Complex(real, imaginary) => (real.to_bits(), imaginary.to_bits()) == (0, 0),
        Value::String(bytes) | Value::Bytes(bytes) => bytes.is_empty(),
        Value::Nil => true,
        _ => false,
    }
}

fn opaque(json: &Json, ty: TypeId, definition: &Definition) -> Result<Value, Unfit> {
    let text = json.as_str().ok_or_else(|| unfit("a text", json))?;
    let bytes = match definition {
        definition if is_time(definition) => {
            let time: Time = text.parse().map_err(|_| unfit("a time", json))?;
            time.to_bytes()
        }
        Definition::Opaque {
            by: Marshaler::Text,
            ..
        } => text.as_bytes().to_vec(),
        // Only the Go type itself knows which bytes are right.
        _ => return Err(unfit("the bytes of its own type", json)),
    };
    Ok(Value::Opaque { ty, bytes })
}

#[cfg(test)]
mod tests;
