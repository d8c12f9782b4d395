//! A store that fails when a test tells it to.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::store::{
    Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version, all_failed,
};

/// A store that behaves like one on a network, for tests. It wraps another store, waits in each
/// call, and fails when you tell it to.
///
/// Its sessions must be [loaded](crate::Session::load) before use, whatever the inner store is, so
/// a test finds a forgotten `load`. Clones are the same store.
///
/// ```
/// use silverback::{ErrorKind, Key, MemoryStore, Session, SessionConfig};
/// use silverback::testing::{Calls, FlakyStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FlakyStore::new(MemoryStore::new());
/// let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
/// let cart = Session::detached(&config)?;
/// cart.insert("item", 7)?;
/// store.fail_next(Calls::Writes);
/// assert_eq!(cart.save().await.unwrap_err().kind(), ErrorKind::StoreFailed);
/// cart.save().await?; // nothing was lost
/// # Ok(())
/// # }
/// ```
pub struct FlakyStore<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// Mishaps that happen once, in this order.
    next: VecDeque<(Calls, Mishap)>,
    down: Option<Calls>,
    count: usize,
}

/// Kinds of calls of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Calls {
    /// All calls.
    All,
    /// [`load`](Store::load) and [`load_many`](Store::load_many).
    Reads,
    /// All other calls.
    Writes,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mishap {
    /// The store refuses the call. A retry would not help.
    Fails,
    /// The call does not reach the store.
    IsDown,
    /// The store does the call, but its answer is lost.
    AnswerLost,
}

impl Calls {
    fn include(self, other: Self) -> bool {
        self == Self::All || self == other
    }
}

impl<S> FlakyStore<S> {
    /// Wraps a store.
    ///
    /// ```
    /// use silverback::{Key, MemoryStore, SessionConfig, testing::FlakyStore};
    ///
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let store = FlakyStore::new(MemoryStore::new());
    /// let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(store: S) -> Self {
        let plan = Mutex::default();
        Self(Arc::new(Inner { store, plan }))
    }

    /// Makes the next of these calls fail: it does nothing and returns [`StoreError::Refused`],
    /// which is not retried. Each call of this method adds one failure.
    ///
    /// ```
    /// # use silverback::{ErrorKind, Key, MemoryStore, Session, SessionConfig};
    /// # use silverback::testing::{Calls, FlakyStore};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = FlakyStore::new(MemoryStore::new());
    /// # let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
    /// # let cart = Session::detached(&config)?;
    /// # cart.insert("item", 7)?;
    /// store.fail_next(Calls::Writes);
    /// assert_eq!(cart.save().await.unwrap_err().kind(), ErrorKind::StoreFailed);
    /// assert!(cart.save().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail_next(&self, calls: Calls) {
        self.plan().next.push_back((calls, Mishap::Fails));
    }

    /// Makes all of these calls fail until [`heal`](Self::heal), with [`StoreError::Unavailable`].
    ///
    /// ```
    /// # use silverback::{ErrorKind, Key, MemoryStore, Session, SessionConfig};
    /// # use silverback::testing::{Calls, FlakyStore};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = FlakyStore::new(MemoryStore::new());
    /// # let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
    /// # let cart = Session::detached(&config)?;
    /// # cart.insert("item", 7)?;
    /// store.fail_all(Calls::All);
    /// assert_eq!(cart.save().await.unwrap_err().kind(), ErrorKind::StoreFailed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail_all(&self, calls: Calls) {
        self.plan().down = Some(calls);
    }

    /// Loses the answer of the next write: the write happens, but returns
    /// [`StoreError::Unavailable`], as when a connection breaks. The session asks the store once
    /// more, and nothing is done twice. Each call of this method adds one loss.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig, testing::FlakyStore};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = FlakyStore::new(MemoryStore::new());
    /// # let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
    /// # let cart = Session::detached(&config)?;
    /// # cart.insert("item", 7)?;
    /// store.lose_next_answer();
    /// assert!(cart.save().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn lose_next_answer(&self) {
        let lost = (Calls::Writes, Mishap::AnswerLost);
        self.plan().next.push_back(lost);
    }

    /// Makes all calls succeed again.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig, testing::{Calls, FlakyStore}};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = FlakyStore::new(MemoryStore::new());
    /// # let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
    /// # let cart = Session::detached(&config)?;
    /// # cart.insert("item", 7)?;
    /// store.fail_all(Calls::All);
    /// store.heal();
    /// assert!(cart.save().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.next.clear();
        plan.down = None;
    }

    /// Returns the number of calls since the last call of this method, to check that a page does
    /// not use the store.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig, testing::FlakyStore};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = FlakyStore::new(MemoryStore::new());
    /// # let config = SessionConfig::new("cart", store.clone(), Key::generate()?);
    /// # let cart = Session::detached(&config)?;
    /// # cart.insert("item", 7)?;
    /// cart.save().await?;
    /// assert_eq!(store.take_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[expect(
        clippy::must_use_candidate,
        reason = "it may be called to reset the count"
    )]
    pub fn take_count(&self) -> usize {
        std::mem::take(&mut self.plan().count)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mishap(&self, call: Calls) -> Option<Mishap> {
        let mut plan = self.plan();
        plan.count += 1;
        let next = plan.next.iter().position(|(calls, _)| calls.include(call));
        if let Some((_, mishap)) = next.and_then(|at| plan.next.remove(at)) {
            return Some(mishap);
        }
        let is_down = plan.down.is_some_and(|calls| calls.include(call));
        is_down.then_some(Mishap::IsDown)
    }

    async fn call<T>(
        &self,
        call: Calls,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        match self.mishap(call) {
            None => answer.await,
            Some(Mishap::Fails) => Err(StoreError::refused("the test makes it fail")),
            Some(Mishap::IsDown) => Err(down()),
            Some(Mishap::AnswerLost) => {
                // The result is the lost answer.
                let _ = answer.await;
                Err(down())
            }
        }
    }

    async fn call_many<T>(
        &self,
        call: Calls,
        count: usize,
        answers: impl Future<Output = Vec<Result<T, StoreError>>>,
    ) -> Vec<Result<T, StoreError>> {
        let answers = self.call(call, async { Ok(answers.await) }).await;
        answers.unwrap_or_else(|error| all_failed(count, &error))
    }
}

fn down() -> StoreError {
    StoreError::unavailable("the test makes it unavailable")
}

impl<S: Store> Store for FlakyStore<S> {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.call(Calls::Reads, self.0.store.load(key, read)).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let loaded = self.0.store.load_many(keys, read);
        self.call_many(Calls::Reads, keys.len(), loaded).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let created = self.0.store.create(key, data, expiry);
        self.call(Calls::Writes, created).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let updated = self.0.store.update(key, expected, data, expiry);
        self.call(Calls::Writes, updated).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let touched = self.0.store.touch(key, expected, expiry);
        self.call(Calls::Writes, touched).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let deleted = self.0.store.delete(key, expected);
        self.call(Calls::Writes, deleted).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let deleted = self.0.store.delete_many(records);
        self.call_many(Calls::Writes, records.len(), deleted).await
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: false,
            ..self.0.store.limits()
        }
    }
}

impl<S> Clone for FlakyStore<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for FlakyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlakyStore").finish_non_exhaustive()
    }
}
