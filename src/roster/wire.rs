//! A roster's bytes.
//!
//! ```text
//! record: 16 u8 | not before u40 s | sealed roster
//! roster: 1 u8 | the record's key (32) | not before u40 s | last writes | entries
//! entry:  flags u8 | key (32) | created u40 s | since u40 | last used u40 s | expires u40 s | note
//!         | [renewed u40 s | count u8 | former keys (32 each)]
//! flags:  1 being ended, 2 has former keys
//! last writes: as in the record of a session
//! ```
//!
//! A roster of a later format is an error: replacing it would end sessions.
//!
//! The key is in the record so that nobody can pass off one subject's roster as another's.

use super::{Entry, Roster};
use crate::{
    binary::{put_text, put_u40, take_text, take_u40},
    clock::Timestamp,
    content::Writes,
    id::RecordKey,
};

const FORMAT: u8 = 1;
const ENDED: u8 = 1;
const FORMER: u8 = 2;

impl Roster {
    pub(super) fn encode(&self, key: &RecordKey, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(key.as_bytes());
        put_u40(out, self.not_before);
        self.writes.encode(out);
        for entry in &self.entries {
            let has_former = !entry.former.is_empty();
            out.push((u8::from(entry.ended) * ENDED) | (u8::from(has_former) * FORMER));
            out.extend_from_slice(entry.key.as_bytes());
            put_u40(out, entry.created);
            put_u40(out, entry.since);
            put_u40(out, entry.last_used);
            put_u40(out, entry.expires);
            put_text(out, &entry.note);
            if has_former {
                put_u40(out, entry.renewed);
                out.push(u8::try_from(entry.former.len()).unwrap_or(u8::MAX));
                for key in &entry.former {
                    out.extend_from_slice(key.as_bytes());
                }
            }
        }
    }

    /// Returns whether a later release wrote this roster.
    pub(super) fn is_later(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|format| *format > FORMAT)
    }

    pub(super) fn decode(key: &RecordKey, bytes: &[u8]) -> Option<Self> {
        let rest = bytes
            .strip_prefix(&[FORMAT])?
            .strip_prefix(key.as_bytes())?;
        let (not_before, rest) = take_u40(rest)?;
        let (writes, mut rest) = Writes::decode(rest)?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, after) = decode_entry(rest)?;
            entries.push(entry);
            rest = after;
        }
        Some(Self {
            not_before,
            entries,
            writes,
            is_damaged: false,
            is_outdated: false,
        })
    }
}

fn decode_entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (&flags, rest) = bytes.split_first()?;
    if flags & !(ENDED | FORMER) != 0 {
        return None;
    }
    let (key, rest) = take_key(rest)?;
    let (created, rest) = take_u40(rest)?;
    let (since, rest) = take_u40(rest)?;
    let (last_used, rest) = take_u40(rest)?;
    let (expires, rest) = take_u40(rest)?;
    let (note, rest) = take_text(rest)?;
    let mut entry = Entry {
        key,
        former: Vec::new(),
        renewed: Timestamp::default(),
        created,
        since,
        last_used,
        expires,
        note,
        ended: flags & ENDED != 0,
    };
    if flags & FORMER == 0 {
        return Some((entry, rest));
    }
    let (renewed, rest) = take_u40(rest)?;
    let (count, mut rest) = rest.split_first()?;
    entry.renewed = renewed;
    for _ in 0..*count {
        let (key, after) = take_key(rest)?;
        entry.former.push(key);
        rest = after;
    }
    Some((entry, rest))
}

fn take_key(bytes: &[u8]) -> Option<(RecordKey, &[u8])> {
    let (key, rest) = bytes.split_first_chunk()?;
    Some((RecordKey::from_bytes(*key), rest))
}
