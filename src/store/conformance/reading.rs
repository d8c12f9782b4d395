//! What the two kinds of reads may show.

use tokio::time::Instant;

use super::{
    bench::{Bench, HOUR, Outcome, granted},
    schedule::Pauses,
};
use crate::store::{Read, Record, RecordKey, Store};

pub(super) async fn a_current_read_shows_every_write_answered<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    recent(bench, &key).await?;
    let mut version = bench.create(&key, b"0", end).await?;
    bench.holds("a create", &key, b"0", version, end).await?;
    for round in 1..=10_u32 {
        recent(bench, &key).await?;
        let (data, end) = (round.to_string(), end.saturating_add(HOUR * round));
        version = bench.update(&key, version, data.as_bytes(), end).await?;
        let what = "a recent read and an update";
        bench
            .holds(what, &key, data.as_bytes(), version, end)
            .await?;
        recent(bench, &key).await?;
        let end = end.saturating_add(HOUR);
        version = bench.touch(&key, version, end).await?;
        let what = "a recent read and a touch";
        bench
            .holds(what, &key, data.as_bytes(), version, end)
            .await?;
    }
    recent(bench, &key).await?;
    bench.delete(&key).await?;
    bench.is_gone("a recent read and a delete", &key).await
}

pub(super) async fn a_recent_read_of_a_quiet_store_shows_the_record<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    // A cache must not remember that there was no record.
    recent(bench, &key).await?;
    let version = bench.create(&key, b"first", end).await?;
    let record = Record::new("first", version, end);
    comes_to_show(bench, "a create", &key, Some(&record)).await?;
    let version = bench.update(&key, version, b"second", end).await?;
    let record = Record::new("second", version, end);
    comes_to_show(bench, "an update", &key, Some(&record)).await?;
    bench.delete(&key).await?;
    comes_to_show(bench, "a delete", &key, None).await
}

async fn comes_to_show<S: Store>(
    bench: &Bench<S>,
    after: &str,
    key: &RecordKey,
    expected: Option<&Record>,
) -> Outcome {
    let (begun, mut pauses) = (Instant::now(), Pauses::default());
    loop {
        let found = recent(bench, key).await?;
        if found.as_ref() == expected {
            return Ok(());
        }
        if !pauses.next_within(bench.with.patience / 2, begun).await {
            return Err(format!(
                "recent reads after {after}: expected to see {expected:?} at last, saw {found:?}, or other bytes"
            ));
        }
    }
}

async fn recent<S: Store>(bench: &Bench<S>, key: &RecordKey) -> Outcome<Option<Record>> {
    granted("recent read", bench.store.load(key, Read::Recent).await)
}
