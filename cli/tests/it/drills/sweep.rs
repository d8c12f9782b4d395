//! A million sessions have expired, and are swept while the site is in use.

use std::{env, time::Duration};

use silverback::{
    Clock, FilesystemStore, Timestamp,
    store::{Bytes, Expiry, RecordKey, Store, Sweep},
};
use silverback_sqlx::SqliteStore;

use super::{Faults, Site, Traffic, operator, played};
use crate::support::{At, World};

fn expired() -> u32 {
    match env::var_os("SILVERBACK_SOAK") {
        Some(_) => 1_000_000,
        None => 2_000,
    }
}

#[test]
fn in_files() {
    played(async |_| {
        let world = World::new(At::Files).await.unwrap();
        let path = world.dir.path().join("sessions");
        let options = || FilesystemStore::options();
        let before = options().clock(Clock::manual(THEN)).open(&path).unwrap();
        fill(&before).await;
        swept(&world, options().open(&path).unwrap()).await;
    });
}

#[test]
fn in_a_database() {
    played(async |_| {
        let world = World::new(At::Sqlite).await.unwrap();
        let path = world.dir.path().join("sessions.db");
        let open = async || {
            let store = SqliteStore::open(&path).await.unwrap();
            store.timeout(Duration::from_secs(120))
        };
        fill(&open().await.clock(Clock::manual(THEN))).await;
        swept(&world, open().await).await;
    });
}

const THEN: Timestamp = Timestamp::from_secs(1_000_000);
const BATCH: usize = 100;

async fn fill(store: &impl Store) {
    let expiry = Expiry::new(THEN.saturating_add(Duration::from_secs(600)), THEN);
    for number in 0..expired() {
        let mut key = [0; 32];
        // Keys are hashes, and files are in folders by their first byte.
        key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        let data = Bytes::from_static(b"\x01data");
        store
            .create(&RecordKey::from_bytes(key), data, expiry)
            .await
            .unwrap();
    }
}

async fn swept(world: &World, store: impl Sweep) {
    let site = Site::start(world);
    let traffic = Traffic::start(&site, 7);
    traffic.goes_on(16).await;
    operator(&world.tool, &["doctor"])
        .await
        .says(4, "run `silverback sweep`");

    // A step is bounded, and visitors are served between two steps.
    let mut removed = 0;
    for _ in 0..5 {
        let step = store.sweep_some(BATCH).await;
        assert!(
            step.examined() <= BATCH as u64 && step.failed() == 0,
            "{step:?}"
        );
        removed += step.removed();
        traffic.goes_on(4).await;
    }
    let sweep = ["sweep", "--batch", "500", "--pause", "0s", "--json"];
    let report = operator(&world.tool, &sweep).await.json(0);
    removed += report["removed"].as_u64().unwrap();
    assert_eq!(report["is_finished"], true);
    assert!(
        removed >= u64::from(expired()),
        "{removed} of {}",
        expired()
    );

    traffic.goes_on(16).await;
    // Sessions of the visitors may have expired by now, if the sweep took long.
    let expired = operator(&world.tool, &["list", "--expired", "--json"]).await;
    let then = THEN.to_string();
    let day = then.get(..10).unwrap();
    assert!(!expired.stdout.contains(day), "{expired:?}");
    let doctor = operator(&world.tool, &["doctor"]).await;
    assert!(!doctor.stdout.contains("silverback sweep"), "{doctor:?}");
    let (tally, _) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");
    assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&200]);
}
