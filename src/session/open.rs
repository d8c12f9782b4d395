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
    store::{Record, StoreError, Version},
    trace,
};

/// What was found, and whether the browser should forget its cookie or get a new one.
type Found = (Live, CookieDuty);

impl Session {
    /// The session's state, opened if it was not; a session whose store waits has to be loaded
    /// first.
    pub(super) fn opened(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.slot().lock();
        if state.live.is_some() {
            return Ok(state);
        }
        if !self.named().has_store() {
            self.slots.touch();
            self.open_from_cookie(&mut state, self.slots.clock().now())?;
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
        let now = self.slots.clock().now();
        let Some(looked) = self.open_from_cookie(&mut self.slot().lock(), now)? else {
            return Ok(());
        };
        let (live, duty) = self.ask(looked, now).await?;
        let state = &mut *self.slot().lock();
        state.live = Some(live);
        self.opened_with(state, duty)
    }

    /// Opens the session if that takes no store; otherwise returns what to ask one for.
    pub(super) fn open_from_cookie(
        &self,
        state: &mut State,
        now: Timestamp,
    ) -> Result<Option<Looked>, Error> {
        if state.live.is_some() {
            return Ok(None);
        }
        state.used = true;
        match self.look(&state.source, now) {
            Looked::Found(live, duty) => {
                state.live = Some(live);
                self.opened_with(state, duty).map(|()| None)
            }
            looked => Ok(Some(looked)),
        }
    }

    /// Opens a server-side session anew after the request has ended, for a caller whose turn it is.
    /// What the request changed and did not save is dropped, what was changed since then is not.
    pub(super) async fn reopen_in_turn(&self) -> Result<(), Error> {
        let source = match self
            .slot()
            .lock()
            .live
            .as_ref()
            .and_then(|live| live.origin.clone())
        {
            Some(Origin::Record { id, .. }) => Source::Known(id.into()),
            _ => self.slot().lock().source.clone(),
        };
        let now = self.slots.clock().now();
        let (live, duty) = self.ask(self.look(&source, now), now).await?;
        let state = &mut self.slot().lock();
        if !state.reopened {
            (state.reopened, state.renew, state.changed) = (true, false, false);
            state.log.clear();
            state.cut_off.clear();
        }
        state.source = source;
        state.live = Some(live);
        self.opened_with(state, duty)
    }

    /// Brings what was asked for before the session was open into it.
    fn opened_with(&self, state: &mut State, duty: CookieDuty) -> Result<(), Error> {
        let Some(live) = &mut state.live else {
            return Ok(());
        };
        if let Some(reason) = live.rejection {
            trace::rejected(self.name(), reason);
        }
        for change in &mut state.log {
            if let Err(error) = change.apply(&mut live.content) {
                state.live = None;
                return Err(error);
            }
        }
        state.owe(duty);
        Ok(())
    }

    /// Opens the session as far as that takes no store.
    fn look(&self, source: &Source, now: Timestamp) -> Looked {
        let new = |rejection, duty| Looked::Found(Live::new(now, rejection), duty);
        let duty = |current| {
            if current {
                CookieDuty::Nothing
            } else {
                CookieDuty::Refresh
            }
        };
        match source {
            Source::Nothing => new(None, CookieDuty::Nothing),
            Source::Known(id) => Looked::Record((**id).clone(), CookieDuty::Nothing),
            Source::Cookie => match self.presented(now) {
                Presented::Nothing(rejection) => new(rejection, CookieDuty::Nothing),
                Presented::Ambiguous => new(Some(Rejection::Ambiguous), CookieDuty::Remove),
                Presented::Reference { id, current } => Looked::Record(id, duty(current)),
                Presented::Token(opened) => {
                    let duty = duty(opened.current);
                    match self.open_token(opened, now) {
                        Ok(live) if self.named().has_store() => Looked::Token(Box::new(live), duty),
                        // Nobody can ask the record, which may say otherwise or be gone.
                        Ok(live) if live.content.copy_of.is_some() => {
                            new(Some(Rejection::NotFound), CookieDuty::Nothing)
                        }
                        Ok(live) => Looked::Found(live, duty),
                        Err(rejection) => new(Some(rejection), CookieDuty::Nothing),
                    }
                }
            },
        }
    }

    fn open_token(&self, opened: Opened, now: Timestamp) -> Result<Live, Rejection> {
        let stamp = opened.stamp;
        let content = Content::decode_payload(stamp.created, opened.payload);
        let (Some(content), Some(id)) = (content, stamp.token_id) else {
            return Err(Rejection::Malformed);
        };
        let lifetime = Lifetime::of(&content, self.named());
        // The timeouts may have been shortened since the token was made. A copy lasts as long as
        // its record.
        if content.copy_of.is_none()
            && lifetime.end.min(stamp.issued.saturating_add(lifetime.idle)) <= now
        {
            return Err(Rejection::Expired);
        }
        let origin = Origin::Token {
            id: SessionId::of_token(&id),
            issued: stamp.issued,
        };
        Ok(Live::of(Some(origin), content, None))
    }

    /// Opens the rest of the way.
    async fn ask(&self, looked: Looked, now: Timestamp) -> Result<Found, Error> {
        let (mut live, duty) = match looked {
            Looked::Found(live, duty) => return Ok((live, duty)),
            Looked::Record(id, duty) => return self.open_record(id, now, duty).await,
            Looked::Token(live, duty) => (*live, duty),
        };
        let Some(Origin::Token { id, issued }) = &live.origin else {
            return Ok((live, duty));
        };
        if let Some(version) = live.content.copy_of.take() {
            let (id, copy) = (
                id.clone(),
                Copied {
                    version,
                    issued: *issued,
                },
            );
            let (live, duty) = self.open_record(id, now, duty).await?;
            return Ok((
                Live {
                    copy: Some(copy),
                    ..live
                },
                duty,
            ));
        }
        if self.is_revoked(id, &live.content).await? {
            return Ok((
                Live::new(now, Some(Rejection::Revoked)),
                CookieDuty::Nothing,
            ));
        }
        Ok((live, duty))
    }

    async fn open_record(
        &self,
        id: SessionId,
        now: Timestamp,
        duty: CookieDuty,
    ) -> Result<Found, Error> {
        let fetched = self.fetch(&id, now).await?;
        if let Fetched::Settled { content, .. } = &fetched
            && self.is_revoked(&id, content).await?
        {
            return Ok((
                Live::new(now, Some(Rejection::Revoked)),
                CookieDuty::Nothing,
            ));
        }
        Ok(self.live_of(id, fetched, now, duty))
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
            (Some(subjects), Some(subject)) => Ok(!subjects
                .load(&subject.name)
                .await?
                .admits(subject.since, &key)),
            _ => Ok(false),
        }
    }

