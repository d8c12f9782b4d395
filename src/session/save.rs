//! Saving a session: what there is to do, and what is known afterwards.

use super::{
    Session,
    change::Change,
    content::{Content, WriteId},
    membership::{Membership, is_new},
    state::{CookieDuty, Copied, Lifetime, Live, Origin, Source, State},
};
use crate::{
    clock::Timestamp,
    crypto,
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    store::{Bytes, Version},
    trace,
};

/// A save under way. What it takes from the session's state goes back there if it does not succeed.
pub(super) struct Job {
    pub(super) record: Draft,
    pub(super) log: Vec<Change>,
    pub(super) write: WriteId,
    pub(super) cut_off: Vec<(WriteId, usize)>,
    /// Since when the session counts as listed, if its listing was told.
    pub(super) since: Option<Timestamp>,
    /// The browser has a copy of the record.
    pub(super) has_copy: bool,
}

/// A record about to be written.
pub(super) struct Draft {
    pub(super) plain: Bytes,
    pub(super) expires: Timestamp,
    pub(super) member: Option<Membership>,
}

pub(super) enum Step {
    /// `outgrown` is the revision of the cookie that the session does not fit into any more;
    /// `before` is what it was called there, if it is renewed.
    Create {
        id: SessionId,
        outgrown: Option<u32>,
        before: Option<RecordKey>,
    },
    Update {
        id: SessionId,
        version: Version,
    },
    Renew {
        old: SessionId,
        version: Version,
        new: SessionId,
    },
    Touch {
        id: SessionId,
        version: Version,
    },
    /// Leaves the record for the cookie that came back with a copy of it.
    Settle {
        id: SessionId,
        version: Version,
    },
}

/// What it is time for, although nothing was changed.
#[derive(Default, Eq, PartialEq)]
pub(super) struct Due {
    /// To put off the session's end.
    pub(super) end: bool,
    /// To send the cookie again, as the browser would drop it before that.
    cookie: bool,
    /// To replace a copy in the cookie, which ends with the idle timeout, however much the record
    /// is used.
    copy: bool,
    /// To tell the listing that the session is in use.
    pub(super) listing: bool,
    /// To list the session under a new key, as its cookie gets one: see `Index::open`.
    new_key: bool,
}

/// What became of a save.
pub(super) struct Saved {
    /// The ID the session goes under from now on, if it is another.
    pub(super) id: Option<SessionId>,
    pub(super) version: Version,
    pub(super) expires: Timestamp,
    /// The content as it is in the store, if it is not what this request saw.
    pub(super) merged: Option<Content>,
    pub(super) place: Place,
}

/// Where a saved session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In its record, as before or as this save wrote it.
    Record {
        is_written: bool,
    },
    Cookie,
}

/// Whether there will be another save in this request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Last {
    Yes,
    No,
}

impl Session {
    /// Brings what was changed into the store, for a caller whose turn it is. A session in a cookie
    /// has no store: there it is checked that the cookie will not be too large.
    pub(super) async fn save_in_turn(&self, last: Last) -> Result<(), Error> {
        if self.slot().with(|state| state.needs_opening()) {
            self.open_in_turn().await?;
        }
        let begun = self.slot().with(|state| match self.named().server() {
            Some(server) if !self.goes_into_cookie(state) => {
                Ok::<_, Error>(Some((server, self.begin(state, last)?)))
            }
            _ => Ok(None),
        })?;
        let Some((server, begun)) = begun else {
            return self.save_in_cookie(last).await;
        };
        let Some((step, job)) = begun else {
            return Ok(());
        };
        let mut pending = Pending { session: self, job };
        if !self.list_first(&step, &mut pending.job).await? {
            return Ok(());
        }
        let saved = match self.run(server, &step, &mut pending.job).await {
            Ok(saved) => saved,
            Err(error) => {
                // Nobody will ever hear of an ID that was to be new.
                if let Some(key) = step.new_key() {
                    self.delist(pending.job.record.member.as_ref(), &key).await;
                }
                return Err(error);
            }
        };
        let job = &mut pending.job;
        let member = job.record.member.clone();
        self.finish(job, saved)?;
        drop(pending);
        if member.is_some() {
            self.tidy_listings(member.as_ref(), &step.key(), step.key_before().as_ref())
                .await;
        }
        Ok(())
    }

