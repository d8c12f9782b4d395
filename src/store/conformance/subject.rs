//! The store to check, and what the rules need to know about it.

use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{
    rule::Rule,
    verdict::{Need, Skip},
};
use crate::{
    clock::Clock,
    store::{RecordKey, Store},
};

/// A store to check, and the means to check it. Any store becomes a subject by `into()`.
///
/// Rules that need something you do not give are skipped, and say so.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use silverback::{MemoryStore, store::{Sweep, conformance::Subject}};
///
/// let store = Arc::new(MemoryStore::new());
/// let subject = Subject::new(Arc::clone(&store))
///     .peer(store)
///     .sweep(|store| async move { drop(store.sweep().await) })
///     .patience(Duration::from_secs(60))
///     .scale(0.5);
/// # drop(subject);
/// ```
#[must_use = "a subject is nothing until a rule is checked on it"]
pub struct Subject<S>(pub(super) Result<Parts<S>, Skip>);

pub(super) struct Parts<S> {
    pub(super) store: Arc<S>,
    pub(super) peer: Option<Arc<S>>,
    pub(super) clock: Option<Clock>,
    pub(super) sweep: Option<Hook<S, ()>>,
    pub(super) silence: Option<Hook<S, Guard>>,
    pub(super) cut: Option<Hook<S, Guard>>,
    pub(super) outages: Option<Maker<S>>,
    pub(super) garbage: Vec<Garbage<S>>,
    pub(super) round_trips: Option<Hook<S, u64>>,
    pub(super) time_left: Option<TimeLeft<S>>,
    pub(super) close: Option<Hook<S, ()>>,
    pub(super) deadline: Duration,
    pub(super) patience: Duration,
    pub(super) scale: f64,
    pub(super) left_out: Vec<(Rule, Skip)>,
    pub(super) kept: Vec<Guard>,
}

pub(super) type Maker<S> = Arc<dyn Fn() -> Doing<Subject<S>> + Send + Sync>;
pub(super) type Guard = Arc<dyn Any + Send + Sync>;
pub(super) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Hook<S, T> = Arc<dyn Fn(Arc<S>) -> Doing<T> + Send + Sync>;
pub(super) type TimeLeft<S> =
    Arc<dyn Fn(Arc<S>, RecordKey) -> Doing<Option<Duration>> + Send + Sync>;
pub(super) type Garbage<S> = Arc<dyn Fn(Arc<S>, RecordKey) -> Doing<()> + Send + Sync>;

/// A session's default time limit for a store.
const DEADLINE: Duration = Duration::from_secs(5);
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

impl<S: Store> Subject<S> {
    /// Makes a subject from a store that is not swept and uses the system's clock, or a server's
    /// clock that runs as fast.
    ///
    /// ```
    /// # use silverback::{MemoryStore as MyStore, store::conformance::Subject};
    /// let subject = Subject::new(MyStore::new());
    /// # drop(subject);
    /// ```
    pub fn new(store: S) -> Self {
        Self(Ok(Parts {
            store: Arc::new(store),
            peer: None,
            clock: None,
            sweep: None,
            silence: None,
            cut: None,
            outages: None,
            garbage: Vec::new(),
            round_trips: None,
            time_left: None,
            close: None,
            deadline: DEADLINE,
            patience: PATIENCE,
            scale: 1.0,
            left_out: Vec::new(),
            kept: Vec::new(),
        }))
    }

    /// Adds a second handle on the same records, as another process would have: with its own
    /// connection, cache and counter.
    ///
    /// The rules on peers write through one and read through the other.
    ///
    /// ```
    /// # use silverback::{MemoryStore as MyStore, store::conformance::Subject};
    /// # let store = MyStore::new();
    /// let subject = Subject::new(store.clone()).peer(store);
    /// # drop(subject);
    /// ```
    pub fn peer(self, store: S) -> Self {
        self.with(|parts| parts.peer = Some(Arc::new(store)))
    }

