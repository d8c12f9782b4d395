//! Removing expired records.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use silverback::{
    Clock, FilesystemStore, Timestamp,
    store::{Bytes, Expiry, RecordKey, Store},
};
use silverback_mongodb::MongoStore;
use silverback_sqlx::SqliteStore;
use silverback_test_servers::kit::connected;

use crate::support::{At, World};

/// Creates records that expired long ago, with a clock of that time.
pub(crate) async fn fill(world: &World, count: u8) {
    let then = Timestamp::from_secs(1_000_000);
    let clock = Clock::manual(then);
    match world.at {
        At::Files => {
            let options = FilesystemStore::options().clock(clock);
            create(
                &options.open(world.dir.path().join("sessions")).unwrap(),
                count,
                then,
            )
            .await;
        }
        At::Sqlite => {
            let store = SqliteStore::open(world.dir.path().join("sessions.db"))
                .await
                .unwrap();
            create(&store.clock(clock), count, then).await;
        }
        At::Postgres | At::MariaDb => {
            let now = Clock::system().now();
            for key in create(&world.store, count, now).await {
                world.let_expire(&key);
            }
        }
        At::Redb => {
            let options = silverback_redb::RedbStore::options().clock(clock);
            let path = world.dir.path().join("sessions.redb");
            let store = options.open(path).await.unwrap();
            create(&store, count, then).await;
            store.close().await;
        }
        At::Firestore => {
            let over = Expiry::new(then, Clock::system().now());
            create_until(&world.store, count, over).await;
        }
        At::MongoDb => {
            let url = world.mongodb().unwrap().url("shop");
            let store = connected(|| MongoStore::connect(&url)).await;
            let store = store.collection("carts");
            create(&store.clock(clock), count, then).await;
        }
        At::Redis | At::Memcached | At::DynamoDb => {}
    }
}

/// Creates records that live for ten minutes, by this clock.
async fn create(store: &impl Store, count: u8, now: Timestamp) -> Vec<RecordKey> {
    let end = now.saturating_add(std::time::Duration::from_secs(600));
    create_until(store, count, Expiry::new(end, now)).await
}

async fn create_until(store: &impl Store, count: u8, expiry: Expiry) -> Vec<RecordKey> {
    let mut keys = Vec::new();
    for number in 0..count {
        let mut key = [number; 32];
        key[0] = number.wrapping_mul(7);
        let key = RecordKey::from_bytes(key);
        let data = Bytes::from_static(b"\x01data");
        store.create(&key, data, expiry).await.unwrap();
        keys.push(key);
    }
    keys
}

/// Checks that expired records are removed, and no others.
pub(crate) async fn sweeps(world: &mut World) {
    let at = world.at;
    let alive = world.log_in("eve", "laptop").await;
    if matches!(at, At::Redis | At::DynamoDb) {
        return world
            .tool
            .run(&["sweep"])
            .says(0, "removes expired records itself");
    }
    fill(world, 5).await;
    let tool = &world.tool;
    assert_eq!(
        tool.run(&["list", "--expired", "--json"]).lines().len(),
        5,
        "{at:?}"
    );
    let would = tool.run(&["sweep", "--dry-run", "--json"]).json(0);
    assert_eq!(
        (&would["removed"], &would["is_dry_run"]),
        (&json!(5), &json!(true)),
        "{at:?}"
    );
    tool.run(&["doctor"])
        .says(4, "records expired more than a day ago");
    tool.run(&["doctor"]).says(4, "run `silverback sweep`");
    let done = tool.run(&["sweep", "--batch", "2", "--json"]).json(0);
    assert_eq!(
        (&done["removed"], &done["is_finished"]),
        (&json!(5), &json!(true)),
        "{at:?}"
    );
    tool.run(&["sweep"]).says(0, "removed 0 records");
    tool.run(&["explain", &alive.cookie])
        .says(0, "opens the session");
}

#[tokio::test]
async fn a_sweep_is_interrupted_between_two_batches() {
    for at in [At::Files, At::Sqlite, At::Redb] {
        let world = World::new(at).await.unwrap();
        fill(&world, 3).await;
        // The second batch would come in a day.
        let mut command = world.tool.command();
        command.args(["sweep", "--batch", "1", "--pause", "1 day", "--json"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, "1 looked at, 1 removed\n", "{at:?}");
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::INT).unwrap();
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("interrupted after 1 record"), "{rest}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{at:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&report["removed"], &report["is_finished"]),
            (&json!(1), &json!(false))
        );
        // The next sweep continues.
        world.tool.run(&["sweep"]).says(0, "removed 2 records");
    }
}
