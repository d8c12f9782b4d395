//! The sessions of one request, side by side: one slot each, empty until somebody asks for it.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderValue;

use super::{Session, flight::Flights, state::State};
use crate::{
    clock::Clock,
    cookie::RequestCookies,
    error::{Error, ErrorKind},
    lock::{Monitor, Turnstile},
    named::Named,
    store,
};

/// What all requests of one layer share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) sessions: Vec<Arc<Named>>,
    pub(crate) clock: Clock,
}

/// What the sessions of one request share. Making it is the one allocation of an untouched request,
/// beside the entry in the request's extensions.
#[derive(Debug)]
pub(crate) struct Slots {
    shared: Arc<Shared>,
    pub(super) cookies: RequestCookies,
    /// A session of the layer around this one, if there is one.
    outer: OnceLock<Session>,
    touched: AtomicBool,
    closed: AtomicBool,
    over: AtomicBool,
    first: Slot,
    more: OnceLock<Box<More>>,
}

/// What few requests have.
#[derive(Debug, Default)]
struct More {
    /// The slots of the other sessions that the layer names.
    others: OnceLock<Box<[Slot]>>,
    opened: Monitor<Vec<Arc<Opened>>>,
}

/// A session that the layer did not name.
#[derive(Debug)]
pub(crate) struct Opened {
    named: Arc<Named>,
    slot: Slot,
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Operations on a session whose store waits; those of another take the turn. Each goes from
    /// its beginning to its end before the next. Opening a session that no store has a say in takes
    /// `state` alone.
    flights: Flights,
    turn: Turnstile,
    /// Entered for a moment at a time, and never while waiting.
    state: Monitor<State>,
}

impl Slot {
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(work)
    }

    /// Runs an operation on the session alone.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.flights.run(operation).await
    }

    /// As [`alone`](Self::alone), for a session whose store never waits. The operation is made
    /// here, so that its future need not be moved.
    pub(super) fn alone_now<T, F: Future<Output = Result<T, Error>>>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, Error> {
        let run = || store::now(pin!(operation()));
        self.turn
            .pass(run)?
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Store)))
    }

    /// Does what takes no future alone.
    pub(super) fn in_turn<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.turn.pass(|| self.with(work))?
    }

    /// Looks at the session's state if no operation is under way.
    pub(super) fn if_free<T>(&self, look: impl FnOnce(&State) -> Option<T>) -> Option<T> {
        if self.turn.is_free() && self.flights.is_idle() {
            self.with(|state| look(state))
        } else {
            None
        }
    }
}

/// Which slot a handle is for.
#[derive(Clone, Debug)]
pub(super) enum At {
    Configured(usize),
    Opened(Arc<Opened>),
}

