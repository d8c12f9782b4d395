//! Operations whose futures are dropped, at each of their waits.

use std::pin::pin;

use super::{
    bench::{Bench, HOUR, Outcome, granted, require, sample, shown},
    schedule::give_up,
};
use crate::{
    clock::Timestamp,
    store::{Bytes, Read, Record, RecordKey, Store, StoreError, Version, poll_once},
};

/// The most waits that are tried. An operation that waits more often is not followed to its end.
const MOST_WAITS: usize = 64;

/// Old and new lengths: the same size, smaller, larger, and much larger or smaller.
const LENGTHS: [(usize, usize); 6] = [
    (100, 100),
    (100, 50),
    (100, 2_000),
    (2_000, 9_000),
    (9_000, 10),
    (0, 1),
];

pub(super) async fn a_cancelled_create_happens_wholly_or_not_at_all<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    for waits in 0..MOST_WAITS {
        let mut cancelled = false;
        for (seed, (_, len)) in LENGTHS.into_iter().enumerate() {
            let (key, data) = (bench.key(), sample(seed as u64, len));
            let created = give_up(
                waits,
                bench
                    .store
                    .create(&key, Bytes::from(data.clone()), bench.expiry(end)),
            )
            .await;
            cancelled |= created.is_none();
            let found = bench.load(&after("create", waits), &key).await?;
            require(found.is_some() || created.is_none(), || {
                "after a create: saw no record".to_owned()
            })?;
            if let Some(result) = created {
                granted("create", result)?;
            }
            is_whole("create", waits, found.as_ref(), &[&data])?;
            still_creates(bench, &key, waits, &data, end).await?;
            still_works(bench, &key, waits, end).await?;
        }
        if !cancelled {
            break;
        }
    }
    Ok(())
}

async fn still_creates<S: Store>(
    bench: &Bench<S>,
    key: &RecordKey,
    waits: usize,
    data: &[u8],
    end: Timestamp,
) -> Outcome {
    match bench
        .store
        .create(key, Bytes::from_static(b"another"), bench.expiry(end))
        .await
    {
        Ok(version) => {
            bench
                .holds(&after("create", waits), key, b"another", version, end)
                .await
        }
        Err(StoreError::Exists) => bench
            .holds_data(&after("create", waits), key, data, end)
            .await
            .map(drop),
        other => Err(format!(
            "create after a cancelled one: expected success or Exists, saw {}",
            shown(&other)
        )),
    }
}

