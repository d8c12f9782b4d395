//! The remembered ends of sessions in cookies.

use std::time::Duration;

use super::records::{Found, Vault, is_own, load_all, next_answer};
use crate::{
    clock::Timestamp,
    content::{End, Fate, Mark, Subject, Unreadable, Writes},
    crypto::RandomError,
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    state::View,
    store::{Read, Record, StoreError},
};

/// How long a request may be under way with a session's former name. A mark lives this long, and an
/// end acts as a mark this long.
pub(crate) const MARK_LIFETIME: Duration = Duration::from_secs(60);

/// How a session ended.
pub(crate) enum Ending {
    /// It was renewed or destroyed a moment ago.
    Marked(Mark),
    /// It ended some time ago, or nobody knows when.
    LongAgo,
}

/// A session in a cookie.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) id: &'a SessionId,
    pub(crate) created: Timestamp,
    pub(crate) subject: Option<&'a Subject>,
}

impl End {
    /// Returns whether a request that began before the end may still be under way.
    fn is_young(&self, now: Timestamp) -> bool {
        self.set.saturating_add(MARK_LIFETIME) > now
    }
}

impl Ending {
    /// # Errors
    ///
    /// [`ErrorKind::LaterFormat`].
    fn of(end: Result<End, Unreadable>, now: Timestamp) -> Result<Self, Error> {
        match end {
            Ok(end) if end.is_young(now) => Ok(Self::Marked(end.mark)),
            Ok(_) | Err(Unreadable::Damaged) => Ok(Self::LongAgo),
            Err(Unreadable::Later) => Err(Error::new(ErrorKind::LaterFormat)),
        }
    }

    /// What a request sees of a session in a cookie that has ended.
    pub(crate) fn into_view(self, view: &View, now: Timestamp) -> View {
        let reason = self.reason();
        match (self, view.home.id()) {
            (Self::Marked(_), Some(id)) => View::marked(id.clone(), reason, now),
            _ => View::new(now, Some(reason)),
        }
    }

    fn reason(&self) -> Rejection {
        match self {
            Self::Marked(mark) => mark.fate.reason(),
            Self::LongAgo => Rejection::Revoked,
        }
    }
}

impl Vault<'_> {
    /// The mark of a session that ends now.
    pub(super) fn end_mark(&self) -> Result<Mark, RandomError> {
        Ok(Mark {
            fate: Fate::Ended,
            write: self.new_write()?.unwrap_or_default(),
            before: Writes::default(),
        })
    }

    /// Remembers the end of a session created at `created`, if ends are remembered and none is
    /// stored under this name. Returns the end that was already there.
    pub(super) async fn set_end(
        &self,
        key: &RecordKey,
        mark: &Mark,
        created: Timestamp,
    ) -> Result<Option<Ending>, Error> {
        let Some(ends) = self.end_store() else {
            return Ok(None);
        };
        let (now, write) = (self.now(), mark.write);
        let until = self.settings.latest_end(created, now);
        let (key, mark) = (key.end_key(), mark.clone());
        let data = End { mark, set: now }.encode();
        let Err(error) = ends.create(&key, data, self.expiry(until)).await.0 else {
            return Ok(None);
        };
        let is_unknown = !matches!(error, StoreError::Exists);
        // The end that is there may be this one, its answer lost.
        match ends.load(&key, Read::Current).await {
            Ok(Some(record)) => match End::decode(record.data()) {
                Ok(end) if is_own(end.mark.write, Some(write)) => Ok(None),
                end => Ending::of(end, now).map(Some),
            },
            Ok(None) if is_unknown => Err(error.into()),
            // It was there a moment ago, and has expired since.
            Ok(None) | Err(StoreError::Corrupt(_)) => Ok(Some(Ending::LongAgo)),
            Err(_) if is_unknown => Err(error.into()),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Returns how a session in a cookie ended, by itself or with its subject's others; `None` if
    /// it is not known to have ended.
    pub(crate) async fn ending(&self, token: Token<'_>) -> Result<Option<Ending>, Error> {
        Ok(self.endings(&[token]).await?.pop().flatten())
    }

    /// As [`ending`](Self::ending), for several sessions in one call and in their order.
    pub(crate) async fn endings(&self, tokens: &[Token<'_>]) -> Result<Vec<Option<Ending>>, Error> {
        let Some(ends) = self.end_store() else {
            return Ok(tokens.iter().map(|_| None).collect());
        };
        let roster_key = |token: &Token<'_>| {
            // Sessions that are not in the roster yet cannot have been ended there.
            let subject = token.subject.filter(|subject| subject.note.is_none())?;
            Some(self.settings.rosters.as_ref()?.key(&subject.name))
        };
        let mut keys = Vec::with_capacity(tokens.len() * 2);
        for token in tokens {
            keys.push(token.id.record_key().end_key());
            keys.extend(roster_key(token));
        }
        let mut answers = load_all(ends, &keys).await.into_iter();
        let (now, mut all) = (self.now(), Vec::with_capacity(tokens.len()));
        for token in tokens {
            let end = next_answer(&mut answers);
            let roster = roster_key(token).map(|key| (key, next_answer(&mut answers)));
            let mut ending = self.read_end(end, now)?;
            if let Some((key, record)) = roster {
                ending = ending.or(self.ended_by_roster(token, &key, record, now)?);
            }
            let store = self.settings.ends();
            let is_forgotten = store.is_some_and(|store| store.may_have_forgotten(token.created));
            all.push(ending.or(is_forgotten.then_some(Ending::LongAgo)));
        }
        Ok(all)
    }

    /// Returns whether, by the roster, the session was ended with its subject's others.
    fn ended_by_roster(
        &self,
        token: &Token<'_>,
        key: &RecordKey,
        record: Result<Option<Record>, StoreError>,
        now: Timestamp,
    ) -> Result<Option<Ending>, Error> {
        let (Some(rosters), Some(subject)) = (&self.settings.rosters, token.subject) else {
            return Ok(None);
        };
        let (roster, _) = rosters.read(key, record, now)?;
        let admits = roster.admits(subject.since, &token.id.record_key());
        Ok((!admits).then_some(Ending::LongAgo))
    }

    /// Reads the record of an end. A damaged record counts as an end.
    pub(super) fn read_end(
        &self,
        end: Result<Option<Record>, StoreError>,
        now: Timestamp,
    ) -> Result<Option<Ending>, Error> {
        let record = match end {
            Ok(None) => return Ok(None),
            Ok(Some(record)) => record,
            Err(StoreError::Corrupt(_)) => return Ok(Some(Ending::LongAgo)),
            Err(error) => return Err(error.into()),
        };
        Ending::of(End::decode(record.data()), now).map(Some)
    }

    /// Returns whether the end of a session in a cookie is remembered.
    pub(super) async fn is_revoked(&self, key: &RecordKey) -> Result<bool, Error> {
        Ok(self.remembered_end(key).await?.is_some())
    }

    /// Returns whether the session was renewed or destroyed a moment ago.
    pub(crate) async fn is_marked(&self, id: &SessionId) -> Result<bool, Error> {
        if let Some(Ending::Marked(_)) = self.remembered_end(&id.record_key()).await? {
            return Ok(true);
        }
        Ok(matches!(self.find(id, self.now()).await?, Found::Marked(_)))
    }

    /// How a session in a cookie ended, if its end is remembered.
    pub(super) async fn remembered_end(&self, key: &RecordKey) -> Result<Option<Ending>, Error> {
        let Some(ends) = self.end_store() else {
            return Ok(None);
        };
        let end = ends.load(&key.end_key(), Read::Current).await;
        self.read_end(end, self.now())
    }
}
