//! What the sessions of one request share: its cookies and its progress.

use crate::{
    config::Settings,
    cookie::RequestCookies,
    store::{Meter, Read},
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

/// What the sessions belong to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// A request with the method GET or HEAD.
    Read,
    Request,
    Detached,
}

/// The stages of a request: the handler has it; changes cannot reach the response any more; its
/// commit is done or will never come.
const HANDLED: u8 = 0;
const CLOSED: u8 = 1;
const OVER: u8 = 2;

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) cookies: RequestCookies,
    origin: Origin,
    /// How far the request is, which only grows.
    stage: AtomicU8,
    is_touched: AtomicBool,
    is_reopened: AtomicBool,
    /// How long the request's sessions have waited for stores.
    pub(crate) meter: Meter,
}

impl Exchange {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            cookies: RequestCookies::new(),
            origin,
            stage: AtomicU8::new(HANDLED),
            is_touched: AtomicBool::new(false),
            is_reopened: AtomicBool::new(false),
            meter: Meter::default(),
        }
    }

    /// How to read a session that the request has not opened yet.
    pub(crate) fn read(&self, settings: &Settings) -> Read {
        if settings.reads_recent && self.origin == Origin::Read && !self.is_closed() {
            Read::Recent
        } else {
            Read::Current
        }
    }

    /// Notes that a session may have been used.
    pub(crate) fn touch(&self) {
        // Only the atomic write is costly.
        if !self.is_touched() {
            self.is_touched.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched.load(Ordering::SeqCst)
    }

    /// From now on a change cannot reach the response.
    ///
    /// The closer checks for touches after closing, and a toucher checks for the closing after
    /// touching. So one of the two sees the other.
    pub(crate) fn close(&self) {
        self.stage.fetch_max(CLOSED, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage.load(Ordering::SeqCst) >= CLOSED
    }

    /// The request has ended.
    pub(crate) fn end(&self) {
        self.stage.store(OVER, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stage.load(Ordering::SeqCst) == OVER
    }

    /// A session was loaded again after the response. From now on only `save` saves its changes.
    pub(crate) fn reopen(&self) {
        self.is_reopened.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_reopened(&self) -> bool {
        self.is_reopened.load(Ordering::SeqCst)
    }

    /// Whether each operation may wait for stores as long as a whole request may. A handle that
    /// outlives its request may run any number of operations.
    pub(crate) fn counts_apart(&self) -> bool {
        self.is_over() || self.origin == Origin::Detached
    }

    /// Whether the request has a cookie under any of the session's names.
    pub(crate) fn has_cookie(&self, settings: &Settings) -> bool {
        let mut names = settings.names();
        names.any(|named| self.cookies.all_named(&named.finder).next().is_some())
    }
}
