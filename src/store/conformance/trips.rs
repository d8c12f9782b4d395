//! The number of questions that a store asks its server, if somebody counts them.

use std::sync::Arc;

use super::bench::{Bench, Outcome, granted, require};
use crate::store::{Read, Store};

/// The number of keys in one call.
const KEYS: u64 = 64;
/// A cluster gets one question per node, and a first question may need others: who the server is,
/// which script to run.
const MOST: u64 = 16;

pub(super) async fn load_many_asks_for_all_keys_at_once<S: Store>(bench: &Bench<S>) -> Outcome {
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        let key = bench.key();
        bench.create(&key, b"data", bench.alive()).await?;
        keys.push(key);
    }
    for read in [Read::Current, Read::Recent] {
        let before = so_far(bench).await?;
        for loaded in bench.store.load_many(&keys, read).await {
            granted("load_many of sound records", loaded)?;
        }
        are_few("load_many", so_far(bench).await?.wrapping_sub(before))?;
    }
    Ok(())
}

pub(super) async fn delete_many_asks_for_all_keys_at_once<S: Store>(bench: &Bench<S>) -> Outcome {
    let mut records = Vec::new();
    for number in 0..KEYS {
        let key = bench.key();
        let version = bench.create(&key, b"data", bench.alive()).await?;
        records.push((key, (number % 2 == 0).then_some(version)));
    }
    let before = so_far(bench).await?;
    for deleted in bench.store.delete_many(&records).await {
        granted("delete_many of records at their versions", deleted)?;
    }
    are_few("delete_many", so_far(bench).await?.wrapping_sub(before))
}

async fn so_far<S: Store>(bench: &Bench<S>) -> Outcome<u64> {
    let count = bench.with.round_trips.as_ref();
    let count = count.ok_or("nothing counts round trips")?;
    Ok(count(Arc::clone(&bench.store)).await)
}

fn are_few(call: &str, trips: u64) -> Outcome {
    require(trips <= MOST, || {
        format!("{call} of {KEYS} keys: expected {MOST} round trips at most, saw {trips}")
    })
}
