//! What the tasks of a request do, drawn at random.

use super::network::Remote;
use crate::{CookieStore, Keys, MemoryStore, SessionConfig, SessionLayer};
use shuttle::rand::{Rng, thread_rng};

/// How sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cookie,
    Revocable,
    Overflow,
    Memory,
    Remote,
    RemoteRevocable,
    RemoteOverflow,
    /// Calls fail before they reach the store, and answers are lost.
    Failing,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Cookie,
        Self::Revocable,
        Self::Overflow,
        Self::Memory,
        Self::Remote,
        Self::RemoteRevocable,
        Self::RemoteOverflow,
        Self::Failing,
    ];

    pub(super) fn layer(self) -> SessionLayer {
        let keys = Keys::generate().unwrap();
        let (cookies, memory) = (CookieStore::new(), MemoryStore::new());
        let config = match self {
            Self::Cookie => SessionConfig::new("s", cookies, keys),
            Self::Revocable => SessionConfig::new("s", cookies.revocation(memory), keys),
            Self::Overflow => SessionConfig::new("s", cookies.overflow(memory), keys),
            Self::Memory => SessionConfig::new("s", memory, keys),
            Self::Remote => SessionConfig::new("s", Remote::new(), keys),
            Self::RemoteRevocable => {
                SessionConfig::new("s", cookies.revocation(Remote::new()), keys)
            }
            Self::RemoteOverflow => SessionConfig::new("s", cookies.overflow(Remote::new()), keys),
            Self::Failing => SessionConfig::new("s", Remote::failing(), keys),
        };
        SessionLayer::new(config)
    }

    /// Requests keep each other's changes. In a cookie the last response wins.
    pub(super) fn is_in_store(self) -> bool {
        matches!(self, Self::Memory | Self::Remote | Self::Failing)
    }

    /// A session that has been destroyed is dead in its older cookies too.
    pub(super) fn ends_older_cookies(self) -> bool {
        !matches!(self, Self::Cookie | Self::Overflow | Self::RemoteOverflow)
    }
}

/// What a task does with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Inserts a value under the task's own key.
    Insert,
    /// Adds one to a counter that all tasks share.
    Count,
    Save,
    InsertAndSave,
    /// Begins a save, and drops it.
    DropSave,
    /// Begins a save, and does not poll it again until the end.
    KeepSave,
    Renew,
    Load,
    Destroy,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// What each task does. The last is the handler, which the response waits for.
    pub(super) tasks: Vec<Vec<Act>>,
    /// Another request inserts a value at the same time.
    pub(super) has_rival: bool,
}

/// The keys of the tasks, and of the other request.
pub(super) const KEYS: [&str; 4] = ["a", "b", "c", RIVAL];
pub(super) const RIVAL: &str = "d";

impl Plan {
    pub(super) fn of(kind: Kind, acts: &[Act]) -> Self {
        let mut rng = thread_rng();
        let mut draw = |most: usize| -> Vec<Act> {
            let count = rng.gen_range(0..=most);
            (0..count)
                .map(|_| acts[rng.gen_range(0..acts.len())])
                .collect()
        };
        let tasks = vec![draw(2), draw(2), draw(1)];
        let has_rival = kind.is_in_store() && rng.gen_bool(0.5);
        Self {
            kind,
            tasks,
            has_rival,
        }
    }

    pub(super) fn does(&self, act: Act) -> bool {
        self.tasks.iter().flatten().any(|other| *other == act)
    }
}
