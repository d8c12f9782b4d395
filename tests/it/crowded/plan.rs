//! What a crowd does, drawn from a seed.

use silverback::{ErrorKind, Session};

use crate::support::{
    Kind, World,
    schedule::next,
    scripted::{ANY, After, Before, Calls, Create, Cut, Delete, Fail, Load, Lose, Touch, Update},
};

pub(super) const USERS: [&str; 2] = ["ada", "bob"];

/// What a request does with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Put,
    Grow,
    Shrink,
    Renew,
    LogIn(&'static str),
    SetSubject(&'static str),
    Leave,
    Save,
    Destroy,
    DestroyOthers,
}

impl Deed {
    fn of(seed: &mut u64) -> Self {
        let user = USERS[usize::from(next(seed) % 2)];
        match next(seed) % 16 {
            0 | 1 => Self::Put,
            2..=4 => Self::Grow,
            5 => Self::Shrink,
            6 => Self::Renew,
            7 | 8 => Self::LogIn(user),
            9 => Self::SetSubject(user),
            10 | 11 => Self::Leave,
            12 | 13 => Self::Save,
            14 => Self::Destroy,
            _ => Self::DestroyOthers,
        }
    }

    /// `key` is the key of what it puts into the session.
    pub(super) async fn run(self, session: &Session, key: &str) -> Result<(), ErrorKind> {
        let done = match self {
            Self::Put => session.insert(key, 1),
            Self::Grow => session
                .insert(key, 1)
                .and_then(|()| session.insert("large", "x".repeat(600))),
            Self::Shrink => session.remove("large").map(drop),
            Self::Renew => {
                session.renew();
                Ok(())
            }
            Self::LogIn(user) => {
                session.renew();
                session
                    .insert(key, 1)
                    .and_then(|()| session.set_subject(user, "device"))
            }
            Self::SetSubject(user) => session.set_subject(user, "device"),
            Self::Leave => session.remove_subject().map(drop),
            Self::Save => session.save().await,
            Self::Destroy => session.destroy().await,
            Self::DestroyOthers => session.destroy_others().await.map(drop),
        };
        done.map_err(|error| error.kind())
    }

    /// Returns whether it may give the session a new ID.
    pub(super) fn may_renew(self) -> bool {
        matches!(
            self,
            Self::Renew | Self::LogIn(_) | Self::SetSubject(_) | Self::Leave
        )
    }

    pub(super) fn puts(self) -> bool {
        matches!(self, Self::Put | Self::Grow | Self::LogIn(_))
    }
}

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
    /// Three calls in a row are applied, and their answers are lost.
    Silence,
}

impl Mishap {
    fn of(seed: &mut u64) -> Self {
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
            fault: match next(seed) % 6 {
                0 | 1 => Fault::Refused,
                2 => Fault::Unanswered,
                3 => Fault::Unheard,
                4 => Fault::Repeated,
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
            Fault::Refused => store.nth(nth, Before, calls, Fail),
            Fault::Unanswered => store.nth(nth, Before, calls, Cut),
            Fault::Unheard => store.nth(nth, After, calls, Cut),
            Fault::Repeated => store.nth(nth, After, calls, Lose),
            Fault::Silence => (nth..nth + 3).for_each(|nth| store.nth(nth, After, calls, Cut)),
        }
    }
}

/// What one request does, and after how many polls it is dropped, if it is.
pub(super) type Visit = (Vec<Deed>, Option<usize>);

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// The session has outgrown its cookie before.
    pub(super) is_grown: bool,
    /// It is time to list the session again.
    pub(super) is_late: bool,
    pub(super) visits: Vec<Visit>,
    /// Whose sessions are all ended at the same time.
    pub(super) ends_all: Option<&'static str>,
    pub(super) mishaps: Vec<Mishap>,
    pub(super) seed: u64,
}

const KINDS: [Kind; 4] = [
    Kind::RevocableOverflow,
    Kind::Remote,
    Kind::RevocableOverflow,
    Kind::RemoteRevocable,
];

impl Plan {
    pub(super) fn of(round: u64) -> Self {
        let seed = &mut (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678);
        let kind = KINDS[usize::from(next(seed) % 4)];
        let is_calm = next(seed).is_multiple_of(3);
        let visit = |seed: &mut u64| {
            let mut deeds: Vec<_> = (0..1 + next(seed) % 4).map(|_| Deed::of(seed)).collect();
            if next(seed).is_multiple_of(2) {
                deeds.insert(0, Deed::Grow);
            }
            let is_cut = !is_calm && next(seed).is_multiple_of(8);
            (deeds, is_cut.then(|| usize::from(next(seed) % 20)))
        };
        let mishaps = if is_calm { 0 } else { 1 + next(seed) % 3 };
        Self {
            kind,
            is_grown: next(seed).is_multiple_of(3),
            is_late: next(seed).is_multiple_of(3),
            visits: (0..1 + next(seed) % 4).map(|_| visit(seed)).collect(),
            ends_all: match next(seed) % 6 {
                0 | 1 => Some("ada"),
                2 => Some("bob"),
                _ => None,
            },
            mishaps: (0..mishaps).map(|_| Mishap::of(seed)).collect(),
            seed: *seed,
        }
    }

    /// Returns whether no store fails and no request is cut off.
    pub(super) fn is_calm(&self) -> bool {
        self.mishaps.is_empty() && self.visits.iter().all(|(_, cut)| cut.is_none())
    }

    pub(super) fn does(&self, is: impl Fn(&Deed) -> bool) -> bool {
        self.visits.iter().any(|(deeds, _)| deeds.iter().any(&is))
    }

    /// All plans that lack one thing.
    pub(super) fn with_less(&self) -> Vec<Self> {
        let mut fewer = Vec::new();
        let mut add = |remove: &dyn Fn(&mut Self)| {
            let mut less = self.clone();
            remove(&mut less);
            fewer.push(less);
        };
        for (at, (deeds, cut)) in self.visits.iter().enumerate() {
            add(&|less| drop(less.visits.remove(at)));
            for deed in 0..deeds.len() {
                add(&|less| {
                    less.visits[at].0.remove(deed);
                });
            }
            if cut.is_some() {
                add(&|less| less.visits[at].1 = None);
            }
        }
        for at in 0..self.mishaps.len() {
            add(&|less| {
                less.mishaps.remove(at);
            });
        }
        if self.ends_all.is_some() {
            add(&|less| less.ends_all = None);
        }
        fewer
    }
}
