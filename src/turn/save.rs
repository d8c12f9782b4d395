//! Saving a session, with the response or by itself.

use std::mem;

use super::cell::{Operation, Turn};
use crate::{
    content::WriteId,
    error::{Error, ErrorKind},
    state::{Change, CutOff, Job, When, Written},
    trace,
    vault::Names,
};

/// Saves the session now. What needs the response waits for it.
pub(crate) struct Save;

impl Operation for Save {
    type Output = ();

    async fn perform(self, turn: &Turn<'_>) -> Result<(), Error> {
        turn.save(When::Now).await
    }
}

/// A save under way. What it has taken from the session's state goes back there if it does not
/// succeed, also if it is cancelled.
struct Taken<'a> {
    turn: &'a Turn<'a>,
    job: Job,
}

impl Turn<'_> {
    pub(super) async fn save(&self, when: When) -> Result<(), Error> {
        if self.state(|state| state.needs_opening()) {
            self.open().await?;
        }
        let Some((names, mut taken)) = self.begin(when)? else {
            return Ok(());
        };
        match self.vault.save(&names, &mut taken.job).await {
            Ok(written) => self.finish(&mut taken.job, written)?,
            // The cookie that came still works, and the next request tries again.
            Err(error) if taken.job.plan.is_optional() => {
                trace::touch_failed(&self.vault.settings.name, &error);
                taken.job.log.clear();
                self.state(|state| state.withdraw_refresh());
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if let Some(enrolment) = taken.job.draft.enrolment.take() {
            self.vault
                .tidy_rosters(&enrolment, &names.key(), names.before())
                .await;
        }
        Ok(())
    }

    /// Decides what there is to do, and takes what it needs.
    fn begin(&self, when: When) -> Result<Option<(Names, Taken<'_>)>, Error> {
        let settings = self.vault.settings;
        let begun = self.state(|state| {
            let now = self.vault.now();
            state.check_late(when == When::Now && self.exchange.is_closed())?;
            let Some(plan) = state.plan(settings, now, when)? else {
                return Ok(None);
            };
            if plan.needs_response() && self.exchange.is_over() {
                return Err(Error::new(ErrorKind::AlreadyCommitted));
            }
            let (names, write) = (self.vault.names(&plan)?, self.vault.new_write()?);
            Ok(state
                .take(plan, write, settings, now)
                .map(|job| (names, job)))
        })?;
        Ok(begun.map(|(names, job)| (names, Taken { turn: self, job })))
    }

    /// Enters the outcome into the state. Until then, what was taken is given back.
    fn finish(&self, job: &mut Job, written: Written) -> Result<(), Error> {
        let (settings, now) = (self.vault.settings, self.vault.now());
        let Written {
            home,
            merged,
            since,
        } = written;
        let duty = job.plan.duty;
        // Dropped without the lock: it may have closures of the application.
        let saved: Vec<Change> = mem::take(&mut job.log);
        let Some(mut content) = merged else {
            self.state(|state| state.saved(home, duty, since, settings, now));
            drop(saved);
            return Ok(());
        };
        content.mark_listed();
        let known = home.clone();
        let entered = self.rebase(content, |state, content| {
            if let Some(view) = &mut state.view {
                view.content = content;
            }
            state.saved(home, duty, since, settings, now);
        });
        entered.inspect_err(|_| self.state(|state| state.close(known)))
    }
}

impl Drop for Taken<'_> {
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
        if *write != WriteId::default() {
            cut_off.push(CutOff {
                write: *write,
                changes: log.len(),
            });
        }
        self.turn.state(|state| {
            state.cut_off = mem::take(cut_off);
            // Changes made while the save ran stay behind those it carried.
            log.append(&mut state.log);
            state.log = mem::take(log);
        });
    }
}
