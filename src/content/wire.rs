//! A session's bytes, in a cookie and in a record.
//!
//! ```text
//! payload:    flags u8 | [since u40 s | length u32 s] | [attributes] | [authenticated u40 s]
//!             | [subject] | [revision u32] | frames
//! flags:      1 lasts for a length of time, 2 lasts until the browser closes,
//!             4 has attributes of its own, 8 has a subject, 16 can be in a cookie and a record,
//!             32 was renewed
//! attributes: flags u8 | path | [domain]
//! subject:    name | listed since u40 | last listed u40 s
//! texts:      varint length | UTF-8
//! record:     format u8 | writes u8 | (write id (8) | written u40 s) for each | created u40 s
//!             | payload
//! format:     1 a session, 3 one that has outgrown a cookie which may still be in use
//! sealed:     2 u8 | salt (24) | AES-256-GCM of a record | tag (16)
//! ```
//!
//! A sealed record's key is derived from the session's ID, which the store does not know. A
//! cookie's token carries the payload, and the creation time in its stamp. The first byte tells
//! what a record is; see [`RecordKind`](crate::store::RecordKind).

use std::time::Duration;

use cookie::SameSite;

use super::{
    Browser, Content, Particulars, Persistence, Subject,
    frames::Frames,
    mark::{Mark, Name, Unreadable},
    writes::Writes,
};
use crate::{
    binary::{Tail, put_text, put_u40, take_text, take_u40},
    clock::Timestamp,
    cookie::CookieAttributes,
    crypto::{self, RandomError, RootKey, SALT_LEN, SealKey},
    id::SessionId,
    store::{Bytes, RecordKind},
};

/// The decoded content of a record.
#[derive(Debug)]
pub(crate) enum Stored {
    Session {
        content: Content,
        writes: Writes,
        browser: Browser,
    },
    /// The session was renewed or destroyed a moment ago.
    Mark(Mark),
}

const SESSION: u8 = 1;
const SEALED: u8 = 2;
const OUTGROWN: u8 = 3;
const SEALED_HEAD: usize = 1 + SALT_LEN;

/// Frames longer than this cost more to copy than to share.
const LARGE: usize = 1_024;

const LASTS: u8 = 1;
const UNTIL_BROWSER_CLOSES: u8 = 2;
const ATTRIBUTES: u8 = 4;
const SUBJECT: u8 = 8;
const REVISION: u8 = 16;
const AUTHENTICATED: u8 = 32;
/// All of them.
const FLAGS: u8 = LASTS | UNTIL_BROWSER_CLOSES | ATTRIBUTES | SUBJECT | REVISION | AUTHENTICATED;

impl Content {
    pub(crate) fn encode_payload(&self, out: &mut Vec<u8>) {
        self.encode_payload_head(out);
        out.extend_from_slice(self.frames.as_bytes());
    }

    fn encode_payload_head(&self, out: &mut Vec<u8>) {
        let flags = flag(self.revision > 0, REVISION);
        match &self.particulars {
            None => out.push(flags),
            Some(particulars) => particulars.encode(flags, out),
        }
        if self.revision > 0 {
            out.extend_from_slice(&self.revision.to_be_bytes());
        }
    }

    /// Returns `None` for bytes that [`encode_payload`](Self::encode_payload) does not produce.
    pub(crate) fn decode_payload(created: Timestamp, mut bytes: Tail) -> Option<Self> {
        let all = bytes.as_slice();
        let (&flags, mut rest) = all.split_first()?;
        if flags & !FLAGS != 0 {
            return None;
        }
        let particulars = match flags & !REVISION {
            0 => None,
            flags => Some(Box::new(Particulars::decode(flags, &mut rest)?)),
        };
        let revision = match flags & REVISION {
            0 => 0,
            _ => take(&mut rest, decode_u32)?,
        };
        let head = all.len() - rest.len();
        bytes.advance(head);
        let frames = Frames::parse(bytes)?;
        Some(Self {
            created,
            revision,
            frames,
            particulars,
        })
    }

