//! Committing the sessions of one layer: one call on the way out.

use std::{mem, pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderValue, header};

use super::registry::{Handle, Registry};
use crate::{
    error::Error,
    join,
    report::metrics::Stopwatch,
    state::Use,
    turn::{self, Anchor, Keep, Reply, commit_cookie},
};

/// What there is to do for the sessions of a request.
pub(crate) enum Commit {
    /// Nothing was changed, and nothing is due.
    Nothing {
        used: Use,
    },
    Done(Committed),
    /// A store waits.
    Waiting(Pin<Box<dyn Future<Output = Committed> + Send>>),
}

/// What the response has to say about all sessions of one layer.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    pub(crate) cookies: Cookies,
    pub(crate) used: Use,
    failures: Vec<Error>,
}

/// The cookies to set: usually one, which takes no allocation.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    first: Option<NewCookie>,
    others: Vec<NewCookie>,
}

#[derive(Debug)]
struct NewCookie {
    value: HeaderValue,
    /// Nothing is lost if it is not sent.
    is_refresh: bool,
}

/// Saves the sessions of one layer, and goes on after a failure: those whose stores never wait one
/// after the other, and from the first that waits on side by side. Cookies and failures are in the
/// order of the sessions.
///
/// What to keep is asked only if there is something to commit.
pub(crate) fn commit(registry: &Arc<Registry>, keep: impl Fn() -> Keep) -> Commit {
    let mut committed = Committed::default();
    let mut is_idle = true;
    let mut all = registry.in_use();
    while let Some(handle) = all.next() {
        match handle.commit_now(&keep) {
            Now::Nothing { used } => committed.used = committed.used.max(used),
            Now::Done(reply) => {
                is_idle = false;
                committed.add(&handle, reply);
            }
            Now::Waits => {
                // Those before it stay as they were committed.
                let others = all.collect();
                let rest = commit_rest(handle, others, keep(), committed);
                return Commit::Waiting(Box::pin(rest));
            }
        }
    }
    if is_idle {
        Commit::Nothing {
            used: committed.used,
        }
    } else {
        Commit::Done(committed)
    }
}

/// Commits the first one that waits, and those behind it.
async fn commit_rest(
    first: Handle,
    others: Vec<Handle>,
    keep: Keep,
    mut committed: Committed,
) -> Committed {
    let watch = Stopwatch::start();
    if others.is_empty() {
        let reply = first.commit_waiting(keep).await;
        committed.add(&first, reply);
        watch.of_commit(first.exchange().meter.calls());
        return committed;
    }
    let handles: Vec<_> = std::iter::once(first).chain(others).collect();
    let commits = handles.iter().map(|handle| commit_one(handle, keep));
    let outcomes = Box::pin(join::all(commits.collect())).await;
    for (handle, outcome) in handles.iter().zip(outcomes) {
        match outcome {
            Ok(used) => committed.used = committed.used.max(used),
            Err(reply) => committed.add(handle, reply),
        }
    }
    if let Some(handle) = handles.first() {
        watch.of_commit(handle.exchange().meter.calls());
    }
    committed
}

/// Commits one session; `Ok` if there was nothing to do.
async fn commit_one(handle: &Handle, keep: Keep) -> Result<Use, Result<Reply, Error>> {
    match handle.commit_now(|| keep) {
        Now::Nothing { used } => Ok(used),
        Now::Done(reply) => Err(reply),
        Now::Waits => Err(handle.commit_waiting(keep).await),
    }
}

/// What can be done for one session without waiting.
enum Now {
    Nothing { used: Use },
    Done(Result<Reply, Error>),
    Waits,
}

impl Handle {
    #[inline]
    fn commit_now(&self, keep: impl FnOnce() -> Keep) -> Now {
        let (cell, settings) = (self.cell(), self.settings());
        let rest = cell.with_rest(settings.never_waits, |state, is_idle| {
            let rests = is_idle && state.rests(settings, || self.clock().now());
            (rests || !state.is_in_use()).then(|| state.made_use())
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
        Now::Done(if settings.has_store() {
            turn::run_now(self, commit)
        } else {
            commit_cookie(self, commit)
        })
    }

    async fn commit_waiting(&self, keep: Keep) -> Result<Reply, Error> {
        let name = self.check_name();
        turn::run(self, turn::Commit { keep, name }).await
    }
}

impl Committed {
    /// All failures as one.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        if self.failures.is_empty() {
            None
        } else {
            Error::batch(mem::take(&mut self.failures))
        }
    }

    fn add(&mut self, handle: &Handle, reply: Result<Reply, Error>) {
        match reply {
            Ok(Reply {
                cookie,
                leftovers,
                used,
                is_refresh,
            }) => {
                self.used = self.used.max(used);
                // Most have none, and an iterator costs as much as all of this.
                if !leftovers.is_empty() {
                    let leftovers = leftovers.into_iter();
                    self.cookies
                        .extend(leftovers.map(|value| NewCookie { value, is_refresh }));
                }
                if let Some(value) = cookie {
                    self.cookies.push(NewCookie { value, is_refresh });
                }
            }
            Err(error) => {
                self.used = Use::There;
                self.failures.push(error.of(&handle.settings().name));
            }
        }
    }
}

impl Cookies {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Leaves out what need not be sent.
    pub(crate) fn drop_refreshes(&mut self) {
        let all = mem::take(self);
        let all = all.first.into_iter().chain(all.others);
        self.extend(all.filter(|cookie| !cookie.is_refresh));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &HeaderValue> {
        self.first
            .iter()
            .chain(&self.others)
            .map(|cookie| &cookie.value)
    }

    pub(crate) fn append_to(self, headers: &mut HeaderMap) {
        if let Some(first) = self.first {
            headers.append(header::SET_COOKIE, first.value);
        }
        if !self.others.is_empty() {
            for other in self.others {
                headers.append(header::SET_COOKIE, other.value);
            }
        }
    }

    fn extend(&mut self, cookies: impl IntoIterator<Item = NewCookie>) {
        cookies.into_iter().for_each(|cookie| self.push(cookie));
    }

    fn push(&mut self, cookie: NewCookie) {
        if self.first.is_none() {
            self.first = Some(cookie);
        } else {
            self.others.push(cookie);
        }
    }
}
