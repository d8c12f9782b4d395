//! Every command, once on every store.

use serde_json::json;

use crate::{
    doctor,
    support::{At, TREASURE, Visit, World},
    sweeping,
};

#[tokio::test]
async fn files() {
    run(At::Files).await;
}

#[tokio::test]
async fn sqlite() {
    run(At::Sqlite).await;
}

#[tokio::test]
async fn redb() {
    run(At::Redb).await;
}

#[tokio::test]
async fn redis() {
    run(At::Redis).await;
}

#[tokio::test]
async fn postgres() {
    run(At::Postgres).await;
}

#[tokio::test]
async fn mariadb() {
    run(At::MariaDb).await;
}

#[tokio::test]
async fn dynamodb() {
    run(At::DynamoDb).await;
}

#[tokio::test]
async fn firestore() {
    run(At::Firestore).await;
}

#[tokio::test]
async fn mongodb() {
    run(At::MongoDb).await;
}

/// The store cannot list its records and has no subjects.
#[tokio::test]
async fn memcached() {
    let Some(mut world) = World::new(At::Memcached).await else {
        return;
    };
    let visitor = world
        .visit(|session| session.insert("cart", [1]).unwrap())
        .await;
    let (tool, key) = (&world.tool, visitor.key.to_string());
    tool.run(&["list"])
        .says(1, "memcached cannot list its keys");
    tool.run(&["inspect", &key[..12]])
        .says(1, "memcached cannot list its keys");
    tool.run(&["inspect", &key]).says(0, "cart");
    tool.run(&["explain", &visitor.cookie])
        .says(0, "opens the session");
    tool.run(&["sweep"])
        .says(0, "removes expired records itself");
    doctor::examines(&world);
    tool.run(&["end", &key, "--yes"]).says(0, "ended");
    tool.run(&["explain", &visitor.cookie])
        .says(4, "destroyed a moment ago");
    world.forget();
    tool.run(&["inspect", &key]).says(3, "no such session");
}

async fn run(at: At) {
    let Some(mut world) = World::new(at).await else {
        return;
    };
    let ada = world.log_in("ada", "Firefox \u{1b}[2J on Linux").await;
    let phone = world.log_in("ada", "phone").await;
    let bob = world.log_in("bob", "tablet").await;
    let visitor = world
        .visit(|session| session.insert("cart", [1]).unwrap())
        .await;
    lists(&world);
    shows(&world, &ada);
    explains(&world, &ada);
    ends_one(&world, &visitor);
    ends_one_of_user(&world, &ada, &bob);
    ends_of_user(&world, &ada, &phone, &bob);
    ends_all_of_user(&world, &bob);
    doctor::examines(&world);
    sweeping::sweeps(&mut world).await;
    doctor::misses_indexes(&world).await;
}

