//! Trying a compare and swap again: how often, in which order, and after which pause.

use tokio::sync::MutexGuard;

use crate::{
    error::{Error, ErrorKind},
    id::RecordKey,
    store::Calls,
    trace,
};

/// How a compare and swap is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// What it is for, in events.
    pub(super) what: &'static str,
    /// How many attempts there are.
    pub(super) rounds: u32,
    pub(super) queue: Queue,
}

/// Whether attempts take turns in this process, so that a busy record makes progress instead of
/// noise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Queue {
    /// An attempt that itself compares and swaps another record must not: two records may share a
    /// queue.
    Never,
    AfterLoss,
    FromStart,
}

impl Policy {
    pub(super) const fn new(what: &'static str, queue: Queue) -> Self {
        Self {
            what,
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
    /// It is queued for once: its holder may be a future that nobody polls.
    has_queued: bool,
    turn: Option<MutexGuard<'a, ()>>,
}

impl<'a> Rounds<'a> {
    pub(super) async fn start(
        store: Calls<'a>,
        key: &'a RecordKey,
        policy: Policy,
    ) -> Result<Self, Error> {
        let turn = match policy.queue {
            Queue::FromStart => store.turn(key).await?,
            Queue::Never | Queue::AfterLoss => None,
        };
        Ok(Self {
            store,
            key,
            policy,
            round: 0,
            has_queued: false,
            turn,
        })
    }

    /// Lets those who were faster finish, before the next attempt: in this process by waiting for a
    /// turn, as the policy says, and in others for a random time. Each lost round is an event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if all rounds are lost.
    pub(super) async fn lost(&mut self) -> Result<(), Error> {
        trace::lost_round(self.policy.what, self.round);
        self.round += 1;
        if self.round >= self.policy.rounds {
            return Err(Error::new(ErrorKind::Conflict));
        }
        if self.policy.queue == Queue::AfterLoss && !self.has_queued {
            self.turn = self.store.turn(self.key).await?;
            self.has_queued = true;
        } else {
            self.store.back_off(self.round).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
