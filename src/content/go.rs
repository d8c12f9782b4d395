//! A session as Go keeps it.
//!
//! The frames hold every value, even under keys that are not a `string`, and decide which ones
//! exist. Go's own values are kept beside them, and give each value its Go type when it is written
//! again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::value::RawValue;

use super::{Content, FlashId, Frames, frames::FrameData};
use crate::{
    clock::Timestamp,
    gorilla::{
        Fitter, GoPayload, Gorilla, Unfit,
        gob::{Definition, Gob, TypeId, Types, Value},
        key_text, name_times, stored, to_json,
    },
};

impl Content {
    /// Returns `None` for bytes that are not of this format.
    pub(crate) fn of_go(payload: &[u8], format: &Gorilla, created: Timestamp) -> Option<Self> {
        let mut content = Self::new(created);
        if format.payload == GoPayload::Json {
            content.frames = of_json(payload, format)?;
            return Some(content);
        }
        let mut gob = Gob::decode(payload).ok()?;
        name_times(&mut gob);
        if !format.takes(&gob) {
            return None;
        }
        content.frames = of_gob(&gob, format)?;
        content.go = Some(Arc::new(gob));
        Some(content)
    }

    /// # Errors
    ///
    /// A value does not fit its Go type, or the format has no such values or messages.
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

/// Merges two changes of one session: `mine` and `theirs` both came from `old`. All three are
/// payloads. Returns `None` if one of them cannot be read.
///
/// Of a value that both changed, mine wins. Messages that I have shown are gone, and my new ones
/// follow theirs.
pub(crate) fn merge_go(
    [old, mine, theirs]: [&[u8]; 3],
    format: &Gorilla,
) -> Option<Result<Vec<u8>, Unfit>> {
    let read = |payload| Content::of_go(payload, format, Timestamp::default());
    let (old, mine, mut theirs) = (read(old)?, read(mine)?, read(theirs)?);
    let frames = merged(&old.frames, &mine.frames, &theirs.frames);
    let ours = mine.frames.keys().filter(|key| {
        let value = frames.get(key);
        value == mine.frames.get(key) && value != theirs.frames.get(key)
    });
    let ours: BTreeSet<_> = ours.collect();
    if let (Some(to), Some(from)) = (&mut theirs.go, &mine.go) {
        take_values(Arc::make_mut(to), from, &ours)?;
    }
    theirs.frames = frames;
    Some(theirs.to_go(format))
}

/// Adds values under these keys, with their Go types.
fn take_values(to: &mut Gob, from: &Gob, keys: &BTreeSet<&str>) -> Option<()> {
    let by = to.types.adopt(&from.types)?;
    let Value::Map { entries, .. } = &mut to.value else {
        return None;
    };
    for (key, value) in from.entries() {
        if keys.contains(&*key_text(key, &from.types)) {
            let (mut key, mut value) = (key.clone(), value.clone());
            key.move_types(by)?;
            value.move_types(by)?;
            // Of two entries with one key, `to_gob` takes the last.
            entries.push((key, value));
        }
    }
    Some(())
}

/// Compares what a request has made of a session with what it was. Both are payloads.
pub(crate) fn change_in_go(old: &[u8], mine: &[u8], format: &Gorilla) -> GoChange {
    let read = |payload| {
        let content = Content::of_go(payload, format, Timestamp::default());
        content.map(|content| content.frames)
    };
    match (read(old), read(mine)) {
        (Some(old), Some(mine)) if is_same(&old, &mine) => GoChange::Nothing,
        (_, Some(mine)) if mine.is_empty() => GoChange::Emptied,
        _ => GoChange::Other,
    }
}

/// What a request has done to a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GoChange {
    /// It has read the session.
    Nothing,
    /// It has removed all that was there.
    Emptied,
    Other,
}

/// Returns whether both have the same values and the same messages in the same order.
fn is_same(one: &Frames, other: &Frames) -> bool {
    let is_there = |key: &str| one.get(key) == other.get(key);
    one.keys().all(is_there) && other.keys().all(is_there) && one.messages().eq(other.messages())
}

fn merged(old: &Frames, mine: &Frames, theirs: &Frames) -> Frames {
    let mut frames = Frames::default();
    let mut added: Vec<_> = mine.messages().collect();
    let mut shown: Vec<_> = old.messages().collect();
    shown.retain(|message| !take(&mut added, *message));
    for data in theirs.all() {
        match data {
            FrameData::Value(key, value) => match (old.get(key), mine.get(key)) {
                (Some(_), None) => {}
                (before, Some(after)) if before != Some(after) => frames.insert(key, after),
                _ => frames.insert(key, value),
            },
            FrameData::Flash(queue, id, message) if !take(&mut shown, (queue, message)) => {
                frames.push_flash(queue, id, message);
            }
            FrameData::Flash(..) => {}
        }
    }
    for key in mine.keys().filter(|key| theirs.get(key).is_none()) {
        match mine.get(key) {
            Some(value) if old.get(key) != Some(value) => frames.insert(key, value),
            _ => {}
        }
    }
    for (queue, message) in added {
        frames.push_flash(queue, NEW, message);
    }
    frames
}

/// The id of a message that was in no gob.
const NEW: FlashId = [0xff; 8];

type Message<'a> = (&'a str, &'a [u8]);

/// Removes one such message. Returns whether there was one.
fn take(messages: &mut Vec<Message<'_>>, message: Message<'_>) -> bool {
    let found = messages.iter().position(|other| *other == message);
    found.map(|at| messages.remove(at)).is_some()
}

