//! The rules' operations on a store, and their judgement.

use std::{
    fmt::{self, Write},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    schedule::Numbers,
    subject::{Doing, Parts},
};
use crate::{
    clock::{Clock, Timestamp},
    crypto,
    lock::Monitor,
    store::{Bytes, Expiry, Read, Record, RecordKey, Store, StoreError, Version},
};

/// The outcome of a step. A fault reads like "after this: expected that, saw something else".
pub(super) type Outcome<T = ()> = Result<T, String>;

pub(super) struct Bench<S> {
    pub(super) store: Arc<S>,
    pub(super) with: Parts<S>,
    /// Stands still until a rule moves it, so that an end is the same whenever it is computed.
    clock: Clock,
    begin: Timestamp,
    salt: [u8; 16],
    keys: Monitor<Vec<RecordKey>>,
}

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

impl<S: Store> Bench<S> {
    /// Makes a bench for a rule that begins at this time. A subject with a clock has its own time.
    pub(super) fn new(with: Parts<S>, begin: Timestamp) -> Self {
        let clock = with.clock.clone().unwrap_or_else(|| Clock::manual(begin));
        Self {
            store: Arc::clone(&with.store),
            begin: clock.now(),
            clock,
            with,
            salt: crypto::random().unwrap_or_default(),
            keys: Monitor::default(),
        }
    }

    /// A key that no rule or run has used before.
    pub(super) fn key(&self) -> RecordKey {
        self.keys.with(|keys| {
            let key = RecordKey::of(&[&self.salt[..], &keys.len().to_le_bytes()].concat());
            keys.push(key);
            key
        })
    }

    /// Has the record under this key removed in the end.
    pub(super) fn remember(&self, key: RecordKey) {
        self.keys.with(|keys| keys.push(key));
    }

    /// The number of rounds, scaled as the store's author wants.
    pub(super) fn rounds(&self, usual: u64) -> u64 {
        (usual as f64 * self.with.scale).ceil().max(2.0) as u64
    }

    /// Removes the rule's records, as far as the store does so, and sets the clock back.
    pub(super) async fn clean(&self) {
        let keys = self.keys.with(std::mem::take);
        for some in keys.chunks(200) {
            let records: Vec<_> = some.iter().map(|key| (*key, None)).collect();
            drop(self.store.delete_many(&records).await);
        }
        self.clock.set(self.begin);
    }

    /// The time that the rule has set, or its beginning. The store's clock may be later by now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An end that no rule reaches unless it sets the time.
    pub(super) fn alive(&self) -> Timestamp {
        self.now().saturating_add(HOUR * 24)
    }

    /// The expiry for this end.
    pub(super) fn expiry(&self, end: Timestamp) -> Expiry {
        Expiry::new(end, self.now())
    }

    /// Returns whether the rules set the store's clock.
    pub(super) const fn has_clock(&self) -> bool {
        self.with.clock.is_some()
    }

    pub(super) fn set_time(&self, to: Timestamp) -> Outcome {
        if self.has_clock() {
            self.clock.set(to);
        }
        require(self.now() == to, || {
            "the clock given with the store is not a manual one".to_owned()
        })
    }

    pub(super) async fn sweep(&self) {
        self.sweeping()().await;
    }

    /// Returns a function that sweeps the store, if it is swept.
    pub(super) fn sweeping(&self) -> impl Fn() -> Doing<()> + Send + Sync + 'static {
        let (sweep, store) = (self.with.sweep.clone(), Arc::clone(&self.store));
        move || {
            sweep.as_ref().map_or_else(
                || Box::pin(async {}) as Doing<()>,
                |sweep| sweep(Arc::clone(&store)),
            )
        }
    }

    /// Creates a record, which must succeed.
    pub(super) async fn create(
        &self,
        key: &RecordKey,
        data: &[u8],
        end: Timestamp,
    ) -> Outcome<Version> {
        granted(
            "create of a new record",
            self.store
                .create(key, Bytes::copy_from_slice(data), self.expiry(end))
                .await,
        )
    }

    /// Replaces a record, which must succeed.
    pub(super) async fn update(
        &self,
        key: &RecordKey,
        from: Version,
        data: &[u8],
        end: Timestamp,
    ) -> Outcome<Version> {
        let updated = self
            .store
            .update(key, from, Bytes::copy_from_slice(data), self.expiry(end))
            .await;
        granted("update with the current version", updated)
    }

    /// Moves a record's end, which must succeed.
    pub(super) async fn touch(
        &self,
        key: &RecordKey,
        from: Version,
        end: Timestamp,
    ) -> Outcome<Version> {
        let touched = self.store.touch(key, from, self.expiry(end)).await;
        granted("touch with the current version", touched)
    }

    pub(super) async fn delete(&self, key: &RecordKey) -> Outcome {
        granted("delete", self.store.delete(key, None).await)
    }

    pub(super) async fn load(&self, after: &str, key: &RecordKey) -> Outcome<Option<Record>> {
        let loaded = self.store.load(key, Read::Current).await;
        granted(&format!("load after {after}"), loaded)
    }

    pub(super) async fn load_some(&self, after: &str, key: &RecordKey) -> Outcome<Record> {
        self.load(after, key)
            .await?
            .ok_or_else(|| format!("after {after}: expected the record, saw none"))
    }

    pub(super) async fn holds(
        &self,
        after: &str,
        key: &RecordKey,
        data: &[u8],
        version: Version,
        end: Timestamp,
    ) -> Outcome {
        let found = self.load_some(after, key).await?;
        let expected = Record::new(data.to_vec(), version, end);
        require(found == expected, || {
            format!(
                "after {after}: expected {}, saw {}{}",
                told(&expected),
                told(&found),
                differs(&expected, &found)
            )
        })
    }

    /// Like `holds`, for any version, which it returns.
    pub(super) async fn holds_data(
        &self,
        after: &str,
        key: &RecordKey,
        data: &[u8],
        end: Timestamp,
    ) -> Outcome<Version> {
        let version = self.load_some(after, key).await?.version();
        self.holds(after, key, data, version, end)
            .await
            .map(|()| version)
    }

    pub(super) async fn is_gone(&self, after: &str, key: &RecordKey) -> Outcome {
        let found = self.load(after, key).await?;
        found.map_or(Ok(()), |record| {
            Err(format!(
                "after {after}: expected no record, saw {}",
                told(&record)
            ))
        })
    }
}

