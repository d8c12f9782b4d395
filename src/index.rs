//! Which sessions a subject has: one sealed record for each subject, in the store that keeps its
//! sessions.
//!
//! ```text
//! listing: 1 u8 | the record's key (32) | not before u40 s | entries
//! entry:   flags u8 | key (32) | created u40 s | since u40 s | last used u40 s | expires u40 s | note
//! flags:   1 being ended
//! ```
//!
//! The key is in the record so that nobody can put one subject's listing in the place of another's.

use std::time::Duration;

use crate::{
    binary::{put_text, put_u40, take_text, take_u40},
    clock::Timestamp,
    codec::Codec,
    error::{Error, ErrorKind, Rejection},
    id::RecordKey,
    store::{Server, StoreError, Version},
};

/// How long a listing without sessions stays.
const EMPTY_LIFETIME: Duration = Duration::from_secs(60);
const FORMAT: u8 = 1;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Listing {
    /// Sessions in a cookie that were listed before this, and are not any more, have been ended. It
    /// is compared with nothing but itself as it was then, so that no two of them are of the same
    /// second.
    pub(crate) not_before: Timestamp,
    pub(crate) entries: Vec<Entry>,
    /// It could not be read: this is a new one, in whose place others were.
    pub(crate) is_damaged: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: RecordKey,
    pub(crate) created: Timestamp,
    /// When it got its subject.
    pub(crate) since: Timestamp,
    pub(crate) last_used: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) note: String,
    /// It must not be used any more, and its record may still have to be removed.
    pub(crate) ended: bool,
}

impl Listing {
    /// The session's entry, unless it is being ended.
    pub(crate) fn get(&self, key: &RecordKey) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.key == *key && !entry.ended)
    }

    pub(crate) fn remove(&mut self, key: &RecordKey) {
        self.entries.retain(|entry| entry.key != *key);
    }

    pub(crate) fn is_ended(&self, key: &RecordKey) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.key == *key && entry.ended)
    }

    /// Whether a session in a cookie that was listed at `since` may go on.
    pub(crate) fn admits(&self, since: Timestamp, key: &RecordKey) -> bool {
        (since >= self.not_before && !self.is_ended(key)) || self.get(key).is_some()
    }

    fn damaged(now: Timestamp) -> Self {
        let mut listing = Self {
            is_damaged: true,
            ..Self::default()
        };
        listing.raise(now.saturating_add(Duration::from_secs(1)));
        listing
    }

    /// Counts what was listed up to now, and is not listed any more, as ended.
    pub(crate) fn raise(&mut self, now: Timestamp) {
        let next = Timestamp::from_secs(self.not_before.as_secs() + 1);
        self.not_before = next.max(now);
    }

    /// Marks the sessions that were not used for longest, until `limit` are left; `keep` stays.
    pub(crate) fn make_room(&mut self, limit: usize, keep: &[RecordKey]) {
        let is_one = |entry: &Entry| !entry.ended && !keep.contains(&entry.key);
        let others = self.entries.iter().filter(|entry| is_one(entry)).count();
        // Whoever is about to get another key counts once.
        let surplus = (others + 1).saturating_sub(limit.max(1));
        self.entries.sort_by_key(|entry| entry.last_used);
        self.entries
            .iter_mut()
            .filter(|entry| is_one(entry))
            .take(surplus)
            .for_each(|entry| entry.ended = true);
    }

    /// Forgets what is over, and after `memory` when sessions were ended.
    fn prune(&mut self, now: Timestamp, memory: Duration) {
        self.entries.retain(|entry| entry.expires > now);
        if self.not_before.saturating_add(memory) <= now {
            self.not_before = Timestamp::default();
        }
    }

    fn expires(&self, now: Timestamp, memory: Duration) -> Timestamp {
        let last = self.entries.iter().map(|entry| entry.expires).max();
        let memory = self.not_before.saturating_add(memory);
        last.unwrap_or_default()
            .max(memory)
            .max(now.saturating_add(EMPTY_LIFETIME))
    }

    fn encode(&self, key: &RecordKey, out: &mut Vec<u8>) {
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

    fn decode(key: &RecordKey, bytes: &[u8]) -> Option<Self> {
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

/// Where the listings of one session's subjects are.
#[derive(Debug)]
pub(crate) struct Index {
    server: Server,
    codec: Codec,
    /// What the keys of its records are made of, before the subject.
    scope: Box<[u8]>,
    /// How long it has to be known when a subject's sessions were ended: as long as the longest of
    /// them lasts.
    memory: Duration,
}

impl Index {
    pub(crate) fn new(
        server: Server,
        codec: Codec,
        name: &str,
        audience: &str,
        memory: Duration,
    ) -> Self {
        let mut scope = b"silverback subject v1".to_vec();
        put_text(&mut scope, name);
        put_text(&mut scope, audience);
        Self {
            server,
            codec,
            scope: scope.into(),
            memory,
        }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// What a subject's listing is called in the store.
    pub(crate) fn key(&self, subject: &str) -> RecordKey {
        RecordKey::of(&[&self.scope, subject.as_bytes()].concat())
    }

    /// Reads a listing; a subject of whom nothing is known has an empty one.
    pub(crate) async fn load(
        &self,
        key: &RecordKey,
        now: Timestamp,
    ) -> Result<(Listing, Option<Version>), Error> {
        let record = match self.server.load(key).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok((Listing::default(), None)),
            Err(StoreError::Corrupt(_)) => return Ok((Listing::damaged(now), None)),
            Err(error) => return Err(error.into()),
        };
        let version = record.version();
        let mut listing = self.open(key, record.data(), now);
        listing.prune(now, self.memory);
        Ok((listing, Some(version)))
    }

    /// Writes a listing in place of what was loaded; `Conflict` if there is another one by now.
    pub(crate) async fn store(
        &self,
        key: &RecordKey,
        loaded: Option<Version>,
        listing: &Listing,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sealed = self
            .codec
            .seal_bytes(listing.entries.len() * 64, |out| listing.encode(key, out))?;
        let expires = listing.expires(now, self.memory);
        let stored = match loaded {
            Some(version) => {
                self.server
                    .update(key, version, sealed.into(), expires)
                    .await
            }
            None => self.server.create(key, sealed.into(), expires).await,
        };
        match stored {
            Ok(_) => Ok(()),
            // It has come or gone since it was loaded.
            Err(StoreError::Exists | StoreError::Gone) => Err(StoreError::Conflict.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// A listing of a key that is not known any more is as good as none: who is in it had a cookie
    /// of that key, and a session that got a cookie of another one was listed again before.
    fn open(&self, key: &RecordKey, sealed: &[u8], now: Timestamp) -> Listing {
        let listing = match self.codec.open_bytes(sealed.to_vec()) {
            Err(Rejection::UnknownKey) => return Listing::default(),
            Err(_) => None,
            Ok((listing, _)) => Listing::decode(key, listing.as_slice()),
        };
        listing.unwrap_or_else(|| Listing::damaged(now))
    }
}

/// A damaged list is an error for whoever asks what is in it.
pub(crate) fn damaged() -> Error {
    Error::with_source(
        ErrorKind::Store,
        StoreError::Corrupt("not a list of sessions".into()),
    )
}
