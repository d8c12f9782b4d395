//! What is kept of a session, in the cookie or in a store, and its bytes.
//!
//! ```text
//! payload:    flags u8 | [since u40 s | length u32 s] | [attributes] | [subject]
//!             | [version (8)] | [revision u32] | frames
//! flags:      1 lasts for a length of time, 2 lasts until the browser closes, 4 has attributes of its own,
//!             8 has a subject, 16 is a copy of a record, 32 can be in a cookie and a record,
//!             64 is in a record that the browser may not know of
//! attributes: flags u8 | path | [domain]
//! subject:    name | listed since u40 | last listed u40 s
//! texts:      varint length | UTF-8
//! record:     1 u8 | write id (8) | created u40 s | payload
//! sealed:     2 u8 | salt (24) | AES-256-GCM of a record | tag (16)
//! ```
//!
//! A record `0 u8 | write id (8)` says that the session goes on under another ID, and who moved it.
//! One that begins with `3` says what the session was when it went back into its cookie.
//!
//! A sealed record's key is derived from the session's ID, which the store does not know.
//! A cookie's token carries the payload, and the time of creation in its stamp.

use std::time::Duration;

use cookie::SameSite;

use super::frames::Frames;
use crate::{
    binary::{Tail, put_text, put_u40, take_text, take_u40, varint_len},
    clock::Timestamp,
    cookie::CookieAttributes,
    crypto::{self, RandomError, RootKey, SealKey},
    id::SessionId,
    store::{Bytes, Version},
};

#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) created: Timestamp,
    pub(super) persistence: Persistence,
    pub(super) attributes: Option<Box<CookieAttributes>>,
    pub(super) subject: Option<Box<Subject>>,
    /// The subject whose listing has the session still, if it got another one since it was saved;
    /// not encoded.
    pub(super) former: Option<Box<str>>,
    /// In a cookie: the version of the record it is a copy of, which decides as long as it is
    /// there.
    pub(super) copy_of: Option<Version>,
    /// Counts the cookies that the session was in, if it can be in a record as well.
    pub(super) revision: u32,
    /// In a record: no request has come that knows of it, so the cookie whose place it took may
    /// still be in use.
    pub(super) is_unknown: bool,
    pub(super) frames: Frames,
}

/// Whose session it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Subject {
    pub(super) name: Box<str>,
    /// What the listing's `not_before` was when the session was put into it.
    pub(super) since: Timestamp,
    /// When the listing was last told that the session is in use.
    pub(super) listed: Timestamp,
    /// What the listing shall say about the session, which is not in it yet; not encoded.
    pub(super) note: Option<Box<str>>,
}

impl Subject {
    /// How many bytes a subject of this name takes.
    pub(super) fn encoded_len(name: &str) -> usize {
        varint_len(name.len()) + name.len() + 10
    }
}

/// How long this session was asked to last, beyond what is configured for all of its name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Persistence {
    #[default]
    Configured,
    UntilBrowserCloses,
    For {
        since: Timestamp,
        length: Duration,
    },
}

/// Tells one write of a record from another.
pub(super) type WriteId = [u8; 8];

/// What a record says.
pub(super) enum Stored {
    Content(Content, WriteId),
    /// It goes on under another ID.
    Moved,
    /// It goes on in its cookie.
    Settled(Content, WriteId),
}

const MOVED_FORMAT: u8 = 0;
const RECORD_FORMAT: u8 = 1;
const SEALED_FORMAT: u8 = 2;
const SETTLED_FORMAT: u8 = 3;
const SEALED_HEAD: usize = 1 + SALT_LEN;
const SALT_LEN: usize = 24;

impl Content {
    pub(super) fn new(created: Timestamp) -> Self {
        Self {
            created,
            persistence: Persistence::default(),
            attributes: None,
            subject: None,
            former: None,
            copy_of: None,
            revision: 0,
            is_unknown: false,
            frames: Frames::default(),
        }
    }

