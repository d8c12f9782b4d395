//! The floor: the least code that does the same job with the same tokens (format version 1).
//!
//! It is ring, base64-simd and copying: one session, one key, one `Cookie` field. A token is
//! opened, changed and sealed in one buffer. Everything that would make it a library is left out:
//! several sessions, keys and cookies, key rotation, renewal, errors with reasons, a log of changes
//! to apply again after a conflict, timeouts beyond the token's own, `Vary` and `Cache-Control`.
//!
//! Its functions are `#[inline]`, so each bench compiles copies for its own calls. The bench adds
//! the service around them.

use std::{
    collections::HashMap,
    hint::black_box,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64_simd::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Serialize, de::DeserializeOwned};
use silverback::Clock;

use crate::{
    browser::Browser,
    endpoint::Endpoint,
    scenario::{ADA, Action, COUNT, Content, NAME, PROFILES, Profile, profile_key, text_key},
    sessions::{Kind, SECRET},
};

const PREFIX: &[u8] = b"session=";
const ATTRIBUTES: &[u8] = b"; HttpOnly; SameSite=Lax; Secure; Path=/";
/// Version and key id.
const HEAD: usize = 5;
const SALT: usize = 24;
/// Issued, created, time to live. The id follows.
const TIMES: usize = 14;
const TTL: u32 = 24 * 3_600;
const SKEW: u64 = 60;

pub struct Floor {
    in_memory: bool,
    /// Whether its responses have `Vary` and `Cache-Control` as well.
    has_cache_headers: bool,
    head: [u8; HEAD],
    key: Key,
    /// By the first byte of their keys, so that two threads seldom need the same lock.
    records: [Mutex<Records>; PARTS],
}

type Records = HashMap<[u8; 32], Record>;

const PARTS: usize = 64;

enum Key {
    Seal(Prk),
    Sign(hmac::Key),
}

#[derive(Clone)]
struct Record {
    version: u64,
    expires: u64,
    bytes: Vec<u8>,
}

/// A payload's head: a flag, and the revision, which every new cookie raises.
const PLAIN: [u8; 5] = [16, 0, 0, 0, 0];
/// The tag of the cookie's attributes, in references to a record.
const TAG: [u8; 2] = [0; 2];

/// The open session, which the service and the handler share in the request's extensions.
pub type Slot = Arc<Mutex<Option<Open>>>;

/// A session in use.
pub struct Open {
    /// The decrypted token without its tag or, with a store, the record.
    bytes: Vec<u8>,
    /// Offset of the frames in `bytes`.
    frames: usize,
    /// The record's key and version, or `None` if the session is new.
    record: Option<([u8; 32], u64)>,
    is_changed: bool,
}

