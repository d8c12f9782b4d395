//! Tasks that use one record at the same time, on all threads of the runtime.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::{JoinSet, yield_now};

use super::{
    bench::{Bench, Outcome, all, granted, require, sample, shown},
    meeting::{self, Writes},
    schedule::Numbers,
};
use crate::{
    clock::Timestamp,
    store::{Bytes, Expiry, Read, RecordKey, Store, StoreError},
};

const TASKS: u64 = 16;
const INCREMENTS: u64 = 50;

pub(super) async fn no_increment_is_lost<S: Store>(bench: &Bench<S>) -> Outcome {
    count(bench).await?;
    meeting::lose_nothing(bench, Writes::Updates).await
}

async fn count<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    bench.create(&key, &0_u64.to_le_bytes(), end).await?;
    let (mut tasks, expiry) = (JoinSet::new(), bench.expiry(end));
    let increments = bench.rounds(INCREMENTS);
    for _ in 0..TASKS {
        let store = Arc::clone(&bench.store);
        tasks.spawn(async move {
            for _ in 0..increments {
                increment(&*store, &key, expiry, TASKS * increments).await?;
            }
            Ok(())
        });
    }
    all(tasks).await?;
    let (what, data) = (
        format!("{TASKS} times {increments} increments"),
        (TASKS * increments).to_le_bytes(),
    );
    match bench.holds_data(&what, &key, &data, end).await {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!(
            "{fault}. An update has to compare the version and write in one step"
        )),
    }
}

/// Each increment is refused at most once for each increment of another task. A store may refuse a
/// few more for reasons of its own.
pub(super) async fn increment<S: Store>(
    store: &S,
    key: &RecordKey,
    expiry: Expiry,
    of: u64,
) -> Outcome {
    let attempts = 10 * of;
    for _ in 0..attempts {
        let record = granted("load of a counter", store.load(key, Read::Current).await)?
            .ok_or("the counter is gone")?;
        let bytes = record
            .data()
            .try_into()
            .map_err(|_| "the counter is no longer a number")?;
        let next = u64::from_le_bytes(bytes).wrapping_add(1).to_le_bytes();
        yield_now().await;
        match store
            .update(key, record.version(), Bytes::copy_from_slice(&next), expiry)
            .await
        {
            Err(StoreError::Conflict) => {}
            result => return granted("update of a counter", result).map(drop),
        }
    }
    Err(format!(
        "update of a counter: expected success once in {attempts} attempts, saw conflicts only"
    ))
}

pub(super) async fn of_many_creates_one_wins<S: Store>(bench: &Bench<S>) -> Outcome {
    for _ in 0..bench.rounds(20) {
        let (key, end) = (bench.key(), bench.alive());
        let (mut tasks, expiry) = (JoinSet::new(), bench.expiry(end));
        for number in 0..TASKS {
            let store = Arc::clone(&bench.store);
            tasks.spawn(async move {
                match store
                    .create(&key, Bytes::from(sample(number, 100)), expiry)
                    .await
                {
                    Ok(version) => Ok(Some((number, version))),
                    Err(StoreError::Exists) => Ok(None),
                    result => Err(format!(
                        "create beside others: expected success or Exists, saw {}",
                        shown(&result)
                    )),
                }
            });
        }
        let winners: Vec<_> = all(tasks).await?.into_iter().flatten().collect();
        let [(number, version)] = *winners else {
            return Err(format!(
                "{TASKS} creates under one key: expected 1 to succeed, saw {}",
                winners.len()
            ));
        };
        bench
            .holds(
                "creates under one key",
                &key,
                &sample(number, 100),
                version,
                end,
            )
            .await?;
    }
    meeting::create_for_themselves(bench).await
}

const PAGES: u64 = 300;

pub(super) async fn readers_see_whole_records_only<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let mut version = bench.create(&key, &page(0), end).await?;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (store, done) = (Arc::clone(&bench.store), Arc::clone(&done));
        readers.spawn(async move {
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                last = read(&*store, &key, last).await?;
                yield_now().await;
            }
            Ok(())
        });
    }
    let stop = Stop(done);
    for number in 1..=bench.rounds(PAGES) {
        version = bench.update(&key, version, &page(number), end).await?;
        yield_now().await;
    }
    drop(stop);
    all(readers).await.map(drop)
}

async fn read<S: Store>(store: &S, key: &RecordKey, last: u64) -> Outcome<u64> {
    let record = granted("load beside updates", store.load(key, Read::Current).await)?
        .ok_or("the record is gone beside updates")?;
    let number = record
        .data()
        .first_chunk()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .unwrap_or(u64::MAX);
    require(record.data() == page(number), || {
        format!(
            "load beside updates: expected one of the records written, saw {} other bytes",
            record.data().len()
        )
    })?;
    require(number >= last, || {
        format!("load beside updates: saw update {number} after update {last}")
    })?;
    Ok(number)
}

/// A record that begins with its number, and whose length depends on it.
fn page(number: u64) -> Vec<u8> {
    let len = Numbers::from_seed(number).below(8_000);
    [number.to_le_bytes().to_vec(), sample(number, len)].concat()
}

pub(super) async fn a_record_being_touched_is_never_swept<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, start) = (bench.key(), bench.now());
    let second = |number| Timestamp::from_secs(start.as_secs() + number);
    // Without a clock, the record is live anyway, and only the sweeping may harm it.
    let life = if bench.has_clock() {
        2
    } else {
        bench.alive().saturating_since(start).as_secs()
    };
    let mut version = bench.create(&key, b"data", second(life)).await?;
    let done = Arc::new(AtomicBool::new(false));
    let (sweep, stopped) = (bench.sweeping(), Arc::clone(&done));
    let mut sweeper = JoinSet::new();
    sweeper.spawn(async move {
        while !stopped.load(Ordering::SeqCst) {
            sweep().await;
            yield_now().await;
        }
        Ok(())
    });
    let stop = Stop(done);
    for number in 1..=bench.rounds(300) {
        version = bench.touch(&key, version, second(number + life)).await?;
        if bench.has_clock() {
            bench.set_time(second(number + 1))?;
        }
        yield_now().await;
        bench
            .holds(
                "a touch beside a sweep",
                &key,
                b"data",
                version,
                second(number + life),
            )
            .await?;
    }
    drop(stop);
    all(sweeper).await.map(drop)
}

/// Stops the other tasks when it is dropped, however this one ends.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
