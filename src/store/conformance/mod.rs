//! The contract of [`Store`] as tests, for your own stores.
//!
//! One line in a test file checks a store, each rule as a separate test:
//!
//! ```
//! # use silverback::MemoryStore as MyStore;
//! silverback::store_conformance!(MyStore::new());
//! ```
//!
//! A store that breaks a rule fails the test of that name, such as
//! `store_conformance::an_update_never_makes_a_record`. The message says what was done, what should
//! have followed and what did.
//!
//! # Time
//!
//! A store that takes a clock gets one that stands still until a rule moves it. Records then have
//! to expire at the exact second, and no test sleeps:
//!
//! ```
//! # use silverback::MemoryStore as MyStore;
//! silverback::store_conformance!(|clock| MyStore::new().clock(clock));
//! ```
//!
//! Without a clock, five rules wait for records to expire. After five seconds, a record of three
//! seconds is gone, also if an update or a touch has moved its end, and an extended one is still
//! there. These rules run side by side and take about six seconds. The clock of the store or its
//! server has to run as fast as this machine's. If the store uses
//! [`Expiry::at`](super::Expiry::at), it also has to show the same time. All other rules use ends
//! that have passed or are most of a day away.
//!
//! The result does not depend on how long a rule takes. If an answer comes too late to decide, the
//! rule tries again. On a machine that is too slow, the rule is skipped.
//!
//! # Servers
//!
//! The expression is evaluated for each rule, on that rule's runtime, and may wait:
//! `MyStore::connect().await.unwrap()` is enough. With `once` before it, it is evaluated for the
//! first rule only, and all rules share one store, one pool and one runtime. Without a server,
//! return a [`Skip`]: no test runs, and with `CI` in the environment each of them fails.
//!
//! ```
//! # use silverback::MemoryStore as MyStore;
//! use silverback::store::conformance::Skip;
//!
//! async fn connect() -> Result<MyStore, Skip> {
//!     let address = std::env::var("MY_SERVER").map_err(|_| Skip::new("MY_SERVER is not set"))?;
//!     # drop(address);
//!     Ok(MyStore::new()) // connected to that address
//! }
//!
//! silverback::store_conformance!(once connect().await);
//! ```
//!
//! The store need not be empty: no two rules, or runs, use the same keys, and each rule removes its
//! records. The store has to accept records of 10,000 bytes. The rules find out how much more it
//! accepts.
//!
//! # What else can be checked
//!
//! The expression may make a [`Subject`] instead, which gives the rules the means to check more. A
//! rule that lacks something is skipped, and a line of the output names what is missing.
//!
//! | If you give | the rules check that |
//! |---|---|
//! | [`peer`](Subject::peer), a second handle | each sees the other's writes, versions hold for both, of two writes one wins |
//! | [`silence`](Subject::silence) and [`cut`](Subject::cut) of the server | every call answers `Unavailable` in time and never "no record", a write happens wholly or not at all, and the store comes back |
//! | [`garbage`](Subject::garbage) under a key | it is `Corrupt`, never a record and never "no record", and can be replaced |
//! | a count of [`round_trips`](Subject::round_trips) | `load_many` and `delete_many` ask once for all |
//! | the server's [`time_left`](Subject::time_left) for a key | create, update and touch pass the record's end on to the server |
//! | how the store is [swept](Subject::sweep) | no sweep harms a record |
//!
//! It also says how to [close](Subject::close) the store, how much [time](Subject::patience) a rule
//! may take and how many [rounds](Subject::scale) it makes: some make a few thousand round trips. A
//! test file for a server may look like this:
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use silverback::MemoryStore as MyStore;
//! # struct Proxy;
//! # impl Proxy {
//! #     fn before(_: &str) -> Self { Self }
//! #     fn address(&self) -> &str { "" }
//! #     async fn silence(&self) -> Arc<()> { Arc::default() }
//! #     async fn cut(&self) -> Arc<()> { Arc::default() }
//! #     fn requests(&self) -> u64 { 0 }
//! # }
//! # async fn connect(_: &str) -> MyStore { MyStore::new() }
//! use silverback::store::conformance::{Skip, Subject};
//!
//! async fn subject() -> Result<Subject<MyStore>, Skip> {
//!     let server = std::env::var("MY_SERVER").map_err(|_| Skip::new("MY_SERVER is not set"))?;
//!     let proxy = Arc::new(Proxy::before(&server));
//!     let [silent, cut, counting] = [(); 3].map(|()| Arc::clone(&proxy));
//!     Ok(Subject::new(connect(proxy.address()).await)
//!         .peer(connect(&server).await)
//!         .silence(move |_| { let proxy = Arc::clone(&silent); async move { proxy.silence().await } })
//!         .cut(move |_| { let proxy = Arc::clone(&cut); async move { proxy.cut().await } })
//!         .round_trips(move |_| { let so_far = counting.requests(); async move { so_far } })
//!         .deadline(Duration::from_secs(2))
//!         .scale(0.2))
//! }
//!
//! silverback::store_conformance!(mod my_server, subject().await);
//! ```
//!
//! The tests of one store may run at the same time, in any order. A rule that makes the server fail
//! runs alone in its module, so give each module its own proxy. With [`outages`](Subject::outages),
//! each of these rules has its own proxy, and they run side by side.
//!
//! # In your own harness
//!
//! ```
//! use silverback::{MemoryStore, store::conformance};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), conformance::Violation> {
//! let rule = conformance::Rule::named("a_create_never_overwrites").unwrap();
//! assert!(conformance::check(rule, MemoryStore::new()).await?.is_passed());
//! # Ok(())
//! # }
//! ```
//!
//! [`check_all`] checks every rule.
//!
//! # Limits
//!
//! Rules about races try many schedules, not all. Calls of a store whose methods wait are stopped
//! and overtaken at each wait. Between two waits, the order is left to two threads. They use one
//! record until they have come between each other's calls 300 times, or 30 times if the calls are
//! slow, for at most 1.5 seconds. A store that looks under one lock and writes under another fails
//! in nearly every run on an idle machine with two processors. On a busy one it may pass. No rule
//! restarts a server, makes it fail over or restores a backup. A store that hides expired records
//! in time passes; only `time_left` shows how long its server keeps them.

