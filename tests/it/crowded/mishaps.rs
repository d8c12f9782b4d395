//! What goes wrong in the stores.

use crate::support::{
    World,
    schedule::next,
    scripted::{ANY, After, Before, Calls, Create, Cut, Delete, Fail, Load, Lose, Touch, Update},
};

/// A fault of some calls of one store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mishap {
    nth: usize,
    is_of_ends: bool,
    calls: Calls,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused,
    Unanswered,
    Unheard,
    Repeated,
    /// Three calls in a row are not heard.
    Outage,
    /// Three calls in a row are applied, and their answers are lost.
    Silence,
}

impl Mishap {
    pub(super) fn of(seed: &mut u64) -> Self {
        let calls: Calls = match next(seed) % 6 {
            0 => Load.into(),
            1 => Create.into(),
            2 => Update.into(),
            3 => Touch | Delete,
            _ => ANY,
        };
        Self {
            calls: match next(seed) % 3 {
                0 => calls,
                1 => calls.of_rosters(),
                _ => calls.of_sessions(),
            },
            nth: usize::from(1 + next(seed) % 6),
            is_of_ends: next(seed).is_multiple_of(2),
            fault: match next(seed) % 7 {
                0 | 1 => Fault::Refused,
                2 => Fault::Unanswered,
                3 => Fault::Unheard,
                4 => Fault::Repeated,
                5 => Fault::Outage,
                _ => Fault::Silence,
            },
        }
    }

    pub(super) fn happens(self, world: &World) {
        let store = match self.is_of_ends {
            true => world.ends(),
            false => world.records(),
        };
        let (nth, calls) = (self.nth, self.calls);
        match self.fault {
            // A store that never waits loses no answer.
            _ if world.kind.never_waits() => store.nth(nth, Before, calls, Fail),
            Fault::Refused => store.nth(nth, Before, calls, Fail),
            Fault::Unanswered => store.nth(nth, Before, calls, Cut),
            Fault::Unheard => store.nth(nth, After, calls, Cut),
            Fault::Repeated => store.nth(nth, After, calls, Lose),
            Fault::Outage => (nth..nth + 3).for_each(|nth| store.nth(nth, Before, calls, Cut)),
            Fault::Silence => (nth..nth + 3).for_each(|nth| store.nth(nth, After, calls, Cut)),
        }
    }
}
