//! Records come back as they were given, whatever they contain.

use super::bench::{Bench, HOUR, Outcome, require, sample, shown};
use crate::store::{Bytes, Limits, RecordKey, Store, StoreError, Version};

/// A store may refuse sizes beyond its limit.
const SIZES: [usize; 13] = [
    0,
    1,
    2,
    255,
    256,
    4_095,
    4_096,
    4_097,
    65_535,
    65_536,
    1 << 20,
    2 << 20,
    8 << 20,
];

pub(super) async fn records_of_every_size_come_back_whole<S: Store>(bench: &Bench<S>) -> Outcome {
    let (updated, end) = (bench.key(), bench.alive());
    let mut version = bench.create(&updated, b"small", end).await?;
    for size in SIZES {
        let (created, data) = (bench.key(), sample(size as u64, size));
        match bench
            .store
            .create(&created, Bytes::from(data.clone()), bench.expiry(end))
            .await
        {
            Err(StoreError::TooLarge { .. }) if size > 1 => return Ok(()),
            Ok(version) => {
                bench
                    .holds(
                        &format!("a create of {size} bytes"),
                        &created,
                        &data,
                        version,
                        end,
                    )
                    .await?
            }
            result => {
                return Err(format!(
                    "create of {size} bytes: expected success, saw {}",
                    shown(&result)
                ));
            }
        }
        bench.delete(&created).await?;
        version = bench.update(&updated, version, &data, end).await?;
        bench
            .holds(
                &format!("an update to {size} bytes"),
                &updated,
                &data,
                version,
                end,
            )
            .await?;
        bench
            .touch(&updated, version, end.saturating_add(HOUR))
            .await?;
        version = bench
            .holds_data("a touch", &updated, &data, end.saturating_add(HOUR))
            .await?;
    }
    Ok(())
}

pub(super) async fn a_record_too_large_leaves_the_old_one<S: Store>(bench: &Bench<S>) -> Outcome {
    let Some(largest) = largest(bench).await? else {
        return Ok(());
    };
    let (key, end) = (bench.key(), bench.alive());
    let version = bench.create(&key, b"small", end).await?;
    for size in SIZES
        .into_iter()
        .filter(|size| *size > largest)
        .chain([largest + 1])
    {
        is_too_large(bench, &key, version, size).await?;
    }
    let data = sample(7, largest);
    let version = bench.update(&key, version, &data, end).await?;
    bench
        .holds("an update to the largest size", &key, &data, version, end)
        .await?;
    is_too_large(bench, &key, version, largest + 1).await?;
    bench
        .holds("a refused update", &key, &data, version, end)
        .await?;
    bench.delete(&key).await
}

/// The largest size of a record, according to the first refusal. `None` if the store accepts every
/// size.
async fn largest<S: Store>(bench: &Bench<S>) -> Outcome<Option<usize>> {
    for asked in SIZES {
        let key = bench.key();
        match bench
            .store
            .create(
                &key,
                Bytes::from(vec![1; asked]),
                bench.expiry(bench.alive()),
            )
            .await
        {
            Ok(_) => bench.delete(&key).await?,
            Err(StoreError::TooLarge { size, limit }) => {
                require(size > limit, || {
                    format!("{size} bytes are not over the limit of {limit}")
                })?;
                let overhead = size.saturating_sub(asked);
                return Ok(Some(limit.saturating_sub(overhead).min(asked - 1)));
            }
            result => {
                return Err(format!(
                    "create of {asked} bytes: expected success, saw {}",
                    shown(&result)
                ));
            }
        }
    }
    Ok(None)
}

