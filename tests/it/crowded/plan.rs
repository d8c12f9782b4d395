//! What a crowd does, drawn from a seed.

use silverback::{SessionConfig, store::MigratingStore};

use super::{
    deeds::Deed,
    mishaps::Mishap,
    outside::{Outside, has_records},
};
use crate::support::{HOUR, Kind, Stores, World, keys, schedule::next};

/// How a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reply {
    #[default]
    Page,
    /// Nobody sees the response.
    Head,
    /// The handler fails.
    Failure,
}

/// What one request does.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit {
    pub(super) deeds: Vec<Deed>,
    pub(super) reply: Reply,
    /// After how many polls it is dropped, if it is.
    pub(super) cut: Option<usize>,
    /// What its handle does after the response, when it has loaded the session again.
    pub(super) late: Vec<Deed>,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// How many sessions a user may have.
    pub(super) limit: Option<usize>,
    /// The records are encrypted.
    pub(super) is_sealed: bool,
    /// Two servers share the visits.
    pub(super) is_spread: bool,
    /// The session has outgrown its cookie before.
    pub(super) is_grown: bool,
    /// The records move to another store meanwhile.
    pub(super) moves: bool,
    /// It is time to list the session again.
    pub(super) is_late: bool,
    pub(super) visits: Vec<Visit>,
    pub(super) outside: Vec<Outside>,
    pub(super) mishaps: Vec<Mishap>,
    pub(super) seed: u64,
}

const KINDS: [Kind; 8] = [
    Kind::RevocableOverflow,
    Kind::Remote,
    Kind::RevocableOverflow,
    Kind::RemoteRevocable,
    Kind::RevocableOverflow,
    Kind::Remote,
    Kind::Memory,
    Kind::Revocable,
];

impl Plan {
    pub(super) fn of(round: u64) -> Self {
        let seed = &mut (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678);
        let kind = KINDS[usize::from(next(seed) % 8)];
        let is_calm = next(seed).is_multiple_of(3);
        let mishaps = if is_calm { 0 } else { 1 + next(seed) % 3 };
        let outside = [0, 0, 0, 1, 1, 2][usize::from(next(seed) % 6)];
        Self {
            kind,
            limit: match next(seed) % 8 {
                0 => Some(1),
                1 => Some(2),
                _ => None,
            },
            is_sealed: has_records(kind) && next(seed).is_multiple_of(5),
            is_spread: next(seed).is_multiple_of(3),
            is_grown: next(seed).is_multiple_of(2),
            moves: kind == Kind::Remote && next(seed).is_multiple_of(3),
            is_late: next(seed).is_multiple_of(3),
            visits: (0..[1, 2, 3, 4, 1, 2, 3, 9][usize::from(next(seed) % 8)])
                .map(|_| Visit::of(seed, is_calm))
                .collect(),
            outside: (0..outside).map(|_| Outside::of(seed, kind)).collect(),
            mishaps: (0..mishaps).map(|_| Mishap::of(seed)).collect(),
            seed: *seed,
        }
    }

    /// The first or the second server at these stores. Of a move, it is at different stages.
    pub(super) fn server(&self, stores: &Stores, is_first: bool) -> World {
        let (from, to) = (stores.records.clone(), stores.ends.clone());
        let moving = match is_first {
            true => MigratingStore::new(from, to),
            false => MigratingStore::prepared(from, to),
        };
        let mut config = match self.moves {
            true => SessionConfig::new("s", moving.clock(stores.clock.clone()), keys())
                .cookie_name("s")
                .store_timeout(HOUR),
            false => self.kind.config(stores, keys()),
        };
        if let Some(limit) = self.limit {
            config = config.sessions_per_subject(limit);
        }
        if self.is_sealed {
            config = config.encrypt_records();
        }
        World::new(self.kind, stores.clone(), config)
    }

    /// The server before the move.
    pub(super) fn old_server(&self, stores: &Stores) -> World {
        let plan = Self {
            moves: false,
            ..self.clone()
        };
        plan.server(stores, true)
    }

    /// Returns whether no store fails and no request is cut off.
    pub(super) fn is_calm(&self) -> bool {
        self.mishaps.is_empty() && self.visits.iter().all(|visit| visit.cut.is_none())
    }