    /// The most bytes that it takes in a cookie or a record. What may be added without a check is
    /// always counted, so that a session once accepted always fits.
    pub(crate) fn payload_len(&self) -> usize {
        const FLAGS: usize = 1;
        const PERSISTENCE: usize = 5 + 4;
        const AUTHENTICATED: usize = 5;
        let own = self.particulars.as_ref();
        let own = own.map_or(0, |particulars| particulars.encoded_len());
        FLAGS + PERSISTENCE + AUTHENTICATED + own + self.frames.as_bytes().len()
    }

    /// The most bytes that a record has besides those that [`payload_len`](Self::payload_len)
    /// counts.
    pub(crate) const fn record_head(is_sealed: bool) -> usize {
        const FORMAT: usize = 1;
        const CREATED: usize = 5;
        const REVISION: usize = 4;
        let seal = if is_sealed {
            SEALED_HEAD + crypto::TAG_LEN
        } else {
            0
        };
        FORMAT + Writes::MOST_LEN + CREATED + REVISION + seal
    }

    pub(crate) fn encode_record(&self, writes: &Writes, browser: Browser) -> Vec<u8> {
        // Exact for most, so that the vector becomes `Bytes` without a copy.
        let head = 1 + writes.encoded_len() + 5 + 1 + self.authenticated.map_or(0, |_| 5);
        let mut out = Vec::with_capacity(head + self.frames.as_bytes().len());
        self.encode_record_head(writes, browser, &mut out);
        out.extend_from_slice(self.frames.as_bytes());
        out
    }

    /// As [`encode_record`](Self::encode_record), for a store in memory. Large frames are not
    /// copied: the store and this content share them until one is changed.
    pub(crate) fn share_record(&mut self, writes: &Writes, browser: Browser) -> Bytes {
        if self.frames.as_bytes().len() > LARGE {
            let mut head = Vec::with_capacity(64);
            self.encode_record_head(writes, browser, &mut head);
            if let Some(record) = self.frames.share_behind(&head) {
                return record;
            }
        }
        self.encode_record(writes, browser).into()
    }

    fn encode_record_head(&self, writes: &Writes, browser: Browser, out: &mut Vec<u8>) {
        out.push(match browser {
            Browser::Knows => SESSION,
            Browser::NeverHeard => OUTGROWN,
        });
        writes.encode(out);
        put_u40(out, self.created);
        self.encode_payload_head(out);
    }
}

