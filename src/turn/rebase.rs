//! Unsaved changes while they are applied to newer content.

use std::mem;

use super::cell::Turn;
use crate::state::{Log, State};

/// Changes taken out of the session's state. They go back in front of those made meanwhile.
pub(super) struct Rebase<'a> {
    turn: &'a Turn<'a>,
    pub(super) log: Log,
}

impl<'a> Rebase<'a> {
    pub(super) fn new(turn: &'a Turn<'a>) -> Self {
        let log = Log::default();
        Self { turn, log }
    }

    pub(super) fn give_back(&mut self, state: &mut State) {
        self.log.append(&mut state.log);
        state.log = mem::take(&mut self.log);
    }
}

impl Drop for Rebase<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            self.turn.state(|state| self.give_back(state));
        }
    }
}