impl Floor {
    pub fn new(kind: Kind) -> Self {
        let root = Salt::new(HKDF_SHA256, b"silverback v1").extract(SECRET);
        let [a, b, c, d] = expand(&root, &[b"kid"]);
        let sealed = kind == Kind::Encrypted;
        let mode: &[u8] = if sealed { b"sealed" } else { b"signed" };
        let purpose: &[u8] = if kind == Kind::Memory {
            b"reference"
        } else {
            b"values"
        };
        let parts = [b"silverback token", mode, b"", NAME.as_bytes(), purpose];
        let lens = parts.map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        let info: Vec<&[u8]> = lens
            .iter()
            .zip(parts)
            .flat_map(|(len, part)| [len as &[u8], part])
            .collect();
        let key: [u8; 32] = expand(&root, &info);
        Self {
            in_memory: kind == Kind::Memory,
            has_cache_headers: false,
            head: [if sealed { 0x11 } else { 0x21 }, a, b, c, d],
            key: if sealed {
                Key::Seal(Prk::new_less_safe(HKDF_SHA256, &key))
            } else {
                Key::Sign(hmac::Key::new(HMAC_SHA256, &key))
            },
            records: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// A floor whose responses have the same header fields as silverback's.
    pub fn with_cache_headers(kind: Kind) -> Self {
        Self {
            has_cache_headers: true,
            ..Self::new(kind)
        }
    }

    /// Saves a changed session and adds the header fields to the response.
    #[inline]
    pub fn finish(&self, slot: &Slot, headers: &mut HeaderMap) {
        let open = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_used = open.is_some();
        let mut directives = "private, no-cache";
        let changed = open.filter(|open| open.is_changed);
        if let Some(cookie) = changed.and_then(|open| self.save(open)) {
            headers.append(header::SET_COOKIE, cookie);
            directives = "no-store";
        }
        if self.has_cache_headers && is_used {
            headers.append(header::VARY, HeaderValue::from_static("Cookie"));
            let directives = HeaderValue::from_static(directives);
            headers.insert(header::CACHE_CONTROL, directives);
        }
    }

    /// Does what the handler does. The arguments find the request's slot and `Cookie` field.
    #[inline]
    pub fn act<'a>(
        &self,
        slot: impl FnOnce() -> Option<&'a Slot>,
        field: impl FnOnce() -> Option<&'a HeaderValue>,
        action: Action,
    ) -> Option<()> {
        if action == Action::Nothing {
            return Some(());
        }
        let slot = slot()?;
        let mut open = match action {
            Action::Create(_) | Action::Prepare(_) => self.create()?,
            Action::ExpectEmpty => return self.opens_nothing(field()),
            _ => self.open(field()?)?,
        };
        match action {
            Action::Nothing | Action::ExpectEmpty => {}
            Action::Read => {
                black_box(open.count()?);
            }
            Action::Count => {
                let count = open.count()? + 1;
                open.insert(COUNT, &count)?;
                black_box(count);
            }
            Action::Create(profiles) => {
                let mut keys = PROFILES.iter().take(profiles);
                keys.try_for_each(|key| open.insert(key, &ADA))?;
            }
            Action::Prepare(content) => {
                let mut numbers = 0..content.profiles;
                numbers.try_for_each(|number| open.insert(&profile_key(number), &ADA))?;
                let mut numbers = 0..content.texts;
                numbers.try_for_each(|number| open.insert(&text_key(number), &content.text()))?;
                open.insert(COUNT, &0)?;
            }
            Action::Expect(content, count) => open.expect(content, count),
        }
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Some(())
    }

    fn opens_nothing(&self, field: Option<&HeaderValue>) -> Option<()> {
        let open = field.and_then(|field| self.open(field));
        open.is_none().then_some(())
    }

    #[inline]
    fn open(&self, field: &HeaderValue) -> Option<Open> {
        let mut token = URL_SAFE_NO_PAD
            .decode_to_vec(find_cookie(field.as_bytes())?)
            .ok()?;
        if !token.starts_with(&self.head) {
            return None;
        }
        let end = match &self.key {
            Key::Seal(key) => {
                let (head, text) = token.split_at_mut_checked(HEAD + SALT)?;
                let key = message_key(key, head.get(HEAD..)?)?;
                HEAD + SALT
                    + key
                        .open_in_place(zero_nonce(), Aad::from(&*head), text)
                        .ok()?
                        .len()
            }
            Key::Sign(key) => {
                let (message, tag) =
                    token.split_at_checked(token.len().checked_sub(SHA256.output_len())?)?;
                hmac::verify(key, message, tag).ok()?;
                message.len()
            }
        };
        token.truncate(end);
        let times = self.times();
        let now = now();
        let [a, b, c, d, e] = *token.get(times..)?.first_chunk()?;
        let issued = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        let ttl = u32::from_be_bytes(*token.get(times + 10..)?.first_chunk()?);
        if issued > now + SKEW || now >= issued + u64::from(ttl) {
            return None;
        }
        let id = times + TIMES;
        if !self.in_memory {
            // The frames follow the token's id and the head, which says that this session has the
            // configured lifetime and attributes.
            return Some(Open {
                bytes: token,
                frames: id + 16 + PLAIN.len(),
                record: None,
                is_changed: false,
            });
        }
        let key = record_key(token.get(id..token.len() - TAG.len())?)?;
        let records = self.records(&key);
        let Record { version, bytes, .. } = records
            .get(&key)
            .filter(|record| record.expires > now)?
            .clone();
        Some(Open {
            bytes,
            frames: 0,
            record: Some((key, version)),
            is_changed: false,
        })
    }

    #[inline]
    fn create(&self) -> Option<Open> {
        let bytes = if self.in_memory {
            Vec::with_capacity(256)
        } else {
            self.token(random::<16>()?, &PLAIN)
        };
        Some(Open {
            frames: bytes.len(),
            bytes,
            record: None,
            is_changed: false,
        })
    }

    /// A token that is not sealed yet.
    #[inline]
    fn token<const N: usize>(&self, id: [u8; N], flags: &[u8]) -> Vec<u8> {
        let mut token = Vec::with_capacity(256);
        token.extend_from_slice(&self.head);
        token.resize(self.times(), 0);
        let [_, _, _, now @ ..] = now().to_be_bytes();
        token.extend_from_slice(&now);
        token.extend_from_slice(&now);
        token.extend_from_slice(&TTL.to_be_bytes());
        token.extend_from_slice(&id);
        token.extend_from_slice(flags);
        token
    }

    #[inline]
    fn save(&self, mut open: Open) -> Option<HeaderValue> {
        let now = now();
        if !self.in_memory {
            let [_, _, _, issued @ ..] = now.to_be_bytes();
            let times = self.times();
            open.bytes
                .get_mut(times..)?
                .first_chunk_mut()
                .map(|place| *place = issued)?;
            let revision = open
                .bytes
                .get_mut(times + TIMES + 17..)?
                .first_chunk_mut()?;
            *revision = (u32::from_be_bytes(*revision) + 1).to_be_bytes();
            return self.cookie(open.bytes);
        }
        let expires = now + u64::from(TTL);
        if let Some((key, version)) = open.record {
            let mut records = self.records(&key);
            let record = records
                .get_mut(&key)
                .filter(|record| record.version == version)?;
            *record = Record {
                version: version + 1,
                expires,
                bytes: open.bytes,
            };
            return None;
        }
        let id = random::<32>()?;
        let key = record_key(&id)?;
        let record = Record {
            version: 1,
            expires,
            bytes: open.bytes,
        };
        self.records(&key).insert(key, record);
        self.cookie(self.token(id, &TAG))
    }

    #[inline]
    fn records(&self, key: &[u8; 32]) -> MutexGuard<'_, Records> {
        let [first, ..] = *key;
        let records = self.records.get(usize::from(first) % PARTS);
        let records = records.expect("a number modulo PARTS is below PARTS");
        records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cookie(&self, mut token: Vec<u8>) -> Option<HeaderValue> {
        match &self.key {
            Key::Seal(key) => {
                let (head, text) = token.split_at_mut_checked(HEAD + SALT)?;
                let salt = head.get_mut(HEAD..)?;
                SystemRandom::new().fill(salt).ok()?;
                let key = message_key(key, salt)?;
                let tag = key
                    .seal_in_place_separate_tag(zero_nonce(), Aad::from(&*head), text)
                    .ok()?;
                token.extend_from_slice(tag.as_ref());
            }
            Key::Sign(key) => {
                let tag = hmac::sign(key, &token);
                token.extend_from_slice(tag.as_ref());
            }
        }
        let encoded = URL_SAFE_NO_PAD.encoded_length(token.len());
        let mut cookie = Vec::with_capacity(PREFIX.len() + encoded + ATTRIBUTES.len());
        cookie.extend_from_slice(PREFIX);
        URL_SAFE_NO_PAD.encode_append(&token, &mut cookie);
        cookie.extend_from_slice(ATTRIBUTES);
        HeaderValue::from_maybe_shared(Bytes::from(cookie)).ok()
    }

    #[inline]
    const fn times(&self) -> usize {
        match self.key {
            Key::Seal(_) => HEAD + SALT,
            Key::Sign(_) => HEAD,
        }
    }
}

impl Open {
    fn count(&self) -> Option<u64> {
        self.get(COUNT)
    }

