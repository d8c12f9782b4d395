//! One type for every store.

use std::{
    any::{self, Any},
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version, error::all_failed,
    followers::Followers, lines::Lines,
};
use crate::report::Health;

/// A store of any type, chosen at run time. It is a [`Store`] itself.
///
/// Clones are the same store. Two that you make separately are not, even of one [`Arc`]: make one
/// and clone it.
///
/// ```
/// use silverback::{MemoryStore, store::DynStore};
///
/// let store = DynStore::new(MemoryStore::new());
/// assert_eq!(store, store.clone());
/// assert_eq!(store, DynStore::new(store.clone()));
/// assert_ne!(store, DynStore::new(MemoryStore::new()));
/// ```
#[derive(Clone)]
pub struct DynStore(Arc<Shared<dyn Erased>>);

/// A store, the lines for its records, and the writes that this process has seen.
struct Shared<S: ?Sized> {
    lines: Lines,
    followers: Followers,
    health: Health,
    /// The type of the store, for the log.
    name: &'static str,
    store: S,
}

/// A store, and its answer to whether it waits. It is asked once.
struct Asked<S> {
    store: S,
    never_waits: bool,
}

impl DynStore {
    /// Hides the type of a store. Making one of a `DynStore` returns the same store.
    ///
    /// ```
    /// # #[cfg(feature = "filesystem")]
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use silverback::{FilesystemStore, MemoryStore, store::DynStore};
    ///
    /// let store = match std::env::var("SESSIONS") {
    ///     Ok(folder) => DynStore::new(FilesystemStore::open(folder)?),
    ///     Err(_) => DynStore::new(MemoryStore::new()),
    /// };
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        if let Some(same) = (&store as &dyn Any).downcast_ref::<Self>() {
            return same.clone();
        }
        Self(Arc::new(Shared {
            lines: Lines::default(),
            followers: Followers::default(),
            health: Health::default(),
            name: any::type_name_of_val(&store),
            store: Asked {
                never_waits: store.limits().never_waits,
                store,
            },
        }))
    }

    pub(crate) fn never_waits(&self) -> bool {
        self.0.store.never_waits()
    }

    /// The store's operations. A store that never waits has answered when a call returns.
    pub(super) fn calls(&self) -> &dyn Erased {
        &self.0.store
    }

    /// The lines of this process, in which requests wait for a record.
    pub(super) fn lines(&self) -> &Lines {
        &self.0.lines
    }

    /// Notes whether the store has answered.
    pub(super) fn note_answer(&self, failure: Option<&StoreError>) {
        let Shared { health, name, .. } = &*self.0;
        match failure {
            Some(error) => health.failed(name, error),
            None => health.answered(name),
        }
    }

    /// Which write came on top of which, as far as this process has seen.
    pub(super) fn followers(&self) -> &Followers {
        &self.0.followers
    }
}

/// Two stores are equal if they are clones of one.
impl PartialEq for DynStore {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for DynStore {}

impl Store for DynStore {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.0.store.load(key, read).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        self.0.store.load_many(keys, read).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.store.create(key, data, expiry).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.store.update(key, expected, data, expiry).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.0.store.touch(key, expected, expiry).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        self.0.store.delete(key, expected).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        self.0.store.delete_many(records).await
    }

    fn limits(&self) -> Limits {
        self.0.store.limits()
    }
}

impl fmt::Debug for DynStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynStore(..)")
    }
}

/// The dyn-compatible twin of [`Store`]. Methods that end in `_now` are for a store that never
/// waits.
pub(super) trait Erased: Send + Sync {
    fn load<'a>(&'a self, key: &'a RecordKey, read: Read) -> One<'a, Option<Record>>;
    fn load_many<'a>(&'a self, keys: &'a [RecordKey], read: Read) -> Many<'a, Option<Record>>;
    fn create<'a>(&'a self, key: &'a RecordKey, data: Bytes, expiry: Expiry) -> One<'a, Version>;
    fn update<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> One<'a, Version>;
    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> One<'a, Version>;
    fn delete<'a>(&'a self, key: &'a RecordKey, expected: Option<Version>) -> One<'a, ()>;
    fn delete_many<'a>(&'a self, records: &'a [(RecordKey, Option<Version>)]) -> Many<'a, ()>;
    fn load_now(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;
    fn create_now(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError>;
    fn update_now(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError>;
    fn never_waits(&self) -> bool;
    fn limits(&self) -> Limits;
}

impl<S> Asked<S> {
    fn of<'a, O>(
        &self,
        future: impl Future<Output = O> + Send + 'a,
        waited: impl FnOnce(StoreError) -> O,
    ) -> Operation<'a, O> {
        if !self.never_waits {
            return Operation::Waiting(Box::pin(future));
        }
        let output = poll_once(pin!(future)).unwrap_or_else(|| waited(it_waited()));
        Operation::Done(Some(output))
    }
}

impl<S: Store> Erased for Asked<S> {
    fn load<'a>(&'a self, key: &'a RecordKey, read: Read) -> One<'a, Option<Record>> {
        self.of(self.store.load(key, read), Err)
    }

    fn load_many<'a>(&'a self, keys: &'a [RecordKey], read: Read) -> Many<'a, Option<Record>> {
        let waited = |error| all_failed(keys.len(), &error);
        self.of(self.store.load_many(keys, read), waited)
    }

    fn create<'a>(&'a self, key: &'a RecordKey, data: Bytes, expiry: Expiry) -> One<'a, Version> {
        self.of(self.store.create(key, data, expiry), Err)
    }

    fn update<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> One<'a, Version> {
        self.of(self.store.update(key, expected, data, expiry), Err)
    }

    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> One<'a, Version> {
        self.of(self.store.touch(key, expected, expiry), Err)
    }

    fn delete<'a>(&'a self, key: &'a RecordKey, expected: Option<Version>) -> One<'a, ()> {
        self.of(self.store.delete(key, expected), Err)
    }

    fn delete_many<'a>(&'a self, records: &'a [(RecordKey, Option<Version>)]) -> Many<'a, ()> {
        let waited = |error| all_failed(records.len(), &error);
        self.of(self.store.delete_many(records), waited)
    }

    fn load_now(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        at_once(self.store.load(key, Read::Current))
    }

    fn create_now(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        at_once(self.store.create(key, data, expiry))
    }

    fn update_now(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        at_once(self.store.update(key, expected, data, expiry))
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: self.never_waits,
            ..self.store.limits()
        }
    }
}

pub(super) type One<'a, T> = Operation<'a, Result<T, StoreError>>;
pub(super) type Many<'a, T> = Operation<'a, Vec<Result<T, StoreError>>>;

/// An operation of a store: done already, or boxed because it has to wait.
#[must_use]
pub(super) enum Operation<'a, O> {
    Done(Option<O>),
    Waiting(Pin<Box<dyn Future<Output = O> + Send + 'a>>),
}

/// The answer of a store that never waits.
fn at_once<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    poll_once(pin!(call)).unwrap_or_else(|| Err(it_waited()))
}

fn it_waited() -> StoreError {
    StoreError::refused("the store says that it never waits, but it did")
}

/// Nothing in it is ever pinned.
impl<O> Unpin for Operation<'_, O> {}

impl<O> Future for Operation<'_, O> {
    type Output = O;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        match self.get_mut() {
            Self::Done(output) => output.take().map_or(Poll::Pending, Poll::Ready),
            Self::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

/// Runs a future that does not wait. Returns `None` if it waited.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
