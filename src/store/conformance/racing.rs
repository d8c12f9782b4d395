//! Operations that overtake each other, in many orders that are the same in every run.

use super::{
    bench::{Bench, HOUR, Outcome, Refusal, another, granted, refused, require, sample, shown},
    meeting::{self, Writes},
    schedule::{Numbers, Step, interleave},
};
use crate::{
    clock::Timestamp,
    store::{Bytes, Read, Record, RecordKey, Store, StoreError, Version},
};

const SCHEDULES: u64 = 200;

/// What an operation found or left, if it returns that.
type Answer = Result<Option<Record>, StoreError>;

pub(super) async fn a_late_update_brings_nothing_back<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let first = bench.create(&key, b"first", end).await?;
    let second = bench.update(&key, first, b"second", end).await?;
    bench.delete(&key).await?;
    for version in [first, second, another(second)] {
        let late = bench
            .store
            .update(
                &key,
                version,
                Bytes::from_static(b"late"),
                bench.expiry(end),
            )
            .await;
        refused("update after a delete", &late, Refusal::Gone)?;
        bench.is_gone("a delete and a late update", &key).await?;
    }
    bench.sweep().await;
    bench
        .is_gone("a delete, late updates and a sweep", &key)
        .await
}

pub(super) async fn a_late_touch_brings_nothing_back<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let first = bench.create(&key, b"first", end).await?;
    let second = bench.update(&key, first, b"second", end).await?;
    bench.delete(&key).await?;
    for version in [first, second, another(second)] {
        let late = bench
            .store
            .touch(&key, version, bench.expiry(end.saturating_add(HOUR)))
            .await;
        refused("touch after a delete", &late, Refusal::Gone)?;
        bench.is_gone("a delete and a late touch", &key).await?;
    }
    Ok(())
}

pub(super) async fn a_deleted_record_never_comes_back<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(1), bench.alive());
    for seed in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        let version = bench.create(&key, b"data", end).await?;
        let (small, large) = (sample(seed, 30), sample(seed, 9_000));
        let steps = [
            updating(bench, &key, version, &small, end),
            updating(bench, &key, version, &large, end),
            touching(bench, &key, version, end.saturating_add(HOUR)),
            deleting(bench, &key),
        ];
        let [one, two, touched, deleted] = interleave(&mut numbers, steps).await?;
        granted("delete among writers", deleted)?;
        for answer in [one, two, touched] {
            let expected = matches!(answer, Ok(_) | Err(StoreError::Gone | StoreError::Conflict));
            require(expected, || {
                format!(
                    "update or touch beside a delete: expected success, Gone or Conflict, saw {}",
                    shown(&answer)
                )
            })?;
        }
        bench.is_gone("a delete among writers", &key).await?;
        let late = bench
            .store
            .update(&key, version, Bytes::new(), bench.expiry(end))
            .await;
        refused("update after a delete among writers", &late, Refusal::Gone)?;
    }
    meeting::bring_nothing_back(bench).await
}

pub(super) async fn of_two_updates_one_wins<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(2), bench.alive());
    for seed in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        let version = bench.create(&key, b"data", end).await?;
        let (small, large) = (sample(seed, 30), sample(seed, 9_000));
        let steps = [
            updating(bench, &key, version, &small, end),
            updating(bench, &key, version, &large, end.saturating_add(HOUR)),
        ];
        let won = match interleave(&mut numbers, steps).await? {
            [Ok(Some(won)), Err(StoreError::Conflict)]
            | [Err(StoreError::Conflict), Ok(Some(won))] => won,
            [one, two] => {
                let (one, two) = (shown(&one), shown(&two));
                return Err(format!(
                    "two updates of one version: expected a success and a Conflict, saw {one}, {two}"
                ));
            }
        };
        bench
            .holds(
                "two updates of one version",
                &key,
                won.data(),
                won.version(),
                won.expires(),
            )
            .await?;
    }
    Ok(())
}

pub(super) async fn of_two_creates_one_wins<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(3), bench.alive());
    for seed in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        let (small, large) = (sample(seed, 30), sample(seed, 9_000));
        let steps = [
            creating(bench, &key, &small, end),
            creating(bench, &key, &large, end.saturating_add(HOUR)),
        ];
        let won = match interleave(&mut numbers, steps).await? {
            [Ok(Some(won)), Err(StoreError::Exists)] | [Err(StoreError::Exists), Ok(Some(won))] => {
                won
            }
            [one, two] => {
                let (one, two) = (shown(&one), shown(&two));
                return Err(format!(
                    "two creates under one key: expected a success and an Exists, saw {one}, {two}"
                ));
            }
        };
        bench
            .holds(
                "two creates under one key",
                &key,
                won.data(),
                won.version(),
                won.expires(),
            )
            .await?;
    }
    Ok(())
}

