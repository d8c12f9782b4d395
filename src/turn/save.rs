//! Saving a session, with the response or before it.

use std::mem;

use super::{
    cell::{Operation, Turn},
    presented::just_expired,
};
use crate::{
    error::{Error, ErrorKind},
    id::RecordKey,
    state::{Home, Job, Log, State, When, Written},
    trace,
};

/// Saves the session now. What needs the response, such as a cookie, waits for it.
pub(crate) struct Save;

impl Operation for Save {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.save(When::Now).await
    }
}

/// Restarts the session's idle timeout now and saves its changes. Fails if the session has ended.
pub(crate) struct Touch;

impl Operation for Touch {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.open().await?;
        if turn.state(|state| state.is_locked_out(turn.vault.settings)) {
            return Err(Error::new(ErrorKind::Gone));
        }
        turn.save(When::Touch).await?;
        turn.state(|state| state.check_touched(turn.exchange.is_closed()))
    }
}

/// A save under way. What it has taken from the session's state goes back if the save fails or is
/// cancelled.
struct Saving<'a> {
    turn: &'a Turn<'a>,
    job: Job,
    /// Whether the store may or may not have done the write.
    is_open: bool,
}

impl Turn<'_> {
    pub(super) async fn save(&self, when: When) -> Result<(), Error> {
        self.save_once(when).await?;
        // This request emptied the session and was to renew it. Another request has filled it
        // again.
        if self.state(|state| state.is_to_be_renewed()) {
            self.save_once(when).await?;
        }
        Ok(())
    }

    /// Finishes the renewal of an earlier save, whose session is saved already.
    async fn finish_renewal(&self) -> Result<(), Error> {
        if let Some(rest) = self.state(|state| state.unfinished.clone()) {
            self.vault.finish_renewal(&rest).await?;
            self.state(|state| state.unfinished = None);
        }
        Ok(())
    }

    async fn save_once(&self, when: When) -> Result<(), Error> {
        if self.state(|state| state.needs_opening()) {
            self.open().await?;
        }
        let (is_unfinished, replaces_expired) =
            self.state(|state| (state.unfinished.is_some(), state.replaces_expired()));
        if is_unfinished {
            Box::pin(self.finish_renewal()).await?;
        }
        if replaces_expired {
            Box::pin(self.check_replaced()).await?;
        }
        let metrics = &self.vault.settings.metrics;
        let begun = self.begin(when);
        let Some(mut saving) = begun.inspect_err(|error| metrics.save_failed(error))? else {
            return Ok(());
        };
        let key = match self.vault.save(&mut saving.job).await {
            Ok(mut written) => {
                let unfinished = written.unfinished.take();
                let error = unfinished.map(|rest| {
                    let error = rest.error.clone();
                    self.state(|state| state.unfinished = Some(rest));
                    error
                });
                let key = self.finish(&mut saving.job, written)?;
                if let Some(error) = error {
                    metrics.save_failed(&error);
                    return Err(error);
                }
                key
            }
            // The old cookie still works, and the next request tries again.
            Err(error) if saving.job.plan.is_optional() && when != When::Touch => {
                if error.kind() != ErrorKind::Gone {
                    trace::touch_failed(&self.vault.settings.name, &error);
                }
                saving.job.log = Log::default();
                self.state(State::forgo_refresh);
                return Ok(());
            }
            Err(error) => {
                metrics.save_failed(&error);
                // A conflict may be with this request's own write.
                let kinds = [ErrorKind::StoreFailed, ErrorKind::Conflict];
                saving.is_open = kinds.contains(&error.kind());
                return Err(error);
            }
        };
        let left = saving.job.draft.enrolment.take();
        if let (Some(enrolment), Some(key)) = (left, key)
            && !saving.job.plan.write.leaves_roster()
        {
            let vault = &self.vault;
            Box::pin(vault.leave_former_roster(&enrolment, &key)).await;
        }
        Ok(())
    }

    /// Checks that no mark would meet a request whose cookie has just expired. Its new session would
    /// take the place of a login that was sent with the same cookie.
    async fn check_replaced(&self) -> Result<(), Error> {
        let (settings, cookies) = (self.vault.settings, &self.exchange.cookies);
        for id in just_expired(settings, cookies, self.vault.now()) {
            if self.vault.is_marked(&id).await? {
                return Err(Error::new(ErrorKind::Gone));
            }
        }
        Ok(())
    }

    /// Decides what to do and takes what that needs from the state.
    fn begin(&self, when: When) -> Result<Option<Saving<'_>>, Error> {
        let settings = self.vault.settings;
        let job = self.state(|state| {
            let now = self.vault.now();
            state.check_late(when != When::Response && self.exchange.is_closed())?;
            let Some(plan) = state.plan(settings, now, when)? else {
                // A new session in a cookie, but no response will carry that cookie.
                return if state.is_reopened && state.is_filled() {
                    Err(Error::new(state.too_late()))
                } else {
                    Ok(None)
                };
            };
            if plan.needs_response() && state.is_reopened {
                return Err(Error::new(state.too_late()));
            }
            let new = plan
                .write
                .names()
                .then(|| self.vault.new_id())
                .transpose()?;
            Ok(state.take(plan, new, self.vault.new_write()?, settings, now))
        })?;
        let is_open = true;
        Ok(job.map(|job| Saving {
            turn: self,
            job,
            is_open,
        }))
    }

    /// Enters the outcome into the state. Until then, what was taken is given back.
    ///
    /// Returns the session's name if the rosters have to be told.
    fn finish(&self, job: &mut Job, written: Written) -> Result<Option<RecordKey>, Error> {
        let now = self.vault.now();
        let Written {
            home,
            merged,
            since,
            ..
        } = written;
        let (duty, names) = (job.plan.duty, job.plan.write.names());
        let reported = home.saved(names, job.before.is_some() || !names);
        let made = match &home {
            Home::Record(place) if names => Some(place.id.record_key()),
            _ => None,
        };
        let key = job.draft.enrolment.as_ref().and_then(|_| home.key());
        // Dropped outside the lock: it may own closures of the application.
        let saved = mem::take(&mut job.log);
        let Some(mut content) = merged else {
            self.state(|state| state.saved(home, duty, since, now));
            drop(saved);
            self.vault.report_saved(reported, made);
            return Ok(key);
        };
        content.mark_listed();
        let (known, has_subject) = (home.clone(), content.subject.is_some());
        let entered = self.rebase(content, |state, content| {
            if let Some(view) = &mut state.view {
                state.has_lost_subject |= view.content.subject.is_some() && !has_subject;
                view.content = content;
            }
            state.saved(home, duty, since, now);
        });
        entered.inspect_err(|_| self.state(|state| state.close(known)))?;
        self.vault.report_saved(reported, made);
        Ok(key)
    }
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        if self.job.log.is_empty() {
            return;
        }
        if let Some(write) = self.job.write.filter(|_| self.is_open) {
            // If the store has the write, it has the draft's time.
            let at = self.job.draft.writes.time_of(write);
            let at = at.unwrap_or_else(|| self.turn.vault.now());
            self.job
                .note_unknown(write, self.job.draft.writes.base(), at);
        }
        let Job { log, cut_off, .. } = &mut self.job;
        self.turn.state(|state| {
            state.cut_off = mem::take(cut_off);
            // Changes made while the save ran follow those that it carried.
            log.append(&mut state.log);
            state.log = mem::take(log);
        });
    }
}