    /// Whether the session stays in its cookie, or begins there.
    fn goes_into_cookie(&self, state: &State) -> bool {
        let named = self.named();
        let fits = |live: &Live| match live.origin {
            Some(Origin::Record { .. }) => false,
            _ => !state.is_changed() || named.fits_cookie(live.content.payload_len()),
        };
        named.may_be_in_cookie() && state.live.as_ref().is_none_or(fits)
    }

    /// Sessions that can be in a cookie have short names.
    pub(super) fn new_id(&self) -> Result<SessionId, Error> {
        if self.named().may_be_in_cookie() {
            return Ok(SessionId::of_token(&crypto::random()?));
        }
        Ok(SessionId::generate()?)
    }

    /// Decides what there is to do, and takes what it needs.
    fn begin(&self, state: &mut State, last: Last) -> Result<Option<(Step, Job)>, Error> {
        let now = self.slots.clock().now();
        self.check_not_over(state, last)?;
        let due = self.due(state, now);
        let Some(step) = self.choose(state, last, &due)? else {
            return Ok(None);
        };
        if matches!(step, Step::Create { .. } | Step::Renew { .. }) && self.slots.is_over() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        let Some(live) = &mut state.live else {
            return Ok(None);
        };
        if due.listing {
            let mut listed = Change::Listed(now);
            listed.apply(&mut live.content)?;
            state.log.push(listed);
        }
        // A request that came with the record's ID shows that the browser knows it.
        let knows = matches!(
            (&step, &state.source),
            (Step::Update { .. } | Step::Renew { .. }, Source::Cookie)
        );
        live.content.is_unknown = match &step {
            Step::Create { outgrown, .. } => outgrown.is_some(),
            _ => live.content.is_unknown && !knows,
        };
        let waits = !self.named().never_waits;
        let write = if waits {
            crypto::random()?
        } else {
            WriteId::default()
        };
        let mut record = match &step {
            Step::Touch { .. } if !due.listing => {
                self.draft_touch(&live.content, Bytes::new(), now)
            }
            Step::Touch { .. } => {
                self.draft_touch(&live.content, live.content.encode_record(write).into(), now)
            }
            Step::Settle { .. } => {
                // As in the cookie that it goes into.
                let content = Content {
                    revision: live.content.revision + 1,
                    ..live.content.clone()
                };
                self.draft_touch(&content, content.encode_settled(write).into(), now)
            }
            _ => self.draft(&live.content, write, now)?,
        };
        if let Some(member) = &mut record.member {
            member.reseals = due.new_key;
        }
        let has_copy = live.copy.is_some();
        if due.copy || due.cookie {
            state.owe(CookieDuty::Refresh);
        }
        let (log, cut_off) = (
            std::mem::take(&mut state.log),
            std::mem::take(&mut state.cut_off),
        );
        Ok(Some((
            step,
            Job {
                record,
                log,
                write,
                cut_off,
                since: None,
                has_copy,
            },
        )))
    }

    pub(super) fn due(&self, state: &State, now: Timestamp) -> Due {
        let Some(live) = &state.live else {
            return Due::default();
        };
        let lifetime = Lifetime::of(&live.content, self.named());
        let (end, in_record) = match live.origin {
            Some(Origin::Record { expires, .. }) => {
                (lifetime.is_worth_refreshing(now, expires), true)
            }
            Some(Origin::Token { issued, .. }) => (
                lifetime.is_worth_refreshing(now, lifetime.expires(issued)),
                false,
            ),
            None => (false, false),
        };
        let is_old =
            |copy: Copied| lifetime.is_worth_refreshing(now, lifetime.expires(copy.issued));
        let new_key = state.cookie == CookieDuty::Refresh;
        let listing = new_key || self.is_listing_due(&live.content, &state.log, now);
        Due {
            end,
            cookie: end && in_record && lifetime.outlasts_cookie(now, &live.content, self.named()),
            copy: live.copy.is_some_and(is_old),
            listing: listing && live.content.subject.is_some(),
            new_key,
        }
    }

