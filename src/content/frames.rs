//! A session's values as bytes: a sequence of frames, each with a key and its value as it was
//! stored, which is JSON or bytes (`session/json.rs`).
//!
//! ```text
//! frame: varint (length of key << 1 | kind) | key | varint (length of value) | value
//! kind:  0 a value, 1 a flash message, whose value is its id (8 bytes) and its JSON
//! ```
//!
//! Loading a session checks the frames and parses no JSON. Saving it copies the bytes. A session
//! has a handful of keys, so scanning the frames beats any index. One is built once a search was
//! long and many follow.

use std::{
    cell::{Cell, OnceCell},
    fmt,
    ops::Range,
};

use bytes::Bytes;

use super::index::Index;
use crate::binary::{Tail, put_varint, take_varint, varint_len};

#[derive(Default)]
pub(crate) struct Frames {
    bytes: Tail,
    /// Start of the frame found last, since a value that was read is often written next. Initially
    /// the last frame, which holds the most recently written value.
    last: Cell<Option<usize>>,
    /// Present once a search was long.
    far: OnceCell<Box<Far>>,
}

#[derive(Default)]
struct Far {
    /// The number of searches since the first long one, while there is no index.
    searches: Cell<u8>,
    /// An index of the values, without flash messages.
    index: OnceCell<Index>,
}

/// A search is long after this many bytes of frames. A session in a cookie never has as many.
const FAR: usize = 4_096;
/// The number of searches after a long one before an index is built, which costs as much as a few
/// of them.
const SEARCHES: u8 = 16;

/// Up to this many flash messages are searched and removed one by one, which allocates nothing.
const FEW: usize = 4;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Value,
    Flash,
}

/// One frame, borrowed.
struct Frame<'a> {
    range: Range<usize>,
    kind: Kind,
    key: &'a [u8],
    value: &'a [u8],
}

/// The content of one frame.
#[cfg(feature = "gorilla")]
#[derive(Clone, Copy)]
pub(super) enum FrameData<'a> {
    /// A key and its value.
    Value(&'a str, &'a [u8]),
    /// A queue and a message in it.
    Flash(&'a str, FlashId, &'a [u8]),
}

/// The place of a key's value, whether or not the key exists.
pub(crate) struct Place<'a> {
    key: &'a str,
    /// The frame and the value in it, if the key exists.
    found: Option<(Range<usize>, Range<usize>)>,
}

pub(crate) type FlashId = [u8; 8];

