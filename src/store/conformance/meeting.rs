//! Two threads that use one record without a pause, until they have met often enough.
//!
//! A store that looks under one lock and writes under another is open to the other thread for a few
//! nanoseconds. Two calls that begin together rarely meet there, and on a busy machine the threads
//! may share one processor. So each rule counts how often the other thread came between a load and
//! a write, which the store then refuses. Among so many times, some are between the store's locks.
//! A store that makes system calls or asks a server is open for longer, and fewer times suffice.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    task::{JoinSet, yield_now},
};

use super::bench::{Bench, Outcome, all, granted, require, shown};
use crate::{
    clock::Timestamp,
    store::{Bytes, Expiry, Read, Record, RecordKey, Store, StoreError, Version},
};

/// How many meetings are enough.
const ENOUGH: u64 = 300;
/// How many are enough if a round takes as long as `SLOW` on average.
const ENOUGH_IF_SLOW: u64 = 30;
const SLOW: Duration = Duration::from_micros(50);
/// When the tasks end although they have not met so often.
const LONGEST: Duration = Duration::from_millis(1_500);
/// After so many rounds, a task lets others have its thread.
const WITHOUT_A_PAUSE: u64 = 64;
/// Added to a record's number in the end that a touch sets.
const TOUCHED: u64 = 1 << 28;

const ADVICE: &str = "The store has to look at the record and write in one step";

/// What an increasing task does with the record that it has loaded.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Writes {
    Updates,
    Touches,
}

/// What two tasks share.
struct Meeting<S> {
    store: Arc<S>,
    key: RecordKey,
    now: Timestamp,
    end: Timestamp,
    met: AtomicU64,
    enough: u64,
    enough_if_slow: u64,
    begin: Instant,
    latest: Instant,
}

/// Increments beside increments or touches. Neither may bring back an earlier record.
pub(super) async fn lose_nothing<S: Store>(bench: &Bench<S>, other: Writes) -> Outcome {
    let (meeting, mut tasks) = (Meeting::of(bench), JoinSet::new());
    granted("create of a new record", meeting.create(0).await)?;
    for writes in [Writes::Updates, other] {
        let meeting = Arc::clone(&meeting);
        tasks.spawn(async move { meeting.write(writes).await });
    }
    let updated: u64 = all(tasks).await?.iter().sum();
    let left = meeting.load().await?;
    let left = left.ok_or("the record is gone beside updates and touches")?;
    let number = meeting.number(&left)?;
    require(number == updated, || {
        format!("{updated} increments on two threads: saw {number}. {ADVICE}")
    })
}

/// Deletes beside updates, then beside touches. Neither may bring the record back.
pub(super) async fn bring_nothing_back<S: Store>(bench: &Bench<S>) -> Outcome {
    for writes in [Writes::Updates, Writes::Touches] {
        let (meeting, mut tasks) = (Meeting::of(bench), JoinSet::new());
        let [writing, deleting] = [(); 2].map(|()| Arc::clone(&meeting));
        tasks.spawn(async move { writing.write(writes).await.map(drop) });
        tasks.spawn(async move { deleting.create_and_delete().await });
        all(tasks).await?;
        stays_away(meeting.load().await?.as_ref())?;
    }
    Ok(())
}

fn stays_away(found: Option<&Record>) -> Outcome {
    require(found.is_none(), || {
        format!(
            "delete beside updates or touches on another thread: expected no record, saw one. \
             {ADVICE}"
        )
    })
}

/// Updates beside deletes at a version. Each version is replaced or deleted, and only once.
pub(super) async fn use_each_version_once<S: Store>(bench: &Bench<S>) -> Outcome {
    let (meeting, mut tasks) = (Meeting::of(bench), JoinSet::new());
    let replacing = Arc::clone(&meeting);
    tasks.spawn(async move { replacing.replace().await });
    tasks.spawn(async move { meeting.delete().await });
    let mut used = HashSet::new();
    for version in all(tasks).await?.into_iter().flatten() {
        require(used.insert(version), || {
            format!(
                "update and delete of {version:?} on two threads: expected one to succeed, saw \
                 both. {ADVICE}"
            )
        })?;
    }
    Ok(())
}

