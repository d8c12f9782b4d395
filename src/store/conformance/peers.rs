//! Writes through one handle hold for the other.

use std::{collections::HashSet, sync::Arc};

use tokio::{
    task::{JoinSet, yield_now},
    time::Instant,
};

use super::{
    bench::{Bench, HOUR, Outcome, Refusal, all, granted, refused, require, sample, shown},
    schedule::{Numbers, Pauses, Step, interleave},
    tasks::increment,
};
use crate::{
    clock::Timestamp,
    store::{Bytes, Read, Record, RecordKey, Store, StoreError, Version},
};

/// Both pairs of handles, in either order.
fn both_ways<S: Store>(bench: &Bench<S>) -> Outcome<[(Arc<S>, Arc<S>); 2]> {
    let (one, other) = (&bench.store, peer(bench)?);
    let there = (Arc::clone(one), Arc::clone(&other));
    Ok([there, (other, Arc::clone(one))])
}

fn peer<S: Store>(bench: &Bench<S>) -> Outcome<Arc<S>> {
    let peer = bench.with.peer.as_ref().map(Arc::clone);
    peer.ok_or_else(|| "no second handle is given".to_owned())
}

pub(super) async fn what_one_peer_writes_the_other_sees<S: Store>(bench: &Bench<S>) -> Outcome {
    let end = bench.alive();
    for (writer, reader) in both_ways(bench)? {
        let key = bench.key();
        // A handle may cache what it has read, also that there was nothing.
        let none = seen(&*reader, "a load before any create", &key).await?;
        require(none.is_none(), || "a record before any create".to_owned())?;
        let data = Bytes::from_static(b"0");
        let created = writer.create(&key, data, bench.expiry(end)).await;
        let mut version = granted("create", created)?;
        shows(&*reader, "a create", &key, ("0", version, end)).await?;
        for round in 1..=bench.rounds(10) {
            let (data, later) = (round.to_string(), end.saturating_add(HOUR * round as u32));
            let updated = writer
                .update(&key, version, data.clone().into(), bench.expiry(later))
                .await;
            version = granted("update", updated)?;
            shows(&*reader, "an update", &key, (&data, version, later)).await?;
            let later = later.saturating_add(HOUR / 2);
            let touched = writer.touch(&key, version, bench.expiry(later)).await;
            version = granted("touch", touched)?;
            shows(&*reader, "a touch", &key, (&data, version, later)).await?;
        }
        granted("delete", writer.delete(&key, None).await)?;
        let gone = seen(&*reader, "a delete", &key).await?;
        require(gone.is_none(), || {
            format!("current read after a peer's delete: expected no record, saw {gone:?}")
        })?;
    }
    Ok(())
}

/// Returns what both current reads show, after a read that may come from a cache.
async fn seen<S: Store>(reader: &S, after: &str, key: &RecordKey) -> Outcome<Option<Record>> {
    granted("recent read", reader.load(key, Read::Recent).await)?;
    let what = format!("current read after {after} of a peer");
    let found = granted(&what, reader.load(key, Read::Current).await)?;
    let many = reader.load_many(&[*key], Read::Current).await;
    let many = many.into_iter().next();
    let many = many.ok_or_else(|| format!("{what}, by load_many: saw no answer"))?;
    let many = granted(&what, many)?;
    require(many == found, || {
        format!("{what}: by load {found:?}, by load_many {many:?}, or other bytes")
    })?;
    Ok(found)
}

async fn shows<S: Store>(
    reader: &S,
    after: &str,
    key: &RecordKey,
    (data, version, end): (&str, Version, Timestamp),
) -> Outcome {
    let expected = Record::new(data.to_owned(), version, end);
    let found = seen(reader, after, key).await?;
    require(found.as_ref() == Some(&expected), || {
        format!(
            "current read after a peer's write, {after}: expected {expected:?}, saw {found:?}, or other bytes"
        )
    })
}

pub(super) async fn a_recent_read_comes_to_show_what_a_peer_wrote<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end, peer) = (bench.key(), bench.alive(), peer(bench)?);
    let version = bench.create(&key, b"old", end).await?;
    for handle in [&bench.store, &peer] {
        granted("recent read", handle.load(&key, Read::Recent).await)?;
    }
    let version = bench.update(&key, version, b"new", end).await?;
    let record = Record::new("new", version, end);
    comes_to_show(bench, &*peer, "an update", &key, Some(&record)).await?;
    bench.delete(&key).await?;
    comes_to_show(bench, &*peer, "a delete", &key, None).await
}

async fn comes_to_show<S: Store>(
    bench: &Bench<S>,
    reader: &S,
    after: &str,
    key: &RecordKey,
    expected: Option<&Record>,
) -> Outcome {
    let (begun, mut pauses) = (Instant::now(), Pauses::default());
    loop {
        let found = granted("recent read", reader.load(key, Read::Recent).await)?;
        if found.as_ref() == expected {
            return Ok(());
        }
        if !pauses.next_within(bench.with.patience / 2, begun).await {
            return Err(format!(
                "recent reads after {after} of a peer: expected to see {expected:?} at last, saw {found:?}, or other bytes"
            ));
        }
    }
}

