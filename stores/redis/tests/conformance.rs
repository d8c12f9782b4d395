//! The contract of a store, on real servers.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(all(feature = "cluster", feature = "sentinel"))]

use std::{
    future::ready,
    sync::{Arc, LazyLock},
    time::Duration,
};

use silverback::{
    store::{
        RecordKey, StoreError,
        conformance::{Skip, Subject},
    },
    store_conformance,
};
use silverback_redis::RedisStore;
use silverback_test_servers::{Cluster, Flavour, Proxy, Redis, Reply, Sentinel};

store_conformance!(mod redis, behind_a_proxy(&REDIS).await);
store_conformance!(mod valkey, alone(&VALKEY).await);
store_conformance!(mod confirmed, confirmed().await);
store_conformance!(mod sentinel, watched().await);
store_conformance!(mod cluster, in_a_cluster().await);

static REDIS: LazyLock<Option<Redis>> = LazyLock::new(Redis::start);
static VALKEY: LazyLock<Option<Redis>> =
    LazyLock::new(|| Redis::options().flavour(Flavour::Valkey).start());
// Nothing fails here. A client that waits on a busy machine does not take the server for dead.
static SENTINEL: LazyLock<Option<Sentinel>> = LazyLock::new(|| Sentinel::start_with(FOR_EVER));
static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(|| {
    let options = Cluster::options();
    options.set("cluster-node-timeout", "120000").start()
});

type Store = Result<RedisStore, StoreError>;

/// The timeout of calls to a failing server. A call may take this long on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// The timeout elsewhere, which only ends a hang.
const FOR_EVER: Duration = Duration::from_secs(120);

fn there<T>(server: &'static Option<T>) -> Result<&'static T, Skip> {
    server
        .as_ref()
        .ok_or_else(|| Skip::new("the server is not installed"))
}

/// A store behind a proxy, and its peer with a direct connection.
async fn behind_a_proxy(server: &'static Option<Redis>) -> Result<Subject<RedisStore>, Skip> {
    let server = there(server)?;
    let proxy = Proxy::to(server.port());
    let subject = beside(connect(proxy.port()).await.timeout(FOR_EVER), server)
        .peer(connect(server.port()).await.timeout(FOR_EVER))
        .round_trips(move |_| ready(proxy.requests()))
        .outages(move || before_a_failing(server));
    Ok(subject)
}

async fn before_a_failing(server: &Redis) -> Subject<RedisStore> {
    let silent = Arc::new(Proxy::to(server.port()));
    let cut = Arc::clone(&silent);
    Subject::new(connect(silent.port()).await.timeout(DEADLINE))
        .silence(move |_| ready(silent.silenced()))
        .cut(move |_| ready(cut.cut_off()))
        .deadline(DEADLINE)
}

async fn connect(port: u16) -> RedisStore {
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{port}")).await;
    store.unwrap()
}

async fn alone(server: &'static Option<Redis>) -> Result<Subject<RedisStore>, Skip> {
    let server = there(server)?;
    let connect = async || {
        let store = RedisStore::connect(&server.url()).await;
        store.unwrap().timeout(FOR_EVER)
    };
    Ok(beside(connect().await, server).peer(connect().await))
}

fn name(key: &RecordKey) -> String {
    format!("silverback:{key}")
}

/// How long the server keeps a record.
fn left(server: &Redis, key: &RecordKey) -> Option<Duration> {
    match server.ask(&["PTTL", &name(key)]) {
        Reply::Number(left) => left.try_into().ok().map(Duration::from_millis),
        _ => None,
    }
}

/// What the rules ask the server itself.
fn beside(store: RedisStore, server: &'static Redis) -> Subject<RedisStore> {
    let put = move |command: &'static [&'static str]| {
        move |_, key: RecordKey| {
            let (command, value) = command.split_first().unwrap();
            let _ = server.ask(&["DEL", &name(&key)]);
            let _ = server.ask(&[&[*command, name(&key).as_str()], value].concat());
            ready(())
        }
    };
    Subject::new(store)
        .garbage(put(&["SET", "a cart of another program, and long enough"]))
        .garbage(put(&["SET", ""]))
        .garbage(put(&["SET", "sbr1 half"]))
        .garbage(put(&["RPUSH", "a list"]))
        .time_left(move |_, key| ready(left(server, &key)))
}

/// Every write waits for the replica.
async fn confirmed() -> Result<Subject<RedisStore>, Skip> {
    let sentinel = there(&SENTINEL)?;
    let connect = || async {
        let store = RedisStore::connect(&sentinel.nodes()[0].url()).await?;
        Store::Ok(store.wait_replicas(1, FOR_EVER / 2).timeout(FOR_EVER))
    };
    let subject = beside(connect().await.unwrap(), &sentinel.nodes()[0]);
    Ok(subject.peer(connect().await.unwrap()))
}

async fn watched() -> Result<Subject<RedisStore>, Skip> {
    let sentinel = there(&SENTINEL)?;
    let connect = async || {
        let store = RedisStore::connect_sentinel(sentinel.urls(), Sentinel::NAME).await?;
        Store::Ok(store.timeout(FOR_EVER))
    };
    let subject = beside(connect().await.unwrap(), &sentinel.nodes()[0]);
    Ok(subject.peer(connect().await.unwrap()))
}

async fn in_a_cluster() -> Result<Subject<RedisStore>, Skip> {
    let cluster = there(&CLUSTER)?;
    let connect = || async {
        let store = RedisStore::connect_cluster(cluster.urls()).await?;
        // The client of a cluster waits at most ten seconds for an answer.
        let within = Duration::from_secs(9);
        Store::Ok(store.wait_replicas(1, within).timeout(FOR_EVER))
    };
    let master = |key: &RecordKey| cluster.master_of(&name(key));
    let put = move |_, key: RecordKey| {
        let _ = master(&key).ask(&["SET", &name(&key), "garbage"]);
        ready(())
    };
    let subject = Subject::new(connect().await.unwrap())
        .garbage(put)
        .time_left(move |_, key| ready(left(master(&key), &key)));
    Ok(subject.peer(connect().await.unwrap()))
}