    fn expect(&self, content: Content, count: Option<u64>) {
        for number in 0..content.profiles {
            let profile: Option<Profile> = self.get(&profile_key(number));
            assert_eq!(profile, Some(ADA.to_owned()));
        }
        for number in 0..content.texts {
            let text: Option<String> = self.get(&text_key(number));
            assert_eq!(text, Some(content.text()));
        }
        assert!(count.is_none() || self.count() == count);
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let (_, value) = self.find(key)?;
        serde_json::from_slice(self.bytes.get(value)?).ok()
    }

    fn insert(&mut self, key: &str, value: &impl Serialize) -> Option<()> {
        let value = serde_json::to_vec(value).ok()?;
        if let Some((frame, _)) = self.find(key) {
            self.bytes.drain(frame);
        }
        put_varint(&mut self.bytes, key.len() << 1);
        self.bytes.extend_from_slice(key.as_bytes());
        put_varint(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(&value);
        self.is_changed = true;
        Some(())
    }

    /// The range of this key's frame, and that of the value in it.
    #[inline]
    fn find(&self, key: &str) -> Option<(Range<usize>, Range<usize>)> {
        let mut start = self.frames;
        while start < self.bytes.len() {
            let (head, name) = self.varint(start)?;
            let (len, value) = self.varint(name + (head >> 1))?;
            let end = value + len;
            if head == key.len() << 1 && self.bytes.get(name..)?.starts_with(key.as_bytes()) {
                return Some((start..end, value..end));
            }
            start = end;
        }
        None
    }

    /// The number at this offset, and the offset after it.
    #[inline]
    fn varint(&self, mut at: usize) -> Option<(usize, usize)> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.bytes.get(at)?;
            number |= usize::from(byte & 0x7f) << shift;
            at += 1;
            shift += 7;
            if byte < 0x80 {
                return Some((number, at));
            }
        }
    }
}