fn lists(world: &World) {
    let tool = &world.tool;
    let all = tool.run(&["list", "--json"]).lines();
    let kinds = |kind: &str| all.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(
        (all.len(), kinds("session"), kinds("roster")),
        (6, 4, 2),
        "{all:?}"
    );
    assert!(
        all.iter()
            .all(|line| line["is_expired"] == false && line["size"].as_u64() > Some(9))
    );
    let some = tool
        .run(&["list", "--json", "--kind", "roster", "--limit", "1"])
        .lines();
    assert_eq!(some.len(), 1);
    assert_eq!(
        tool.run(&["list", "--json", "--within", "10m"]).lines(),
        [json!(null); 0]
    );
    let within = tool.run(&["list", "--json", "--within", "2d", "--kind", "session"]);
    assert_eq!(within.lines().len(), 4);
    tool.run(&["list", "--expired"]).says(0, "no such records");

    let table = tool.run(&["list"]).stdout;
    assert!(
        table.starts_with("KEY           KIND     SIZE  EXPIRES"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 7);
    let sum = tool.run(&["list", "--summary", "--json"]).json(0);
    assert_eq!(
        (&sum["session"]["count"], &sum["roster"]["count"]),
        (&json!(4), &json!(2))
    );
    tool.run(&["list", "--summary"]).says(0, "COUNT");

    let of_ada = tool.run(&["list", "--user", "ada", "--json"]).lines();
    let notes: Vec<_> = of_ada
        .iter()
        .map(|line| line["note"].as_str().unwrap())
        .collect();
    assert_eq!(of_ada.len(), 2, "{notes:?}");
    assert!(notes.contains(&"phone"));
    // A note with control characters does not move the terminal's cursor.
    tool.run(&["list", "--user", "ada"])
        .says(0, "Firefox \\u{1b}[2J on Linux");
    tool.run(&["list", "--user", "eve"]).says(3, "no sessions");
}

fn shows(world: &World, ada: &Visit) {
    let (tool, key) = (&world.tool, ada.key.to_string());
    let shown = tool.run(&["inspect", &key[..12], "--json"]).json(0);
    assert_eq!(
        (&shown["key"], &shown["kind"]),
        (&json!(key), &json!("session"))
    );
    assert_eq!(
        (&shown["subject"], &shown["is_persistent"]),
        (&json!("ada"), &json!(false))
    );
    assert!(shown["note"].as_str().unwrap().starts_with("Firefox"));
    let value = |name: &str, size: usize, is_bytes: bool| json!({ "name": name, "size": size, "is_bytes": is_bytes });
    let cart = format!("[{TREASURE:?},\"x\"]");
    let values = [
        value("cart", cart.len(), false),
        value("token", TREASURE.len(), true),
    ];
    assert_eq!(shown["values"], json!(values));
    let human = tool.run(&["inspect", &key]);
    human.says(0, "until the browser closes");
    human.says(0, "cart");
    human.says(0, "Firefox \\u{1b}[2J on Linux");
    // A value is printed only if it is asked for by its key.
    let asked = tool.run_unchecked(&["inspect", &key, "--value", "cart"], "");
    assert_eq!((asked.code, asked.stdout), (0, format!("{cart}\n")));
    tool.run(&["inspect", &key, "--value", "none"])
        .says(3, "no value");
    tool.run(&["inspect", &"0".repeat(64)])
        .says(3, "no such session");
    tool.run(&["inspect", "0123456789ab"])
        .says(3, "no such record");
    tool.run(&["inspect", "xyz"]).says(2, "hexadecimal");
}

fn explains(world: &World, ada: &Visit) {
    let tool = &world.tool;
    let told = tool
        .run_with(&["explain", "-", "--json"], &ada.cookie)
        .json(0);
    assert_eq!(told["answer"], "opens the session");
    assert_eq!(told["record_key"], json!(ada.key));
    assert_eq!(
        (&told["key_state"], &told["asked_store"]),
        (&json!("active"), &json!(true))
    );
    tool.run(&["explain", &ada.cookie]).says(0, "in the store");
    let head = tool
        .run_with(&["decode", "-", "--json"], &ada.cookie)
        .json(0);
    assert_eq!(
        (&head["kind"], &head["version"]),
        (&json!("signed"), &json!(1))
    );
    assert_eq!(head["key"], told["token"]["key"]);
    // This did not count as use of the session.
    let one = tool
        .run(&["inspect", &ada.key.to_string(), "--json"])
        .json(0);
    let two = tool
        .run(&["inspect", &ada.key.to_string(), "--json"])
        .json(0);
    assert_eq!(one, two);
}

fn ends_one(world: &World, visitor: &Visit) {
    let (tool, key) = (&world.tool, visitor.key.to_string());
    tool.run(&["end", &key]).says(2, "--yes");
    tool.run(&["end", &key, "--dry-run"]).says(0, "would end");
    tool.run(&["inspect", &key]).says(0, "session");
    tool.run(&["end", &key[..16], "--yes"]).says(0, "ended");
    tool.run(&["end", &key, "--yes"]).says(3, "no such session");
    // As after a logout: there is a mark for a minute.
    let told = tool.run(&["explain", &visitor.cookie, "--json"]).json(4);
    assert_eq!(told["rejection"], "ended");
    tool.run(&["inspect", &key]).says(0, "mark");
    let roster = tool.run(&["list", "--kind", "roster", "--json"]).lines();
    let roster = roster[0]["key"].as_str().unwrap();
    tool.run(&["end", roster, "--yes"]).says(2, "not a session");
}

/// Ends a session found in the list of its user.
fn ends_one_of_user(world: &World, ada: &Visit, bob: &Visit) {
    let (tool, ada) = (&world.tool, &ada.key.to_string());
    let bob = bob.key.to_string();
    let of_ada = |key: &str, how: &str| tool.run(&["end", key, "--user", "ada", how]);
    of_ada(&bob[..12], "--yes").says(3, "no such session");
    of_ada(&bob, "--yes").says(3, "no such session");
    of_ada(&bob, "--dry-run").says(3, "no such session");
    of_ada(&ada[..12], "--dry-run").says(0, "would end");
    tool.run(&["end", ada, "--user", "nobody", "--yes"])
        .says(3, "no sessions");
    tool.run(&["list", "--user", "bob"]).says(0, &bob[..12]);
    tool.run(&["list", "--user", "ada"]).says(0, &ada[..12]);
}

fn ends_of_user(world: &World, ada: &Visit, phone: &Visit, bob: &Visit) {
    let (tool, key) = (&world.tool, phone.key.to_string());
    tool.run(&["end-user", "ada"]).says(2, "--yes");
    // The session to spare has to be one of the user's, or all of them would end.
    let bob = bob.key.to_string();
    for key in [&bob[..12], &bob, &"ab".repeat(32)] {
        let keep = ["end-user", "ada", "--keep", key, "--yes"];
        tool.run(&keep).says(3, "the user has no such session");
    }
    let keep = ["end-user", "ada", "--keep", &key, "--json"];
    let would = tool.run(&[&keep[..], &["--dry-run"]].concat()).json(0);
    assert_eq!(
        (&would["ended"], &would["is_dry_run"]),
        (&json!(1), &json!(true))
    );
    let done = tool.run(&[&keep[..], &["--yes"]].concat()).json(0);
    assert_eq!(
        (&done["ended"], &done["is_dry_run"]),
        (&json!(1), &json!(false))
    );
    let told = tool.run(&["explain", &ada.cookie, "--json"]).json(4);
    assert_eq!(told["rejection"], "not_found");
    tool.run(&["explain", &phone.cookie])
        .says(0, "opens the session");
}

fn ends_all_of_user(world: &World, bob: &Visit) {
    let tool = &world.tool;
    tool.run(&["end-user", "bob", "--yes"])
        .says(0, "ended 1 session of bob");
    tool.run(&["end-user", "bob", "--yes"])
        .says(3, "no sessions");
    tool.run(&["explain", &bob.cookie])
        .says(4, "no such session");
}

/// Commands that go to every server of a cluster, and to the master that Sentinels name.
#[tokio::test]
async fn several_servers_of_redis() {
    use silverback::store::DynStore;
    use silverback_redis::RedisStore;
    use silverback_test_servers::{Cluster, Sentinel, kit::connected};

    let hosts = |urls: Vec<String>| urls.join(",").replace("redis://", "");
    let mut world = World::new(At::Files).await.unwrap();
    let mut sites = Vec::new();
    let cluster = Cluster::start();
    if let Some(cluster) = &cluster {
        let connect = || RedisStore::connect_cluster(cluster.urls());
        let store = connected(connect).await;
        let dsn = format!("redis+cluster://{}", hosts(cluster.urls()));
        sites.push((dsn, DynStore::new(store)));
    }
    let sentinel = Sentinel::start();
    if let Some(sentinel) = &sentinel {
        let connect = || RedisStore::connect_sentinel(sentinel.urls(), "mymaster");
        let store = connected(connect).await;
        let dsn = format!("redis+sentinel://{}/mymaster", hosts(sentinel.urls()));
        sites.push((dsn, DynStore::new(store)));
    }
    for (dsn, store) in sites {
        world.use_store(&dsn, store);
        let ada = world.log_in("ada", "laptop").await;
        world.log_in("ada", "phone").await;
        let tool = &world.tool;
        assert_eq!(tool.run(&["list", "--json"]).lines().len(), 3, "{dsn}");
        tool.run(&["inspect", &ada.key.to_string()])
            .says(0, "laptop");
        tool.run(&["end", &ada.key.to_string(), "--yes"])
            .says(0, "ended");
        tool.run(&["end-user", "ada", "--yes"])
            .says(0, "ended 1 session");
        assert_eq!(tool.run(&["doctor", "--json"]).stdout.lines().count(), 1);
    }
}