fn told(record: &Record) -> String {
    let (len, version, end) = (record.data().len(), record.version(), record.expires());
    format!("{len} bytes of {version:?} until {}", end.as_secs())
}

fn differs(expected: &Record, found: &Record) -> String {
    let mut pairs = expected.data().iter().zip(found.data());
    let at = pairs.position(|(one, other)| one != other);
    at.map_or_else(String::new, |at| format!(", with another byte at {at}"))
}

pub(super) fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Requires an operation to succeed.
pub(super) fn granted<T>(what: &str, result: Result<T, StoreError>) -> Outcome<T> {
    result.map_err(|error| format!("{what}: expected success, saw {}", Shown(&error)))
}

/// Requires an operation to fail in this way.
pub(super) fn refused<T>(what: &str, result: &Result<T, StoreError>, with: Refusal) -> Outcome {
    require(with.is(result), || {
        format!("{what}: expected {with:?}, saw {}", shown(result))
    })
}

/// The ways in which the contract makes an operation fail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Exists,
    Conflict,
    Gone,
}

impl Refusal {
    pub(super) const fn is<T>(self, result: &Result<T, StoreError>) -> bool {
        matches!(
            (self, result),
            (Self::Exists, Err(StoreError::Exists))
                | (Self::Conflict, Err(StoreError::Conflict))
                | (Self::Gone, Err(StoreError::Gone))
        )
    }
}

pub(super) fn shown<T>(result: &Result<T, StoreError>) -> String {
    result
        .as_ref()
        .map_or_else(|error| Shown(error).to_string(), |_| "success".to_owned())
}

/// An error and its causes.
pub(super) struct Shown<'a>(pub(super) &'a StoreError);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an error ({}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        f.write_char(')')
    }
}

/// Waits for tasks, and returns their results in any order.
pub(super) async fn all<T: 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut results = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        results.push(joined.map_err(|error| format!("a task did not end: {error}"))??);
    }
    Ok(results)
}

/// A version that the record does not have, one bit away.
pub(super) fn another(version: Version) -> Version {
    flipped(version, 0)
}

/// The versions that a `MigratingStore` makes of one. It flips one of the first two bits.
pub(super) fn marked(version: Version) -> [Version; 2] {
    [flipped(version, 127), flipped(version, 126)]
}

fn flipped(version: Version, bit: u32) -> Version {
    let number = u128::from_be_bytes(*version.as_bytes()) ^ 1 << bit;
    Version::from_bytes(number.to_be_bytes())
}

/// A version of a record that does not exist.
pub(super) const NO_VERSION: Version = Version::from_u64(1);

/// Bytes that differ from those of any other number, except at the shortest lengths.
pub(super) fn sample(number: u64, len: usize) -> Vec<u8> {
    Numbers::from_seed(number).bytes(len)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{START, subject::Subject},
        *,
    };
    use crate::store::MemoryStore;

    fn bench(subject: Subject<MemoryStore>) -> Bench<MemoryStore> {
        Bench::new(subject.0.unwrap(), START)
    }

    #[test]
    fn without_a_clock_the_time_is_the_rules_beginning() {
        let bench = bench(Subject::new(MemoryStore::new()));
        assert!(!bench.has_clock());
        assert_eq!(bench.now(), START);
        assert!(bench.set_time(START.saturating_add(HOUR)).is_err());
        assert_eq!(bench.alive(), START.saturating_add(HOUR * 24));
    }

    #[test]
    fn the_scale_multiplies_the_usual_rounds() {
        for (scale, rounds) in [(1.0, 200), (0.1, 20), (0.001, 2), (10.0, 2_000), (-1.0, 2)] {
            let bench = bench(Subject::new(MemoryStore::new()).scale(scale));
            assert_eq!(bench.rounds(200), rounds, "{scale}");
        }
    }

    #[tokio::test]
    async fn a_rules_records_are_removed() {
        let bench = bench(Subject::new(MemoryStore::new()));
        for _ in 0..300 {
            bench
                .create(&bench.key(), b"data", bench.alive())
                .await
                .unwrap();
        }
        bench.remember(RecordKey::from_bytes([1; 32]));
        let key = RecordKey::from_bytes([1; 32]);
        bench.create(&key, b"data", bench.alive()).await.unwrap();
        assert_eq!(bench.store.len(), 301);
        bench.clean().await;
        assert!(bench.store.is_empty());
    }
}