impl Frames {
    /// Parses the output of [`as_bytes`](Self::as_bytes). Returns `None` for anything else.
    pub(crate) fn parse(bytes: Tail) -> Option<Self> {
        let all = bytes.as_slice();
        let (mut end, mut last) = (0, None);
        for frame in frames_of(all) {
            if !frame.key.is_ascii() {
                std::str::from_utf8(frame.key).ok()?;
            }
            last = Some(frame.range.start);
            end = frame.range.end;
        }
        (end == all.len()).then_some(Self {
            bytes,
            last: Cell::new(last),
            far: OnceCell::new(),
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// As [`Tail::share_behind`].
    pub(super) fn share_behind(&mut self, head: &[u8]) -> Option<Bytes> {
        self.bytes.share_behind(head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.far.take();
        self.last.take();
        self.bytes.clear();
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let values = self.iter().filter(|frame| frame.kind == Kind::Value);
        values.filter_map(|frame| std::str::from_utf8(frame.key).ok())
    }

    /// The number of values and messages.
    pub(crate) fn count(&self) -> usize {
        self.iter().count()
    }

    /// The contents of all frames, in their order.
    #[cfg(feature = "gorilla")]
    pub(super) fn all(&self) -> impl Iterator<Item = FrameData<'_>> {
        self.iter().filter_map(
            |Frame {
                 kind, key, value, ..
             }| {
                let key = std::str::from_utf8(key).ok()?;
                Some(match kind {
                    Kind::Value => FrameData::Value(key, value),
                    Kind::Flash => {
                        let (id, message) = value.split_first_chunk()?;
                        FrameData::Flash(key, *id, message)
                    }
                })
            },
        )
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.find(key).map(|frame| frame.value)
    }

    pub(crate) fn insert(&mut self, key: &str, value: &[u8]) {
        self.put(&self.place(key), value);
    }

    pub(crate) fn remove(&mut self, key: &str) -> bool {
        let range = self.find(key).map(|frame| frame.range);
        range.map(|range| self.cut(range)).is_some()
    }

    pub(crate) fn place<'a>(&self, key: &'a str) -> Place<'a> {
        let found = self.find(key).map(|frame| {
            let start = frame.range.end - frame.value.len();
            (frame.range.clone(), start..frame.range.end)
        });
        Place { key, found }
    }

    /// The value at a place of these frames, which must not have changed since it was found.
    pub(crate) fn at(&self, place: &Place<'_>) -> Option<&[u8]> {
        let (_, value) = place.found.as_ref()?;
        self.as_bytes().get(value.clone())
    }

    /// Puts a value at a place of these frames, which must not have changed since it was found.
    pub(crate) fn put(&mut self, place: &Place<'_>, value: &[u8]) {
        if let Some((frame, old)) = &place.found {
            if let Some(old) = self
                .bytes
                .get_mut(old.clone())
                .filter(|old| old.len() == value.len())
            {
                return old.copy_from_slice(value);
            }
            self.cut(frame.clone());
        }
        let start = self.as_bytes().len();
        self.push(Kind::Value, place.key, &[value]);
        self.last.set(Some(start));
        if let Some(index) = self.open_index() {
            index.insert(place.key.as_bytes(), start);
        }
    }

    pub(crate) fn flashes<'a>(
        &'a self,
        queue: &'a str,
    ) -> impl Iterator<Item = (FlashId, &'a [u8])> {
        self.iter()
            .filter(move |frame| frame.kind == Kind::Flash && frame.key == queue.as_bytes())
            .filter_map(|frame| {
                frame
                    .value
                    .split_first_chunk()
                    .map(|(id, value)| (*id, value))
            })
    }

    pub(crate) fn push_flash(&mut self, queue: &str, id: FlashId, value: &[u8]) {
        self.push(Kind::Flash, queue, &[&id, value]);
    }

    /// Removes the flash message of this id. Returns whether it was there.
    fn remove_flash(&mut self, id: FlashId) -> bool {
        let is_it = |frame: &Frame<'_>| frame.kind == Kind::Flash && frame.value.starts_with(&id);
        let range = self.iter().find(is_it).map(|frame| frame.range);
        range.map(|range| self.cut(range)).is_some()
    }

    /// Removes the flash messages of these ids, which are in ascending order. Leaves the ids of
    /// those that were there.
    pub(crate) fn remove_flashes(&mut self, ids: &mut Vec<FlashId>) {
        if ids.len() <= FEW {
            return ids.retain(|id| self.remove_flash(*id));
        }
        let mut found = Vec::with_capacity(ids.len());
        self.cut_flashes(|_, id| {
            let is_it = ids.binary_search(&id).is_ok();
            found.extend(is_it.then_some(id));
            is_it
        });
        found.sort_unstable();
        *ids = found;
    }

