//! A version stands for one state of a record, in all of its lives.

use std::{collections::HashSet, sync::Arc};

use tokio::task::JoinSet;

use super::{
    bench::{
        Bench, HOUR, NO_VERSION, Outcome, Refusal, another, granted, marked, refused, require,
        shown,
    },
    meeting,
    schedule::{Numbers, Step, interleave},
};
use crate::store::{Bytes, RecordKey, Store, StoreError, Version};

pub(super) async fn a_delete_at_a_version_spares_another<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, other, end) = (bench.key(), bench.key(), bench.alive());
    let first = bench.create(&key, b"first", end).await?;
    let kept = bench.create(&other, b"other", end).await?;
    let second = bench.update(&key, first, b"second", end).await?;
    let others = [
        first,
        another(second),
        kept,
        Version::from_bytes([0xff; 16]),
    ];
    let others = others.into_iter().chain(marked(second));
    // Another key may have the same version.
    for wrong in others.filter(|wrong| *wrong != second) {
        let deleted = bench.store.delete(&key, Some(wrong)).await;
        let what = "delete at another version than the record has";
        refused(what, &deleted, Refusal::Conflict)?;
        let what = "a refused delete";
        bench.holds(what, &key, b"second", second, end).await?;
    }
    granted(
        "delete at the current version",
        bench.store.delete(&key, Some(second)).await,
    )?;
    bench.is_gone("a delete at its version", &key).await?;
    let what = "a delete of another";
    bench.holds(what, &other, b"other", kept, end).await
}

pub(super) async fn a_delete_at_a_version_of_nothing_is_no_error<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, over) = (bench.key(), bench.key());
    let version = bench.create(&over, b"over", bench.now()).await?;
    for (key, expected) in [(key, NO_VERSION), (over, another(version)), (over, version)] {
        granted(
            "delete at a version of what is not there",
            bench.store.delete(&key, Some(expected)).await,
        )?;
        bench.is_gone("a delete of nothing", &key).await?;
    }
    bench.create(&key, b"data", bench.alive()).await?;
    bench.create(&over, b"data", bench.alive()).await.map(drop)
}

const ROUNDS: u64 = 200;

pub(super) async fn a_delete_at_a_version_spares_a_racing_update<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (mut numbers, end) = (Numbers::from_seed(8), bench.alive());
    for round in 0..bench.rounds(ROUNDS) {
        let key = bench.key();
        let version = bench.create(&key, b"data", end).await?;
        let [updated, deleted] = if round % 2 == 0 {
            let steps = [updating(bench, key, version), deleting(bench, key, version)];
            interleave(&mut numbers, steps).await?
        } else {
            side_by_side(bench, key, version).await?
        };
        match (updated, deleted) {
            (Ok(Some(new)), Err(StoreError::Conflict)) => {
                let what = "an update before a delete at the old version";
                bench.holds(what, &key, b"new", new, end).await?;
            }
            (Err(StoreError::Gone), Ok(_)) => {
                bench.is_gone("a delete before an update", &key).await?;
            }
            (updated, deleted) => {
                let (updated, deleted) = (shown(&updated), shown(&deleted));
                return Err(format!(
                    "update beside a delete of one version: expected one to succeed, saw {updated} and {deleted}"
                ));
            }
        }
    }
    meeting::use_each_version_once(bench).await
}

type Answer = Result<Option<Version>, StoreError>;

fn updating<S: Store>(bench: &Bench<S>, key: RecordKey, from: Version) -> Step<'static, Answer> {
    let (store, expiry) = (Arc::clone(&bench.store), bench.expiry(bench.alive()));
    Box::pin(async move {
        let new = Bytes::from_static(b"new");
        store.update(&key, from, new, expiry).await.map(Some)
    })
}

fn deleting<S: Store>(bench: &Bench<S>, key: RecordKey, at: Version) -> Step<'static, Answer> {
    let store = Arc::clone(&bench.store);
    Box::pin(async move { store.delete(&key, Some(at)).await.map(|()| None) })
}