async fn is_too_large<S: Store>(
    bench: &Bench<S>,
    key: &RecordKey,
    version: Version,
    size: usize,
) -> Outcome {
    let old = bench.load_some("a create", key).await?;
    let data = Bytes::from(vec![2; size]);
    let is_refused =
        |result: &Result<Version, StoreError>| matches!(result, Err(StoreError::TooLarge { .. }));
    let updated = bench
        .store
        .update(
            key,
            version,
            data.clone(),
            bench.expiry(bench.alive().saturating_add(HOUR)),
        )
        .await;
    require(is_refused(&updated), || {
        format!(
            "update to {size} bytes: expected TooLarge, saw {}",
            shown(&updated)
        )
    })?;
    bench
        .holds(
            "an update that is too large",
            key,
            old.data(),
            version,
            old.expires(),
        )
        .await?;
    let other = bench.key();
    let created = bench
        .store
        .create(&other, data, bench.expiry(bench.alive()))
        .await;
    require(is_refused(&created), || {
        format!(
            "create of {size} bytes: expected TooLarge, saw {}",
            shown(&created)
        )
    })?;
    bench.is_gone("a create that is too large", &other).await
}

/// The most bytes that any rule asks a store to accept.
const MOST: usize = 8 << 20;

pub(super) async fn a_store_takes_what_its_limits_say_and_no_more<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (told, end) = (bench.store.limits().record_bytes, bench.alive());
    let (key, updated) = (bench.key(), bench.key());
    let version = bench.create(&updated, b"small", end).await?;
    if told < MOST {
        is_too_large(bench, &updated, version, told + 1).await?;
    }
    let data = sample(9, told.min(MOST));
    let version = bench.update(&updated, version, &data, end).await?;
    let what = "an update to all that the store says it takes";
    bench.holds(what, &updated, &data, version, end).await?;
    bench.delete(&updated).await?;
    let version = bench.create(&key, &data, end).await?;
    let what = "a create of all that the store says it takes";
    bench.holds(what, &key, &data, version, end).await?;
    bench.delete(&key).await
}

/// All limits except the time up to which ends may be forgotten, which only moves forward.
pub(super) async fn limits_stay_as_they_are<S: Store>(bench: &Bench<S>) -> Outcome {
    let mut before = bench.store.limits();
    for number in 0..10 {
        let key = bench.key();
        let version = bench.create(&key, b"data", bench.alive()).await?;
        bench.update(&key, version, b"more", bench.alive()).await?;
        if number % 2 == 0 {
            bench.delete(&key).await?;
        }
        let limits = bench.store.limits();
        let stays = Limits {
            forgotten_until: limits.forgotten_until,
            ..before
        };
        let holds = limits == stays && limits.forgotten_until >= before.forgotten_until;
        require(holds, || {
            format!("limits: expected them to stay {before:?}, saw {limits:?}")
        })?;
        before = limits;
    }
    Ok(())
}

pub(super) async fn any_bytes_come_back_as_they_were<S: Store>(bench: &Bench<S>) -> Outcome {
    let end = bench.alive();
    for data in awkward() {
        let key = bench.key();
        let version = bench.create(&key, &data, end).await?;
        bench.holds("a create", &key, &data, version, end).await?;
        let version = bench.update(&key, version, b"another", end).await?;
        let version = bench.update(&key, version, &data, end).await?;
        bench.holds("an update", &key, &data, version, end).await?;
        bench.delete(&key).await?;
    }
    Ok(())
}

/// Bytes that some formats and clients take for text, an end, or nothing.
fn awkward() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0..=255).collect();
    let mut awkward = vec![all.clone(), all.into_iter().rev().collect()];
    awkward.extend((0..=255).map(|byte| vec![byte]));
    awkward.extend([
        vec![0; 300],
        vec![0xff; 300],
        vec![b' '; 300],
        sample(1, 9_999),
    ]);
    let texts: [&[u8]; 17] = [
        b"null",
        b"{}",
        b"{\"version\":9,\"expires\":0,\"data\":\"\"}",
        b"'; DROP TABLE sessions; --",
        b"\\x00\\xff",
        b"%00%s%n",
        b"end\0",
        b"\0start",
        b"line\r\nline\n",
        b"trailing space \t ",
        b"\xef\xbb\xbfmarked",
        b"\xc3\x28\xa0\xa1\xed\xa0\x80",
        b"AAAA====",
        b"*3\r\n$3\r\nDEL\r\n",
        b"slvrbk\x02\xfd",
        b"\x1f\x8b\x08",
        b"SQLite format 3\0",
    ];
    awkward.extend(texts.map(<[u8]>::to_vec));
    awkward
}
