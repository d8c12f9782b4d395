//! A session as Go keeps it.
//!
//! The frames have every value, also under keys that are no `string`, and say which are there. What
//! Go had is kept beside them, and gives each value its Go type when it is written again.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;

use super::{Content, FlashId, Frames, frames::Kept};
use crate::{
    clock::Timestamp,
    gorilla::{
        Fitter, GoPayload, Gorilla, Unfit,
        gob::{Definition, Gob, TypeId, Types, Value},
        key_text, stored, to_json,
    },
};

impl Content {
    /// `None` for bytes that are not of this format.
    pub(crate) fn of_go(payload: &[u8], format: &Gorilla, created: Timestamp) -> Option<Self> {
        let mut content = Self::new(created);
        if format.payload == GoPayload::Json {
            content.frames = of_json(payload, format)?;
            return Some(content);
        }
        let gob = Gob::decode(payload).ok()?;
        if !format.takes(&gob) {
            return None;
        }
        content.frames = of_gob(&gob, format)?;
        content.go = Some(Arc::new(gob));
        Some(content)
    }

    /// # Errors
    ///
    /// A value is none of Go's type, or the format has no such values or messages.
    pub(crate) fn to_go(&self, format: &Gorilla) -> Result<Vec<u8>, Unfit> {
        if format.payload == GoPayload::Json {
            return to_json_object(&self.frames, format);
        }
        let empty;
        let old = match &self.go {
            Some(gob) => gob,
            None => {
                empty = format.empty();
                &empty
            }
        };
        let gob = to_gob(&self.frames, old, format)?;
        gob.encode().map_err(|error| Unfit {
            what: error.to_string(),
        })
    }
}

/// The messages that came have their places as ids; new ones have random ids.
fn flash_id(at: usize) -> FlashId {
    (at as u64).to_be_bytes()
}

fn of_json(payload: &[u8], format: &Gorilla) -> Option<Frames> {
    let values: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(payload).ok()?;
    let mut frames = Frames::default();
    for (key, value) in &values {
        let messages = || serde_json::from_str::<Vec<Box<RawValue>>>(value.get()).ok();
        match format
            .queue_of(key)
            .and_then(|queue| Some((queue, messages()?)))
        {
            Some((queue, messages)) => {
                for (at, message) in messages.iter().enumerate() {
                    frames.push_flash(queue, flash_id(at), message.get().as_bytes());
                }
            }
            None => frames.insert(key, value.get().as_bytes()),
        }
    }
    Some(frames)
}

/// As Go's `json.Encoder` writes it: sorted, with a line's end, and without what HTML would read.
fn to_json_object(frames: &Frames, format: &Gorilla) -> Result<Vec<u8>, Unfit> {
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for kept in frames.kept() {
        let (key, value, is_flash) = match kept {
            Kept::Value(key, value) => (key, value, false),
            Kept::Flash(queue, _, message) => (key_of(queue, format)?, message, true),
        };
        let value = std::str::from_utf8(value)
            .ok()
            .filter(|value| !value.starts_with('\0'));
        let value = value.ok_or_else(|| unfit("JSON has no bytes"))?;
        let before = values.get(key);
        let value = match before.and_then(|before| before.strip_suffix(']')) {
            Some(before) if is_flash => format!("{before},{value}]"),
            _ if is_flash => format!("[{value}]"),
            _ => value.to_owned(),
        };
        values.insert(key, value);
    }
    let mut all = Vec::with_capacity(values.len());
    for (key, value) in values {
        all.push(format!("{}:{value}", serde_json::Value::from(key)));
    }
    let mut json = format!("{{{}}}\n", all.join(","));
    for (character, escape) in [
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
    ] {
        if json.contains(character) {
            json = json.replace(character, escape);
        }
    }
    Ok(json.into_bytes())
}

