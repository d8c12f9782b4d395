//! The answers of each method, one call after the other.

use std::collections::HashSet;

use super::bench::{
    Bench, HOUR, NO_VERSION, Outcome, Refusal, another, marked, refused, require, sample,
};
use crate::store::{Bytes, RecordKey, Store, Version};

pub(super) async fn a_created_record_is_loaded_as_it_was_given<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let version = bench.create(&key, b"created", end).await?;
    bench
        .holds("a create", &key, b"created", version, end)
        .await?;
    bench
        .holds("a create and a load", &key, b"created", version, end)
        .await
}

pub(super) async fn a_key_without_a_record_has_none<S: Store>(bench: &Bench<S>) -> Outcome {
    bench.is_gone("nothing at all", &bench.key()).await?;
    bench
        .create(&bench.key(), b"another", bench.alive())
        .await?;
    bench
        .is_gone("a create under another key", &bench.key())
        .await
}

pub(super) async fn a_create_never_overwrites<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let version = bench.create(&key, b"first", end).await?;
    for data in [b"second".as_slice(), b"first", b""] {
        let again = bench
            .store
            .create(
                &key,
                Bytes::copy_from_slice(data),
                bench.expiry(end.saturating_add(HOUR)),
            )
            .await;
        refused("create over a record", &again, Refusal::Exists)?;
        bench
            .holds("a refused create", &key, b"first", version, end)
            .await?;
    }
    let next = bench.update(&key, version, b"updated", end).await?;
    let again = bench
        .store
        .create(&key, Bytes::from_static(b"third"), bench.expiry(end))
        .await;
    refused("create over an updated record", &again, Refusal::Exists)?;
    bench
        .holds("a refused create", &key, b"updated", next, end)
        .await
}

pub(super) async fn an_update_replaces_the_record<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let mut version = bench.create(&key, b"first", end).await?;
    for (round, len) in [0, 1, 3_000, 3_001, 10, 9_000, 0, 3]
        .into_iter()
        .enumerate()
    {
        let data = sample(round as u64, len);
        let end = end.saturating_add(HOUR * round as u32);
        version = bench.update(&key, version, &data, end).await?;
        bench.holds("an update", &key, &data, version, end).await?;
    }
    Ok(())
}

pub(super) async fn an_update_needs_the_expected_version<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let first = bench.create(&key, b"first", end).await?;
    let second = bench.update(&key, first, b"second", end).await?;
    for wrong in others(first, second) {
        let updated = bench
            .store
            .update(
                &key,
                wrong,
                Bytes::from_static(b"wrong"),
                bench.expiry(end.saturating_add(HOUR)),
            )
            .await;
        refused(
            "update with another version than the record has",
            &updated,
            Refusal::Conflict,
        )?;
        bench
            .holds("a refused update", &key, b"second", second, end)
            .await?;
    }
    Ok(())
}

fn others(outdated: Version, current: Version) -> impl Iterator<Item = Version> {
    let others = [
        another(current),
        Version::from_u64(0),
        Version::from_u64(u64::MAX),
        Version::from_bytes([0xff; 16]),
    ];
    [outdated].into_iter().chain(
        others
            .into_iter()
            .filter(move |version| *version != current),
    )
}

pub(super) async fn an_update_never_makes_a_record<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    for expected in [
        NO_VERSION,
        Version::from_u64(0),
        Version::from_u64(u64::MAX),
    ] {
        let updated = bench
            .store
            .update(
                &key,
                expected,
                Bytes::from_static(b"data"),
                bench.expiry(end),
            )
            .await;
        refused(
            "update of a record that is not there",
            &updated,
            Refusal::Gone,
        )?;
        bench.is_gone("a refused update", &key).await?;
    }
    bench.create(&key, b"first", end).await.map(drop)
}