    /// Whether there is anything that makes a new session worth keeping.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.subject.is_none()
    }

    /// Notes since when the session counts as listed.
    pub(super) fn set_since(&mut self, since: Option<Timestamp>) {
        if let (Some(subject), Some(since)) = (&mut self.subject, since) {
            subject.since = since;
        }
    }

    /// Notes that the listings are as this content says.
    pub(super) fn mark_listed(&mut self) {
        self.former = None;
        if let Some(subject) = &mut self.subject {
            subject.note = None;
        }
    }

    pub(super) fn encode_payload(&self, out: &mut Vec<u8>) {
        let attributes = self.attributes.as_deref();
        let flags = flag(attributes.is_some(), 4)
            | flag(self.subject.is_some(), 8)
            | flag(self.copy_of.is_some(), 16)
            | flag(self.revision > 0, 32)
            | flag(self.is_unknown, 64);
        match self.persistence {
            Persistence::Configured => out.push(flags),
            Persistence::UntilBrowserCloses => out.push(flags | 2),
            Persistence::For { since, length } => {
                out.push(flags | 1);
                put_u40(out, since);
                out.extend_from_slice(
                    &u32::try_from(length.as_secs())
                        .unwrap_or(u32::MAX)
                        .to_be_bytes(),
                );
            }
        }
        if let Some(attributes) = attributes {
            encode_attributes(attributes, out);
        }
        if let Some(subject) = &self.subject {
            put_text(out, &subject.name);
            put_u40(out, subject.since);
            put_u40(out, subject.listed);
        }
        if let Some(version) = self.copy_of {
            out.extend_from_slice(&version.as_u64().to_be_bytes());
        }
        if self.revision > 0 {
            out.extend_from_slice(&self.revision.to_be_bytes());
        }
        out.extend_from_slice(self.frames.as_bytes());
    }

    /// `None` for bytes that [`encode_payload`](Self::encode_payload) does not make.
    pub(super) fn decode_payload(created: Timestamp, mut bytes: Tail) -> Option<Self> {
        let all = bytes.as_slice().len();
        let (&flags, mut rest) = bytes.as_slice().split_first()?;
        let persistence = match flags & 3 {
            0 => Persistence::Configured,
            1 => {
                let (since, after) = take_u40(rest)?;
                let (length, after) = after.split_first_chunk()?;
                rest = after;
                Persistence::For {
                    since,
                    length: Duration::from_secs(u32::from_be_bytes(*length).into()),
                }
            }
            2 => Persistence::UntilBrowserCloses,
            _ => return None,
        };
        if flags & !(3 | 4 | 8 | 16 | 32 | 64) != 0 {
            return None;
        }
        let attributes = if flags & 4 != 0 {
            Some(Box::new(take(&mut rest, decode_attributes)?))
        } else {
            None
        };
        let subject = if flags & 8 != 0 {
            Some(Box::new(take(&mut rest, decode_subject)?))
        } else {
            None
        };
        let copy_of = if flags & 16 != 0 {
            Some(take(&mut rest, decode_version)?)
        } else {
            None
        };
        let revision = if flags & 32 != 0 {
            take(&mut rest, decode_u32)?
        } else {
            0
        };
        let is_unknown = flags & 64 != 0;
        let frames = all - rest.len();
        bytes.advance(frames);
        let frames = Frames::parse(bytes)?;
        let former = None;
        Some(Self {
            created,
            persistence,
            attributes,
            subject,
            former,
            copy_of,
            revision,
            is_unknown,
            frames,
        })
    }

    /// The most bytes that it takes, in a cookie or a record. What may be added without asking is
    /// counted in any case, so that what was accepted once always fits.
    pub(super) fn payload_len(&self) -> usize {
        const FLAGS: usize = 1;
        const PERSISTENCE: usize = 5 + 4;
        let mut head = Vec::new();
        if let Some(attributes) = &self.attributes {
            encode_attributes(attributes, &mut head);
        }
        let subject = self
            .subject
            .as_ref()
            .map_or(0, |subject| Subject::encoded_len(&subject.name));
        FLAGS + PERSISTENCE + head.len() + subject + self.frames.as_bytes().len()
    }

    pub(super) fn encode_record(&self, id: WriteId) -> Vec<u8> {
        self.encode(RECORD_FORMAT, id)
    }

    /// The record of a session that goes on in its cookie.
    pub(super) fn encode_settled(&self, id: WriteId) -> Vec<u8> {
        self.encode(SETTLED_FORMAT, id)
    }

    fn encode(&self, format: u8, id: WriteId) -> Vec<u8> {
        // Exact for most, so that it becomes `Bytes` as it is.
        let head = 1 + size_of::<WriteId>() + 5 + 1;
        let mut out = Vec::with_capacity(head + self.frames.as_bytes().len());
        out.push(format);
        out.extend_from_slice(&id);
        put_u40(&mut out, self.created);
        self.encode_payload(&mut out);
        out
    }
}

/// The record of a session that goes on under another ID.
pub(super) fn moved_record(write: WriteId) -> Vec<u8> {
    [&[MOVED_FORMAT], write.as_slice()].concat()
}

