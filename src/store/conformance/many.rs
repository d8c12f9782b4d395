//! The methods for many records treat each record like the methods for one.

use super::{
    bench::{Bench, NO_VERSION, Outcome, Refusal, another, granted, refused, require, sample},
    schedule::give_up,
};
use crate::store::{Bytes, Read, Record, RecordKey, Store};

const MOST_WAITS: usize = 64;

pub(super) async fn load_many_answers_in_the_order_of_the_keys<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    let mut asked = Vec::new();
    for number in 0..20 {
        let (key, data) = (bench.key(), sample(number, 10 + 300 * number as usize));
        let version = bench.create(&key, &data, end).await?;
        asked.push((key, Some(Record::new(data, version, end))));
        asked.push((bench.key(), None));
    }
    let over = bench.key();
    bench.create(&over, b"over", bench.now()).await?;
    asked.push((over, None));
    // Each key twice.
    let asked: Vec<_> = asked.iter().chain(&asked).collect();
    finds(bench, &asked).await?;
    finds(bench, asked.get(..1).unwrap_or_default()).await?;
    finds(bench, &[]).await
}

async fn finds<S: Store>(bench: &Bench<S>, asked: &[&(RecordKey, Option<Record>)]) -> Outcome {
    let keys: Vec<_> = asked.iter().map(|(key, _)| *key).collect();
    let loaded = bench.store.load_many(&keys, Read::Current).await;
    counted("load_many", loaded.len(), keys.len())?;
    for (place, ((_, expected), found)) in asked.iter().zip(loaded).enumerate() {
        let found = granted("load_many of sound records", found)?;
        require(found == *expected, || {
            format!(
                "load_many, answer {place} of {}: expected {expected:?}, saw {found:?}, or other bytes",
                keys.len()
            )
        })?;
    }
    Ok(())
}

pub(super) async fn delete_many_does_to_each_what_delete_does<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    let (any, current, stale, never) = (bench.key(), bench.key(), bench.key(), bench.key());
    let (over, other) = (bench.key(), bench.key());
    bench.create(&any, b"any", end).await?;
    let expected = bench.create(&current, b"current", end).await?;
    let before = bench.create(&stale, b"old", end).await?;
    let after = bench.update(&stale, before, b"new", end).await?;
    let expired = bench.create(&over, b"over", bench.now()).await?;
    let kept = bench.create(&other, b"other", end).await?;
    let records = [
        (stale, Some(before)),
        (never, None),
        (any, None),
        (stale, Some(another(after))),
        (current, Some(expected)),
        (never, Some(NO_VERSION)),
        (any, None),
        (over, Some(expired)),
        (stale, Some(before)),
    ];
    let deleted = bench.store.delete_many(&records).await;
    counted("delete_many", deleted.len(), records.len())?;
    for ((key, _), result) in records.iter().zip(deleted) {
        if *key == stale {
            let what = "delete_many of a record of another version";
            refused(what, &result, Refusal::Conflict)?;
        } else {
            granted("delete_many of what is there or is not", result)?;
        }
    }
    for key in [any, current, never, over] {
        bench.is_gone("a delete_many", &key).await?;
    }
    let what = "a delete_many that was refused it";
    bench.holds(what, &stale, b"new", after, end).await?;
    let what = "a delete_many of others";
    bench.holds(what, &other, b"other", kept, end).await?;
    let deleted = bench.store.delete_many(&[]).await;
    counted("delete_many", deleted.len(), 0)
}

pub(super) async fn a_cancelled_delete_many_deletes_each_wholly_or_not_at_all<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    for waits in 0..MOST_WAITS {
        let mut made = Vec::new();
        for number in 0..3 {
            let (key, data) = (bench.key(), sample(number, 2_000));
            made.push((key, bench.create(&key, &data, end).await?, data));
        }
        let records: Vec<_> = made.iter().map(|made| (made.0, Some(made.1))).collect();
        let deleted = give_up(waits, bench.store.delete_many(&records)).await;
        for (key, version, data) in &made {
            let found = bench.load("a cancelled delete_many", key).await?;
            let whole = Record::new(data.clone(), *version, end);
            require(found.is_none_or(|found| found == whole), || {
                format!("delete_many given up at its wait {waits}: expected the record or none")
            })?;
            still_deletes(bench, key).await?;
        }
        if deleted.is_some() {
            break;
        }
    }
    Ok(())
}

/// A cancelled operation may still be under way, and must not get in the way.
async fn still_deletes<S: Store>(bench: &Bench<S>, key: &RecordKey) -> Outcome {
    bench.delete(key).await?;
    let (data, expiry) = (Bytes::from_static(b"anew"), bench.expiry(bench.alive()));
    let again = bench.store.create(key, data, expiry).await;
    granted("create after a cancelled delete_many", again).map(drop)
}

fn counted(what: &str, answers: usize, asked: usize) -> Outcome {
    require(answers == asked, || {
        format!("{what} of {asked} keys: expected as many answers, saw {answers}")
    })
}