/// Creates beside creates. The task that succeeds has the record for itself until it deletes it.
pub(super) async fn create_for_themselves<S: Store>(bench: &Bench<S>) -> Outcome {
    let (meeting, mut tasks) = (Meeting::of(bench), JoinSet::new());
    for number in 0..2 {
        let meeting = Arc::clone(&meeting);
        tasks.spawn(async move { meeting.own(number).await });
    }
    all(tasks).await.map(drop)
}

impl<S: Store> Meeting<S> {
    fn of(bench: &Bench<S>) -> Arc<Self> {
        // On one thread, calls that never wait do not meet.
        let threads = Handle::current().metrics().num_workers();
        let can_meet = threads > 1 || !bench.store.limits().never_waits;
        let longest = if can_meet { LONGEST } else { Duration::ZERO };
        let longest = longest.mul_f64(bench.with.scale.clamp(0.0, 1.0));
        let begin = Instant::now();
        Arc::new(Self {
            store: Arc::clone(&bench.store),
            key: bench.key(),
            now: bench.now(),
            end: bench.alive(),
            met: AtomicU64::new(0),
            enough: bench.rounds(ENOUGH),
            enough_if_slow: bench.rounds(ENOUGH_IF_SLOW),
            begin,
            latest: begin + longest,
        })
    }

    async fn goes_on(&self, round: u64) -> bool {
        if round % WITHOUT_A_PAUSE == WITHOUT_A_PAUSE - 1 {
            yield_now().await;
        }
        let (met, now) = (self.met.load(Ordering::Relaxed), Instant::now());
        let took = now.saturating_duration_since(self.begin);
        let is_slow = took.as_nanos() > SLOW.as_nanos() * u128::from(round);
        let enough = if is_slow {
            self.enough_if_slow
        } else {
            self.enough
        };
        round == 0 || met < enough && now < self.latest
    }

    /// Notes that the other task has come between two calls of this one.
    fn met(&self) {
        self.met.fetch_add(1, Ordering::Relaxed);
    }

    /// Updates the record, or touches it. Returns how many updates succeeded.
    async fn write(&self, writes: Writes) -> Outcome<u64> {
        let (mut round, mut updated) = (0, 0);
        while self.goes_on(round).await {
            round += 1;
            let Some(record) = self.load().await? else {
                continue;
            };
            let number = self.number(&record)?;
            let written = match writes {
                Writes::Updates => self.update(&record, number + 1).await,
                Writes::Touches => self.touch(&record, number).await,
            };
            match written {
                Ok(_) => updated += u64::from(writes == Writes::Updates),
                Err(StoreError::Conflict | StoreError::Gone) => self.met(),
                other => {
                    return Err(format!(
                        "update or touch beside others: expected success, Conflict or Gone, saw {}",
                        shown(&other)
                    ));
                }
            }
        }
        Ok(updated)
    }

    async fn create_and_delete(&self) -> Outcome {
        let mut round = 0;
        while self.goes_on(round).await {
            round += 1;
            match self.create(0).await {
                Err(StoreError::Exists) => stays_away(self.load().await?.as_ref())?,
                created => drop(granted("create after a delete", created)?),
            }
            let deleted = self.delete_by_turns(round, None).await?;
            granted("delete beside updates or touches", deleted)?;
            stays_away(self.load().await?.as_ref())?;
        }
        Ok(())
    }

    /// Returns the versions that it has replaced.
    async fn replace(&self) -> Outcome<Vec<Version>> {
        let (mut round, mut replaced) = (0, Vec::new());
        while self.goes_on(round).await {
            round += 1;
            let Some(record) = self.load().await? else {
                self.create_anew().await?;
                continue;
            };
            match self.update(&record, round).await {
                Err(StoreError::Conflict | StoreError::Gone) => self.met(),
                updated => {
                    granted("update beside deletes", updated)?;
                    replaced.push(record.version());
                }
            }
        }
        Ok(replaced)
    }