    fn choose(&self, state: &State, last: Last, due: &Due) -> Result<Option<Step>, Error> {
        let Some(live) = &state.live else {
            return Ok(None);
        };
        let (changed, is_last) = (state.is_changed(), last == Last::Yes);
        Ok(match &live.origin {
            Some(Origin::Record { id, version, .. }) => {
                let (id, version) = (id.clone(), *version);
                if state.renew {
                    Some(Step::Renew {
                        old: id,
                        version,
                        new: self.new_id()?,
                    })
                } else if is_last && (changed || due.copy) && self.settles(live, version) {
                    Some(Step::Settle { id, version })
                } else if changed {
                    Some(Step::Update { id, version })
                } else if is_last && (due.end || due.copy || due.listing) {
                    Some(Step::Touch { id, version })
                } else {
                    None
                }
            }
            Some(Origin::Token { .. }) if !changed => None,
            Some(Origin::Token { id, .. }) => {
                let (outgrown, before) = (
                    Some(live.content.revision),
                    live.key().filter(|_| state.renew),
                );
                let id = if state.renew {
                    self.new_id()?
                } else {
                    id.clone()
                };
                Some(Step::Create {
                    id,
                    outgrown,
                    before,
                })
            }
            None if !changed || live.content.is_empty() => None,
            None => Some(Step::Create {
                id: self.new_id()?,
                outgrown: None,
                before: None,
            }),
        })
    }