pub(super) async fn every_update_makes_a_new_version<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let mut version = bench.create(&key, b"same", end).await?;
    let mut seen = HashSet::from([version]);
    for round in 1..=50 {
        version = bench.update(&key, version, b"same", end).await?;
        require(seen.insert(version), || {
            format!("update {round} returned {version:?} again")
        })?;
        bench
            .holds("an update", &key, b"same", version, end)
            .await?;
    }
    Ok(())
}

pub(super) async fn a_touch_changes_the_end_and_no_data<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let data = sample(1, 5_000);
    let mut version = bench.create(&key, &data, end).await?;
    for end in [
        end.saturating_add(HOUR),
        end,
        end,
        bench.now().saturating_add(HOUR * 23),
    ] {
        version = bench.touch(&key, version, end).await?;
        bench.holds("a touch", &key, &data, version, end).await?;
    }
    let next = bench.update(&key, version, b"updated", end).await?;
    bench
        .holds(
            "a touch and an update of the version it returned",
            &key,
            b"updated",
            next,
            end,
        )
        .await
}

pub(super) async fn a_touch_needs_the_expected_version<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let first = bench.create(&key, b"first", end).await?;
    let second = bench.update(&key, first, b"second", end).await?;
    for wrong in others(first, second).chain(marked(second)) {
        let touched = bench
            .store
            .touch(&key, wrong, bench.expiry(end.saturating_add(HOUR)))
            .await;
        refused(
            "touch with another version than the record has",
            &touched,
            Refusal::Conflict,
        )?;
        bench
            .holds("a refused touch", &key, b"second", second, end)
            .await?;
    }
    Ok(())
}

pub(super) async fn a_touch_never_makes_a_record<S: Store>(bench: &Bench<S>) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    for expected in [
        NO_VERSION,
        Version::from_u64(0),
        Version::from_u64(u64::MAX),
    ] {
        let touched = bench.store.touch(&key, expected, bench.expiry(end)).await;
        refused(
            "touch of a record that is not there",
            &touched,
            Refusal::Gone,
        )?;
        bench.is_gone("a refused touch", &key).await?;
    }
    bench.create(&key, b"first", end).await.map(drop)
}

pub(super) async fn a_delete_removes_the_record_and_no_other<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, other, end) = (bench.key(), bench.key(), bench.alive());
    bench.create(&key, b"one", end).await?;
    let kept = bench.create(&other, b"other", end).await?;
    bench.delete(&key).await?;
    bench.is_gone("a delete", &key).await?;
    bench
        .holds("a delete of another", &other, b"other", kept, end)
        .await?;
    let anew = bench.create(&key, b"anew", end).await?;
    bench
        .holds("a create after a delete", &key, b"anew", anew, end)
        .await
}

pub(super) async fn a_delete_of_nothing_is_no_error<S: Store>(bench: &Bench<S>) -> Outcome {
    let key = bench.key();
    bench.delete(&key).await?;
    bench.create(&key, b"data", bench.alive()).await?;
    bench.delete(&key).await?;
    bench.delete(&key).await?;
    bench.is_gone("two deletes", &key).await
}

pub(super) async fn keys_that_differ_in_one_bit_have_records_of_their_own<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    let (key, end) = (bench.key(), bench.alive());
    let neighbours: Vec<_> = [key]
        .into_iter()
        .chain((0..256).map(|bit| flipped(&key, bit)))
        .collect();
    let mut versions = Vec::new();
    for (number, key) in neighbours.iter().enumerate() {
        bench.remember(*key);
        versions.push(bench.create(key, &sample(number as u64, 20), end).await?);
    }
    for (number, (key, version)) in neighbours.iter().zip(versions).enumerate() {
        bench
            .holds(
                "creates under similar keys",
                key,
                &sample(number as u64, 20),
                version,
                end,
            )
            .await?;
        bench.delete(key).await?;
    }
    Ok(())
}

fn flipped(key: &RecordKey, bit: usize) -> RecordKey {
    let mut bytes = *key.as_bytes();
    bytes
        .iter_mut()
        .skip(bit / 8)
        .take(1)
        .for_each(|byte| *byte ^= 1 << (bit % 8));
    RecordKey::from_bytes(bytes)
}
