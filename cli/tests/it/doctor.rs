//! What `doctor` finds, and what it advises to change.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;
use silverback_mongodb::MongoStore;

use crate::support::{At, KEY, World, write_private};

fn item<'a>(report: &'a Value, topic: &str, says: &str) -> &'a Value {
    let items = report["items"].as_array().unwrap();
    let found = items
        .iter()
        .find(|item| item["topic"] == topic && item["found"].as_str().unwrap().contains(says));
    found.unwrap_or_else(|| panic!("{topic} {says}: {report:#}"))
}

fn levels(report: &Value, level: &str) -> usize {
    let items = report["items"].as_array().unwrap();
    items.iter().filter(|item| item["level"] == level).count()
}

/// Checks that the doctor finds everything that exists, and nothing broken.
pub(crate) fn examines(world: &World) {
    let at = world.at;
    let output = world.tool.run(&["doctor", "--reads", "20", "--json"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(levels(&report, "broken"), 0, "{at:?}: {report:#}");
    item(&report, "latency", "20 reads: median");
    for (topic, says) in [("keys", "1 active"), ("session", "\"account\"")] {
        assert_eq!(item(&report, topic, says)["level"], "good", "{at:?}");
    }
    let own: &[_] = match at {
        At::Files => &[("disk", "free"), ("permissions", "mode 700")],
        At::Redb => &[("disk", "free"), ("permissions", "mode 600")],
        At::Redis => &[("clock", ""), ("eviction", "noeviction")],
        At::Memcached | At::DynamoDb | At::MongoDb | At::Firestore => &[],
        At::Sqlite => &[("journal", "wal"), ("index", "an index")],
        At::Postgres => &[
            ("clock", ""),
            ("index", "an index"),
            ("durability", "is on"),
        ],
        At::MariaDb => &[("clock", ""), ("index", "an index"), ("table", "InnoDB")],
    };
    for (topic, says) in own {
        let item = item(&report, topic, says);
        assert!(
            item["level"] == "good" || *topic == "disk",
            "{at:?}: {item}"
        );
    }
    // Whether the store is fast enough depends on the machine.
    let human = world.tool.run(&["doctor"]);
    human.says(human.code, "to change");
    assert!(
        [0, 4].contains(&output.code) && [0, 4].contains(&human.code),
        "{human:?}"
    );
}

/// Checks that the doctor reports a missing index and an unnecessary one.
pub(crate) async fn misses_indexes(world: &World) {
    match world.at {
        At::Postgres => world.sql(
            "DROP INDEX silverback_sessions_sweep; \
             CREATE INDEX extra ON silverback_sessions (app_expires)",
        ),
        At::MariaDb => {
            world.sql("DROP INDEX silverback_sessions_sweep ON silverback_sessions");
        }
        At::DynamoDb => return misses_time_to_live(world),
        At::MongoDb => return misses_the_index_of_mongodb(world).await,
        At::Files | At::Sqlite | At::Redb | At::Redis | At::Memcached | At::Firestore => return,
    }
    let report = world.tool.run(&["doctor", "--json"]).json(4);
    assert_eq!(item(&report, "index", "no index")["level"], "change");
    if world.at == At::Postgres {
        let item = item(&report, "index", "extra has not been used");
        assert!(
            item["change"]
                .as_str()
                .unwrap()
                .starts_with("DROP INDEX extra")
        );
        world.sql("ALTER TABLE silverback_sessions RENAME TO elsewhere");
    } else {
        world.sql("RENAME TABLE silverback_sessions TO elsewhere");
    }
    let report = world.tool.run(&["doctor", "--json"]).json(4);
    assert_eq!(
        item(&report, "reads", "table of sessions is missing")["level"],
        "broken"
    );
    assert_eq!(item(&report, "table", "not there")["level"], "broken");
}

/// The emulator has no time to live.
fn misses_time_to_live(world: &World) {
    let report = world.tool.run(&["doctor", "--json"]).json(4);
    let item = item(&report, "time to live", "nothing removes");
    let change = item["change"].as_str().unwrap();
    assert!(change.contains("update-time-to-live"), "{change}");
}

/// Nobody has made the index yet.
async fn misses_the_index_of_mongodb(world: &World) {
    let report = world.tool.run(&["doctor", "--json"]).json(4);
    let missed = item(&report, "index", "nothing removes");
    let change = missed["change"].as_str().unwrap();
    assert!(change.contains("expireAfterSeconds: 600"), "{change}");
    let url = world.mongodb().unwrap().url("shop");
    let store = MongoStore::connect(&url).await.unwrap().collection("carts");
    store.create_index().await.unwrap();
    let output = world.tool.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(item(&report, "index", "an index")["level"], "good");
}

#[tokio::test]
async fn a_redis_that_forgets_is_told() {
    let Some(world) = World::new(At::Redis).await else {
        return;
    };
    let redis = world.redis().unwrap();
    let _ = redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let report = world.tool.run(&["doctor", "--json"]).json(4);
    let item = item(&report, "eviction", "allkeys-lru");
    assert!(item["change"].as_str().unwrap().contains("noeviction"));
}

#[tokio::test]
async fn keys_and_settings_are_examined() {
    let world = World::new(At::Files).await.unwrap();
    let (tool, path) = (&world.tool, world.key_file());
    let retired: Vec<_> = (0..6)
        .map(|_| tool.run(&["keygen"]).stdout.trim().to_owned())
        .collect();
    write_private(&path, &format!("{KEY}\n{}", retired.join("\n")));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let subject_key = world.dir.path().join("subject");
    write_private(&subject_key, KEY);
    let settings = world.dir.path().join("app.toml");
    fs::write(&settings, "[sessions.account]\nsecure = false\n").unwrap();
    let mut tool = tool.clone();
    tool.env("SILVERBACK_SUBJECT_KEY_FILE", subject_key.to_str().unwrap());
    let report = tool.run(&["doctor", "--json"]).json(4);
    for (topic, found, change) in [
        ("keys", "6 retired", "rotate --keep"),
        ("keys", "subject key", "separate key"),
        ("permissions", "mode 644", "chmod 600"),
        ("settings", "plain HTTP", "HTTPS"),
    ] {
        let item = item(&report, topic, found);
        assert!(item["change"].as_str().unwrap().contains(change), "{item}");
    }
    fs::write(
        &settings,
        "[sessions.account]\nidle_timeout = \"40 days\"\n",
    )
    .unwrap();
    let report = tool.run(&["doctor", "--json"]).json(4);
    assert_eq!(item(&report, "session", "idle")["level"], "broken");
    fs::write(&settings, "[sessions.account]\nidle_time = \"40 days\"\n").unwrap();
    let report = tool.run(&["doctor", "--json"]).json(4);
    assert_eq!(levels(&report, "broken"), 1, "{report:#}");
    assert_eq!(item(&report, "settings", "idle_time")["level"], "broken");
    assert_eq!(item(&report, "session", "first")["level"], "skipped");
    fs::write(&path, format!("{KEY},{KEY}")).unwrap();
    tool.run(&["doctor"]).says(4, "broken");
}
