//! One type for every store, so that a session has no type parameter.

use std::{
    fmt, panic,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard};

use super::{Bytes, CookieStore, Record, RecordKey, Store, StoreError, Version};
use crate::{
    clock::Timestamp,
    crypto::{self, RandomError},
};

/// What a session is kept in: the cookie itself, or any [`Store`]. Made of either with `into()`.
#[derive(Clone)]
pub struct Backend(Kind);

#[derive(Clone)]
enum Kind {
    Cookie(CookieStore),
    Server(DynStore),
}

impl Backend {
    /// The cookie's store, if the session is in its cookie; otherwise the server's.
    pub(crate) fn server(&self) -> Result<&DynStore, CookieStore> {
        match &self.0 {
            Kind::Cookie(store) => Err(*store),
            Kind::Server(server) => Ok(server),
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self.server(), other.server()) {
            (Err(one), Err(other)) => one.is_signed() == other.is_signed(),
            (Ok(one), Ok(other)) => Arc::ptr_eq(&one.0, &other.0),
            _ => false,
        }
    }
}

impl From<CookieStore> for Backend {
    fn from(store: CookieStore) -> Self {
        Self(Kind::Cookie(store))
    }
}

impl<S: Store> From<S> for Backend {
    fn from(store: S) -> Self {
        Self(Kind::Server(DynStore::new(store)))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.server() {
            Err(_) => "Backend(cookie)",
            Ok(_) => "Backend(server)",
        })
    }
}

/// A store of any type.
#[derive(Clone)]
pub(crate) struct DynStore(Arc<Queued<dyn Erased>>);

/// A store, and the queues of those who lost a race for one of its records.
struct Queued<S: ?Sized> {
    turns: [Mutex<()>; TURNS],
    store: S,
}

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Records share a queue with one in so many others, which costs them nothing but a short wait.
const TURNS: usize = 64;

impl DynStore {
    pub(crate) fn new(store: impl Store) -> Self {
        Self(Arc::new(Queued {
            turns: std::array::from_fn(|_| Mutex::new(())),
            store,
        }))
    }

    pub(crate) fn never_waits(&self) -> bool {
        self.0.store.never_waits()
    }

    /// Waits for a turn to save the record again, but no longer than a second: the turn is a
    /// courtesy to others, and its holder may be a future that nobody polls. A store that never
    /// waits has no queue.
    pub(crate) async fn turn(&self, key: &RecordKey) -> Option<MutexGuard<'_, ()>> {
        let [first, ..] = key.as_bytes();
        let turns = &self.0.turns;
        let turn = turns
            .get(usize::from(*first) % TURNS)
            .filter(|_| !self.never_waits())?;
        tokio::time::timeout(PATIENCE, turn.lock()).await.ok()
    }

    /// Lets whoever is faster in another process finish: a random time, longer after each attempt.
    pub(crate) async fn back_off(&self, attempt: u32) -> Result<(), RandomError> {
        if !self.never_waits() {
            let most = 1 << attempt.min(6);
            let [part] = crypto::random::<1>()?;
            tokio::time::sleep(Duration::from_millis(most) * u32::from(part) / 256).await;
        }
        Ok(())
    }

    pub(crate) fn load<'a>(&'a self, key: &'a RecordKey) -> Operation<'a, Option<Record>> {
        self.0.store.load(key)
    }

    pub(crate) fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Operation<'a, Version> {
        self.0.store.create(key, data, expires)
    }

    pub(crate) fn update<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Operation<'a, Version> {
        self.0.store.update(key, expected, data, expires)
    }

    pub(crate) fn delete<'a>(&'a self, key: &'a RecordKey) -> Operation<'a, ()> {
        self.0.store.delete(key)
    }

    pub(crate) fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Operation<'a, ()> {
        self.0.store.touch(key, expected, expires)
    }
}

impl fmt::Debug for DynStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynStore(..)")
    }
}

/// Whether the runtime has what a store that waits needs: the pauses between its retries are
/// tokio's.
///
/// # Errors
///
/// [`StoreError::Backend`] with a sentence that says what to change. Tokio tells by a panic alone
/// whether a runtime has a timer; it is caught here, before anything depends on it.
pub(crate) fn check_runtime() -> Result<(), StoreError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(StoreError::backend(
            "a store that waits needs tokio: run this in its runtime",
        ));
    }
    panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).map_err(|_| {
        StoreError::backend(
            "a store that waits needs tokio's timer: build the runtime with `enable_time`",
        )
    })
}

/// The dyn-compatible twin of [`Store`].
trait Erased: Send + Sync {
    fn never_waits(&self) -> bool;
    fn load<'a>(&'a self, key: &'a RecordKey) -> Operation<'a, Option<Record>>;
    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Operation<'a, Version>;
    fn update<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Operation<'a, Version>;
    fn delete<'a>(&'a self, key: &'a RecordKey) -> Operation<'a, ()>;
    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Operation<'a, ()>;
}

impl<S: Store> Erased for S {
    fn never_waits(&self) -> bool {
        Store::never_waits(self)
    }

    fn load<'a>(&'a self, key: &'a RecordKey) -> Operation<'a, Option<Record>> {
        Operation::of(self, Store::load(self, key))
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Operation<'a, Version> {
        Operation::of(self, Store::create(self, key, data, expires))
    }

    fn update<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Operation<'a, Version> {
        Operation::of(self, Store::update(self, key, expected, data, expires))
    }

    fn delete<'a>(&'a self, key: &'a RecordKey) -> Operation<'a, ()> {
        Operation::of(self, Store::delete(self, key))
    }

    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        expires: Timestamp,
    ) -> Operation<'a, ()> {
        Operation::of(self, Store::touch(self, key, expected, expires))
    }
}

/// A store's operation: done already, or boxed because it has to wait.
#[must_use]
pub(crate) enum Operation<'a, T> {
    Done(Option<Result<T, StoreError>>),
    Waiting(Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>),
}

impl<'a, T> Operation<'a, T> {
    fn of<S: Store>(
        store: &S,
        future: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> Self {
        if Store::never_waits(store) {
            let waited = || {
                Err(StoreError::backend(
                    "the store says that it never waits, and it did",
                ))
            };
            Self::Done(Some(now(pin!(future)).unwrap_or_else(waited)))
        } else {
            Self::Waiting(Box::pin(future))
        }
    }
}

impl<T: Unpin> Future for Operation<'_, T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Done(result) => result.take().map_or(Poll::Pending, Poll::Ready),
            Self::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

/// Runs a future that does not wait; `None` if it did.
pub(crate) fn now<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
