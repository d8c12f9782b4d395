//! One session within one request, and the exclusive right to work on it.

use std::{future::Future, pin::pin};

use super::{exchange::Exchange, flights::Flights};
use crate::{
    error::{Error, ErrorKind},
    lock::{Monitor, Turnstile},
    state::State,
    store::{self, Meter},
    vault::Vault,
};

#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// Serializes operations on a session whose store waits.
    flights: Flights,
    /// Serializes operations on a session whose store never waits. Opening a session that needs no
    /// store takes only `state`.
    turnstile: Turnstile,
    /// Locked briefly, and never across an await.
    state: Monitor<State>,
}

/// A handle that keeps a cell alive while an operation on it waits.
pub(crate) trait Anchor: Clone + Send + Sync + 'static {
    fn cell(&self) -> &Cell;
    fn vault(&self) -> Vault<'_>;
    fn exchange(&self) -> &Exchange;
}

/// The exclusive right to open, save, end or commit a session. Handlers can still read and change
/// the session meanwhile.
pub(crate) struct Turn<'a> {
    cell: &'a Cell,
    pub(super) vault: Vault<'a>,
    pub(super) exchange: &'a Exchange,
}

/// Work that needs a turn.
pub(crate) trait Operation: Send + 'static {
    type Output: Send + 'static;

    fn perform(self, turn: &Turn<'_>) -> impl Future<Output = Result<Self::Output, Error>> + Send;

    /// As [`perform`](Self::perform), for a session whose store never waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreFailed`] if the store waits after all.
    fn perform_now(self, turn: &Turn<'_>) -> Result<Self::Output, Error>
    where
        Self: Sized,
    {
        finish_now(self, turn)
    }
}

/// Performs an operation on a session whose store never waits, by the general path.
///
/// # Errors
///
/// As for [`Operation::perform_now`].
pub(super) fn finish_now<O: Operation>(operation: O, turn: &Turn<'_>) -> Result<O::Output, Error> {
    let done = store::poll_once(pin!(operation.perform(turn)));
    done.unwrap_or_else(|| Err(Error::new(ErrorKind::StoreFailed)))
}

impl Cell {
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(work)
    }

    /// Does synchronous work in a turn.
    #[inline]
    pub(super) fn in_turn<R>(&self, work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        self.turnstile.pass(work)
    }

    /// As [`with`](Self::with). `work` also learns whether no operation is under way: what an
    /// operation has taken is missing from the state.
    #[inline]
    pub(crate) fn with_rest<R>(
        &self,
        never_waits: bool,
        work: impl FnOnce(&mut State, bool) -> R,
    ) -> R {
        // Dropped after the lock is released.
        let mut look = None;
        self.with(|state| {
            // Asked under the lock, so that an operation whose effect shows in the state shows
            // here too.
            let flies = !never_waits && !look.insert(self.flights.look()).is_idle;
            work(state, !flies && self.turnstile.is_free())
        })
    }
}

impl<'a> Turn<'a> {
    /// `meter` counts the time spent waiting for stores. Without one, the request's meter does.
    fn of(anchor: &'a impl Anchor, meter: Option<&'a Meter>) -> Self {
        let mut vault = anchor.vault();
        vault.meter = meter.unwrap_or(vault.meter);
        Self {
            cell: anchor.cell(),
            vault,
            exchange: anchor.exchange(),
        }
    }

    #[inline]
    pub(super) fn state<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.cell.with(work)
    }
}

/// Runs an operation once its turn comes.
///
/// # Errors
///
/// The operation's.
pub(crate) async fn run<O: Operation>(
    anchor: &impl Anchor,
    operation: O,
) -> Result<O::Output, Error> {
    if anchor.vault().settings.never_waits {
        return run_now(anchor, operation);
    }
    let kept = anchor.clone();
    // Time spent behind earlier operations counts as well.
    let meter = kept.exchange().counts_apart().then(Meter::running);
    let flight = async move { operation.perform(&Turn::of(&kept, meter.as_ref())).await };
    anchor.cell().flights.run(flight).await
}

/// As [`run`], for a session whose store never waits.
///
/// # Errors
///
/// [`ErrorKind::StoreFailed`] if the store waits after all, and that of the operation.
pub(crate) fn run_now<O: Operation>(
    anchor: &impl Anchor,
    operation: O,
) -> Result<O::Output, Error> {
    let turn = Turn::of(anchor, None);
    turn.cell.in_turn(|| operation.perform_now(&turn))
}

#[cfg(test)]
mod tests;