    /// Returns the versions that it has deleted. Nobody else deletes, so the record was there.
    async fn delete(&self) -> Outcome<Vec<Version>> {
        let (mut round, mut deleted) = (0, Vec::new());
        while self.goes_on(round).await {
            round += 1;
            let Some(record) = self.load().await? else {
                self.create_anew().await?;
                continue;
            };
            let version = record.version();
            match self.delete_by_turns(round, Some(version)).await? {
                Err(StoreError::Conflict) => self.met(),
                answer => {
                    granted("delete at a version beside updates", answer)?;
                    deleted.push(version);
                }
            }
        }
        Ok(deleted)
    }

    /// Creates the record, unless the other task has.
    async fn create_anew(&self) -> Outcome {
        match self.create(0).await {
            Err(StoreError::Exists) => Ok(()),
            created => granted("create after a delete", created).map(drop),
        }
    }

    async fn own(&self, number: u64) -> Outcome {
        let (mut round, mut has_waited) = (0, false);
        while self.goes_on(round).await {
            round += 1;
            match self.create(number).await {
                Err(StoreError::Exists) => has_waited = true,
                created => {
                    let version = granted("create beside another", created)?;
                    let found = self.load().await?.map(|record| record.version());
                    require(found == Some(version), || {
                        format!(
                            "creates on two threads: expected one to succeed and to leave \
                             {version:?}, saw {found:?}. {ADVICE}"
                        )
                    })?;
                    granted("delete", self.store.delete(&self.key, None).await)?;
                    if std::mem::take(&mut has_waited) {
                        self.met();
                    }
                }
            }
        }
        Ok(())
    }

    async fn load(&self) -> Outcome<Option<Record>> {
        let loaded = self.store.load(&self.key, Read::Current).await;
        granted("load beside other calls", loaded)
    }

    async fn create(&self, number: u64) -> Result<Version, StoreError> {
        let (data, expiry) = (data(number), self.written(number));
        self.store.create(&self.key, data, expiry).await
    }

    async fn update(&self, from: &Record, number: u64) -> Result<Version, StoreError> {
        let (data, expiry) = (data(number), self.written(number));
        let from = from.version();
        self.store.update(&self.key, from, data, expiry).await
    }

    async fn touch(&self, from: &Record, number: u64) -> Result<Version, StoreError> {
        let (from, expiry) = (from.version(), self.touched(number));
        self.store.touch(&self.key, from, expiry).await
    }

    async fn delete_by_turns(
        &self,
        round: u64,
        expected: Option<Version>,
    ) -> Outcome<Result<(), StoreError>> {
        if round.is_multiple_of(2) {
            return Ok(self.store.delete(&self.key, expected).await);
        }
        let deleted = self.store.delete_many(&[(self.key, expected)]).await;
        let first = deleted.into_iter().next();
        first.ok_or_else(|| "delete_many of 1 key: saw no answer".to_owned())
    }

    /// The end of the record with this number, which belongs to no other number.
    fn written(&self, number: u64) -> Expiry {
        let end = self.end.saturating_add(Duration::from_secs(number));
        Expiry::new(end, self.now)
    }

    /// The end that a touch sets for the record with this number.
    fn touched(&self, number: u64) -> Expiry {
        self.written(TOUCHED.saturating_add(number))
    }

    fn number(&self, record: &Record) -> Outcome<u64> {
        let number = record.data().try_into().map(u64::from_le_bytes);
        let number = number.map_err(|_| "load beside updates: saw other bytes".to_owned())?;
        let ends = [self.written(number).at, self.touched(number).at];
        require(ends.contains(&record.expires()), || {
            format!(
                "load beside updates and touches: expected record {number} to end at its own end, \
                 saw that of another. {ADVICE}"
            )
        })?;
        Ok(number)
    }
}

fn data(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}