    /// A cookie whose record is missing stays in the browser: it may be about to get a newer one,
    /// from the response of another request that has renewed the session.
    fn live_of(&self, id: SessionId, fetched: Fetched, now: Timestamp, duty: CookieDuty) -> Found {
        match fetched {
            Fetched::Record {
                content,
                version,
                expires,
                ..
            } => (
                Live::of(
                    Some(Origin::Record {
                        id,
                        version,
                        expires,
                    }),
                    content,
                    None,
                ),
                duty,
            ),
            // The cookie is older than the one that it went into.
            Fetched::Settled {
                content, expires, ..
            } => {
                let idle = Lifetime::of(&content, self.named()).idle;
                let issued = Timestamp::from_secs(expires.as_secs().saturating_sub(idle.as_secs()));
                (
                    Live::of(Some(Origin::Token { id, issued }), content, None),
                    duty,
                )
            }
            Fetched::Nothing(rejection) => (Live::new(now, Some(rejection)), CookieDuty::Nothing),
        }
    }

    /// The record as it is in the store; failing to look is an error, never "there is none".
    pub(super) async fn fetch(&self, id: &SessionId, now: Timestamp) -> Result<Fetched, Error> {
        let Some(server) = self.named().server() else {
            return Ok(Fetched::Nothing(Rejection::NotFound));
        };
        match server.load(&id.record_key()).await {
            Ok(Some(record)) => Ok(self.read_record(id, record, now)),
            Ok(None) => Ok(Fetched::Nothing(Rejection::NotFound)),
            Err(StoreError::Corrupt(_)) => Ok(Fetched::Nothing(Rejection::Corrupt)),
            Err(error) => Err(error.into()),
        }
    }

