//! JSON as Go's values, in the types that Go expects.

use base64_simd::STANDARD;
use serde_json::Value as Json;

use super::json::{BYTES, OTHER_KEY, is_time, key_text, stored, to_json, zero_json};
use crate::gorilla::gob::{Definition, Marshaler, Time, TypeId, Types, Value, parts};

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
    /// Turns the text of a key into a key of this type. The key has no other text: the session would
    /// come back under that one.
    pub(crate) fn key(&mut self, text: &str, ty: TypeId) -> Result<Value, Unfit> {
        let key = self.parse_key(text, ty)?;
        match key_text(&key, self.types) == text {
            true => Ok(key),
            false => Err(Unfit::new("it is no key of Go's map")),
        }
    }

    fn parse_key(&mut self, text: &str, ty: TypeId) -> Result<Value, Unfit> {
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
        if let ("string", Some(bytes)) = (name, odd_text(&json)) {
            let key = Value::String(bytes);
            return match ty {
                TypeId::INTERFACE => Ok(key.named(name)),
                TypeId::STRING => Ok(key),
                _ => Err(Unfit::new("it is no key of Go's map")),
            };
        }
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
        let json = parse(value)?;
        if ty == TypeId::BYTES {
            return Err(unfit("bytes", &json));
        }
        // A session shows bytes as bytes, so a text is not meant as their base64.
        let old = old.filter(|old| !matches!(old.concrete(), Value::Bytes(_)));
        self.fit(&json, old, ty)
    }

    /// Turns the JSON of a flash message into a Go value, in the place of `old`.
    pub(crate) fn message(&mut self, json: &[u8], old: Option<&Value>) -> Result<Value, Unfit> {
        self.fit(&parse(json)?, old, TypeId::INTERFACE)
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

/// Returns the bytes of a text that is not UTF-8, which a key's text has as a list of numbers.
fn odd_text(json: &Json) -> Option<Vec<u8>> {
    let byte = |byte: &Json| u8::try_from(byte.as_u64()?).ok();
    let bytes: Option<Vec<u8>> = json.as_array()?.iter().map(byte).collect();
    bytes.filter(|bytes| std::str::from_utf8(bytes).is_err())
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
        (Json::Array(items), name) => {
            parts(name).is_none_or(|(_, elem)| items.iter().all(|item| keeps_digits(item, elem)))
        }
        (Json::Object(fields), name) => {
            parts(name).is_none_or(|(_, elem)| fields.values().all(|item| keeps_digits(item, elem)))
        }
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

fn parse(json: &[u8]) -> Result<Json, Unfit> {
    serde_json::from_slice(json).map_err(|_| Unfit::new("it is no JSON"))
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