    /// Tells the listing before the session is saved, so that whoever ends a subject's sessions
    /// finds this one. Says whether to go on: what changes nothing can be done another time.
    async fn list_first(&self, step: &Step, job: &mut Job) -> Result<bool, Error> {
        let Some(member) = &job.record.member else {
            return Ok(true);
        };
        let moves =
            step.new_key().is_some() || matches!(step, Step::Settle { .. } | Step::Create { .. });
        if !(is_new(Some(member)) || moves || job.lists()) {
            return Ok(true);
        }
        match self
            .enlist(Some(member), step.key(), step.key_before())
            .await
        {
            Ok(since) => {
                job.since = since;
                Ok(true)
            }
            Err(error) if step.is_optional() && !job.changes() => {
                trace::touch_failed(self.name(), &error);
                job.log.clear();
                // One of a new key is for listed sessions only.
                self.slot().with(|state| state.cookie.withdraw_refresh());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the session can leave its record: the copy in the cookie has come back, and nobody
    /// has changed the record since.
    fn settles(&self, live: &Live, version: Version) -> bool {
        live.copy.is_some_and(|copy| copy.version == version)
            && self.named().fits_cookie_again(live.content.payload_len())
    }

    /// After the request has ended, only what was changed since it was loaded again can be saved.
    pub(super) fn check_not_over(&self, state: &mut State, last: Last) -> Result<(), Error> {
        let late = std::mem::take(&mut state.too_late) || (state.is_changed() && !state.reopened);
        if late && last == Last::No && self.slots.is_closed() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        Ok(())
    }

    /// Enters the outcome into the state. Until then, the job's end gives back what `begin` took.
    fn finish(&self, job: &mut Job, mut saved: Saved) -> Result<(), Error> {
        // Dropped without the lock: it may have closures of the application.
        let log = std::mem::take(&mut job.log);
        let Some(mut content) = saved.merged.take() else {
            self.slot()
                .with(|state| self.enter_saved(state, job, &log, saved));
            return Ok(());
        };
        content.mark_listed();
        let known = saved.id.clone();
        let merged = self.rebase(content, |state, content| {
            if let Some(live) = &mut state.live {
                live.content = content;
            }
            self.enter_saved(state, job, &log, saved);
        });
        merged.inspect_err(|_| self.slot().with(|state| state.close(known)))
    }

    fn enter_saved(&self, state: &mut State, job: &Job, log: &[Change], saved: Saved) {
        let changes = log.iter().any(Change::is_of_handler);
        let Some(live) = &mut state.live else { return };
        let shows = saved.id.is_some() || log.iter().any(Change::shows_in_cookie);
        let (version, expires) = (saved.version, saved.expires);
        if let Some(id) = saved.id {
            state.renew = false;
            state.source = Source::Known(id.clone().into());
            live.origin = Some(Origin::Record {
                id,
                version,
                expires,
            });
        } else if let Some(Origin::Record {
            version: old,
            expires: until,
            ..
        }) = &mut live.origin
        {
            (*old, *until) = (version, expires);
        }
        // A subject that was set while this save ran is not listed yet.
        if !state.log.iter().any(Change::is_of_subject) {
            live.content.mark_listed();
        }
        live.content.set_since(job.since);
        let duty = match saved.place {
            Place::Record { is_written } => {
                live.is_written |= is_written;
                // A copy that came is replaced by what the session is now.
                let copies = is_written && (live.copy.is_some() || self.is_copied(live));
                if shows || copies {
                    CookieDuty::Set
                } else {
                    CookieDuty::Nothing
                }
            }
            Place::Cookie => {
                live.settle_into_cookie(self.slots.clock().now());
                if changes {
                    CookieDuty::Set
                } else {
                    CookieDuty::Refresh
                }
            }
        };
        state.owe(duty);
    }
}

impl Live {
    /// The session goes on in its cookie, under the same name.
    fn settle_into_cookie(&mut self, now: Timestamp) {
        if let Some(Origin::Record { id, .. }) = &self.origin {
            self.origin = Some(Origin::Token {
                id: id.clone(),
                issued: now,
            });
        }
        self.content.is_unknown = false;
        self.content.revision += 1;
    }
}

impl Step {
    /// What the session is called when the step is done.
    fn key(&self) -> RecordKey {
        match self {
            Self::Create { id, .. }
            | Self::Update { id, .. }
            | Self::Touch { id, .. }
            | Self::Settle { id, .. } => id.record_key(),
            Self::Renew { new, .. } => new.record_key(),
        }
    }

    /// What the session is to be called, if it is not called that yet.
    fn new_key(&self) -> Option<RecordKey> {
        match self {
            Self::Create {
                outgrown: Some(_),
                before: None,
                ..
            } => None,
            Self::Create { .. } | Self::Renew { .. } => Some(self.key()),
            _ => None,
        }
    }

    /// Whether nothing is lost if it is not done, unless it carries changes.
    fn is_optional(&self) -> bool {
        matches!(self, Self::Touch { .. } | Self::Settle { .. })
    }

    /// What it was called before, if that is another key.
    fn key_before(&self) -> Option<RecordKey> {
        match self {
            Self::Renew { old, .. } => Some(old.record_key()),
            Self::Create { before, .. } => *before,
            _ => None,
        }
    }
}

impl Job {
    /// Whether the listing is told that the session is in use.
    pub(super) fn lists(&self) -> bool {
        self.log
            .iter()
            .any(|change| matches!(change, Change::Listed(_)))
    }

    /// Whether the handler changed anything.
    pub(super) fn changes(&self) -> bool {
        self.log.iter().any(Change::is_of_handler)
    }
}

/// Gives back to the session's state what a job has taken and not saved, also if it is cancelled.
struct Pending<'a> {
    session: &'a Session,
    job: Job,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Job {
            log,
            cut_off,
            write,
            ..
        } = &mut self.job;
        if log.is_empty() {
            return;
        }
        cut_off.push((*write, log.len()));
        self.session.slot().with(|state| {
            state.cut_off = std::mem::take(cut_off);
            // Changes made while the save ran stay behind those it carried.
            log.append(&mut state.log);
            state.log = std::mem::take(log);
        });
    }
}
