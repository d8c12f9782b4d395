//! The store to check, and what the rules have to know about it.

use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc};

use crate::{clock::Clock, store::Store};

/// A store to check. Any store is made one with `into()`.
#[must_use = "a subject is nothing until a rule is checked on it"]
pub struct Subject<S> {
    pub(super) store: Arc<S>,
    pub(super) clock: Option<Clock>,
    pub(super) sweep: Option<Sweep<S>>,
    pub(super) kept: Vec<Box<dyn Any + Send + Sync>>,
}

pub(super) type Sweep<S> = Arc<dyn Fn(Arc<S>) -> Sweeping + Send + Sync>;
pub(super) type Sweeping = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<S: Store> Subject<S> {
    /// Makes a subject of a store that tells the time by the system's clock and is not swept.
    pub fn new(store: S) -> Self {
        Self {
            store: Arc::new(store),
            clock: None,
            sweep: None,
            kept: Vec::new(),
        }
    }

    /// Says that the store tells the time by this clock, which has to be a [manual](Clock::manual)
    /// one.
    ///
    /// [`store_conformance!`](crate::store_conformance) does that for its clock.
    pub fn clock(self, clock: Clock) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    /// Says how the store's expired records are removed.
    pub fn sweep<F>(self, sweep: impl Fn(Arc<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            sweep: Some(Arc::new(move |store| Box::pin(sweep(store)))),
            ..self
        }
    }

    /// Keeps something until the rule is checked: the guard of a temporary directory, a server's
    /// process.
    pub fn keep(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }
}

impl<S: Store> From<S> for Subject<S> {
    fn from(store: S) -> Self {
        Self::new(store)
    }
}

impl<S> fmt::Debug for Subject<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
