//! When a record expires, and that it then counts as deleted.

use std::time::Duration;

use super::bench::{Bench, HOUR, Outcome, Refusal, another, granted, refused};
use crate::{
    clock::Timestamp,
    store::{Bytes, Expiry, RecordKey, Store, StoreError, Version},
};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn a_record_ends_at_its_second<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, other, end) = (bench.key(), bench.key(), bench.alive());
    let version = bench.create(&key, b"data", end).await?;
    bench.holds("a create", &key, b"data", version, end).await?;
    if bench.has_clock() {
        bench.set_time(before(end))?;
        bench
            .holds("all but the last second", &key, b"data", version, end)
            .await?;
        bench.set_time(end)?;
        bench.is_gone("the second of its end", &key).await?;
        bench.set_time(end.saturating_add(HOUR))?;
        bench.is_gone("an hour beyond its end", &key).await?;
    }
    bench.create(&other, b"data", bench.now()).await?;
    bench.is_gone("a create that ends now", &other).await
}

pub(super) async fn an_update_moves_the_end<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let version = bench.create(&key, b"first", end).await?;
    let version = bench
        .update(&key, version, b"second", end.saturating_add(HOUR))
        .await?;
    if bench.has_clock() {
        bench.set_time(end)?;
    }
    bench
        .holds(
            "an update to a later end",
            &key,
            b"second",
            version,
            end.saturating_add(HOUR),
        )
        .await?;
    let sooner = end.saturating_add(HOUR / 2);
    let version = bench.update(&key, version, b"third", sooner).await?;
    if bench.has_clock() {
        bench.set_time(before(sooner))?;
        bench
            .holds("an update to a sooner end", &key, b"third", version, sooner)
            .await?;
        bench.set_time(sooner)?;
    } else {
        bench.update(&key, version, b"fourth", bench.now()).await?;
    }
    bench.is_gone("the end an update has set", &key).await
}

pub(super) async fn a_touch_moves_the_end<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let version = bench.create(&key, b"data", end).await?;
    let version = bench.touch(&key, version, end.saturating_add(HOUR)).await?;
    if bench.has_clock() {
        bench.set_time(end)?;
    }
    bench
        .holds(
            "a touch to a later end",
            &key,
            b"data",
            version,
            end.saturating_add(HOUR),
        )
        .await?;
    let sooner = end.saturating_add(HOUR / 2);
    let version = bench.touch(&key, version, sooner).await?;
    bench
        .holds("a touch to a sooner end", &key, b"data", version, sooner)
        .await?;
    if bench.has_clock() {
        bench.set_time(sooner)?;
    } else {
        bench.touch(&key, version, bench.now()).await?;
    }
    bench.is_gone("the end a touch has set", &key).await
}

pub(super) async fn an_expired_record_is_not_updated<S: Store>(bench: &Bench<S>) -> Outcome {
    for (key, version) in expired(bench).await? {
        let updated = bench
            .store
            .update(
                &key,
                version,
                Bytes::from_static(b"late"),
                bench.expiry(bench.alive()),
            )
            .await;
        refused("update of an expired record", &updated, Refusal::Gone)?;
        let updated = bench
            .store
            .update(
                &key,
                another(version),
                Bytes::from_static(b"late"),
                bench.expiry(bench.alive()),
            )
            .await;
        refused(
            "update of an expired record with another version",
            &updated,
            Refusal::Gone,
        )?;
        bench.is_gone("a refused update", &key).await?;
    }
    Ok(())
}

pub(super) async fn an_expired_record_is_not_touched<S: Store>(bench: &Bench<S>) -> Outcome {
    for (key, version) in expired(bench).await? {
        let touched = bench
            .store
            .touch(&key, version, bench.expiry(bench.alive()))
            .await;
        refused("touch of an expired record", &touched, Refusal::Gone)?;
        let touched = bench
            .store
            .touch(&key, another(version), bench.expiry(bench.alive()))
            .await;
        refused(
            "touch of an expired record with another version",
            &touched,
            Refusal::Gone,
        )?;
        bench.is_gone("a refused touch", &key).await?;
    }
    Ok(())
}

