//! The registry of a request's sessions.

use std::{
    fmt, iter,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{
    clock::Clock,
    config::Settings,
    error::{Error, ErrorKind},
    lock::Monitor,
    report::Report,
    sync::atomic::{AtomicUsize, Ordering},
    trace,
    turn::{Anchor, Cell, Exchange, Origin},
    vault::Vault,
};

/// What all requests of one layer share. Aligned so that it is in other cache lines than the counter
/// of its `Arc`, which each request writes.
#[derive(Clone, Default)]
#[repr(align(128))]
pub(crate) struct Shared {
    pub(crate) sessions: Vec<Arc<Settings>>,
    pub(crate) clock: Clock,
    /// Decides by the response whether the handler's changes are kept.
    pub(crate) keep_if: Option<Arc<KeepIf>>,
    pub(crate) allows_shared_caching: bool,
    /// Shared by all services that the layer makes. axum makes one for each route.
    pub(crate) report: Arc<Report>,
}

pub(crate) type KeepIf = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

/// The sessions of one request and what they share. An untouched request allocates this and the
/// entry in the request's extensions, and nothing else.
#[derive(Debug)]
pub(crate) struct Registry {
    shared: Arc<Shared>,
    pub(crate) exchange: Exchange,
    /// The cell of the configured session that is used first.
    first: Cell,
    /// The index of that session.
    owner: AtomicUsize,
    more: OnceLock<Box<More>>,
}

const NOBODY: usize = usize::MAX;

/// The counters of the `Arc` add two words, and glibc serves more than 1,032 bytes from a slow path.
#[cfg(all(target_pointer_width = "64", not(all(test, shuttle))))]
const _: () = assert!(size_of::<Registry>() <= 1_016);

/// What few requests need.
#[derive(Debug, Default)]
struct More {
    /// The sessions of the next outer layer, if there is one.
    outer: OnceLock<Arc<Registry>>,
    /// A place for each configured session.
    others: OnceLock<Box<[OnceLock<Cell>]>>,
    opened: Monitor<Vec<Arc<Opened>>>,
}

/// A session that was opened by its settings, and not configured in the layer.
#[derive(Debug)]
struct Opened {
    settings: Arc<Settings>,
    cell: Cell,
}

/// One session of a request.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    registry: Arc<Registry>,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    Configured(usize),
    Opened(Arc<Opened>),
}

impl Shared {
    /// For a session without a layer.
    pub(crate) fn of(settings: Arc<Settings>, clock: Clock) -> Self {
        Self {
            sessions: vec![settings],
            clock,
            ..Self::default()
        }
    }

    /// Returns whether an outer layer puts sessions into cookies and takes them out.
    pub(crate) fn has_outer_records(&self) -> bool {
        let mut sessions = self.sessions.iter();
        sessions.any(|settings| settings.comes_from_outside())
    }