/// On two threads, if the runtime has them.
async fn side_by_side<S: Store>(
    bench: &Bench<S>,
    key: RecordKey,
    version: Version,
) -> Outcome<[Answer; 2]> {
    let mut tasks = JoinSet::new();
    for (place, step) in [updating(bench, key, version), deleting(bench, key, version)]
        .into_iter()
        .enumerate()
    {
        tasks.spawn(async move { (place, step.await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_unstable_by_key(|(place, _)| *place);
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    answers
        .try_into()
        .map_err(|_| "a task has no result".to_owned())
}

pub(super) async fn a_touch_returns_the_version_that_the_record_has<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let mut version = bench.create(&key, b"data", end).await?;
    let mut before = HashSet::from([version]);
    for round in 1..=20 {
        let end = end.saturating_add(HOUR * round);
        let touched = bench.touch(&key, version, end).await?;
        let what = "a touch, by the version it returned,";
        bench.holds(what, &key, b"data", touched, end).await?;
        require(touched == version || before.insert(touched), || {
            format!("touch {round} returned {touched:?}, which the record had before")
        })?;
        if touched != version {
            let late = bench.store.touch(&key, version, bench.expiry(end)).await;
            refused(
                "touch with the version before a touch",
                &late,
                Refusal::Conflict,
            )?;
        }
        version = touched;
    }
    let next = bench.update(&key, version, b"updated", end).await?;
    let what = "an update of the version that a touch returned";
    bench.holds(what, &key, b"updated", next, end).await
}

/// Checks the versions of one key over several lives, which end in different ways.
pub(super) async fn no_version_of_a_key_comes_back<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let mut seen = Vec::new();
    for life in 0..12 {
        let mut version = bench.create(&key, b"same", end).await?;
        is_new(&mut seen, version, "create")?;
        for _ in 0..life % 4 {
            version = bench.update(&key, version, b"same", end).await?;
            is_new(&mut seen, version, "update")?;
        }
        match life % 3 {
            0 => bench.delete(&key).await?,
            1 => {
                version = bench.update(&key, version, b"same", bench.now()).await?;
                is_new(&mut seen, version, "update to an end that has come")?;
            }
            _ => {
                version = bench.touch(&key, version, bench.now()).await?;
                if seen.last() != Some(&version) {
                    is_new(&mut seen, version, "touch")?;
                }
                bench.sweep().await;
            }
        }
    }
    Ok(())
}

fn is_new(seen: &mut Vec<Version>, version: Version, what: &str) -> Outcome {
    require(!seen.contains(&version), || {
        format!("{what} returned {version:?}, which the key had before")
    })?;
    seen.push(version);
    Ok(())
}

pub(super) async fn a_version_of_an_earlier_life_changes_nothing<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let mut stale = Vec::new();
    for life in 0..9_u32 {
        let version = bench.create(&key, b"data", end).await?;
        for stale in &stale {
            is_refused(bench, &key, *stale).await?;
            let what = "calls with a version of an earlier life";
            bench.holds(what, &key, b"data", version, end).await?;
        }
        stale.push(version);
        match life % 3 {
            0 => bench.delete(&key).await?,
            1 => drop(bench.touch(&key, version, bench.now()).await?),
            _ => {
                bench.touch(&key, version, bench.now()).await?;
                bench.sweep().await;
            }
        }
    }
    Ok(())
}

async fn is_refused<S: Store>(bench: &Bench<S>, key: &RecordKey, stale: Version) -> Outcome {
    let (store, expiry) = (&bench.store, bench.expiry(bench.alive()));
    let late = Bytes::from_static(b"late");
    let updated = store.update(key, stale, late, expiry).await;
    refused("update in a later life", &updated, Refusal::Conflict)?;
    let touched = store.touch(key, stale, expiry).await;
    refused("touch in a later life", &touched, Refusal::Conflict)?;
    let deleted = store.delete(key, Some(stale)).await;
    refused("delete in a later life", &deleted, Refusal::Conflict)
}
