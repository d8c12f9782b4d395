//! What the sessions of one request share: its cookies and its progress.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    config::Settings,
    cookie::RequestCookies,
    store::{Meter, Read},
};

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) cookies: RequestCookies,
    /// Whether the request's method is GET or HEAD.
    is_read_only: bool,
    is_touched: AtomicBool,
    is_closed: AtomicBool,
    is_over: AtomicBool,
    is_detached: AtomicBool,
    is_reopened: AtomicBool,
    /// How long the request's sessions have waited for stores.
    pub(crate) meter: Meter,
}

impl Exchange {
    pub(crate) fn new(is_read_only: bool) -> Self {
        Self {
            cookies: RequestCookies::new(),
            is_read_only,
            is_touched: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_detached: AtomicBool::new(false),
            is_reopened: AtomicBool::new(false),
            meter: Meter::default(),
        }
    }

    /// How to read a session that the request has not opened yet.
    pub(crate) fn read(&self, settings: &Settings) -> Read {
        if settings.reads_recent && self.is_read_only && !self.is_closed() {
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
        if !self.is_closed() {
            self.is_closed.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// The request has ended. Its commit is done or will never come.
    pub(crate) fn end(&self) {
        if !self.is_over() {
            self.close();
            self.is_over.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// The sessions belong to no request.
    pub(crate) fn detach(&self) {
        self.is_detached.store(true, Ordering::SeqCst);
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
        self.is_over() || self.is_detached.load(Ordering::SeqCst)
    }

    /// Whether the request has a cookie under any of the session's names.
    pub(crate) fn has_cookie(&self, settings: &Settings) -> bool {
        let mut names = settings.names();
        names.any(|named| self.cookies.all_named(&named.finder).next().is_some())
    }
}
