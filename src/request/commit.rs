//! Committing all sessions of one layer.

use std::{pin::Pin, sync::Arc};

use super::registry::{Handle, Registry};
use crate::{
    error::Error,
    join,
    report::metrics::Stopwatch,
    state::{State, Use},
    turn::{self, Anchor, Cookies, Keep, Reply, commit_cookie},
};

/// How far a commit has come.
pub(crate) enum Progress {
    /// There was nothing to do.
    Nothing {
        used: Use,
    },
    Done(Committed),
    /// A store has to be waited for.
    Waiting(Pin<Box<dyn Future<Output = Committed> + Send>>),
}

/// What the response owes for all sessions of one layer.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    pub(crate) cookies: Cookies,
    pub(crate) used: Use,
    /// All failures as one.
    pub(crate) failure: Option<Error>,
}

/// Saves the sessions of one layer, and continues after a failure. Sessions whose stores never wait
/// are saved one after the other. From the first that waits on, the rest are saved concurrently.
/// Cookies and failures are in the order of the sessions.
///
/// `keep` is asked only if there is something to commit.
pub(crate) fn commit(registry: &Arc<Registry>, mut keep: impl FnMut() -> Keep) -> Progress {
    let mut committed = Committed::default();
    let mut is_idle = true;
    let mut all = registry.in_use();
    while let Some(handle) = all.next() {
        match handle.commit_now(&mut keep) {
            Now::Nothing { used } => committed.used = committed.used.max(used),
            Now::Done(outcome) => {
                is_idle = false;
                committed.add(&handle, outcome);
            }
            Now::Waits => {
                // The sessions before this one are committed already.
                let others = all.collect();
                let rest = commit_rest(handle, others, keep(), committed);
                return Progress::Waiting(Box::pin(rest));
            }
        }
    }
    if is_idle {
        Progress::Nothing {
            used: committed.used,
        }
    } else {
        Progress::Done(committed)
    }
}

/// Commits the first session that waits and those after it.
async fn commit_rest(
    first: Handle,
    others: Vec<Handle>,
    keep: Keep,
    mut committed: Committed,
) -> Committed {
    let watch = Stopwatch::start();
    if others.is_empty() {
        let outcome = first.commit_waiting(keep).await;
        committed.add(&first, outcome);
        watch.of_commit(first.exchange().meter.calls());
        return committed;
    }
    let handles: Vec<_> = std::iter::once(first).chain(others).collect();
    let commits = handles.iter().map(|handle| commit_one(handle, keep));
    let outcomes = Box::pin(join::all(commits.collect())).await;
    for (handle, outcome) in handles.iter().zip(outcomes) {
        committed.add(handle, outcome);
    }
    if let Some(handle) = handles.first() {
        watch.of_commit(handle.exchange().meter.calls());
    }
    committed
}

async fn commit_one(handle: &Handle, keep: Keep) -> Outcome {
    match handle.commit_now(|| keep) {
        Now::Nothing { used } => Ok(Reply {
            used,
            ..Reply::default()
        }),
        Now::Done(outcome) => outcome,
        Now::Waits => handle.commit_waiting(keep).await,
    }
}

/// How far one session can be committed without waiting.
enum Now {
    Nothing { used: Use },
    Done(Outcome),
    Waits,
}

type Outcome = Result<Reply, Failed>;

/// A session that could not be committed.
struct Failed {
    error: Error,
    /// What the response owes all the same, for an explicit save or destroy before.
    owed: Reply,
}

impl Failed {
    fn of(error: Error, owed: Option<Reply>) -> Self {
        let owed = owed.unwrap_or_default();
        Self { error, owed }
    }
}

impl Handle {
    #[inline]
    fn commit_now(&self, keep: impl FnOnce() -> Keep) -> Now {
        let (cell, settings) = (self.cell(), self.settings());
        let rest = cell.with_rest(settings.never_waits, |state, is_idle| {
            let rests = is_idle && state.rests(settings, || self.clock().now());
            (rests || !state.is_in_use()).then(|| state.committed())
        });
        if let Some(used) = rest {
            return Now::Nothing { used };
        }
        if !settings.never_waits {
            return Now::Waits;
        }
        let commit = turn::Commit {
            keep: keep(),
            name: self.check_name(),
        };
        Now::Done(self.commit_at_once(commit).map_err(|error| {
            let owed = self.owed().and_then(|owed| self.commit_at_once(owed).ok());
            Failed::of(error, owed)
        }))
    }

    fn commit_at_once(&self, commit: turn::Commit) -> Result<Reply, Error> {
        if self.settings().has_store() {
            turn::run_now(self, commit)
        } else {
            commit_cookie(self, commit)
        }
    }

    async fn commit_waiting(&self, keep: Keep) -> Outcome {
        let name = self.check_name();
        let error = match turn::run(self, turn::Commit { keep, name }).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let owed = match self.owed() {
            Some(owed) => turn::run(self, owed).await.ok(),
            None => None,
        };
        Err(Failed::of(error, owed))
    }

    /// After a failure: the commit that gives up the unsaved changes, as for a handler that failed,
    /// if the browser has to learn of what was done before them.
    fn owed(&self) -> Option<turn::Commit> {
        let owes = self.cell().with(State::owes_regardless);
        owes.then_some(turn::Commit {
            keep: Keep::Identity,
            name: Ok(()),
        })
    }
}

impl Committed {
    fn add(&mut self, handle: &Handle, outcome: Outcome) {
        match outcome {
            Ok(Reply { cookies, used }) => {
                self.used = self.used.max(used);
                self.cookies.append(cookies);
            }
            Err(Failed { error, owed }) => {
                self.used = Use::There;
                self.cookies.append(owed.cookies);
                let error = error.of(&handle.settings().name);
                self.failure = Some(match self.failure.take() {
                    None => error,
                    Some(first) => first.and(error),
                });
            }
        }
    }
}
