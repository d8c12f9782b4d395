//! From the request's cookies to an open session.

use std::sync::MutexGuard;

use super::{
    Session,
    content::{Content, Stored, WriteId, decode_record},
    state::{CookieDuty, Copied, Lifetime, Live, Origin, Source, State},
};
use crate::{
    clock::Timestamp,
    codec::Opened,
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    store::{StoreError, Version},
    trace,
};

/// What was found, and whether the browser should forget its cookie or get a new one.
type Found = (Live, CookieDuty);

impl Session {
    /// The session's state, opened if it was not; a session whose store waits has to be loaded first.
    pub(super) fn opened(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.slot().lock();
        if state.live.is_some() {
            return Ok(state);
        }
        drop(state);
        if !self.named().never_waits {
            return Err(Error::new(ErrorKind::NotLoaded));
        }
        self.slot().alone_now(|| self.open_in_turn())?;
        Ok(self.slot().lock())
    }

    pub(super) fn is_open(&self) -> bool {
        self.slot().lock().live.is_some()
    }

    /// Opens the session, for a caller whose turn it is.
    pub(super) async fn open_in_turn(&self) -> Result<(), Error> {
        self.slots.touch();
        let source = {
            let mut state = self.slot().lock();
            if state.live.is_some() {
                return Ok(());
            }
            state.used = true;
            state.source.clone()
        };
        let found = self.find(&source).await?;
        self.install(&mut self.slot().lock(), found)
    }

    /// Opens a server-side session anew after the request has ended, for a caller whose turn it is. What the
    /// request changed and did not save is dropped, what was changed since then is not.
    pub(super) async fn reopen_in_turn(&self) -> Result<(), Error> {
        let source = match self.slot().lock().live.as_ref().and_then(|live| live.origin.clone()) {
            Some(Origin::Record { id, .. }) => Source::Known(id.into()),
            _ => self.slot().lock().source.clone(),
        };
        let found = self.find(&source).await?;
        let state = &mut self.slot().lock();
        if !state.reopened {
            (state.reopened, state.renew, state.changed) = (true, false, false);
            state.log.clear();
            state.cut_off.clear();
        }
        state.source = source;
        self.install(state, found)
    }

    /// Brings what was asked for before the session was open into it.
    fn install(&self, state: &mut State, (mut live, duty): Found) -> Result<(), Error> {
        if let Some(reason) = live.rejection {
            trace::rejected(self.name(), reason);
        }
        for change in &mut state.log {
            change.apply(&mut live.content)?;
        }
        state.owe(duty);
        state.live = Some(live);
        Ok(())
    }

    async fn find(&self, source: &Source) -> Result<Found, Error> {
        let now = self.slots.clock().now();
        match source {
            Source::Nothing => Ok((Live::new(now, None), CookieDuty::Nothing)),
            Source::Known(id) => self.load_record((**id).clone(), now, CookieDuty::Nothing).await,
            Source::Cookie => match self.presented(now) {
                Presented::Nothing(rejection) => Ok((Live::new(now, rejection), CookieDuty::Nothing)),
                Presented::Ambiguous => Ok((Live::new(now, Some(Rejection::Ambiguous)), CookieDuty::Remove)),
                Presented::Token(opened) => self.open_values(opened, now).await,
                Presented::Reference { id, current } => {
                    let duty = if current { CookieDuty::Nothing } else { CookieDuty::Refresh };
                    self.load_record(id, now, duty).await
                }
            },
        }
    }

    async fn open_values(&self, opened: Opened, now: Timestamp) -> Result<Found, Error> {
        let (stamp, current) = (opened.stamp, opened.current);
        let content = Content::decode_payload(stamp.created, opened.payload);
        let (Some(mut content), Some(id)) = (content, stamp.token_id) else {
            return Ok((Live::new(now, Some(Rejection::Malformed)), CookieDuty::Nothing));
        };
        let id = SessionId::of_token(&id);
        let duty = if current { CookieDuty::Nothing } else { CookieDuty::Refresh };
        if let Some(version) = content.copy_of.take() {
            let fetched = self.fetch(&id, now).await?;
            let (mut live, duty) = self.live_of(id, fetched, now, duty).await?;
            live.copy = Some(Copied { version, issued: stamp.issued });
            return Ok((live, duty));
        }
        let lifetime = Lifetime::of(&content, self.named());
        // The timeouts may have been shortened since the token was made.
        let rejection = if lifetime.end.min(stamp.issued.saturating_add(lifetime.idle)) <= now {
            Rejection::Expired
        } else if self.is_revoked(&id, &content).await? {
            Rejection::Revoked
        } else {
            let origin = Origin::Token { id, issued: stamp.issued };
            return Ok((Live::of(Some(origin), content, None), duty));
        };
        Ok((Live::new(now, Some(rejection)), CookieDuty::Nothing))
    }

    async fn is_revoked(&self, id: &SessionId, content: &Content) -> Result<bool, Error> {
        if self.named().revocations.is_none() {
            return Ok(false);
        }
        let key = id.record_key();
        if self.named().is_revoked(&key).await? {
            return Ok(true);
        }
        match (self.subjects(), &content.subject) {
            (Some(subjects), Some(subject)) => Ok(!subjects.load(&subject.name).await?.admits(subject.since, &key)),
            _ => Ok(false),
        }
    }

