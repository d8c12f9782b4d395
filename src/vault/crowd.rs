//! Group commit: of the requests that save one session at the same time, one writes for all.
//!
//! Each request brings its changes to the record's line in a [`Ticket`]. The leader of the line
//! applies them all to the record, in order, and writes once. It holds the changes of a ticket only
//! while it applies them, which never waits. At all other times they are in the ticket, and their
//! owner can take them and leave. So nobody depends on a leader: if it is dropped, panics or is
//! never polled again, the next leader finds everything in place, and the write's id tells what was
//! written.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, PoisonError},
};

use self::ticket::{Outcome, Ticket};
use super::{
    own::note,
    records::{Found, Vault},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Browser, Content, WriteId, Writes},
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    report::Swap,
    state::{Draft, Home, Job, Place, Written},
    store::{Bytes, Calls, Lead, Line, Read, StoreError, Version, Waited},
    sync::{Mutex, MutexGuard},
};

mod ticket;

/// How many leaders a request waits for before it saves alone.
const LINES: usize = 3;

const TOGETHER: Policy = Policy::new(Swap::SaveTogether, Queue::Never);

/// The requests in a line.
#[derive(Default)]
struct Crowd {
    /// In order of arrival.
    tickets: Mutex<Vec<Arc<Ticket>>>,
    last: Mutex<Option<Last>>,
}

/// The last leader's write. The next leader continues from it without reading the store.
struct Last {
    content: Content,
    place: Place,
    /// The address of the settings it was written with.
    by: usize,
}

/// A job in a line. Dropping this returns to the job what was taken from it.
struct ParkedJob<'a> {
    line: &'a Arc<Line>,
    ticket: Arc<Ticket>,
    job: &'a mut Job,
    outcome: Option<Outcome>,
}

/// One write with the changes of several tickets.
struct Batch {
    write: WriteId,
    tickets: Vec<Arc<Ticket>>,
    content: Content,
    /// The place of the version that this write replaces.
    place: Place,
    /// Another request has left the record empty, and is about to remove it.
    was_emptied: bool,
}