impl Particulars {
    /// Encodes the fields, with these flags in addition.
    fn encode(&self, flags: u8, out: &mut Vec<u8>) {
        let attributes = self.attributes.as_deref();
        let flags = flags
            | flag(attributes.is_some(), ATTRIBUTES)
            | flag(self.authenticated.is_some(), AUTHENTICATED)
            | flag(self.subject.is_some(), SUBJECT);
        match self.persistence {
            Persistence::Configured => out.push(flags),
            Persistence::UntilBrowserCloses => out.push(flags | UNTIL_BROWSER_CLOSES),
            Persistence::For { since, length } => {
                out.push(flags | LASTS);
                put_u40(out, since);
                let length = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        if let Some(attributes) = attributes {
            encode_attributes(attributes, out);
        }
        if let Some(authenticated) = self.authenticated {
            put_u40(out, authenticated.into());
        }
        if let Some(subject) = &self.subject {
            put_text(out, &subject.name);
            put_u40(out, subject.since);
            put_u40(out, subject.listed);
        }
    }

    fn decode(flags: u8, rest: &mut &[u8]) -> Option<Self> {
        let persistence = match flags & (LASTS | UNTIL_BROWSER_CLOSES) {
            0 => Persistence::Configured,
            LASTS => take(rest, decode_length)?,
            UNTIL_BROWSER_CLOSES => Persistence::UntilBrowserCloses,
            _ => return None,
        };
        let attributes = match flags & ATTRIBUTES {
            0 => None,
            _ => Some(Box::new(take(rest, decode_attributes)?)),
        };
        let authenticated = match flags & AUTHENTICATED {
            0 => None,
            _ => Some(take(rest, take_u40)?.into()),
        };
        let subject = match flags & SUBJECT {
            0 => None,
            _ => Some(Box::new(take(rest, decode_subject)?)),
        };
        Some(Self {
            persistence,
            attributes,
            authenticated,
            subject,
            ..Self::default()
        })
    }

    /// The encoded length of attributes and subject.
    fn encoded_len(&self) -> usize {
        let mut head = Vec::new();
        if let Some(attributes) = &self.attributes {
            encode_attributes(attributes, &mut head);
        }
        let subject = self.subject.as_ref();
        let subject = subject.map_or(0, |subject| Subject::encoded_len(&subject.name));
        head.len() + subject
    }
}

/// Encrypts a record, so that anyone with the store but without the cookie can neither read nor
/// change it.
pub(crate) fn seal_record(id: &SessionId, record: &[u8]) -> Result<Vec<u8>, RandomError> {
    let salt: [u8; SALT_LEN] = crypto::random()?;
    let mut sealed = Vec::with_capacity(SEALED_HEAD + record.len() + crypto::TAG_LEN);
    sealed.push(SEALED);
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(record);
    record_key(id).seal(&salt, &mut sealed, SEALED_HEAD);
    Ok(sealed)
}

fn record_key(id: &SessionId) -> SealKey {
    SealKey::new(&RootKey::extract(b"silverback record v1", id.as_bytes()).expand(&[b"record"]))
}

/// Decodes a record. One that should be sealed but is not counts as damaged.
pub(crate) fn decode_record(
    bytes: Bytes,
    id: &SessionId,
    must_be_sealed: bool,
) -> Result<Stored, Unreadable> {
    if RecordKind::is_later(&bytes) {
        return Err(Unreadable::Later);
    }
    if bytes.first() > Some(&OUTGROWN) {
        let mark = Name::of(id, must_be_sealed).decode(&bytes)?;
        return mark.map(Stored::Mark).ok_or(Unreadable::Damaged);
    }
    match bytes.first() {
        Some(&SEALED) => open_record(id, bytes.into()),
        Some(_) if !must_be_sealed => decode_plain(bytes.into()).ok_or(Unreadable::Damaged),
        _ => Err(Unreadable::Damaged),
    }
}

fn open_record(id: &SessionId, mut bytes: Vec<u8>) -> Result<Stored, Unreadable> {
    let salt = bytes.get(1..SEALED_HEAD).map(<[u8; SALT_LEN]>::try_from);
    let Some(Ok(salt)) = salt else {
        return Err(Unreadable::Damaged);
    };
    let opened = record_key(id).open(&salt, &mut bytes, SEALED_HEAD);
    let end = opened.map_err(|_| Unreadable::Damaged)?;
    let record = Tail::within(bytes, SEALED_HEAD..end);
    if RecordKind::is_later(record.as_slice()) {
        return Err(Unreadable::Later);
    }
    decode_plain(record).ok_or(Unreadable::Damaged)
}

fn decode_plain(mut bytes: Tail) -> Option<Stored> {
    let all = bytes.as_slice();
    let (format, rest) = all.split_first()?;
    let browser = match *format {
        SESSION => Browser::Knows,
        OUTGROWN => Browser::NeverHeard,
        _ => return None,
    };
    let (writes, rest) = Writes::decode(rest)?;
    let (created, rest) = take_u40(rest)?;
    let payload = all.len() - rest.len();
    bytes.advance(payload);
    let content = Content::decode_payload(created, bytes)?;
    Some(Stored::Session {
        content,
        writes,
        browser,
    })
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// A value and the bytes after it.
type Decoded<'a, T> = Option<(T, &'a [u8])>;

/// Decodes the next value and advances past it.
fn take<'a, T>(rest: &mut &'a [u8], decode: fn(&'a [u8]) -> Decoded<'a, T>) -> Option<T> {
    let (value, after) = decode(rest)?;
    *rest = after;
    Some(value)
}

fn decode_u32(bytes: &[u8]) -> Decoded<'_, u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn decode_length(bytes: &[u8]) -> Decoded<'_, Persistence> {
    let (since, rest) = take_u40(bytes)?;
    let (length, rest) = decode_u32(rest)?;
    let length = Duration::from_secs(length.into());
    Some((Persistence::For { since, length }, rest))
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
