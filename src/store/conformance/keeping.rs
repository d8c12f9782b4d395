//! How long a server will keep a record, if it can be asked.

use std::{sync::Arc, time::Duration};

use super::bench::{Bench, HOUR, Outcome, granted, require};
use crate::store::{Bytes, RecordKey, Store};

/// A store that hides expired records by this machine's clock may have told its server anything: to
/// keep everything forever, or for a minute only.
pub(super) async fn a_server_keeps_a_record_until_its_end<S: Store>(bench: &Bench<S>) -> Outcome {
    let (store, key) = (&bench.store, bench.key());
    let data = || Bytes::from_static(b"data");
    let expiry = |life| bench.expiry(bench.now().saturating_add(life));
    let created = store.create(&key, data(), expiry(HOUR)).await;
    let mut version = granted("create", created)?;
    is_told(bench, "a create", &key, HOUR).await?;
    for (hours, what) in [
        (30, "an update to a later end"),
        (2, "an update to a sooner end"),
    ] {
        let updated = store
            .update(&key, version, data(), expiry(HOUR * hours))
            .await;
        version = granted("update", updated)?;
        is_told(bench, what, &key, HOUR * hours).await?;
    }
    for (hours, what) in [
        (40, "a touch to a later end"),
        (4, "a touch to a sooner end"),
    ] {
        let touched = store.touch(&key, version, expiry(HOUR * hours)).await;
        version = granted("touch", touched)?;
        is_told(bench, what, &key, HOUR * hours).await?;
    }
    Ok(())
}

/// How far an end may move by whole seconds, two clocks and a slow answer.
const SLACK: Duration = Duration::from_secs(600);

async fn is_told<S: Store>(
    bench: &Bench<S>,
    after: &str,
    key: &RecordKey,
    life: Duration,
) -> Outcome {
    let ask = bench.with.time_left.as_ref();
    let ask = ask.ok_or("nothing says how long the server keeps a record")?;
    let left = ask(Arc::clone(&bench.store), *key).await;
    let is_right = left.is_some_and(|left| left.abs_diff(life) < SLACK);
    require(is_right, || {
        format!("time left after {after}: expected about {life:?}, saw {left:?}")
    })
}