pub(super) async fn an_expired_record_can_be_created_anew<S: Store>(bench: &Bench<S>) -> Outcome {
    for (key, _) in expired(bench).await? {
        let end = bench.alive();
        let version = bench.create(&key, b"anew", end).await?;
        bench
            .holds(
                "a create in an expired record's place",
                &key,
                b"anew",
                version,
                end,
            )
            .await?;
        let version = bench.update(&key, version, b"updated", end).await?;
        bench.sweep().await;
        bench
            .holds(
                "an update of the new record",
                &key,
                b"updated",
                version,
                end,
            )
            .await?;
        bench.delete(&key).await?;
    }
    Ok(())
}

/// A sweep that remembers an expired record, by its place or its end, must not remove the record
/// that has replaced it.
pub(super) async fn a_record_in_an_expired_ones_place_stays<S: Store>(bench: &Bench<S>) -> Outcome {
    let end = bench.alive();
    let later = end.saturating_add(HOUR * 24);
    let mut keys = Vec::new();
    for _ in 0..bench.rounds(MORE_THAN_IN_PASSING) {
        let key = bench.key();
        keys.push((key, bench.create(&key, b"over", end).await?));
    }
    for (key, version) in &keys {
        bench.touch(key, *version, bench.now()).await?;
    }
    for (key, version) in &mut keys {
        *version = bench.create(key, b"anew", later).await?;
    }
    if bench.has_clock() {
        bench.set_time(end)?;
    }
    bench.sweep().await;
    for _ in 0..bench.rounds(MORE_THAN_IN_PASSING) {
        bench.create(&bench.key(), b"other", later).await?;
    }
    for (key, version) in &keys {
        let after = "a create in an expired record's place, a sweep and creates of others";
        bench.holds(after, key, b"anew", *version, later).await?;
    }
    Ok(())
}

/// Enough creates for a store that sweeps in passing to cover all its records.
const MORE_THAN_IN_PASSING: u64 = 600;

/// Expired records of every kind, and their versions.
async fn expired<S: Store>(bench: &Bench<S>) -> Outcome<Vec<(RecordKey, Version)>> {
    let end = bench.now();
    let mut expired = Vec::new();
    for end in [end, before(end), Timestamp::from_secs(1)] {
        let (created, updated, touched) = (bench.key(), bench.key(), bench.key());
        expired.push((created, bench.create(&created, b"over", end).await?));
        let version = bench.create(&updated, b"alive", bench.alive()).await?;
        expired.push((
            updated,
            bench.update(&updated, version, b"over", end).await?,
        ));
        let version = bench.create(&touched, b"over", bench.alive()).await?;
        expired.push((touched, bench.touch(&touched, version, end).await?));
    }
    if bench.has_clock() {
        let (key, end) = (bench.key(), bench.alive());
        expired.push((key, bench.create(&key, b"over", end).await?));
        bench.set_time(end)?;
    }
    Ok(expired)
}

pub(super) async fn the_ends_of_time_are_taken<S: Store>(bench: &Bench<S>) -> Outcome {
    let (past, far) = (i32::MAX as u64, u64::from(u32::MAX));
    for end in [
        past + 1,
        far - 1,
        far,
        far + 1,
        1 << 33,
        Timestamp::LATEST.as_secs(),
    ] {
        let (key, end) = (bench.key(), Timestamp::from_secs(end));
        let version = bench.create(&key, b"for ever", end).await?;
        bench.sweep().await;
        let what = "a create with a far end";
        bench.holds(what, &key, b"for ever", version, end).await?;
        let version = bench.update(&key, version, b"and ever", end).await?;
        let version = bench.touch(&key, version, end).await?;
        let what = "an update and a touch with a far end";
        bench.holds(what, &key, b"and ever", version, end).await?;
    }
    let (key, zero) = (bench.key(), Timestamp::default());
    bench.create(&key, b"never", zero).await?;
    bench.is_gone("a create that ended in 1970", &key).await?;
    let version = bench.create(&key, b"alive", bench.alive()).await?;
    bench.touch(&key, version, zero).await?;
    bench.is_gone("a touch to an end in 1970", &key).await
}

pub(super) async fn a_clock_that_jumps_harms_no_live_record<S: Store>(bench: &Bench<S>) -> Outcome {
    if !bench.has_clock() {
        return Ok(());
    }
    let (start, key, end) = (
        bench.now(),
        bench.key(),
        bench.now().saturating_add(HOUR * 24 * 3_650),
    );
    let version = bench.create(&key, b"alive", end).await?;
    for jump in [
        Timestamp::default(),
        before(start),
        start.saturating_add(HOUR),
        before(end),
        start,
    ] {
        bench.set_time(jump)?;
        bench.sweep().await;
        bench
            .create(&bench.key(), b"in passing", jump.saturating_add(SECOND))
            .await?;
        bench
            .holds("a jump of the clock", &key, b"alive", version, end)
            .await?;
    }
    bench.set_time(end)?;
    bench.is_gone("a jump to its end", &key).await
}