impl Frames {
    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.all().filter_map(|data| match data {
            FrameData::Flash(queue, _, message) => Some((queue, message)),
            FrameData::Value(..) => None,
        })
    }
}

/// Messages that came from Go have their places as ids: that of the queue among the values, and
/// that in the queue. New ones have random ids.
fn flash_id(queue: usize, at: usize) -> FlashId {
    ((queue as u64) << 32 | at as u64).to_be_bytes()
}

/// A message's place in its queue. The place of a random id does no harm: it only suggests a type
/// that may not fit.
fn place(id: FlashId) -> usize {
    u64::from_be_bytes(id) as u32 as usize
}

fn of_json(payload: &[u8], format: &Gorilla) -> Option<Frames> {
    let values: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(payload).ok()?;
    let mut frames = Frames::default();
    for (place, (key, value)) in values.iter().enumerate() {
        let messages = || serde_json::from_str::<Vec<Box<RawValue>>>(value.get()).ok();
        match format
            .queue_of(key)
            .and_then(|queue| Some((queue, messages()?)))
        {
            Some((queue, messages)) => {
                for (at, message) in messages.iter().enumerate() {
                    frames.push_flash(queue, flash_id(place, at), message.get().as_bytes());
                }
            }
            None => frames.insert(key, value.get().as_bytes()),
        }
    }
    Some(frames)
}

/// Writes JSON as Go's `json.Encoder` does: sorted, with a final newline, and with the characters
/// escaped that HTML would interpret.
fn to_json_object(frames: &Frames, format: &Gorilla) -> Result<Vec<u8>, Unfit> {
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for data in frames.all() {
        let (key, value, is_flash) = match data {
            FrameData::Value(key, value) => (key, value, false),
            FrameData::Flash(queue, _, message) => (key_of(queue, frames, format)?, message, true),
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
    for (place, (key, value)) in entries.iter().enumerate() {
        let key = key_text(key, types);
        match (format.queue_of(&key), messages_in(value)) {
            (Some(queue), Some(messages)) => {
                for (at, message) in messages.iter().enumerate() {
                    let json = to_json(message, types).to_string();
                    frames.push_flash(queue, flash_id(place, at), json.as_bytes());
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
    for data in frames.all() {
        let (text, value) = match data {
            FrameData::Value(text, value) => (text, Some(value)),
            FrameData::Flash(queue, ..) => (key_of(queue, frames, format)?, None),
        };
        let (key_value, before) = match known.get(text) {
            Some((key, before)) => ((*key).clone(), Some(*before)),
            None => (Fitter { types: &mut types }.key(text, key)?, None),
        };
        match (data, value) {
            (_, Some(value)) => {
                let value = Fitter { types: &mut types }.value(value, before, elem);
                entries.push((key_value, value.map_err(|error| error.of(text))?));
            }
            (FrameData::Flash(_, id, message), None) => {
                let known = queues.iter().position(|queue| queue.key == text);
                let at = known.unwrap_or_else(|| {
                    entries.push((key_value, Value::Nil));
                    queues.push(Queue {
                        key: text,
                        at: entries.len() - 1,
                        old: before.and_then(messages_in).unwrap_or_default(),
                        items: Vec::new(),
                    });
                    queues.len() - 1
                });
                if let Some(queue) = queues.get_mut(at) {
                    queue.push(id, message, &mut types)?;
                }
            }
            (FrameData::Value(..), None) => {}
        }
    }
    for queue in queues {
        let list = types.slice_of(TypeId::INTERFACE);
        if elem != TypeId::INTERFACE {
            return Err(unfit("a map of this type has no flash messages"));
        }
        if let Some((_, value)) = entries.get_mut(queue.at) {
            let (ty, items) = (list, queue.items);
            *value = Value::List { ty, items }.named(MESSAGES);
        }
    }
    Ok(Gob::new(types, Value::Map { ty, entries }))
}

/// The messages of one key, on their way to Go.
struct Queue<'a> {
    key: &'a str,
    /// Its place in the map.
    at: usize,
    old: &'a [Value],
    items: Vec<Value>,
}

impl Queue<'_> {
    fn push(&mut self, id: FlashId, message: &[u8], types: &mut Types) -> Result<(), Unfit> {
        let old = self.old.get(place(id));
        let message = Fitter { types }.message(message, old);
        self.items
            .push(message.map_err(|error| error.of(self.key))?);
        Ok(())
    }
}

/// Go's type of a list of messages. Its `Flashes` panics at any other.
const MESSAGES: &str = "[]interface {}";

fn messages_in(value: &Value) -> Option<&[Value]> {
    match (value.name(), value.concrete()) {
        (Some(MESSAGES), Value::List { items, .. }) => Some(items),
        _ => None,
    }
}

/// Returns the key that holds the messages of a queue.
fn key_of<'a>(queue: &'a str, frames: &Frames, format: &Gorilla) -> Result<&'a str, Unfit> {
    let key = format.key_of(queue).ok_or_else(|| {
        unfit(match format.queue_of(queue) {
            Some(_) => "`Session::flash` has this queue",
            None => "name the queue of the flash messages by `Gorilla::flash_queue`",
        })
    })?;
    match frames.get(key) {
        Some(_) => Err(unfit("its key holds a value, so it cannot hold messages")),
        None => Ok(key),
    }
}

fn unfit(what: &str) -> Unfit {
    Unfit { what: what.into() }
}

#[cfg(test)]
mod tests;