impl Vault<'_> {
    /// Saves what a first attempt could not, together with all other requests of this process that
    /// want to save the same session.
    pub(super) async fn save_together(
        &self,
        key: &RecordKey,
        job: &mut Job,
    ) -> Result<Written, Error> {
        let records = self.records()?;
        let mut line = records.line(key).unwrap_or_default();
        for attempt in 1.. {
            let id = job.id.clone();
            let mut parked = ParkedJob::new(&line, job, self.settings);
            let ticket = Arc::clone(&parked.ticket);
            match records.wait(&line, || ticket.is_done()).await? {
                Waited::Done => {}
                Waited::Leads(lead) => self.lead(&lead, &ticket, &id).await?,
                Waited::InVain => {
                    drop(parked);
                    // After the last leader it gets a line of its own.
                    line = match attempt {
                        ..LINES => records.line_after(key, &line),
                        _ => Arc::default(),
                    };
                    continue;
                }
            }
            parked.take_back();
            let outcome = parked.outcome.take();
            drop(parked);
            return self.outcome(outcome, job);
        }
        Err(Error::new(ErrorKind::Conflict))
    }

    /// The result of a job with this outcome.
    fn outcome(&self, outcome: Option<Outcome>, job: &mut Job) -> Result<Written, Error> {
        match outcome {
            Some(Outcome::Saved(saved)) => {
                let (content, place) = *saved;
                Ok(Written::new(Home::Record(place), Some(content)))
            }
            Some(Outcome::CarriedAlong) => Ok(self.carried_along(job)),
            Some(Outcome::Failed(error)) => Err(error),
            Some(Outcome::Panicked(panic)) => panic::resume_unwind(panic),
            Some(Outcome::Removed { is_emptied: true }) => self.emptied_by_another(job),
            Some(Outcome::Removed { is_emptied: false }) | None => Err(Error::new(ErrorKind::Gone)),
        }
    }

    /// The result of a save that a renewal has carried along. What this request has read is under
    /// another name now, and must not be saved under a third if this request renews the session.
    pub(super) fn carried_along(&self, job: &Job) -> Written {
        let content = Content::new(self.now());
        Written::new(Home::Marked(job.id.clone()), Some(content))
    }

    /// The result of emptying a session that another request has emptied first: what this request
    /// wanted has happened, and any value it claimed went to the other one. That one removes the
    /// record and the cookie. This request leaves the cookie alone, since the browser may have a
    /// newer one by now.
    pub(super) fn emptied_by_another(&self, job: &mut Job) -> Result<Written, Error> {
        let mut content = Content::new(job.created);
        job.apply(&mut content, &Writes::default(), self.now())?;
        if !content.is_emptied() {
            return Err(Error::new(ErrorKind::Gone));
        }
        Ok(Written::new(Home::Marked(job.id.clone()), Some(content)))
    }

    /// Saves for everyone in the line until this request's own ticket is done.
    ///
    /// # Errors
    ///
    /// Only errors of the leader itself: its time is over, or it keeps losing. Everyone in the line
    /// learns of the store's failures.
    async fn lead(&self, lead: &Lead, own: &Arc<Ticket>, id: &SessionId) -> Result<(), Error> {
        let Some(crowd) = lead.line().shared::<Crowd>() else {
            return Ok(());
        };
        let (records, key) = (self.records()?.led_by(lead), &id.record_key());
        let mut rounds = Rounds::start(records, key, TOGETHER).await?;
        let mut is_alone = false;
        while !own.is_done() {
            let last = crowd.take_last(self.settings);
            let is_continued = last.is_some();
            let (content, place) = match last {
                Some(last) => last,
                None => match self.find_for(crowd, records, id).await? {
                    Some(found) => found,
                    None => continue,
                },
            };
            let all = match is_alone {
                true => vec![Arc::clone(own)],
                false => crowd.tickets_of(self.settings),
            };
            let batch = self.gather(all, content, place)?;
            // A leader whose own job is done does not write for others.
            if batch.is_left_to_another() || own.is_done() {
                continue;
            }
            let (version, data) = (batch.place.version, self.seal(id, batch.plain())?);
            let expiry = self.expiry(batch.place.expires);
            let (updated, sent) = records.update(key, version, data, expiry).await;
            match updated {
                Ok(version) => {
                    note(records, &batch.place.writes);
                    crowd.keep(batch.deliver(version), self.settings);
                }
                Err(StoreError::Conflict) => {
                    // Each ticket knows of a write in doubt, and takes its changes for saved once
                    // the write is seen.
                    let refused = self.find_refused(sent, id, &batch.place.writes).await?;
                    if refused.is_none() {
                        batch.note_refused();
                    }
                    // A leader that continued from the last write has not read the record yet.
                    if !is_continued {
                        rounds.lost().await?;
                    }
                }
                Err(StoreError::Gone) => batch.deliver_removed(),
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                // The store may refuse only the others' changes.
                Err(_) if batch.tickets.len() > 1 => {
                    batch.note_refused();
                    is_alone = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The session in the store. If there is none, every ticket in the line gets its outcome.
    async fn find_for(
        &self,
        crowd: &Crowd,
        records: Calls<'_>,
        id: &SessionId,
    ) -> Result<Option<(Content, Place)>, Error> {
        let record = records.load(&id.record_key(), Read::Current).await;
        let carried = match self.read(id, record, self.now())? {
            Found::Session { content, place } => return Ok(Some((content, place))),
            Found::Marked(mark) => mark.before,
            Found::Nothing(_) => Writes::default(),
        };
        crowd.finish_ended(self.settings, &carried);
        Ok(None)
    }

    /// Applies the changes of these tickets to the stored content. Leaves out tickets whose changes
    /// are already in it, fail, or are taken back meanwhile.
    fn gather(
        &self,
        all: Vec<Arc<Ticket>>,
        content: Content,
        place: Place,
    ) -> Result<Batch, Error> {
        let mut waiting = Vec::with_capacity(all.len());
        let mut is_to_be_removed = content.is_emptied();
        let mut was_emptied = is_to_be_removed;
        for ticket in all {
            let Some(mut job) = ticket.lend() else {
                continue;
            };
            self.settle(&mut job.cut_off);
            // It may have been emptied by the job itself.
            was_emptied &= job.cut_off.is_empty();
            if job.is_in(&place.writes) {
                leave_removal(&mut job, &mut is_to_be_removed);
                let saved = Outcome::Saved(Box::new((content.clone(), place.clone())));
                ticket.give_back(job, Some(saved));
            } else {
                ticket.give_back(job, None);
                waiting.push(ticket);
            }
        }
        let (write, now) = (self.new_write()?.unwrap_or_default(), self.now());
        let mut batch = Batch {
            write,
            tickets: Vec::with_capacity(waiting.len()),
            was_emptied,
            content,
            place,
        };
        let is_one = waiting.len() == 1;
        for ticket in waiting {
            let before = (!is_one).then(|| (batch.content.clone(), batch.place.clone()));
            if self.add(&ticket, &mut batch, now) {
                batch.tickets.push(ticket);
            } else if let Some((content, place)) = before {
                (batch.content, batch.place) = (content, place);
            }
        }
        batch.place.writes = self.writes_with(&batch.place.writes, Some(write));
        Ok(batch)
    }

    /// Applies the changes of one ticket. Returns whether they are to be written.
    fn add(&self, ticket: &Ticket, batch: &mut Batch, now: Timestamp) -> bool {
        let Some(mut job) = ticket.lend() else {
            return false;
        };
        // The panic belongs to the request that brought the closure.
        let applied = panic::catch_unwind(AssertUnwindSafe(|| self.apply(&mut job, batch, now)));
        let failure = match applied {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Outcome::Failed(error)),
            Err(panic) => Some(Outcome::Panicked(panic)),
        };
        let is_to_be_written = failure.is_none();
        if is_to_be_written {
            job.note_unknown(batch.write, batch.place.writes.latest(), now);
        }
        ticket.give_back(job, failure) && is_to_be_written
    }

    fn apply(&self, job: &mut Job, batch: &mut Batch, now: Timestamp) -> Result<(), Error> {
        let Batch { content, place, .. } = batch;
        self.replay(job, content, &place.writes)?;
        let own = content.attributes.as_deref();
        let size = self.settings.check_size(content.payload_len(), own);
        size.map_err(Error::new)?;
        // A request that came for the record knows it.
        if job.draft.browser != Browser::Knows {
            job.draft.browser = place.browser;
        }
        let (browser, end) = (job.draft.browser, (job.plan.term, Some(place.expires)));
        job.draft_again(Draft::of(content, self.settings, now, end));
        job.draft.browser = browser;
        (place.browser, place.expires) = (browser, job.draft.expires);
        // Enrolling this job's session is not the next job's task.
        content.mark_listed();
        Ok(())
    }
}

impl Batch {
    fn plain(&self) -> Bytes {
        let Place {
            writes, browser, ..
        } = &self.place;
        self.content.encode_record(writes, *browser).into()
    }

    /// Gives all tickets their outcome after the write, and returns what was written.
    fn deliver(self, version: Version) -> (Content, Place) {
        let Self {
            tickets,
            content,
            mut place,
            ..
        } = self;
        place.version = version;
        let mut is_to_be_removed = content.is_emptied();
        for ticket in tickets {
            ticket.finish(|job| {
                leave_removal(job, &mut is_to_be_removed);
                Outcome::Saved(Box::new((content.clone(), place.clone())))
            });
        }
        (content, place)
    }

    /// Leaves an emptied record to the request that is about to remove it, if the tickets put
    /// nothing in. Returns whether they put nothing in.
    fn is_left_to_another(&self) -> bool {
        let is_left = self.was_emptied && self.content.is_emptied();
        if is_left {
            self.note_refused();
            self.deliver_removed();
        }
        is_left
    }

    fn deliver_removed(&self) {
        let is_emptied = self.content.is_emptied();
        for ticket in &self.tickets {
            ticket.finish(|_| Outcome::Removed { is_emptied });
        }
    }

    /// Notes that the store has not done this write.
    fn note_refused(&self) {
        for ticket in &self.tickets {
            ticket.with_waiting(|job| job.note_refused(self.write));
        }
    }
}

impl Crowd {
    fn tickets_of(&self, settings: &Settings) -> Vec<Arc<Ticket>> {
        let by = address(settings);
        let tickets = self.tickets();
        tickets
            .iter()
            .filter(|ticket| ticket.settings == by)
            .cloned()
            .collect()
    }

    /// Finishes the tickets of a session that is gone. Its renewal has carried along the changes of
    /// these writes.
    fn finish_ended(&self, settings: &Settings, carried: &Writes) {
        for ticket in self.tickets_of(settings) {
            ticket.finish(|job| match job.is_in(carried) {
                true => Outcome::CarriedAlong,
                false => Outcome::Failed(Error::new(ErrorKind::Gone)),
            });
        }
    }

    fn keep(&self, (content, place): (Content, Place), settings: &Settings) {
        let by = address(settings);
        *self.last() = Some(Last { content, place, by });
    }

    /// Needs no other check: a store refuses to replace a record that is over or has another
    /// version.
    fn take_last(&self, settings: &Settings) -> Option<(Content, Place)> {
        let last = self.last().take()?;
        (last.by == address(settings)).then_some((last.content, last.place))
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> MutexGuard<'_, Vec<Arc<Ticket>>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the removal of an emptied record to the first of the requests that have emptied it. A
/// second removal would find nothing, count as done, and remove a cookie that the browser may have
/// got since.
fn leave_removal(job: &mut Job, is_to_be_removed: &mut bool) {
    job.draft.is_emptied &= *is_to_be_removed;
    *is_to_be_removed &= !job.draft.is_emptied;
}

fn address(settings: &Settings) -> usize {
    std::ptr::from_ref(settings).addr()
}

impl<'a> ParkedJob<'a> {
    fn new(line: &'a Arc<Line>, job: &'a mut Job, settings: &Settings) -> Self {
        let ticket = Arc::new(Ticket::new(address(settings), job.lend()));
        if let Some(crowd) = line.shared::<Crowd>() {
            crowd.tickets().push(Arc::clone(&ticket));
        }
        Self {
            line,
            ticket,
            job,
            outcome: None,
        }
    }

    fn take_back(&mut self) {
        if let Some(crowd) = self.line.shared::<Crowd>() {
            let is_other = |other: &Arc<Ticket>| !Arc::ptr_eq(other, &self.ticket);
            crowd.tickets().retain(is_other);
        }
        if let Some((job, outcome)) = self.ticket.take_back() {
            self.job.take_back(job);
            self.outcome = outcome;
        }
    }
}

impl Drop for ParkedJob<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}