pub(super) async fn a_sweep_removes_no_live_record<S: Store>(bench: &Bench<S>) -> Outcome {
    let end = bench.alive();
    let mut alive = Vec::new();
    for number in 0..40 {
        let key = bench.key();
        if number % 2 == 0 {
            alive.push((key, bench.create(&key, b"alive", end).await?));
        } else {
            bench.create(&key, b"over", bench.now()).await?;
        }
    }
    if bench.has_clock() {
        bench.set_time(before(end))?;
    }
    bench.sweep().await;
    for (key, version) in alive {
        bench.holds("a sweep", &key, b"alive", version, end).await?;
    }
    Ok(())
}

fn before(end: Timestamp) -> Timestamp {
    Timestamp::from_secs(end.as_secs().saturating_sub(1))
}

/// The clocks of session and server may differ. A store expires records by the server's clock, and
/// returns the end by the session's.
pub(super) async fn an_end_is_given_back_as_it_was_told<S: Store>(bench: &Bench<S>) -> Outcome {
    let (store, now, life) = (&bench.store, bench.now(), HOUR * 48);
    for told in [life + HOUR, life - HOUR] {
        let key = bench.key();
        let [first, second, third] = [0, 1, 2].map(|more| Expiry {
            at: now.saturating_add(told + HOUR * more),
            after: life + HOUR * more,
        });
        let data = || Bytes::from_static(b"data");
        let version = granted("create", store.create(&key, data(), first).await)?;
        bench
            .holds("a create", &key, b"data", version, first.at)
            .await?;
        let updated = store.update(&key, version, data(), second).await;
        let version = granted("update", updated)?;
        bench
            .holds("an update", &key, b"data", version, second.at)
            .await?;
        let version = granted("touch", store.touch(&key, version, third).await)?;
        bench
            .holds("a touch", &key, b"data", version, third.at)
            .await?;
    }
    Ok(())
}

/// A store that uses a clock of its process has to report that the session's clock is another one.
/// Otherwise the record expires as soon as it is written, and each request gets a new session.
pub(super) async fn a_write_by_a_clock_of_long_ago_is_kept_or_refused<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (store, now) = (&bench.store, bench.now());
    let long_ago = Timestamp::from_secs(now.as_secs().saturating_sub(30 * 86_400));
    let expiry = Expiry::new(long_ago.saturating_add(HOUR * 24), long_ago);
    let old = || Bytes::from_static(b"old");
    let new = || Bytes::from_static(b"new");
    let key = bench.key();
    let created = store.create(&key, new(), expiry).await;
    if let Some(version) = kept("a create", created)? {
        let holds = bench.holds("a create", &key, b"new", version, expiry.at);
        holds.await.map_err(|fault| advise(&fault))?;
    }
    for what in ["an update", "a touch"] {
        let (key, end) = (bench.key(), bench.alive());
        let version = bench.create(&key, &old(), end).await?;
        let (data, written) = match what {
            "an update" => (new(), store.update(&key, version, new(), expiry).await),
            _ => (old(), store.touch(&key, version, expiry).await),
        };
        match kept(what, written)? {
            Some(version) => {
                let holds = bench.holds(what, &key, &data, version, expiry.at);
                holds.await.map_err(|fault| advise(&fault))?;
            }
            None => bench.holds(what, &key, &old(), version, end).await?,
        }
    }
    Ok(())
}

/// Adds the cause, which a missing record does not show.
fn advise(fault: &str) -> String {
    format!(
        "{fault}. The session's clock was 30 days behind the store's: take the end from \
         `Expiry::checked_at`, which refuses such a write"
    )
}

/// Returns the new version, or `None` if the store refused because of its clock.
fn kept(what: &str, written: Result<Version, StoreError>) -> Outcome<Option<Version>> {
    match written {
        Err(StoreError::ClocksDiffer { .. }) => Ok(None),
        written => granted(&format!("{what} by a clock of long ago"), written).map(Some),
    }
}
