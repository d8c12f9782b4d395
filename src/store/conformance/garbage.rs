//! Something under a key that is not a record: another program's value, or the rest of one.

use std::sync::Arc;

use super::{
    bench::{Bench, Outcome, another, granted, require, shown},
    subject::Garbage,
};
use crate::store::{Bytes, Read, Record, RecordKey, Store, StoreError};

/// A store may clear garbage away after reporting it, so each look needs fresh garbage.
pub(super) async fn garbage_is_corrupt_and_never_a_record<S: Store>(bench: &Bench<S>) -> Outcome {
    for (kind, garbage) in bench.with.garbage.iter().enumerate() {
        for read in [Read::Recent, Read::Current] {
            for key in keys_with(bench, garbage).await? {
                let loaded = bench.store.load(&key, read).await;
                is_corrupt(kind, ("load", read), &loaded)?;
            }
            for key in keys_with(bench, garbage).await? {
                is_seen_among_others(bench, kind, key, read).await?;
            }
        }
    }
    Ok(())
}

async fn is_seen_among_others<S: Store>(
    bench: &Bench<S>,
    kind: usize,
    garbage: RecordKey,
    read: Read,
) -> Outcome {
    let (before, after, end) = (bench.key(), bench.key(), bench.alive());
    bench.create(&before, b"sound", end).await?;
    bench.create(&after, b"sound", end).await?;
    let loaded = bench.store.load_many(&[before, garbage, after], read).await;
    let [first, damaged, last] = loaded.as_slice() else {
        return Err(format!("load_many of 3 keys: saw {} answers", loaded.len()));
    };
    is_corrupt(kind, ("load_many", read), damaged)?;
    for sound in [first, last] {
        let is_sound = match sound {
            Ok(Some(record)) => record.data() == b"sound",
            Ok(None) => read == Read::Recent,
            Err(_) => false,
        };
        require(is_sound, || {
            format!(
                "load_many of a record beside garbage {kind}: saw {}",
                found(sound)
            )
        })?;
    }
    Ok(())
}

/// A key that had a record, and one that had none.
async fn keys_with<S: Store>(bench: &Bench<S>, garbage: &Garbage<S>) -> Outcome<[RecordKey; 2]> {
    let keys = [bench.key(), bench.key()];
    let [had_one, _] = &keys;
    bench.create(had_one, b"data", bench.alive()).await?;
    for key in keys {
        garbage(Arc::clone(&bench.store), key).await;
    }
    Ok(keys)
}

/// A recent read may show an earlier state: the record from before the garbage, or none.
fn is_corrupt(
    kind: usize,
    (call, read): (&str, Read),
    loaded: &Result<Option<Record>, StoreError>,
) -> Outcome {
    let is_permitted = match loaded {
        Err(StoreError::Corrupt(_)) => true,
        Ok(Some(record)) => read == Read::Recent && record.data() == b"data",
        Ok(None) => read == Read::Recent,
        Err(_) => false,
    };
    require(is_permitted, || {
        format!(
            "{call} of garbage {kind}: expected Corrupt, saw {}",
            found(loaded)
        )
    })
}

fn found(loaded: &Result<Option<Record>, StoreError>) -> String {
    match loaded {
        Ok(None) => "no record".to_owned(),
        Ok(Some(record)) => format!("{record:?}"),
        failed => shown(failed),
    }
}

pub(super) async fn garbage_makes_room_for_a_record<S: Store>(bench: &Bench<S>) -> Outcome {
    for (kind, garbage) in bench.with.garbage.iter().enumerate() {
        let (key, end) = (bench.key(), bench.alive());
        let version = bench.create(&key, b"data", end).await?;
        garbage(Arc::clone(&bench.store), key).await;
        // The record's owner must not be told that the record is still there.
        for version in [version, another(version)] {
            let late = Bytes::from_static(b"late");
            let updated = bench
                .store
                .update(&key, version, late, bench.expiry(end))
                .await;
            require(updated.is_err(), || {
                format!("update of garbage {kind}: expected an error, saw success")
            })?;
            let touched = bench.store.touch(&key, version, bench.expiry(end)).await;
            require(touched.is_err(), || {
                format!("touch of garbage {kind}: expected an error, saw success")
            })?;
        }
        let what = format!("delete of garbage {kind}");
        granted(&what, bench.store.delete(&key, None).await)?;
        bench.is_gone(&what, &key).await?;
        let version = bench.create(&key, b"anew", end).await?;
        bench
            .holds("a create in garbage's place", &key, b"anew", version, end)
            .await?;
    }
    Ok(())
}
