//! The contract of a store, on real servers.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(all(feature = "cluster", feature = "sentinel"))]

use std::{
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
use silverback_test_servers::{Cluster, Flavour, Proxy, Redis, Sentinel};

store_conformance!(mod redis, behind_a_proxy(&REDIS).await);
store_conformance!(mod valkey, behind_a_proxy(&VALKEY).await);
store_conformance!(mod confirmed, confirmed().await);
store_conformance!(mod sentinel, watched().await);
store_conformance!(mod cluster, in_a_cluster().await);

static REDIS: LazyLock<Option<Redis>> = LazyLock::new(Redis::start);
static VALKEY: LazyLock<Option<Redis>> =
    LazyLock::new(|| Redis::options().flavour(Flavour::Valkey).start());
static SENTINEL: LazyLock<Option<Sentinel>> = LazyLock::new(Sentinel::start);
static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);

type Store = Result<RedisStore, StoreError>;

fn there<T>(server: &'static Option<T>) -> Result<&'static T, Skip> {
    server
        .as_ref()
        .ok_or_else(|| Skip::new("the server is not installed"))
}

/// A store behind a proxy, and its peer that goes to the server itself.
async fn behind_a_proxy(server: &'static Option<Redis>) -> Result<Subject<RedisStore>, Skip> {
    let server = there(server)?;
    let proxy = Arc::new(Proxy::to(server.port()));
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    let [silent, cut, counting] = std::array::from_fn(|_| Arc::clone(&proxy));
    let subject = with_garbage(store.unwrap(), server)
        .peer(RedisStore::connect(&server.url()).await.unwrap())
        .silence(move |_| {
            silent.silence();
            let proxy = Arc::clone(&silent);
            async { Ended(proxy, Proxy::speak) }
        })
        .cut(move |_| {
            cut.refuse();
            let proxy = Arc::clone(&cut);
            async { Ended(proxy, Proxy::accept) }
        })
        .round_trips(move |_| {
            let requests = counting.requests();
            async move { requests }
        })
        .deadline(Duration::from_secs(3))
        .keep(proxy);
    Ok(subject)
}

/// Ends what a proxy was told to do.
struct Ended(Arc<Proxy>, fn(&Proxy));

impl Drop for Ended {
    fn drop(&mut self) {
        (self.1)(&self.0);
    }
}

fn with_garbage(store: RedisStore, server: &'static Redis) -> Subject<RedisStore> {
    let put = move |command: &'static [&'static str]| {
        move |_, key: RecordKey| {
            let (name, value) = command.split_first().unwrap();
            let key = format!("silverback:{key}");
            let _ = server.ask(&["DEL", &key]);
            let _ = server.ask(&[&[*name, key.as_str()], value].concat());
            async {}
        }
    };
    Subject::new(store)
        .garbage(put(&["SET", "a cart of another program, and long enough"]))
        .garbage(put(&["SET", ""]))
        .garbage(put(&["SET", "sbr1 half"]))
        .garbage(put(&["RPUSH", "a list"]))
}

/// Every write waits for the replica.
async fn confirmed() -> Result<Subject<RedisStore>, Skip> {
    let sentinel = there(&SENTINEL)?;
    let connect = || async {
        let store = RedisStore::connect(&sentinel.nodes()[0].url()).await?;
        Store::Ok(store.wait_replicas(1, Duration::from_secs(1)))
    };
    let subject = with_garbage(connect().await.unwrap(), &sentinel.nodes()[0]);
    Ok(subject.peer(connect().await.unwrap()))
}

async fn watched() -> Result<Subject<RedisStore>, Skip> {
    let sentinel = there(&SENTINEL)?;
    let connect = || RedisStore::connect_sentinel(sentinel.urls(), Sentinel::NAME);
    let subject = with_garbage(connect().await.unwrap(), &sentinel.nodes()[0]);
    Ok(subject.peer(connect().await.unwrap()))
}

async fn in_a_cluster() -> Result<Subject<RedisStore>, Skip> {
    let cluster = there(&CLUSTER)?;
    let connect = || async {
        let store = RedisStore::connect_cluster(cluster.urls()).await?;
        Store::Ok(store.wait_replicas(1, Duration::from_secs(1)))
    };
    let subject = Subject::new(connect().await.unwrap());
    let put = |_, key: RecordKey| {
        let key = format!("silverback:{key}");
        let _ = cluster.master_of(&key).ask(&["SET", &key, "garbage"]);
        async {}
    };
    let subject = subject.garbage(put);
    Ok(subject.peer(connect().await.unwrap()))
}
