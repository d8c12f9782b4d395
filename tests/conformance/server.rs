//! A server of records in memory with its own clock, which can be silent or cut off.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use silverback::{
    Timestamp,
    store::{Bytes, RecordKey, StoreError, Version},
};
use tokio::{sync::watch, task::yield_now, time::timeout};

/// The value under a key.
#[derive(Clone)]
pub(crate) enum Kept {
    Record(Row),
    /// A value that is not a record.
    Garbage,
}

#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) data: Bytes,
    pub(crate) version: Version,
    /// The end that the session set.
    pub(crate) told: Timestamp,
    /// The end by the server's clock, or `None` for never.
    pub(crate) gone: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Rows(HashMap<RecordKey, Kept>);

impl Rows {
    pub(crate) fn get(&mut self, key: &RecordKey) -> Option<Kept> {
        let over = |kept: &Kept| matches!(kept, Kept::Record(row) if row.gone.is_some_and(|gone| gone <= Instant::now()));
        if self.0.get(key).is_some_and(over) {
            self.0.remove(key);
        }
        self.0.get(key).cloned()
    }

    /// The value, even if it has expired.
    pub(crate) fn raw(&self, key: &RecordKey) -> Option<Kept> {
        self.0.get(key).cloned()
    }

    pub(crate) fn put(&mut self, key: RecordKey, kept: Kept) {
        self.0.insert(key, kept);
    }

    pub(crate) fn remove(&mut self, key: &RecordKey) {
        self.0.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Link {
    Open,
    /// Questions arrive after the silence.
    Silent,
    Cut,
}

pub(crate) struct Server {
    rows: Mutex<Rows>,
    link: watch::Sender<Link>,
    asked: AtomicU64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            link: watch::Sender::new(Link::Open),
            asked: AtomicU64::new(0),
        }
    }
}

/// A failure of the server, which ends on drop.
pub(crate) struct Failure(Arc<Server>);

impl Drop for Failure {
    fn drop(&mut self) {
        self.0.link.send_replace(Link::Open);
    }
}

impl Server {
    pub(crate) fn silence(self: &Arc<Self>) -> Failure {
        self.link.send_replace(Link::Silent);
        Failure(Arc::clone(self))
    }

    pub(crate) fn cut(self: &Arc<Self>) -> Failure {
        self.link.send_replace(Link::Cut);
        Failure(Arc::clone(self))
    }

    pub(crate) fn is_cut(&self) -> bool {
        *self.link.borrow() == Link::Cut
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.lock().unwrap().len()
    }

    pub(crate) fn time_left(&self, key: &RecordKey) -> Option<Duration> {
        let kept = self.rows.lock().unwrap().get(key);
        match kept? {
            Kept::Record(row) => Some(row.gone?.saturating_duration_since(Instant::now())),
            Kept::Garbage => None,
        }
    }

    pub(crate) fn garbage(&self, key: RecordKey) {
        self.rows.lock().unwrap().put(key, Kept::Garbage);
    }

    /// Sends a question and waits this long for the answer. The server gets the question even if
    /// the caller stops waiting.
    pub(crate) async fn ask<R: Send + 'static>(
        self: &Arc<Self>,
        patience: Duration,
        question: impl FnOnce(&mut Rows) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        if self.is_cut() {
            return Err(StoreError::unavailable("connection refused"));
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let server = Arc::clone(self);
        let answer = tokio::spawn(async move {
            let mut link = server.link.subscribe();
            let open = link.wait_for(|link| *link != Link::Silent).await;
            let is_cut = open.is_ok_and(|link| *link == Link::Cut);
            (!is_cut).then(|| question(&mut server.rows.lock().unwrap()))
        });
        yield_now().await;
        match timeout(patience, answer).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(_) => Err(StoreError::unavailable("connection reset")),
            Err(elapsed) => Err(StoreError::unavailable(elapsed)),
        }
    }
}
