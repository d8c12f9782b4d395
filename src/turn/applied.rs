//! Changes while they are being applied.

use std::mem;

use super::cell::Turn;
use crate::state::{Log, State};

/// Changes that were taken from the session's state to be applied, and go back in front of those
/// that were made meanwhile.
pub(super) struct Applied<'a> {
    turn: &'a Turn<'a>,
    pub(super) log: Log,
}

impl<'a> Applied<'a> {
    pub(super) fn none(turn: &'a Turn<'a>) -> Self {
        let log = Log::default();
        Self { turn, log }
    }

    pub(super) fn give_back(&mut self, state: &mut State) {
        self.log.append(&mut state.log);
        state.log = mem::take(&mut self.log);
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            self.turn.state(|state| self.give_back(state));
        }
    }
}
