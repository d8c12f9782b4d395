//! Reading and writing a subject's roster.

use std::{fmt, time::Duration};

use super::Roster;
use crate::{
    binary::{put_text, put_u40},
    clock::Timestamp,
    codec::{Codec, Refusal},
    crypto::{MacKey, RandomError},
    error::{Error, ErrorKind, Rejection},
    id::RecordKey,
    key::Key,
    store::{
        Budget, Bytes, Calls, Expiry, Read, Record, RecordKind, Reserve, StoreError, Version,
        WriteAnswer,
    },
};

/// The first byte of a roster's record; see [`RecordKind`](crate::store::RecordKind). The roster's
/// `not_before` follows it in the clear: a store that drops the record must tell which sessions end
/// with it.
const ROSTER: u8 = 16;

/// The rosters of one session's subjects, and the store they are in.
#[derive(Debug)]
pub(crate) struct Rosters {
    store: Reserve,
    codec: Codec,
    names: Names,
    /// How long the end of all of a subject's sessions must be remembered: as long as the longest
    /// session lasts.
    memory: Duration,
}

/// The scheme by which rosters are named.
struct Names {
    /// The part of their names before the subject.
    scope: Box<[u8]>,
    key: Option<MacKey>,
}

impl Names {
    fn of(&self, subject: &str) -> RecordKey {
        let name = [&self.scope, subject.as_bytes()].concat();
        match &self.key {
            Some(key) => RecordKey::from_bytes(key.sign(&name)),
            None => RecordKey::of(&name),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("is_keyed", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

/// A roster's bytes, and when they expire.
pub(crate) struct SealedRoster {
    data: Bytes,
    expiry: Expiry,
}

impl Rosters {
    pub(crate) fn new(
        store: Reserve,
        codec: Codec,
        name: &str,
        audience: &str,
        memory: Duration,
    ) -> Self {
        let mut scope = b"silverback subject v1".to_vec();
        put_text(&mut scope, name);
        put_text(&mut scope, audience);
        Self {
            store,
            codec,
            names: Names {
                scope: scope.into(),
                key: None,
            },
            memory,
        }
    }

    /// Names rosters by a hash that only the holder of this key can compute. The key is not one of
    /// the ring, because a roster must be found after a rotation.
    pub(crate) fn named_with(mut self, key: Option<&Key>) -> Self {
        self.names.key = key.map(|key| key.mac(b"silverback subject v1"));
        self
    }

    /// The key of a subject's roster in the store.
    pub(crate) fn key(&self, subject: &str) -> RecordKey {
        self.names.of(subject)
    }

    /// The store of the rosters, with this budget for its calls.
    pub(crate) fn within<'a>(&'a self, budget: Budget<'a>) -> Calls<'a> {
        self.store.within(budget)
    }

    /// Loads a roster. A subject without a record has an empty one.
    pub(crate) async fn load(
        &self,
        store: Calls<'_>,
        key: &RecordKey,
        now: Timestamp,
    ) -> Result<(Roster, Option<Version>), Error> {
        let record = store.load(key, Read::Current).await;
        self.read(key, record, now)
    }

    /// Reads a roster from the store's answer.
    pub(crate) fn read(
        &self,
        key: &RecordKey,
        record: Result<Option<Record>, StoreError>,
        now: Timestamp,
    ) -> Result<(Roster, Option<Version>), Error> {
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) => return Ok((Roster::default(), None)),
            Err(StoreError::Corrupt(_)) => return Ok((Roster::damaged(now), None)),
            Err(error) => return Err(error.into()),
        };
        let version = record.version();
        let mut roster = self.open(key, record.data(), now)?;
        roster.prune(now, self.codec.skew(), self.memory);
        Ok((roster, Some(version)))
    }

    /// Encodes and seals a roster.
    pub(crate) fn seal(
        &self,
        key: &RecordKey,
        roster: &Roster,
        now: Timestamp,
    ) -> Result<SealedRoster, RandomError> {
        let len = roster.entries.len() * 64;
        let mut data = vec![ROSTER];
        put_u40(&mut data, roster.not_before);
        data.extend(self.codec.seal_bytes(len, |out| roster.encode(key, out))?);
        Ok(SealedRoster {
            data: data.into(),
            expiry: Expiry::new(roster.expires(now, self.codec.skew(), self.memory), now),
        })
    }

    /// Writes a roster over the loaded version. Fails with `Conflict` if there is another version
    /// by now, which may be this write if it was sent again.
    pub(crate) async fn save(
        &self,
        store: Calls<'_>,
        key: &RecordKey,
        loaded: Option<Version>,
        roster: SealedRoster,
    ) -> WriteAnswer<()> {
        let SealedRoster { data, expiry } = roster;
        let (saved, sent) = match loaded {
            Some(version) => store.update(key, version, data, expiry).await,
            None => store.create(key, data, expiry).await,
        };
        let saved = match saved {
            Ok(_) => Ok(()),
            // It was created or removed since it was loaded.
            Err(StoreError::Exists | StoreError::Gone) => Err(StoreError::Conflict),
            Err(error) => Err(error),
        };
        (saved, sent)
    }

    /// Opens a roster. One that is sealed by an unknown key counts as missing: the sessions in it
    /// had cookies of that key, and a session is listed again before it gets a cookie of another
    /// key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LaterFormat`].
    pub(super) fn open(
        &self,
        key: &RecordKey,
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<Roster, Error> {
        let later = || Error::new(ErrorKind::LaterFormat);
        if RecordKind::is_later(sealed) {
            return Err(later());
        }
        let head = sealed.strip_prefix(&[ROSTER]);
        let sealed = head.and_then(|rest| rest.get(5..)).unwrap_or_default();
        let mut is_outdated = false;
        let mut sealed = sealed.to_vec();
        let roster = match self.codec.open_bytes(&mut sealed) {
            Err(Refusal::For(Rejection::UnknownKey)) => return Ok(Roster::default()),
            Err(Refusal::LaterFormat) => return Err(later()),
            Err(Refusal::For(_)) => None,
            Ok((written, is_current, _)) => {
                let roster = sealed.get(written).unwrap_or_default();
                if Roster::is_later(roster) {
                    return Err(later());
                }
                is_outdated = !is_current;
                Roster::decode(key, roster)
            }
        };
        let mut roster = roster.unwrap_or_else(|| Roster::damaged(now));
        roster.is_outdated = is_outdated;
        Ok(roster)
    }
}

/// The error for a caller who asks what a damaged roster holds.
pub(crate) fn damaged() -> Error {
    Error::with_source(
        ErrorKind::StoreFailed,
        StoreError::Corrupt("not a list of sessions".into()),
    )
}