/// Encrypts a record, so that whoever has the store but not the cookie can neither read nor change
/// it.
pub(super) fn seal_record(id: &SessionId, record: &[u8]) -> Result<Vec<u8>, RandomError> {
    let salt: [u8; SALT_LEN] = crypto::random()?;
    let mut sealed = Vec::with_capacity(SEALED_HEAD + record.len() + crypto::TAG_LEN);
    sealed.push(SEALED_FORMAT);
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(record);
    record_key(id).seal(&salt, &mut sealed, SEALED_HEAD);
    Ok(sealed)
}

fn record_key(id: &SessionId) -> SealKey {
    SealKey::new(&RootKey::extract(b"silverback record v1", id.as_bytes()).expand(&[b"record"]))
}

/// `None` for a damaged record, one of a later format, and one that should be sealed and is not.
pub(super) fn decode_record(bytes: Bytes, id: &SessionId, must_be_sealed: bool) -> Option<Stored> {
    // Copies nothing if the store has kept none of it.
    let mut bytes = Vec::from(bytes);
    match *bytes.first()? {
        MOVED_FORMAT => Some(Stored::Moved),
        SEALED_FORMAT => {
            let salt: [u8; SALT_LEN] = bytes.get(1..SEALED_HEAD)?.try_into().ok()?;
            record_key(id).open(&salt, &mut bytes, SEALED_HEAD).ok()?;
            let mut record = Tail::from(bytes);
            record.advance(SEALED_HEAD);
            decode_plain(record)
        }
        _ if must_be_sealed => None,
        _ => decode_plain(bytes.into()),
    }
}

fn decode_plain(mut bytes: Tail) -> Option<Stored> {
    let all = bytes.as_slice();
    let (format, rest) = all.split_first()?;
    let stored = match *format {
        RECORD_FORMAT => Stored::Content,
        SETTLED_FORMAT => Stored::Settled,
        _ => return None,
    };
    let (&id, rest) = rest.split_first_chunk()?;
    let (created, rest) = take_u40(rest)?;
    let payload = all.len() - rest.len();
    bytes.advance(payload);
    Some(stored(Content::decode_payload(created, bytes)?, id))
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// A value and the bytes behind it.
type Decoded<'a, T> = Option<(T, &'a [u8])>;

/// Decodes what comes next and goes on behind it.
fn take<'a, T>(rest: &mut &'a [u8], decode: fn(&'a [u8]) -> Decoded<'a, T>) -> Option<T> {
    let (value, after) = decode(rest)?;
    *rest = after;
    Some(value)
}

fn decode_u32(bytes: &[u8]) -> Decoded<'_, u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn decode_version(bytes: &[u8]) -> Decoded<'_, Version> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((Version::from_u64(u64::from_be_bytes(*number)), rest))
}

fn decode_subject(bytes: &[u8]) -> Decoded<'_, Subject> {
    let (name, rest) = take_text(bytes)?;
    let (since, rest) = take_u40(rest)?;
    let (listed, rest) = take_u40(rest)?;
    Some((
        Subject {
            name: name.into(),
            since,
            listed,
            note: None,
        },
        rest,
    ))
}

const SECURE: u8 = 1;
const HTTP_ONLY: u8 = 2;
const PARTITIONED: u8 = 4;
const STRICT: u8 = 8;
const NONE: u8 = 16;
const DOMAIN: u8 = 32;

fn encode_attributes(attributes: &CookieAttributes, out: &mut Vec<u8>) {
    let same_site = match attributes.same_site {
        SameSite::Lax => 0,
        SameSite::Strict => STRICT,
        SameSite::None => NONE,
    };
    out.push(
        same_site
            | flag(attributes.secure, SECURE)
            | flag(attributes.http_only, HTTP_ONLY)
            | flag(attributes.partitioned, PARTITIONED)
            | flag(attributes.domain.is_some(), DOMAIN),
    );
    for text in std::iter::once(&attributes.path).chain(&attributes.domain) {
        put_text(out, text);
    }
}

fn decode_attributes(bytes: &[u8]) -> Decoded<'_, CookieAttributes> {
    let (&flags, rest) = bytes.split_first()?;
    let same_site = match flags & (STRICT | NONE) {
        0 => SameSite::Lax,
        STRICT => SameSite::Strict,
        NONE => SameSite::None,
        _ => return None,
    };
    let (path, mut rest) = take_text(rest)?;
    let mut domain = None;
    if flags & DOMAIN != 0 {
        let (text, after) = take_text(rest)?;
        (domain, rest) = (Some(text), after);
    }
    let attributes = CookieAttributes {
        path,
        domain,
        secure: flags & SECURE != 0,
        http_only: flags & HTTP_ONLY != 0,
        same_site,
        partitioned: flags & PARTITIONED != 0,
    };
    Some((attributes, rest))
}

#[cfg(test)]
mod tests;