    fn read_record(&self, id: &SessionId, record: Record, now: Timestamp) -> Fetched {
        let (version, expires) = (record.version(), record.expires());
        let is_over =
            |content: &Content| expires.min(Lifetime::of(content, self.named()).end) <= now;
        match decode_record(record.into_data(), id, self.named().encrypts_records) {
            Some(Stored::Content(content, _) | Stored::Settled(content, _))
                if is_over(&content) =>
            {
                Fetched::Nothing(Rejection::Expired)
            }
            Some(Stored::Content(content, write)) => Fetched::Record {
                content,
                version,
                expires,
                write,
            },
            Some(Stored::Settled(content, write)) => Fetched::Settled {
                content,
                version,
                expires,
                write,
            },
            Some(Stored::Moved) => Fetched::Nothing(Rejection::NotFound),
            None => Fetched::Nothing(Rejection::Corrupt),
        }
    }

    /// What all valid sessions are called that the request's cookies hold or refer to, however many
    /// there are: nobody shall be able to keep another from logging out by planting cookies.
    pub(super) fn presented_keys(&self, now: Timestamp) -> Vec<RecordKey> {
        let opened = self
            .slots
            .cookies
            .all_named(&self.named().finder)
            .filter_map(|value| self.named().open_cookie(value, now).ok());
        let mut keys: Vec<_> = opened
            .filter_map(|opened| Presented::of(opened).key())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub(super) fn has_cookie(&self) -> bool {
        self.slots
            .cookies
            .all_named(&self.named().finder)
            .next()
            .is_some()
    }

    /// Opens the cookies of the session's name and finds the one that is valid.
    ///
    /// Somebody who can set cookies for a parent domain can add a valid session of his own under
    /// our name, and neither the first nor the last is safe to prefer. So two that differ are none.
    fn presented(&self, now: Timestamp) -> Presented {
        let Some(values) = self.slots.cookies.named(&self.named().finder) else {
            return Presented::Ambiguous;
        };
        let open = |value| match self.named().open_cookie(value, now) {
            Ok(opened) => Presented::of(opened),
            Err(rejection) => Presented::Nothing(Some(rejection)),
        };
        match values.as_slice() {
            [] => Presented::Nothing(None),
            [value] => open(value),
            values => values
                .iter()
                .fold(Presented::Nothing(None), |found, value| {
                    found.and(open(value))
                }),
        }
    }
}

/// What can be told of a session without a store.
pub(super) enum Looked {
    Found(Live, CookieDuty),
    /// It is in a record.
    Record(SessionId, CookieDuty),
    /// It is in the cookie, but a store may know better.
    Token(Box<Live>, CookieDuty),
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
            Some(id) => Self::Reference {
                id,
                current: opened.current,
            },
            None => Self::Nothing(Some(Rejection::Malformed)),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing(None), other) => other,
            (found, Self::Nothing(_)) => found,
            (Self::Nothing(_), found) => found,
            (
                Self::Reference { id, current },
                Self::Reference {
                    id: other,
                    current: also,
                },
            ) if id == other => Self::Reference {
                id,
                current: current && also,
            },
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