#[inline]
fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline]
fn find_cookie(mut field: &[u8]) -> Option<&[u8]> {
    loop {
        let end = memchr::memchr(b';', field);
        let (pair, rest) = field.split_at_checked(end.unwrap_or(field.len()))?;
        if let Some(value) = pair.trim_ascii_start().strip_prefix(PREFIX) {
            return Some(value);
        }
        field = rest.get(1..)?;
    }
}

#[inline]
fn message_key(key: &Prk, salt: &[u8]) -> Option<LessSafeKey> {
    let key: [u8; 32] = expand(key, &[b"msg", salt]);
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?))
}

#[inline]
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(key: &Prk, info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    key.expand(info, Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .expect("HKDF expands to 32 bytes");
    out
}

#[inline]
fn record_key(id: &[u8]) -> Option<[u8; 32]> {
    digest(&SHA256, id).as_ref().try_into().ok()
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

#[inline]
fn now() -> u64 {
    Clock::system().now().as_secs()
}

/// Makes an endpoint that does this action. All endpoints of one side share a store or key.
pub type Make<'a> = &'a dyn Fn(Action) -> Box<dyn Endpoint>;

/// Checks that the floor does the same job: with cookies, each side continues to count in the
/// session that the other has made. A record in memory is visible to one side only, so each side
/// then checks itself.
///
/// # Panics
///
/// If the floor does something else.
pub fn check(kind: Kind, silverback: Make<'_>, floor: Make<'_>) {
    let length = serde_json::to_vec(&ADA).map(|json| json.len()).ok();
    assert_eq!(
        length,
        Some(119),
        "with the counter it is 120 bytes of JSON"
    );
    if kind == Kind::Memory {
        check_pair(silverback, silverback);
        check_pair(floor, floor);
    } else {
        check_pair(silverback, floor);
        check_pair(floor, silverback);
    }
}

fn check_pair(first: Make<'_>, second: Make<'_>) {
    let content = Content::profiles(2);
    let mut browser = Browser::default();
    browser.visit(&mut *first(Action::Prepare(content)));
    let prepared = browser.field().len();
    for (side, action) in [
        (second, Action::Count),
        (first, Action::Count),
        (second, Action::Expect(content, Some(2))),
    ] {
        browser.visit(&mut *side(action));
        assert_eq!(browser.field().len(), prepared);
    }
}
