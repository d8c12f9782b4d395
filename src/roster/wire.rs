//! A roster's bytes.
//!
//! ```text
//! roster: 1 u8 | the record's key (32) | not before u40 s | entries
//! entry:  flags u8 | key (32) | created u40 s | since u40 | last used u40 s | expires u40 s | note
//! flags:  1 being ended
//! ```
//!
//! One of a later format is an error: to put another in its place would end sessions.
//!
//! The key is in the record so that nobody can put one subject's roster in the place of another's.

use super::{Entry, Roster};
use crate::{
    binary::{put_text, put_u40, take_text, take_u40},
    id::RecordKey,
};

const FORMAT: u8 = 1;

impl Roster {
    pub(super) fn encode(&self, key: &RecordKey, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(key.as_bytes());
        put_u40(out, self.not_before);
        for entry in &self.entries {
            out.push(u8::from(entry.ended));
            out.extend_from_slice(entry.key.as_bytes());
            put_u40(out, entry.created);
            put_u40(out, entry.since);
            put_u40(out, entry.last_used);
            put_u40(out, entry.expires);
            put_text(out, &entry.note);
        }
    }

    /// Whether a later release has written it.
    pub(super) fn is_later(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|format| *format > FORMAT)
    }

    pub(super) fn decode(key: &RecordKey, bytes: &[u8]) -> Option<Self> {
        let rest = bytes
            .strip_prefix(&[FORMAT])?
            .strip_prefix(key.as_bytes())?;
        let (not_before, mut rest) = take_u40(rest)?;
        let mut entries = Vec::new();
        while let Some((flags, after)) = rest.split_first() {
            let ended = match flags {
                0 => false,
                1 => true,
                _ => return None,
            };
            let (key, after) = after.split_first_chunk()?;
            let (created, after) = take_u40(after)?;
            let (since, after) = take_u40(after)?;
            let (last_used, after) = take_u40(after)?;
            let (expires, after) = take_u40(after)?;
            let (note, after) = take_text(after)?;
            entries.push(Entry {
                key: RecordKey::from_bytes(*key),
                created,
                since,
                last_used,
                expires,
                note,
                ended,
            });
            rest = after;
        }
        Some(Self {
            not_before,
            entries,
            is_damaged: false,
        })
    }
}