pub(super) async fn a_create_and_a_delete_happen_one_by_one<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(4), bench.alive());
    for _ in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        bench.create(&key, b"old", end).await?;
        let steps = [creating(bench, &key, b"new", end), deleting(bench, &key)];
        let [created, deleted] = interleave(&mut numbers, steps).await?;
        granted("delete beside a create", deleted)?;
        match created {
            Ok(Some(new)) => {
                bench
                    .holds("a create after a delete", &key, b"new", new.version(), end)
                    .await?
            }
            Err(StoreError::Exists) => {
                bench
                    .is_gone("a delete after a refused create", &key)
                    .await?
            }
            other => {
                return Err(format!(
                    "create beside a delete: expected success or Exists, saw {}",
                    shown(&other)
                ));
            }
        }
    }
    Ok(())
}

pub(super) async fn an_update_and_a_touch_lose_nothing<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(5), bench.alive());
    for seed in 0..bench.rounds(SCHEDULES) {
        let key = bench.key();
        let version = bench.create(&key, b"data", end).await?;
        let new = sample(seed, 3_000);
        let steps = [
            updating(bench, &key, version, &new, end.saturating_add(HOUR)),
            touching(bench, &key, version, end.saturating_add(HOUR / 60)),
        ];
        match interleave(&mut numbers, steps).await? {
            [Ok(Some(updated)), Ok(_) | Err(StoreError::Conflict)] => {
                bench
                    .holds(
                        "an update beside a touch",
                        &key,
                        &new,
                        updated.version(),
                        end.saturating_add(HOUR),
                    )
                    .await?;
            }
            [Err(StoreError::Conflict), Ok(_)] => {
                bench
                    .holds_data(
                        "a touch before an update",
                        &key,
                        b"data",
                        end.saturating_add(HOUR / 60),
                    )
                    .await?;
            }
            [updated, touched] => {
                let (updated, touched) = (shown(&updated), shown(&touched));
                return Err(format!(
                    "update beside a touch: expected one to succeed, saw {updated} and {touched}"
                ));
            }
        }
    }
    meeting::lose_nothing(bench, Writes::Touches).await
}

pub(super) async fn a_load_never_sees_half_an_update<S: Store>(bench: &Bench<S>) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(6), bench.alive());
    for seed in 0..bench.rounds(SCHEDULES) {
        let (key, later) = (bench.key(), end.saturating_add(HOUR));
        let old = sample(seed, numbers.below(9_000));
        let new = sample(!seed, numbers.below(9_000));
        let version = bench.create(&key, &old, end).await?;
        let old = Record::new(old, version, end);
        let steps = [
            updating(bench, &key, version, &new, later),
            loading(bench, &key),
            loading(bench, &key),
        ];
        let [updated, one, two] = interleave(&mut numbers, steps).await?;
        let new = granted("update beside loads", updated)?;
        for loaded in [one, two] {
            let loaded = granted("load beside an update", loaded)?;
            require(loaded.as_ref() == Some(&old) || loaded == new, || {
                format!(
                    "load beside an update: expected {old:?} or {new:?}, saw {loaded:?}, or other bytes"
                )
            })?;
        }
    }
    Ok(())
}

fn creating<'a, S: Store>(
    bench: &'a Bench<S>,
    key: &'a RecordKey,
    data: &[u8],
    end: Timestamp,
) -> Step<'a, Answer> {
    let (data, expiry) = (Bytes::copy_from_slice(data), bench.expiry(end));
    Box::pin(async move {
        let version = bench.store.create(key, data.clone(), expiry).await?;
        Ok(Some(Record::new(data, version, end)))
    })
}

fn updating<'a, S: Store>(
    bench: &'a Bench<S>,
    key: &'a RecordKey,
    from: Version,
    data: &[u8],
    end: Timestamp,
) -> Step<'a, Answer> {
    let (data, expiry) = (Bytes::copy_from_slice(data), bench.expiry(end));
    Box::pin(async move {
        let version = bench.store.update(key, from, data.clone(), expiry).await?;
        Ok(Some(Record::new(data, version, end)))
    })
}

fn touching<'a, S: Store>(
    bench: &'a Bench<S>,
    key: &'a RecordKey,
    from: Version,
    end: Timestamp,
) -> Step<'a, Answer> {
    let expiry = bench.expiry(end);
    Box::pin(async move { bench.store.touch(key, from, expiry).await.map(|_| None) })
}

fn deleting<'a, S: Store>(bench: &'a Bench<S>, key: &'a RecordKey) -> Step<'a, Answer> {
    Box::pin(async move { bench.store.delete(key, None).await.map(|()| None) })
}

fn loading<'a, S: Store>(bench: &'a Bench<S>, key: &'a RecordKey) -> Step<'a, Answer> {
    Box::pin(async move { bench.store.load(key, Read::Current).await })
}