pub(super) async fn a_cancelled_load_changes_nothing<S: Store>(bench: &Bench<S>) -> Outcome {
    let end = bench.alive();
    for waits in 0..MOST_WAITS {
        let (key, data) = (bench.key(), sample(waits as u64, 3_000));
        let version = bench.create(&key, &data, end).await?;
        let loaded = give_up(waits, bench.store.load(&key, Read::Current)).await;
        bench
            .holds(&after("load", waits), &key, &data, version, end)
            .await?;
        still_works(bench, &key, waits, end).await?;
        if loaded.is_some() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_cancelled_update_happens_wholly_or_not_at_all<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    for waits in 0..MOST_WAITS {
        let mut cancelled = false;
        for (seed, (before, len)) in LENGTHS.into_iter().enumerate() {
            let (key, old, new) = (bench.key(), sample(100, before), sample(seed as u64, len));
            let version = bench.create(&key, &old, end).await?;
            let updated = bench.store.update(
                &key,
                version,
                Bytes::from(new.clone()),
                bench.expiry(end.saturating_add(HOUR)),
            );
            let updated = give_up(waits, updated).await;
            cancelled |= updated.is_none();
            let found = bench.load_some(&after("update", waits), &key).await?;
            let is_old = found == Record::new(old.clone(), version, end);
            let is_new = found.data() == new
                && found.expires() == end.saturating_add(HOUR)
                && found.version() != version;
            require(is_new || is_old && updated.is_none(), || {
                format!(
                    "{}: expected the record as it was or as it was to be, saw neither",
                    after("update", waits)
                )
            })?;
            still_works(bench, &key, waits, end).await?;
        }
        if !cancelled {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_cancelled_touch_happens_wholly_or_not_at_all<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    for waits in 0..MOST_WAITS {
        let (key, later, data) = (
            bench.key(),
            end.saturating_add(HOUR),
            sample(waits as u64, 3_000),
        );
        let version = bench.create(&key, &data, end).await?;
        let touched = give_up(waits, bench.store.touch(&key, version, bench.expiry(later))).await;
        let found = bench.load_some(&after("touch", waits), &key).await?;
        is_whole("touch", waits, Some(&found), &[&data])?;
        let is_old = found.expires() == end && found.version() == version;
        require(
            found.expires() == later || is_old && touched.is_none(),
            || {
                format!(
                    "{}: expected the old end or the new one, saw another",
                    after("touch", waits)
                )
            },
        )?;
        still_works(bench, &key, waits, end).await?;
        if touched.is_some() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_cancelled_delete_happens_wholly_or_not_at_all<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let end = bench.alive();
    for waits in 0..MOST_WAITS {
        let (key, other, data) = (bench.key(), bench.key(), sample(waits as u64, 3_000));
        bench.create(&key, &data, end).await?;
        bench.create(&other, b"other", end).await?;
        let deleted = give_up(waits, bench.store.delete(&key, None)).await;
        let found = bench.load(&after("delete", waits), &key).await?;
        is_whole("delete", waits, found.as_ref(), &[&data])?;
        require(found.is_none() || deleted.is_none(), || {
            "after a delete: saw the record".to_owned()
        })?;
        bench.delete(&key).await?;
        bench
            .is_gone("a cancelled delete and another", &key)
            .await?;
        still_works(bench, &other, waits, end).await?;
        if deleted.is_some() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_store_that_never_waits_is_done_at_once<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    if !bench.store.limits().never_waits {
        return Ok(());
    }
    let (store, key, end, data) = (
        &bench.store,
        bench.key(),
        bench.expiry(bench.alive()),
        Bytes::from(vec![1; 9_000]),
    );
    let waited =
        |what: &str| format!("{what}: expected it to be done when first polled, saw it wait");
    let version =
        poll_once(pin!(store.create(&key, data.clone(), end))).ok_or_else(|| waited("create"))?;
    let version = granted("create", version)?;
    granted(
        "load",
        poll_once(pin!(store.load(&key, Read::Current))).ok_or_else(|| waited("load"))?,
    )?;
    granted(
        "touch",
        poll_once(pin!(store.touch(&key, version, end))).ok_or_else(|| waited("touch"))?,
    )?;
    let version = bench.load_some("a touch", &key).await?.version();
    granted(
        "update",
        poll_once(pin!(store.update(&key, version, data, end))).ok_or_else(|| waited("update"))?,
    )?;
    poll_once(pin!(store.load_many(&[key], Read::Current))).ok_or_else(|| waited("load_many"))?;
    granted(
        "delete",
        poll_once(pin!(store.delete(&key, None))).ok_or_else(|| waited("delete"))?,
    )?;
    poll_once(pin!(store.delete_many(&[(key, None)]))).ok_or_else(|| waited("delete_many"))?;
    Ok(())
}

/// A cancelled operation may still be under way and come first, but must not get in the way.
async fn still_works<S: Store>(
    bench: &Bench<S>,
    key: &RecordKey,
    waits: usize,
    end: Timestamp,
) -> Outcome {
    for _ in 0..100 {
        let version = bench
            .load_some(&after("operation", waits), key)
            .await?
            .version();
        match bench
            .store
            .update(
                key,
                version,
                Bytes::from_static(b"afterwards"),
                bench.expiry(end),
            )
            .await
        {
            Err(StoreError::Conflict) => tokio::task::yield_now().await,
            updated => {
                let version: Version = granted("update after a cancelled operation", updated)?;
                bench
                    .holds(
                        "an update after a cancelled operation",
                        key,
                        b"afterwards",
                        version,
                        end,
                    )
                    .await?;
                return bench.delete(key).await;
            }
        }
    }
    Err("update after a cancelled operation: expected success once in 100 attempts, saw conflicts only".to_owned())
}

fn is_whole(operation: &str, waits: usize, found: Option<&Record>, expected: &[&[u8]]) -> Outcome {
    let whole = found.is_none_or(|record| expected.contains(&record.data()));
    require(whole, || {
        format!(
            "{}: expected whole data, saw other bytes",
            after(operation, waits)
        )
    })
}

fn after(operation: &str, waits: usize) -> String {
    match waits {
        0 => format!("{operation} that was never polled"),
        _ => format!("{operation} given up at its wait {waits}"),
    }
}
