//! Retrying a compare and swap: how often, in which order, and after which pause.

use crate::{
    error::{Error, ErrorKind},
    id::RecordKey,
    report::Swap,
    store::{Calls, Lead, Waited},
    trace,
};

/// How a compare and swap is retried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) swap: Swap,
    /// The number of attempts.
    pub(super) rounds: u32,
    pub(super) queue: Queue,
}

/// Whether attempts take turns in this process, so that a busy record makes progress instead of
/// noise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Queue {
    /// Required for attempts that compare and swap a second record inside: two records may share a
    /// queue.
    Never,
    AfterLoss,
    FromStart,
}

impl Policy {
    pub(super) const fn new(swap: Swap, queue: Queue) -> Self {
        Self {
            swap,
            rounds: 128,
            queue,
        }
    }
}

/// The attempts of one compare and swap.
pub(super) struct Rounds<'a> {
    store: Calls<'a>,
    key: &'a RecordKey,
    policy: Policy,
    round: u32,
    /// It queues once only: the holder of the turn may be a future that nobody polls.
    has_queued: bool,
    lead: Option<Lead>,
}

impl<'a> Rounds<'a> {
    pub(super) async fn start(
        store: Calls<'a>,
        key: &'a RecordKey,
        policy: Policy,
    ) -> Result<Self, Error> {
        let lead = match policy.queue {
            Queue::FromStart => turn(store, key).await?,
            Queue::Never | Queue::AfterLoss => None,
        };
        Ok(Self {
            store,
            key,
            policy,
            round: 0,
            has_queued: false,
            lead,
        })
    }

    /// The calls of this attempt. If the store fails a request that has its turn, the requests
    /// waiting for theirs fail as well.
    pub(super) fn store(&self) -> Calls<'_> {
        match &self.lead {
            Some(lead) => self.store.led_by(lead),
            None => self.store,
        }
    }

    /// Lets faster requests finish before the next attempt: those of this process by waiting for a
    /// turn, as the policy says, and those of others by pausing for a random time. Each lost round
    /// is an event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if all rounds are lost.
    pub(super) async fn lost(&mut self) -> Result<(), Error> {
        trace::lost_round(self.policy.swap, self.round);
        self.round += 1;
        if self.round >= self.policy.rounds {
            return Err(Error::new(ErrorKind::Conflict));
        }
        if self.policy.queue == Queue::AfterLoss && !self.has_queued {
            self.lead = turn(self.store, self.key).await?;
            self.has_queued = true;
        } else {
            self.store.back_off(self.round).await?;
        }
        Ok(())
    }
}

/// Waits for a turn to write the record, but no longer than a second: the turn is a courtesy to
/// others, and its holder may be a future that nobody polls. A store that never waits has no line.
async fn turn(store: Calls<'_>, key: &RecordKey) -> Result<Option<Lead>, Error> {
    let Some(line) = store.line(key) else {
        return Ok(None);
    };
    match store.wait(&line, || false).await? {
        Waited::Leads(lead) => Ok(Some(lead)),
        Waited::InVain | Waited::Done => {
            drop(store.line_after(key, &line));
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