mod bench;
mod cancelling;
mod cut;
mod expiring;
mod garbage;
mod keeping;
mod lasting;
mod life;
mod macros;
mod many;
mod meeting;
mod outage;
mod outcomes;
mod peers;
mod racing;
mod reading;
mod rule;
mod run;
mod schedule;
mod silence;
mod sizes;
mod subject;
mod tasks;
mod trips;
mod verdict;
mod versions;
mod violation;

use std::time::Duration;

use tokio::{task::JoinSet, time};

use self::bench::Bench;
#[doc(hidden)]
pub use self::run::Run;
pub use self::{
    rule::{Rule, rules},
    subject::Subject,
    verdict::{Skip, Verdict},
    violation::Violation,
};
use super::{Store, check_runtime};
use crate::{
    clock::{Clock, Timestamp},
    store_conformance_rules,
};

/// The time of the clock that [`store_conformance!`](crate::store_conformance) gives to a store.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

macro_rules! dispatch {
    (() $($module:ident: $($rule:ident)+;)+) => {
        async fn dispatch<S: Store>(rule: Rule, bench: &Bench<S>) -> bench::Outcome<Verdict> {
            match rule.name() {
                $($(stringify!($rule) => {
                    Box::pin($module::$rule(bench)).await.map(Verdict::from)
                })+)+
                name => Err(format!("there is no rule {name}")),
            }
        }
    };
}

store_conformance_rules!([dispatch]());

/// The outcome of a rule.
type Checked = Result<Verdict, Violation>;

/// Checks one rule, on the current Tokio runtime, which needs a timer. Removes the rule's records
/// from the store afterwards.
///
/// A runtime with several threads finds more.
///
/// ```
/// use silverback::{MemoryStore, store::conformance::{self, Rule}};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), conformance::Violation> {
/// let rule = Rule::named("a_create_never_overwrites").expect("there is such a rule");
/// assert!(conformance::check(rule, MemoryStore::new()).await?.is_passed());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If the store breaks the rule, or there is no such runtime.
pub async fn check<S: Store>(
    rule: Rule,
    subject: impl Into<Subject<S>>,
) -> Result<Verdict, Violation> {
    let subject = subject.into();
    let checked = examine(rule, subject.clone()).await;
    subject.end().await;
    checked
}

async fn examine<S: Store>(rule: Rule, subject: Subject<S>) -> Checked {
    let Some(apart) = subject.of_outage(rule).await else {
        return examine_here(rule, subject).await;
    };
    let checked = examine_here(rule, apart.clone()).await;
    apart.end().await;
    checked
}

async fn examine_here<S: Store>(rule: Rule, subject: Subject<S>) -> Checked {
    let parts = match subject.0 {
        Ok(parts) => parts,
        Err(skip) => return Ok(Verdict::Skipped(skip)),
    };
    if let Some(skip) = parts.lacks(rule) {
        return Ok(Verdict::Skipped(skip));
    }
    if check_runtime().is_err() {
        let fault = "rules need a Tokio runtime with a timer";
        return Err(Violation::new(rule, fault));
    }
    let patience = parts.patience;
    let bench = Bench::new(parts, Clock::system().now());
    let checked = time::timeout(patience, dispatch(rule, &bench)).await;
    // A store that hangs gets only so much more time.
    let _ = time::timeout(patience.min(CLEANING), bench.clean()).await;
    checked
        .unwrap_or_else(|_| Err(format!("not done after {patience:?}")))
        .map_err(|fault| Violation::new(rule, fault))
}

const CLEANING: Duration = Duration::from_secs(30);

/// Checks every rule on one store, one after the other. Rules in real time are checked side by
/// side, and so are rules about outages with [`Subject::outages`]. Returns the outcome of each.
///
/// ```
/// use silverback::{MemoryStore, store::conformance};
///
/// # #[tokio::main]
/// # async fn main() {
/// for (rule, checked) in conformance::check_all(MemoryStore::new()).await {
///     match checked {
///         Ok(conformance::Verdict::Skipped(reason)) => println!("{rule}: skipped: {reason}"),
///         Ok(_) => println!("{rule}: ok"),
///         Err(violation) => panic!("{violation}"),
///     }
/// }
/// # }
/// ```
pub async fn check_all<S: Store>(
    subject: impl Into<Subject<S>>,
) -> Vec<(Rule, Result<Verdict, Violation>)> {
    let subject = subject.into();
    let mut checked = Vec::new();
    let fails_apart = subject.makes_outages().is_some();
    let waits = |rule: Rule| rule.is_in_real_time() || fails_apart && rule.needs_an_outage();
    for rule in rules().iter().filter(|rule| !waits(**rule)) {
        checked.push((*rule, examine(*rule, subject.clone()).await));
    }
    checked.extend(side_by_side(&subject, waits).await);
    subject.end().await;
    checked
}

async fn side_by_side<S: Store>(
    subject: &Subject<S>,
    these: impl Fn(Rule) -> bool,
) -> Vec<(Rule, Checked)> {
    let mut checking = JoinSet::new();
    for rule in rules().iter().filter(|rule| these(**rule)) {
        let subject = subject.clone();
        checking.spawn(async move { (*rule, examine(*rule, subject).await) });
    }
    checking.join_all().await
}