    /// Sets the store's clock, which has to be [manual](Clock::manual).
    ///
    /// [`store_conformance!`](crate::store_conformance) does this for its clock. The rules in real
    /// time are then skipped, since others check the same to the second.
    ///
    /// ```
    /// # use silverback::{Clock, MemoryStore as MyStore, store::conformance::{START, Subject}};
    /// let clock = Clock::manual(START);
    /// let subject = Subject::new(MyStore::new().clock(clock.clone())).clock(clock);
    /// # drop(subject);
    /// ```
    pub fn clock(self, clock: Clock) -> Self {
        self.with(|parts| parts.clock = Some(clock))
    }

    /// Sets the function that removes the store's expired records.
    ///
    /// ```
    /// # use silverback::{MemoryStore as MyStore, store::{Sweep, conformance::Subject}};
    /// let subject = Subject::new(MyStore::new())
    ///     .sweep(|store| async move { drop(store.sweep().await) });
    /// # drop(subject);
    /// ```
    pub fn sweep<F>(self, sweep: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.with(|parts| parts.sweep = Some(Arc::new(move |store| Box::pin(sweep(store)))))
    }

    /// Sets the function that silences the store's server: connections stay, but get no answers.
    /// The silence lasts until the value that `silence` returns is dropped.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// # let store = MemoryStore::new();
    /// // The proxy between store and server passes nothing on while somebody else has this lock.
    /// let gate = Arc::new(tokio::sync::Mutex::new(()));
    /// let subject = Subject::new(store).silence(move |_| Arc::clone(&gate).lock_owned());
    /// # drop(subject);
    /// ```
    pub fn silence<F, G>(self, silence: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = G> + Send + 'static,
        G: Any + Send + Sync,
    {
        self.with(|parts| parts.silence = Some(guarded(silence)))
    }

    /// Sets the function that cuts the store's server off: connections are closed, and new ones
    /// are refused. The cut lasts until the value that `cut` returns is dropped.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// # let store = MemoryStore::new();
    /// // The proxy between store and server takes no connection while somebody else has this lock.
    /// let gate = Arc::new(tokio::sync::Mutex::new(()));
    /// let subject = Subject::new(store).cut(move |_| Arc::clone(&gate).lock_owned());
    /// # drop(subject);
    /// ```
    pub fn cut<F, G>(self, cut: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = G> + Send + 'static,
        G: Any + Send + Sync,
    {
        self.with(|parts| parts.cut = Some(guarded(cut)))
    }

    /// Sets the function that makes a separate subject for each rule that needs an outage: a store
    /// behind a proxy that no other rule uses, with [`silence`](Self::silence) and
    /// [`cut`](Self::cut). These rules are then checked side by side.
    ///
    /// Without it they are checked one after the other, and each waits for the
    /// [`deadline`](Self::deadline) at least once.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// # let (store, server) = (MemoryStore::new(), MemoryStore::new());
    /// let subject = Subject::new(store).outages(move || {
    ///     let server = server.clone();
    ///     async move {
    ///         // ... a proxy before that server, and a store behind it
    ///         Subject::new(server).silence(|_| async {}).cut(|_| async {})
    ///     }
    /// });
    /// # drop(subject);
    /// ```
    pub fn outages<F>(self, make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Self> + Send + 'static,
    {
        self.with(|parts| parts.outages = Some(Arc::new(move || Box::pin(make()))))
    }

    /// Adds a function that puts something under a key that is not a record. Call it once for each
    /// kind: other bytes, a value of another type, half a record.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::{RecordKey, conformance::Subject}};
    /// # #[derive(Clone)]
    /// # struct Server;
    /// # impl Server { async fn set(&self, _: String, _: &[u8]) {} }
    /// # let (store, server) = (MemoryStore::new(), Server);
    /// let subject = Subject::new(store).garbage(move |_, key: RecordKey| {
    ///     let server = server.clone();
    ///     async move { server.set(key.to_string(), b"not a record").await }
    /// });
    /// # drop(subject);
    /// ```
    pub fn garbage<F>(
        self,
        garbage: impl Fn(Arc<S>, RecordKey) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.with(|parts| {
            let garbage: Garbage<S> = Arc::new(move |store, key| Box::pin(garbage(store, key)));
            parts.garbage.push(garbage);
        })
    }

    /// Sets the function that counts the questions to the server so far, for example in a proxy
    /// between the two. Only the difference of two counts matters.
    ///
    /// ```
    /// # use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// # let store = MemoryStore::new();
    /// let asked = Arc::new(AtomicU64::new(0)); // the proxy counts here
    /// let subject = Subject::new(store).round_trips(move |_| {
    ///     let so_far = asked.load(Ordering::Relaxed);
    ///     async move { so_far }
    /// });
    /// # drop(subject);
    /// ```
    pub fn round_trips<F>(self, count: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u64> + Send + 'static,
    {
        self.with(|parts| parts.round_trips = Some(Arc::new(move |store| Box::pin(count(store)))))
    }

    /// Sets the function that asks the server how long it will keep the value under a key, like
    /// `PTTL` in Redis. `None` means forever, or that nothing is there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{MemoryStore, store::{RecordKey, conformance::Subject}};
    /// # #[derive(Clone)]
    /// # struct Server;
    /// # impl Server { async fn pttl(&self, _: String) -> Option<u64> { None } }
    /// # let (store, server) = (MemoryStore::new(), Server);
    /// let subject = Subject::new(store).time_left(move |_, key: RecordKey| {
    ///     let server = server.clone();
    ///     async move { server.pttl(key.to_string()).await.map(Duration::from_millis) }
    /// });
    /// # drop(subject);
    /// ```
    pub fn time_left<F>(
        self,
        time_left: impl Fn(Arc<S>, RecordKey) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Duration>> + Send + 'static,
    {
        self.with(|parts| {
            let time_left: TimeLeft<S> =
                Arc::new(move |store, key| Box::pin(time_left(store, key)));
            parts.time_left = Some(time_left);
        })
    }

    /// Sets the function that closes the store and its peer after the last rule, as pools need. A
    /// store that all tests share is only closed by the end of the process.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::{Sweep, conformance::Subject}};
    /// # let store = MemoryStore::new();
    /// let subject = Subject::new(store).close(|store| async move {
    ///     // ... close its pool
    ///     drop(store);
    /// });
    /// # drop(subject);
    /// ```
    pub fn close<F>(self, close: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.with(|parts| parts.close = Some(Arc::new(move |store| Box::pin(close(store)))))
    }

    /// Sets after what time the store gives up on a server that does not answer. The default is
    /// five seconds, which is how long a session waits for a store.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// let subject = Subject::new(MemoryStore::new()).deadline(Duration::from_secs(2));
    /// # drop(subject);
    /// ```
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with(|parts| parts.deadline = deadline)
    }

    /// Sets how long a rule may take before it counts as broken. The default is five minutes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// let subject = Subject::new(MemoryStore::new()).patience(Duration::from_secs(60));
    /// # drop(subject);
    /// ```
    pub fn patience(self, patience: Duration) -> Self {
        self.with(|parts| parts.patience = patience)
    }

    /// Multiplies the number of rounds of the rules that try many: 0.1 for a server that is far
    /// away, 10 for a night. The default is 1.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// let subject = Subject::new(MemoryStore::new()).scale(0.1);
    /// # drop(subject);
    /// ```
    pub fn scale(self, scale: f64) -> Self {
        self.with(|parts| parts.scale = scale)
    }

    /// Leaves out a rule that the store cannot keep. The rule is skipped for this reason, which
    /// your users should find in the store's documentation.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::conformance::{Rule, Subject}};
    /// let rule = Rule::named("a_create_never_overwrites").expect("there is such a rule");
    /// let subject = Subject::new(MemoryStore::new()).leave_out(rule, "the server has no `SET NX`");
    /// # drop(subject);
    /// ```
    pub fn leave_out(self, rule: Rule, reason: impl Into<String>) -> Self {
        self.with(|parts| parts.left_out.push((rule, Skip::new(reason))))
    }

    /// Keeps a value until the rule is checked, such as the guard of a temporary folder or a
    /// server's process.
    ///
    /// ```
    /// # use silverback::{MemoryStore, store::conformance::Subject};
    /// # fn main() -> std::io::Result<()> {
    /// let folder = tempfile::tempdir()?;
    /// let subject = Subject::new(MemoryStore::new()).keep(folder);
    /// # drop(subject);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep(self, guard: impl Any + Send + Sync) -> Self {
        self.with(|parts| parts.kept.push(Arc::new(guard)))
    }

    /// Makes a separate subject if the rule needs an outage and the author gave a way to make one.
    pub(super) async fn of_outage(&self, rule: Rule) -> Option<Self> {
        let make = self.makes_outages().filter(|_| rule.needs_an_outage())?;
        Some(make().await)
    }

    pub(super) fn makes_outages(&self) -> Option<&Maker<S>> {
        self.0.as_ref().ok()?.outages.as_ref()
    }

    /// Closes the store. Called when no more rules are checked on this subject.
    pub(super) async fn end(&self) {
        let Ok(parts) = &self.0 else {
            return;
        };
        if let Some(close) = &parts.close {
            for store in [Some(&parts.store), parts.peer.as_ref()]
                .into_iter()
                .flatten()
            {
                close(Arc::clone(store)).await;
            }
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Parts<S>)) -> Self {
        if let Ok(parts) = &mut self.0 {
            change(parts);
        }
        self
    }
}

fn guarded<S, F, G>(fault: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Hook<S, Guard>
where
    F: Future<Output = G> + Send + 'static,
    G: Any + Send + Sync,
{
    Arc::new(move |store| {
        let begun = fault(store);
        Box::pin(async move { Arc::new(begun.await) as Guard })
    })
}

impl<S: Store> Parts<S> {
    /// Returns why a rule cannot be checked, if something is missing.
    pub(super) fn lacks(&self, rule: Rule) -> Option<Skip> {
        let left_out = self.left_out.iter().find(|(left, _)| *left == rule);
        if let Some((_, reason)) = left_out {
            return Some(reason.clone());
        }
        rule.needs()
            .filter(|need| !self.has(*need))
            .map(Need::missing)
    }

    pub(super) fn has(&self, need: Need) -> bool {
        match need {
            Need::Clock => self.clock.is_some(),
            Need::RealTime => self.clock.is_none(),
            Need::Peer => self.peer.is_some(),
            Need::Silence => self.silence.is_some() || self.outages.is_some(),
            Need::Cut => self.cut.is_some() || self.outages.is_some(),
            Need::Outage => self.has(Need::Silence) || self.has(Need::Cut),
            Need::Garbage => !self.garbage.is_empty(),
            Need::RoundTrips => self.round_trips.is_some(),
            Need::TimeLeft => self.time_left.is_some(),
            Need::NeverWaits => self.store.limits().never_waits,
        }
    }
}

impl<S> Clone for Subject<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Clone for Parts<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            peer: self.peer.clone(),
            clock: self.clock.clone(),
            sweep: self.sweep.clone(),
            silence: self.silence.clone(),
            cut: self.cut.clone(),
            outages: self.outages.clone(),
            garbage: self.garbage.clone(),
            round_trips: self.round_trips.clone(),
            time_left: self.time_left.clone(),
            close: self.close.clone(),
            deadline: self.deadline,
            patience: self.patience,
            scale: self.scale,
            left_out: self.left_out.clone(),
            kept: self.kept.clone(),
        }
    }
}

impl<S: Store> From<S> for Subject<S> {
    fn from(store: S) -> Self {
        Self::new(store)
    }
}

/// With an error, every rule is skipped for that reason.
impl<S: Store> From<Result<S, Skip>> for Subject<S> {
    fn from(store: Result<S, Skip>) -> Self {
        store.map_or_else(|skip| Self(Err(skip)), Self::new)
    }
}

/// With an error, every rule is skipped for that reason.
impl<S: Store> From<Result<Self, Skip>> for Subject<S> {
    fn from(subject: Result<Self, Skip>) -> Self {
        subject.unwrap_or_else(|skip| Self(Err(skip)))
    }
}

impl<S> fmt::Debug for Subject<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Subject");
        match &self.0 {
            Ok(parts) => shown
                .field("clock", &parts.clock)
                .field("deadline", &parts.deadline)
                .field("patience", &parts.patience)
                .field("scale", &parts.scale),
            Err(skip) => shown.field("skipped", skip),
        };
        shown.finish_non_exhaustive()
    }
}