    async fn load_record(&self, id: SessionId, now: Timestamp, duty: CookieDuty) -> Result<Found, Error> {
        let fetched = self.fetch(&id, now).await?;
        self.live_of(id, fetched, now, duty).await
    }

    /// A cookie whose record is missing stays in the browser: it may be about to get a newer one, from the
    /// response of another request that has renewed the session.
    async fn live_of(&self, id: SessionId, fetched: Fetched, now: Timestamp, duty: CookieDuty) -> Result<Found, Error> {
        let rejection = match fetched {
            Fetched::Record { content, version, expires, .. } => {
                let origin = Origin::Record { id, version, expires };
                return Ok((Live::of(Some(origin), content, None), duty));
            }
            Fetched::Settled { content, .. } if self.is_revoked(&id, &content).await? => Rejection::Revoked,
            // The cookie is older than the one that it went into.
            Fetched::Settled { content, expires, .. } => {
                let idle = Lifetime::of(&content, self.named()).idle;
                let issued = Timestamp::from_secs(expires.as_secs().saturating_sub(idle.as_secs()));
                return Ok((Live::of(Some(Origin::Token { id, issued }), content, None), duty));
            }
            Fetched::Nothing(rejection) => rejection,
        };
        Ok((Live::new(now, Some(rejection)), CookieDuty::Nothing))
    }

    /// The record as it is in the store; failing to look is an error, never "there is none".
    pub(super) async fn fetch(&self, id: &SessionId, now: Timestamp) -> Result<Fetched, Error> {
        let Some(server) = self.named().server() else {
            return Ok(Fetched::Nothing(Rejection::NotFound));
        };
        let record = match server.load(&id.record_key()).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Fetched::Nothing(Rejection::NotFound)),
            Err(StoreError::Corrupt(_)) => return Ok(Fetched::Nothing(Rejection::Corrupt)),
            Err(error) => return Err(error.into()),
        };
        let (version, expires) = (record.version(), record.expires());
        let is_over = |content: &Content| expires.min(Lifetime::of(content, self.named()).end) <= now;
        Ok(match decode_record(record.data(), id, self.named().encrypts_records) {
            Some(Stored::Content(content, _) | Stored::Settled(content, _)) if is_over(&content) => {
                Fetched::Nothing(Rejection::Expired)
            }
            Some(Stored::Content(content, write)) => Fetched::Record { content, version, expires, write },
            Some(Stored::Settled(content, write)) => Fetched::Settled { content, version, expires, write },
            Some(Stored::Moved) => Fetched::Nothing(Rejection::NotFound),
            None => Fetched::Nothing(Rejection::Corrupt),
        })
    }

    /// What all valid sessions are called that the request's cookies hold or refer to, however many there
    /// are: nobody shall be able to keep another from logging out by planting cookies.
    pub(super) fn presented_keys(&self, now: Timestamp) -> Vec<RecordKey> {
        let opened =
            self.slots.cookies.all_named(self.name()).filter_map(|value| self.named().open_cookie(value, now).ok());
        let mut keys: Vec<_> = opened.filter_map(|opened| Presented::of(opened).key()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub(super) fn has_cookie(&self) -> bool {
        self.slots.cookies.all_named(self.name()).next().is_some()
    }

    /// Opens the cookies of the session's name and finds the one that is valid.
    ///
    /// Somebody who can set cookies for a parent domain can add a valid session of his own under our name,
    /// and neither the first nor the last is safe to prefer. So two that differ are none.
    fn presented(&self, now: Timestamp) -> Presented {
        let Some(values) = self.slots.cookies.named(self.name()) else {
            return Presented::Ambiguous;
        };
        let mut found = Presented::Nothing(None);
        for value in values.as_slice() {
            let one = match self.named().open_cookie(value, now) {
                Ok(opened) => Presented::of(opened),
                Err(rejection) => Presented::Nothing(Some(rejection)),
            };
            found = found.and(one);
        }
        found
    }
}

/// What is in the store under a session's name.
pub(super) enum Fetched {
    Record {
        content: Content,
        version: Version,
        expires: Timestamp,
        write: WriteId,
    },
    /// The session goes on in its cookie; this is what it was then.
    Settled {
        content: Content,
        version: Version,
        expires: Timestamp,
        write: WriteId,
    },
    Nothing(Rejection),
}

/// What the cookies of one name amount to.
enum Presented {
    Nothing(Option<Rejection>),
    /// The session itself.
    Token(Opened),
    /// The ID of one in a store.
    Reference {
        id: SessionId,
        current: bool,
    },
    Ambiguous,
}

impl Presented {
    fn of(opened: Opened) -> Self {
        if opened.stamp.token_id.is_some() {
            return Self::Token(opened);
        }
        match SessionId::from_slice(opened.payload.as_slice()) {
            Some(id) => Self::Reference { id, current: opened.current },
            None => Self::Nothing(Some(Rejection::Malformed)),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing(None), other) => other,
            (found, Self::Nothing(_)) => found,
            (Self::Nothing(_), found) => found,
            (Self::Reference { id, current }, Self::Reference { id: other, current: also }) if id == other => {
                Self::Reference { id, current: current && also }
            }
            _ => Self::Ambiguous,
        }
    }

    fn key(&self) -> Option<RecordKey> {
        match self {
            Self::Nothing(_) | Self::Ambiguous => None,
            Self::Token(opened) => opened.stamp.token_id.map(|id| RecordKey::of(&id)),
            Self::Reference { id, .. } => Some(id.record_key()),
        }
    }
}