impl Slots {
    pub(crate) fn new<'a>(
        shared: Arc<Shared>,
        cookies: impl IntoIterator<Item = &'a HeaderValue>,
    ) -> Arc<Self> {
        // What is large is moved once, and filled where it stays.
        let mut slots = Arc::new(Self {
            shared,
            cookies: RequestCookies::new(),
            outer: OnceLock::new(),
            touched: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            first: Slot::default(),
            more: OnceLock::new(),
        });
        if let Some(slots) = Arc::get_mut(&mut slots) {
            cookies
                .into_iter()
                .for_each(|field| slots.cookies.keep(field));
        }
        slots
    }

    /// Says which layer is around this one, if there is one.
    pub(crate) fn set_outer(&self, outer: Option<Session>) {
        if let Some(outer) = outer {
            let _ = self.outer.set(outer);
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    #[inline]
    pub(super) fn slot<'a>(&'a self, at: &'a At) -> &'a Slot {
        if let At::Configured(0) = at {
            &self.first
        } else {
            self.other_slot(at)
        }
    }

    fn other_slot<'a>(&'a self, at: &'a At) -> &'a Slot {
        match at {
            At::Configured(index) => {
                let make = || {
                    self.shared
                        .sessions
                        .iter()
                        .skip(1)
                        .map(|_| Slot::default())
                        .collect()
                };
                let slot = self.more().others.get_or_init(make).get(index - 1);
                slot.expect("handles are made by `configured`, from the sessions there are")
            }
            At::Opened(opened) => &opened.slot,
        }
    }

    pub(super) fn named<'a>(&'a self, at: &'a At) -> &'a Arc<Named> {
        match at {
            At::Configured(index) => {
                let named = self.shared.sessions.get(*index);
                named.expect("handles are made by `configured`, from the sessions there are")
            }
            At::Opened(opened) => &opened.named,
        }
    }

    /// Handles of the sessions the layer names, in its order.
    pub(crate) fn configured(self: &Arc<Self>) -> impl Iterator<Item = Session> {
        let all = 0..self.shared.sessions.len();
        all.map(|index| Session {
            slots: Arc::clone(self),
            at: At::Configured(index),
        })
    }

    /// Handles of the sessions opened beside those, in the order of opening.
    pub(crate) fn opened(self: &Arc<Self>) -> Vec<Session> {
        self.with_opened(|opened| opened.iter().map(|opened| self.handle(opened)).collect())
            .unwrap_or_default()
    }

    /// Handles of the sessions that may have been used, in a fixed order.
    pub(crate) fn in_use(self: &Arc<Self>) -> impl Iterator<Item = Session> {
        std::iter::once(Session::first(self)).chain(self.others_in_use())
    }

    /// As [`in_use`](Self::in_use), without the first one that the layer names.
    pub(crate) fn others_in_use(self: &Arc<Self>) -> impl Iterator<Item = Session> {
        let others = self.more.get().map(|more| {
            let configured = if more.others.get().is_some() {
                usize::MAX
            } else {
                1
            };
            self.configured()
                .take(configured)
                .skip(1)
                .chain(self.opened())
        });
        others.into_iter().flatten()
    }

    /// The handle of the opened session of this name, which is made if there is none.
    pub(crate) fn open(self: &Arc<Self>, named: Named) -> Session {
        let opened = self.more().opened.with(|all| {
            if let Some(opened) = all.iter().find(|opened| opened.named.name == named.name) {
                return Arc::clone(opened);
            }
            let opened = Arc::new(Opened {
                named: Arc::new(named),
                slot: Slot::default(),
            });
            all.push(Arc::clone(&opened));
            opened
        });
        self.handle(&opened)
    }

    fn handle(self: &Arc<Self>, opened: &Arc<Opened>) -> Session {
        Session {
            slots: Arc::clone(self),
            at: At::Opened(Arc::clone(opened)),
        }
    }

    fn with_opened<R>(&self, look: impl FnOnce(&[Arc<Opened>]) -> R) -> Option<R> {
        self.more
            .get()
            .map(|more| more.opened.with(|opened| look(opened)))
    }

    fn more(&self) -> &More {
        self.more.get_or_init(Box::default)
    }

    /// The sessions of the layer around this one.
    pub(crate) fn outer(&self) -> Option<&Arc<Self>> {
        self.outer.get().map(|session| &session.slots)
    }

    /// Whether a layer around this one has a session of this name.
    pub(super) fn is_taken_outside(&self, name: &str) -> bool {
        let mut outer = self.outer();
        while let Some(slots) = outer {
            let configured = slots
                .shared
                .sessions
                .iter()
                .any(|named| &*named.name == name);
            let is_it = |opened: &Arc<Opened>| &*opened.named.name == name;
            if configured || slots.with_opened(|opened| opened.iter().any(is_it)) == Some(true) {
                return true;
            }
            outer = slots.outer();
        }
        false
    }

    pub(super) fn touch(&self) {
        self.touched.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_touched(&self) -> bool {
        self.touched.load(Ordering::SeqCst)
    }

    /// From here on, a change cannot reach the response any more.
    ///
    /// Who closes looks for touches after that, and who touches looks whether it is closed after
    /// that: one of the two sees the other.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The request has ended, with its commit done or never to be.
    pub(crate) fn end(&self) {
        self.close();
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