    pub(crate) fn keeps(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let keep_if = self.keep_if.as_ref();
        keep_if.is_none_or(|keep_if| keep_if(status, headers))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("sessions", &self.sessions)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn new<'a>(
        shared: Arc<Shared>,
        cookies: impl IntoIterator<Item = &'a HeaderValue>,
        origin: Origin,
    ) -> Arc<Self> {
        // `new_cyclic` allocates first, so that the large registry is built in place.
        let mut registry = Arc::new_cyclic(|_| Self {
            shared,
            exchange: Exchange::new(origin),
            first: Cell::default(),
            owner: AtomicUsize::new(NOBODY),
            more: OnceLock::new(),
        });
        if let Some(registry) = Arc::get_mut(&mut registry) {
            cookies
                .into_iter()
                .for_each(|field| registry.exchange.cookies.keep(field));
            if let Some(bytes) = registry.exchange.cookies.len_near_limit() {
                let shared = &registry.shared;
                // The browser did not send what an outer layer has put in.
                if !shared.has_outer_records() {
                    shared.report.long_request(&shared.clock, bytes);
                }
            }
        }
        registry
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sets the sessions of the next outer layer, if there is one.
    pub(crate) fn set_outer(&self, outer: Option<Arc<Self>>) {
        if let Some(outer) = outer {
            let _ = self.more.get_or_init(Box::default).outer.set(outer);
        }
    }

    /// The sessions of the next outer layer.
    pub(crate) fn outer(&self) -> Option<&Arc<Self>> {
        self.more.get()?.outer.get()
    }

    /// This registry and those of the layers around its own, from the inside out.
    pub(crate) fn layers(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        iter::successors(Some(self), |registry| registry.outer())
    }

    pub(crate) fn first(self: &Arc<Self>) -> Handle {
        self.at(0)
    }

    /// The handle of a configured session. `index` is 0, or comes from searching or enumerating
    /// `shared.sessions`, which never change. So there always is a session with this index.
    fn at(self: &Arc<Self>, index: usize) -> Handle {
        Handle {
            registry: Arc::clone(self),
            at: At::Configured(index),
        }
    }

    /// The configured sessions, in the layer's order.
    pub(crate) fn configured(self: &Arc<Self>) -> impl Iterator<Item = Handle> {
        let all = 0..self.shared.sessions.len();
        all.map(|index| self.at(index))
    }

    /// The other sessions, in the order of opening.
    pub(crate) fn opened(self: &Arc<Self>) -> Vec<Handle> {
        let handles = |opened: &[Arc<Opened>]| {
            opened
                .iter()
                .map(|opened| self.handle(Arc::clone(opened)))
                .collect()
        };
        self.with_opened(handles).unwrap_or_default()
    }

    /// The sessions that may have been used, in a fixed order. Allocates nothing.
    pub(crate) fn in_use(self: &Arc<Self>) -> impl Iterator<Item = Handle> {
        let configured = 0..self.shared.sessions.len();
        let configured = configured.filter(|index| self.used_cell(*index).is_some());
        let opened = (0..).map_while(|index| self.opened_at(index));
        configured.map(|index| self.at(index)).chain(opened)
    }

    fn opened_at(self: &Arc<Self>, index: usize) -> Option<Handle> {
        let all = &self.more.get()?.opened;
        let opened = all.with(|all| all.get(index).map(Arc::clone));
        opened.map(|opened| self.handle(opened))
    }

    /// The configured or opened session of this name.
    pub(crate) fn named(self: &Arc<Self>, name: &str) -> Option<Handle> {
        let mut configured = self.shared.sessions.iter();
        if let Some(index) = configured.position(|settings| &*settings.name == name) {
            return Some(self.at(index));
        }
        let is_it = |opened: &&Arc<Opened>| &*opened.settings.name == name;
        let opened = self.with_opened(|opened| opened.iter().find(is_it).map(Arc::clone));
        opened.flatten().map(|opened| self.handle(opened))
    }

    /// The opened session of this name. Makes it if there is none.
    pub(crate) fn open(self: &Arc<Self>, settings: Settings) -> Handle {
        let more = self.more.get_or_init(Box::default);
        let opened = more.opened.with(|all| {
            if let Some(opened) = all
                .iter()
                .find(|opened| opened.settings.name == settings.name)
            {
                return Arc::clone(opened);
            }
            let settings = Arc::new(settings);
            let opened = Arc::new(Opened {
                settings,
                cell: Cell::default(),
            });
            all.push(Arc::clone(&opened));
            opened
        });
        self.handle(opened)
    }

    fn handle(self: &Arc<Self>, opened: Arc<Opened>) -> Handle {
        Handle {
            registry: Arc::clone(self),
            at: At::Opened(opened),
        }
    }

    fn with_opened<R>(&self, look: impl FnOnce(&[Arc<Opened>]) -> R) -> Option<R> {
        self.more
            .get()
            .map(|more| more.opened.with(|opened| look(opened)))
    }

    /// Whether this layer has a session whose name or cookie is the same.
    fn has(&self, settings: &Settings) -> bool {
        let is_opened = |opened: &[Arc<Opened>]| {
            opened
                .iter()
                .any(|opened| opened.settings.is_called_as(settings))
        };
        let mut configured = self.shared.sessions.iter();
        configured.any(|other| other.is_called_as(settings))
            || self.with_opened(is_opened) == Some(true)
    }

    /// The cell of a configured session that may have been used.
    fn used_cell(&self, index: usize) -> Option<&Cell> {
        if self.owner.load(Ordering::SeqCst) == index {
            return Some(&self.first);
        }
        self.more.get()?.others.get()?.get(index)?.get()
    }

    fn cell(&self, index: usize) -> &Cell {
        let taken = match self.owner.load(Ordering::SeqCst) {
            NOBODY => self.take_first(index),
            owner => owner,
        };
        if taken == index {
            &self.first
        } else {
            self.other_cell(index)
        }
    }

    /// Takes the first cell unless another session has it. Returns the index of its owner.
    fn take_first(&self, index: usize) -> usize {
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        let took = self.owner.compare_exchange(NOBODY, index, success, failure);
        took.map_or_else(|owner| owner, |_| index)
    }

    #[cold]
    fn other_cell(&self, index: usize) -> &Cell {
        let places = || self.shared.sessions.iter().map(|_| OnceLock::new());
        let others = &self.more.get_or_init(Box::default).others;
        let place = others.get_or_init(|| places().collect()).get(index);
        let place = place.expect("`Registry::at` gets the index of a session");
        place.get_or_init(Cell::default)
    }

    /// Logs the sessions with changes that nobody can save any more.
    #[cold]
    fn report_unsaved(&self) {
        let configured = self.shared.sessions.iter().enumerate();
        let configured =
            configured.filter_map(|(index, settings)| Some((settings, self.used_cell(index)?)));
        let opened = self.with_opened(<[_]>::to_vec).unwrap_or_default();
        let opened = opened.iter().map(|opened| (&opened.settings, &opened.cell));
        for (settings, cell) in configured.chain(opened) {
            if cell.with(|state| state.is_changed_late()) {
                trace::left_unsaved(&settings.name);
            }
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The changes of the request itself were saved or discarded with its response.
        if self.exchange.is_reopened() {
            self.report_unsaved();
        }
    }
}

impl Handle {
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        match &self.at {
            At::Configured(index) => {
                let settings = self.registry.shared.sessions.get(*index);
                settings.expect("`Registry::at` gets the index of a session")
            }
            At::Opened(opened) => &opened.settings,
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.registry.shared.clock
    }

    /// # Errors
    ///
    /// [`ErrorKind::NameTaken`] if an outer layer has a session with this name or this cookie.
    pub(crate) fn check_name(&self) -> Result<(), Error> {
        self.registry
            .outer()
            .map_or(Ok(()), |outer| self.check_name_in(outer))
    }

    #[cold]
    fn check_name_in(&self, outer: &Arc<Registry>) -> Result<(), Error> {
        match outer.layers().any(|layer| layer.has(self.settings())) {
            true => Err(Error::new(ErrorKind::NameTaken)),
            false => Ok(()),
        }
    }
}

impl Anchor for Handle {
    #[inline]
    fn cell(&self) -> &Cell {
        match &self.at {
            At::Configured(index) => self.registry.cell(*index),
            At::Opened(opened) => &opened.cell,
        }
    }

    fn vault(&self) -> Vault<'_> {
        Vault {
            settings: self.settings(),
            clock: self.clock(),
            meter: &self.registry.exchange.meter,
            report: &self.registry.shared.report,
        }
    }

    fn exchange(&self) -> &Exchange {
        &self.registry.exchange
    }
}
