//! From the request's cookies to an open session.

use std::mem;

use super::{
    ROUNDS, Session,
    change::Change,
    content::{Content, Stored, WriteId, decode_record},
    state::{CookieDuty, Copied, Lifetime, Live, Origin, Source, State},
};
use crate::{
    clock::Timestamp,
    codec::Opened,
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    store::{self, Record, StoreError, Version},
    trace,
};

/// What was found, and whether the browser should forget its cookie or get a new one.
type Found = (Live, CookieDuty);

impl Session {
    /// Works on the session's state, opened if it was not; a session whose store waits has to be
    /// loaded first.
    pub(super) fn opened<R>(
        &self,
        work: impl FnOnce(&mut State) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let opens = !self.named().has_store();
        let worked = self.slot().with(|state| {
            if state.live.is_none() && !opens {
                return Err(work);
            }
            let rejection = self.open_without_store(state);
            Ok((work(state), rejection))
        });
        match worked {
            Ok((result, rejection)) => {
                self.report(rejection);
                result
            }
            Err(work) if self.named().never_waits => {
                self.slot().alone_now(|| self.open_in_turn())?;
                self.slot().with(work)
            }
            Err(_) => Err(Error::new(ErrorKind::NotLoaded)),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.slot().with(|state| state.live.is_some())
    }

    /// Opens a session that no store has a say in, and says why its cookie was not accepted.
    pub(super) fn open_without_store(&self, state: &mut State) -> Option<Rejection> {
        if state.live.is_some() {
            return None;
        }
        self.slots.touch();
        let now = self.slots.clock().now();
        state.used = true;
        let (mut live, duty) = match self.look(&state.source, now) {
            Looked::Found(live, duty) => (live, duty),
            _ => (
                Live::new(now, Some(Rejection::NotFound)),
                CookieDuty::Nothing,
            ),
        };
        let rejection = live.rejection;
        // What was asked for before; nothing else can have been.
        for change in &mut state.log {
            let _ = change.apply(&mut live.content);
        }
        state.live = Some(live);
        state.owe(duty);
        rejection
    }

    /// Opens the session, for a caller whose turn it is.
    pub(super) async fn open_in_turn(&self) -> Result<(), Error> {
        self.slots.touch();
        let now = self.slots.clock().now();
        let looked = self.slot().with(|state| {
            if state.live.is_some() {
                return None;
            }
            state.used = true;
            Some(self.look(&state.source, now))
        });
        let Some(looked) = looked else { return Ok(()) };
        let (live, duty) = self.ask(looked, now).await?;
        self.enter(live, duty)
    }

    /// Opens a server-side session anew after the request has ended, for a caller whose turn it is.
    /// What the request changed and did not save is dropped, what was changed since then is not.
    pub(super) async fn reopen_in_turn(&self) -> Result<(), Error> {
        let source = self.slot().with(|state| match &state.live {
            Some(Live {
                origin: Some(Origin::Record { id, .. }),
                ..
            }) => Source::Known(id.clone().into()),
            _ => state.source.clone(),
        });
        let now = self.slots.clock().now();
        let (live, duty) = self.ask(self.look(&source, now), now).await?;
        let dropped = self.slot().with(|state| {
            state.source = source;
            if mem::replace(&mut state.reopened, true) {
                return Vec::new();
            }
            (state.renew, state.changed) = (false, false);
            state.cut_off.clear();
            mem::take(&mut state.log)
        });
        // Without the lock: it may have closures of the application.
        drop(dropped);
        self.enter(live, duty)
    }

    /// Takes what was read for the session, with what was asked for before or not saved yet.
    fn enter(&self, live: Live, duty: CookieDuty) -> Result<(), Error> {
        self.report(live.rejection);
        let mut live = Some(live);
        self.slot().with(|state| {
            if state.log.is_empty() {
                state.live = live.take();
                state.owe(duty);
            }
        });
        let Some(mut live) = live else { return Ok(()) };
        let empty = Content::new(live.content.created);
        let content = mem::replace(&mut live.content, empty);
        self.rebase(content, |state, content| {
            live.content = content;
            state.live = Some(live);
            state.owe(duty);
        })
    }

    /// Applies the changes that are not saved yet to what a store has, and enters both at once.
    ///
    /// An `update` runs again for that, without the lock: its closure may use the session. What is
    /// changed meanwhile comes behind.
    ///
    /// # Errors
    ///
    /// What the closure or its value's type says, or [`ErrorKind::Conflict`] if each run brings
    /// another change. Nothing is entered then, and the changes stay.
    pub(super) fn rebase(
        &self,
        mut content: Content,
        enter: impl FnOnce(&mut State, Content),
    ) -> Result<(), Error> {
        let mut applied = Applied {
            session: self,
            log: Vec::new(),
        };
        let mut enter = Some(enter);
        for _ in 0..ROUNDS {
            let newer = self.slot().with(|state| {
                if state.log.iter().any(Change::runs_code) {
                    return Some(mem::take(&mut state.log));
                }
                // Only what runs code can fail.
                state
                    .log
                    .iter_mut()
                    .for_each(|change| drop(change.apply(&mut content)));
                applied.give_back(state);
                if let Some(enter) = enter.take() {
                    let created = content.created;
                    enter(state, mem::replace(&mut content, Content::new(created)));
                }
                None
            });
            let Some(mut newer) = newer else {
                return Ok(());
            };
            let result = newer
                .iter_mut()
                .try_for_each(|change| change.apply(&mut content));
            applied.log.append(&mut newer);
            result?;
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    pub(super) fn report(&self, rejection: Option<Rejection>) {
        if let Some(reason) = rejection {
            trace::rejected(self.name(), reason);
        }
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
        if !self.named().never_waits {
            store::check_runtime()?;
        }
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

/// Changes that were taken from the session's state to be applied, and go back in front of those
/// that were made meanwhile.
struct Applied<'a> {
    session: &'a Session,
    log: Vec<Change>,
}

impl Applied<'_> {
    fn give_back(&mut self, state: &mut State) {
        self.log.append(&mut state.log);
        state.log = mem::take(&mut self.log);
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            self.session.slot().with(|state| self.give_back(state));
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
