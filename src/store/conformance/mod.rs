//! The contract of [`Store`] as tests, for stores of one's own.
//!
//! One line in a test file checks a store, each rule as a test of its own:
//!
//! ```
//! # use silverback::MemoryStore as MyStore;
//! silverback::store_conformance!(MyStore::new());
//! ```
//!
//! A store that breaks a rule fails the test of that name,
//! `store_conformance::an_update_never_makes_a_record` say, and the message tells what was done,
//! what should have come of it and what did.
//!
//! # Time
//!
//! A store that can be told the time is given a clock that stands still until a rule moves it.
//! Records then have to end at the exact second, and no test sleeps:
//!
//! ```
//! # use silverback::MemoryStore as MyStore;
//! silverback::store_conformance!(|clock| MyStore::new().clock(clock));
//! ```
//!
//! Without a clock, records end when the rule begins or earlier, or most of a day later at least:
//! the store's time must be that of this machine. How long a rule takes makes no difference.
//!
//! # What else a store needs
//!
//! The expression is evaluated for each rule, on that rule's runtime, and may wait:
//! `MyStore::connect().await.unwrap()` will do. The store need not be empty: no two rules, or runs,
//! use the same keys. It has to take records of 10,000 bytes; how many more it takes, the rules
//! find out.
//!
//! The expression may make a [`Subject`] instead, which says how the store is swept and what has to
//! outlive it. Several stores in one file get a name each:
//!
//! ```
//! # use silverback::MemoryStore as MyStore;
//! use silverback::store::{Sweep, conformance::Subject};
//!
//! silverback::store_conformance!(mod plain, MyStore::new());
//! silverback::store_conformance!(mod swept, |clock| {
//!     Subject::new(MyStore::new().clock(clock)).sweep(|store| async move { drop(store.sweep().await) })
//! });
//! ```
//!
//! # In a harness of one's own
//!
//! ```
//! use silverback::{MemoryStore, store::conformance};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), conformance::Violation> {
//! for rule in conformance::rules() {
//!     conformance::check(*rule, MemoryStore::new()).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! Rules about races try many schedules, not all. A store whose methods wait is stopped, and
//! overtaken, wherever it waits; what happens between two waits is left to the threads. No rule
//! restarts a store or takes its network away.

mod bench;
mod cancelling;
mod expiring;
mod life;
mod macros;
mod many;
mod outcomes;
mod racing;
mod reading;
mod rule;
mod schedule;
mod sizes;
mod subject;
mod tasks;
mod versions;
mod violation;

use std::{future::Future, time::Duration};

use tokio::runtime::{Builder, Handle};

use self::bench::Bench;
pub use self::{
    rule::{Rule, rules},
    subject::Subject,
    violation::Violation,
};
use super::Store;
use crate::{
    clock::{Clock, Timestamp},
    store_conformance_rules,
};

/// Where the clock stands that [`store_conformance!`](crate::store_conformance) gives to a store.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

macro_rules! dispatch {
    (() $($module:ident: $($rule:ident)+;)+) => {
        async fn dispatch<S: Store>(rule: Rule, bench: &Bench<S>) -> bench::Outcome {
            match rule.name() {
                $($(stringify!($rule) => Box::pin($module::$rule(bench)).await,)+)+
                _ => Ok(()),
            }
        }
    };
}

store_conformance_rules!([dispatch]());

/// Checks one rule, on the Tokio runtime this is called on.
///
/// A runtime of several threads finds more.
///
/// # Errors
///
/// If the store breaks the rule; if this is not called on a Tokio runtime.
pub async fn check<S: Store>(rule: Rule, subject: impl Into<Subject<S>>) -> Result<(), Violation> {
    if Handle::try_current().is_err() {
        return Err(Violation::new(
            rule,
            "rules are checked on a Tokio runtime, and this is none",
        ));
    }
    let bench = Bench::new(subject.into(), Clock::system().now());
    dispatch(rule, &bench)
        .await
        .map_err(|fault| Violation::new(rule, fault))
}

/// What a test of the macro does: checks the rule on a runtime of its own, and ends one that hangs.
#[doc(hidden)]
pub fn run<S: Store>(
    name: &'static str,
    subject: impl Future<Output = Subject<S>>,
) -> Result<(), Violation> {
    let rule = Rule::of(name);
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Violation::new(rule, format!("no runtime: {error}")))?;
    let checked = runtime.block_on(async {
        let checked = tokio::time::timeout(PATIENCE, async { check(rule, subject.await).await });
        checked
            .await
            .unwrap_or_else(|_| Err(Violation::new(rule, format!("not done after {PATIENCE:?}"))))
    });
    runtime.shutdown_background();
    checked
}

const THREADS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(600);