    /// Replaces the flash messages of a queue by these.
    pub(crate) fn set_flashes<'m>(
        &mut self,
        queue: &str,
        messages: impl IntoIterator<Item = &'m (FlashId, Vec<u8>)>,
    ) {
        self.cut_flashes(|other, _| other == queue.as_bytes());
        for (id, value) in messages {
            self.push_flash(queue, *id, value);
        }
    }

    /// Removes the flash messages of which `is_it` accepts the queue and the id, in one pass.
    fn cut_flashes(&mut self, mut is_it: impl FnMut(&[u8], FlashId) -> bool) {
        let flashes = self.iter().filter(|frame| frame.kind == Kind::Flash);
        let cuts: Vec<_> = flashes
            .filter(|frame| {
                let id = frame.value.first_chunk();
                id.is_some_and(|id| is_it(frame.key, *id))
            })
            .map(|frame| frame.range)
            .collect();
        for cut in cuts.iter().rev() {
            if let Some(index) = self.open_index() {
                index.cut(cut.start, cut.len());
            }
        }
        self.last.take();
        self.bytes.remove_all(&cuts);
    }

    pub(crate) fn flash_growth(queue: &str, value: usize) -> usize {
        frame_len(queue, size_of::<FlashId>() + value)
    }

    fn find(&self, key: &str) -> Option<Frame<'_>> {
        let key = key.as_bytes();
        if let Some(start) = self.last.get()
            && let Some(last) = self.frame_at(start)
            && last.is_value_of(key)
        {
            return Some(last);
        }
        let found = self.search(key);
        self.last.set(found.as_ref().map(|frame| frame.range.start));
        found
    }

    fn search(&self, key: &[u8]) -> Option<Frame<'_>> {
        if let Some(far) = self.far.get() {
            return self.find_far(far, key);
        }
        let found = self.iter().find(|frame| frame.is_value_of(key));
        let passed = found
            .as_ref()
            .map_or(self.as_bytes().len(), |frame| frame.range.start);
        if passed > FAR {
            self.far.get_or_init(Box::default);
        }
        found
    }

    #[cold]
    fn find_far(&self, far: &Far, key: &[u8]) -> Option<Frame<'_>> {
        let searches = far.searches.get();
        if searches < SEARCHES {
            far.searches.set(searches + 1);
            return self.iter().find(|frame| frame.is_value_of(key));
        }
        let index = far.index.get_or_init(|| self.new_index());
        let has_key = |start| self.frame_at(start).is_some_and(|it| it.is_value_of(key));
        self.frame_at(index.find(key, has_key)?)
    }

    fn new_index(&self) -> Index {
        let values = || self.iter().filter(|frame| frame.kind == Kind::Value);
        let mut index = Index::for_many(values().count());
        for frame in values() {
            index.insert(frame.key, frame.range.start);
        }
        index
    }

    fn frame_at(&self, start: usize) -> Option<Frame<'_>> {
        frame_at(self.as_bytes(), start)
    }

    /// The index, if there is one that can take another key.
    fn open_index(&mut self) -> Option<&mut Index> {
        let index = &mut self.far.get_mut()?.index;
        if index.get().is_some_and(Index::is_full) {
            index.take();
        }
        index.get_mut()
    }

    /// Removes a frame.
    fn cut(&mut self, range: Range<usize>) {
        if let Some(index) = self.open_index() {
            index.cut(range.start, range.len());
        }
        self.last.take();
        self.bytes.remove(range);
    }

    fn push(&mut self, kind: Kind, key: &str, value: &[&[u8]]) {
        let len = value.iter().map(|part| part.len()).sum();
        let out = self.bytes.as_mut_vec();
        out.reserve(frame_len(key, len));
        put_varint(out, key.len() << 1 | usize::from(kind == Kind::Flash));
        out.extend_from_slice(key.as_bytes());
        put_varint(out, len);
        value.iter().for_each(|part| out.extend_from_slice(part));
    }

    /// Ends at the first byte that is not part of a whole frame.
    fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        frames_of(self.as_bytes())
    }
}

fn frames_of(all: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let frame = frame_at(all, start)?;
        start = frame.range.end;
        Some(frame)
    })
}

#[inline]
fn frame_at(all: &[u8], start: usize) -> Option<Frame<'_>> {
    let (head, rest) = take_varint(all.get(start..)?)?;
    let (key, rest) = rest.split_at_checked(head >> 1)?;
    let (len, rest) = take_varint(rest)?;
    let (value, rest) = rest.split_at_checked(len)?;
    let kind = match head & 1 {
        0 => Kind::Value,
        _ => Kind::Flash,
    };
    Some(Frame {
        range: start..all.len() - rest.len(),
        kind,
        key,
        value,
    })
}

impl Frame<'_> {
    fn is_value_of(&self, key: &[u8]) -> bool {
        self.kind == Kind::Value && self.key == key
    }
}

/// Without the index, which is built again if needed.
impl Clone for Frames {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            ..Self::default()
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

impl Place<'_> {
    /// How many more bytes the frames take with a value of this length here.
    pub(crate) fn growth(&self, value: usize) -> usize {
        let old = self.found.as_ref().map_or(0, |(frame, _)| frame.len());
        frame_len(self.key, value).saturating_sub(old)
    }
}

fn frame_len(key: &str, value: usize) -> usize {
    varint_len(key.len() << 1) + key.len() + varint_len(value) + value
}

#[cfg(test)]
mod tests;