fn of_gob(gob: &Gob, format: &Gorilla) -> Option<Frames> {
    let Value::Map { entries, .. } = &gob.value else {
        return None;
    };
    let (mut frames, types) = (Frames::default(), &gob.types);
    for (key, value) in entries {
        let key = key_text(key, types);
        match (format.queue_of(&key), value.concrete()) {
            (Some(queue), Value::List { items, .. }) => {
                for (at, message) in items.iter().enumerate() {
                    let json = to_json(message, types).to_string();
                    frames.push_flash(queue, flash_id(at), json.as_bytes());
                }
            }
            _ => frames.insert(&key, &stored(value, types)),
        }
    }
    Some(frames)
}

fn to_gob(frames: &Frames, old: &Gob, format: &Gorilla) -> Result<Gob, Unfit> {
    let mut types = old.types.clone();
    let ty = old.value.type_id();
    let Some(Definition::Map { key, elem, .. }) = types.get(ty).cloned() else {
        return Err(unfit("it is no map"));
    };
    let known: BTreeMap<String, (&Value, &Value)> = old
        .entries()
        .iter()
        .map(|(key, value)| (key_text(key, &old.types), (key, value)))
        .collect();
    let mut entries = Vec::with_capacity(known.len() + 1);
    let mut queues: Vec<Queue<'_>> = Vec::new();
    for kept in frames.kept() {
        let (text, value) = match kept {
            Kept::Value(text, value) => (text, Some(value)),
            Kept::Flash(queue, ..) => (key_of(queue, format)?, None),
        };
        let (key_value, before) = match known.get(text) {
            Some((key, before)) => ((*key).clone(), Some(*before)),
            None => (Fitter { types: &mut types }.key(text, key)?, None),
        };
        match (kept, value) {
            (_, Some(value)) => {
                let value = Fitter { types: &mut types }.value(value, before, elem);
                entries.push((key_value, value.map_err(|error| error.of(text))?));
            }
            (Kept::Flash(_, id, message), None) => {
                let known = queues.iter().position(|queue| queue.key == text);
                let at = known.unwrap_or_else(|| {
                    entries.push((key_value, Value::Nil));
                    queues.push(Queue {
                        key: text,
                        at: entries.len() - 1,
                        old: messages_of(before),
                        items: Vec::new(),
                    });
                    queues.len() - 1
                });
                if let Some(queue) = queues.get_mut(at) {
                    queue.push(id, message, &mut types)?;
                }
            }
            (Kept::Value(..), None) => {}
        }
    }
    for queue in queues {
        let list = types.slice_of(TypeId::INTERFACE);
        if elem != TypeId::INTERFACE {
            return Err(unfit("a map of this type has no flash messages"));
        }
        if let Some((_, value)) = entries.get_mut(queue.at) {
            let (ty, items) = (list, queue.items);
            *value = Value::List { ty, items }.named("[]interface {}");
        }
    }
    Ok(Gob::new(types, Value::Map { ty, entries }))
}

/// Messages of one key, on their way to Go.
struct Queue<'a> {
    key: &'a str,
    /// Where in the map it is.
    at: usize,
    old: &'a [Value],
    items: Vec<Value>,
}

impl Queue<'_> {
    fn push(&mut self, id: FlashId, message: &[u8], types: &mut Types) -> Result<(), Unfit> {
        let old = usize::try_from(u64::from_be_bytes(id)).ok();
        let old = old.and_then(|at| self.old.get(at));
        let message = Fitter { types }.value(message, old, TypeId::INTERFACE);
        self.items
            .push(message.map_err(|error| error.of(self.key))?);
        Ok(())
    }
}

fn messages_of(value: Option<&Value>) -> &[Value] {
    match value.map(Value::concrete) {
        Some(Value::List { items, .. }) => items,
        _ => &[],
    }
}

fn key_of<'a>(queue: &'a str, format: &Gorilla) -> Result<&'a str, Unfit> {
    format
        .key_of(queue)
        .ok_or_else(|| unfit("name the queue of the flash messages by `Gorilla::flash_queue`"))
}

fn unfit(what: &str) -> Unfit {
    Unfit { what: what.into() }
}