    /// Returns whether the session is always in a record.
    pub(super) fn is_in_store(&self) -> bool {
        matches!(self.kind, Kind::Memory | Kind::Remote)
    }

    pub(super) fn does(&self, is: impl Fn(&Deed) -> bool) -> bool {
        self.visits.iter().any(|visit| visit.does(&is))
    }

    /// Returns whether this visit brings the session from its cookie into a record.
    pub(super) fn outgrows(&self, visit: &Visit) -> bool {
        let mut last = visit.deeds.iter().rev();
        let last = last.find(|deed| matches!(deed, Deed::Grow | Deed::Shrink));
        self.kind == Kind::RevocableOverflow && last == Some(&Deed::Grow)
    }

    /// Returns whether something may end the session, or remove what is in it.
    pub(super) fn ends(&self) -> bool {
        let ends = |outside: &Outside| match outside {
            Outside::EndAll(user) | Outside::EndListed(user) => {
                *user == "ada" || self.does(|deed| deed.moves())
            }
            Outside::EndByKey => true,
            Outside::Put => false,
        };
        self.ends_itself() || self.outside.iter().any(ends)
    }

    /// Returns whether a request may do so.
    pub(super) fn ends_itself(&self) -> bool {
        let moves = self.does(|deed| deed.moves());
        let is_alone = self.visits.len() == 1;
        let ends_others = self.does(|deed| *deed == Deed::DestroyOthers);
        self.does(|deed| matches!(deed, Deed::Destroy | Deed::Clear))
            || (moves && (self.limit.is_some() || (ends_others && !is_alone)))
    }

    /// All plans that lack one thing.
    pub(super) fn with_less(&self) -> Vec<Self> {
        let mut fewer = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self)| {
            let mut less = self.clone();
            change(&mut less);
            fewer.push(less);
        };
        for (at, visit) in self.visits.iter().enumerate() {
            add(&|less| less.visits = without(&self.visits, at));
            for deed in 0..visit.deeds.len() {
                add(&|less| less.visits[at].deeds = without(&visit.deeds, deed));
            }
            for deed in 0..visit.late.len() {
                add(&|less| less.visits[at].late = without(&visit.late, deed));
            }
            if visit.cut.is_some() {
                add(&|less| less.visits[at].cut = None);
            }
            if visit.reply != Reply::Page {
                add(&|less| less.visits[at].reply = Reply::Page);
            }
        }
        for at in 0..self.mishaps.len() {
            add(&|less| less.mishaps = without(&self.mishaps, at));
        }
        for at in 0..self.outside.len() {
            add(&|less| less.outside = without(&self.outside, at));
        }
        if self.limit.is_some() {
            add(&|less| less.limit = None);
        }
        let flags: [fn(&mut Self) -> &mut bool; 5] = [
            |plan| &mut plan.is_sealed,
            |plan| &mut plan.is_spread,
            |plan| &mut plan.is_grown,
            |plan| &mut plan.is_late,
            |plan| &mut plan.moves,
        ];
        for flag in flags {
            if *flag(&mut self.clone()) {
                add(&|less| *flag(less) = false);
            }
        }
        fewer
    }
}

fn without<T: Clone>(all: &[T], at: usize) -> Vec<T> {
    let mut fewer = all.to_vec();
    fewer.remove(at);
    fewer
}

impl Visit {
    fn of(seed: &mut u64, is_calm: bool) -> Self {
        let mut deeds: Vec<_> = (0..1 + next(seed) % 4).map(|_| Deed::of(seed)).collect();
        if next(seed).is_multiple_of(2) {
            deeds.insert(0, Deed::Grow);
        }
        let is_cut = !is_calm && next(seed).is_multiple_of(8);
        let mut late = Vec::new();
        if next(seed).is_multiple_of(4) {
            late = (0..1 + next(seed) % 2).map(|_| Deed::of(seed)).collect();
            late.push(Deed::Save);
        }
        Self {
            deeds,
            reply: match next(seed) % 12 {
                0 => Reply::Head,
                1 => Reply::Failure,
                _ => Reply::Page,
            },
            cut: is_cut.then(|| usize::from(next(seed) % 20)),
            late,
        }
    }

    pub(super) fn does(&self, is: impl Fn(&Deed) -> bool) -> bool {
        self.deeds.iter().chain(&self.late).any(is)
    }
}