pub(super) async fn a_version_holds_for_every_peer<S: Store>(bench: &Bench<S>) -> Outcome {
    let (end, mut seen) = (bench.alive(), HashSet::new());
    let expiry = bench.expiry(end);
    let key = bench.key();
    // In each life of one key.
    for (one, other) in both_ways(bench)?.into_iter().cycle().take(6) {
        let data = Bytes::from_static(b"data");
        let first = granted("create", one.create(&key, data.clone(), expiry).await)?;
        is_new(&mut seen, first, "create")?;
        let second = other.update(&key, first, data.clone(), expiry).await;
        let second = granted("update of what a peer created", second)?;
        is_new(&mut seen, second, "update of a peer")?;
        let late = one.update(&key, first, data.clone(), expiry).await;
        refused("update after a peer's update", &late, Refusal::Conflict)?;
        let late = one.touch(&key, first, expiry).await;
        refused("touch after a peer's update", &late, Refusal::Conflict)?;
        let late = one.delete(&key, Some(first)).await;
        refused("delete after a peer's update", &late, Refusal::Conflict)?;
        let third = one.update(&key, second, data.clone(), expiry).await;
        let third = granted("update of what a peer updated", third)?;
        is_new(&mut seen, third, "update")?;
        let touched = other.touch(&key, third, expiry).await;
        let touched = granted("touch of what a peer updated", touched)?;
        let deleted = one.delete(&key, Some(touched)).await;
        granted("delete of what a peer touched", deleted)?;
        let late = other.update(&key, touched, data.clone(), expiry).await;
        refused("update after a peer's delete", &late, Refusal::Gone)?;
        let late = other.touch(&key, touched, expiry).await;
        refused("touch after a peer's delete", &late, Refusal::Gone)?;
        bench.is_gone("late calls of a peer", &key).await?;
    }
    Ok(())
}

fn is_new(seen: &mut HashSet<Version>, version: Version, what: &str) -> Outcome {
    require(seen.insert(version), || {
        format!("{what} returned {version:?}, which the key had before")
    })
}

const SCHEDULES: u64 = 100;

type Answer = Result<Version, StoreError>;

pub(super) async fn of_two_peers_one_creates<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(9), bench.alive());
    for round in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        let steps = [0, 1].map(|number| (number, bench.expiry(end)));
        let handles = [Arc::clone(&bench.store), peer(bench)?];
        let steps = handles
            .into_iter()
            .zip(steps)
            .map(|(store, (number, end))| {
                let data = Bytes::from(sample(number, 50));
                Box::pin(async move { store.create(&key, data, end).await })
                    as Step<'static, Answer>
            });
        let (winner, version) = winner(&mut numbers, round, steps, Refusal::Exists).await?;
        let what = "creates of two peers";
        let data = sample(winner as u64, 50);
        bench.holds(what, &key, &data, version, end).await?;
    }
    Ok(())
}

pub(super) async fn of_two_peers_one_updates<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(10), bench.alive());
    for round in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        let from = bench.create(&key, b"data", end).await?;
        let steps = [0, 1].map(|number| (number, bench.expiry(end)));
        let handles = [Arc::clone(&bench.store), peer(bench)?];
        let steps = handles
            .into_iter()
            .zip(steps)
            .map(|(store, (number, end))| {
                let data = Bytes::from(sample(number, 50));
                Box::pin(async move { store.update(&key, from, data, end).await })
                    as Step<'static, Answer>
            });
        let (winner, version) = winner(&mut numbers, round, steps, Refusal::Conflict).await?;
        let what = "updates of two peers";
        let data = sample(winner as u64, 50);
        bench.holds(what, &key, &data, version, end).await?;
    }
    Ok(())
}

/// Runs two operations, by turns or on two threads. One has to succeed, and the other to be
/// refused.
async fn winner(
    numbers: &mut Numbers,
    round: u64,
    steps: impl Iterator<Item = Step<'static, Answer>>,
    refusal: Refusal,
) -> Outcome<(usize, Version)> {
    let steps: Vec<_> = steps.collect();
    let answers = if round.is_multiple_of(2) {
        let steps = steps.try_into();
        let steps: [_; 2] = steps.map_err(|_| "two operations are no two".to_owned())?;
        interleave(numbers, steps).await?.into()
    } else {
        let mut tasks = JoinSet::new();
        for (place, step) in steps.into_iter().enumerate() {
            tasks.spawn(async move { (place, step.await) });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_unstable_by_key(|(place, _)| *place);
        answers
            .into_iter()
            .map(|(_, answer)| answer)
            .collect::<Vec<_>>()
    };
    match answers.as_slice() {
        [Ok(version), other] if refusal.is(other) => Ok((0, *version)),
        [other, Ok(version)] if refusal.is(other) => Ok((1, *version)),
        answers => Err(format!(
            "of two peers: expected a success and {refusal:?}, saw {}",
            answers.iter().map(shown).collect::<Vec<_>>().join(" and ")
        )),
    }
}

const TASKS: u64 = 4;

pub(super) async fn no_increment_of_a_peer_is_lost<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    bench.create(&key, &0_u64.to_le_bytes(), end).await?;
    let (mut tasks, expiry) = (JoinSet::new(), bench.expiry(end));
    let (peer, increments) = (peer(bench)?, bench.rounds(25));
    for store in [&bench.store, &peer] {
        for _ in 0..TASKS {
            let store = Arc::clone(store);
            tasks.spawn(async move {
                for _ in 0..increments {
                    increment(&*store, &key, expiry, 2 * TASKS * increments).await?;
                    yield_now().await;
                }
                Ok(())
            });
        }
    }
    all(tasks).await?;
    let sum = 2 * TASKS * increments;
    let what = format!("{sum} increments of two peers");
    bench
        .holds_data(&what, &key, &sum.to_le_bytes(), end)
        .await
        .map(drop)
}
