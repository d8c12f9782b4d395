//! The contract of a store, on real servers.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::sync::LazyLock;

use silverback::store_conformance;
use silverback_redis::RedisStore;
use silverback_test_servers::{Cluster, Flavour, Redis, Sentinel};

static REDIS: LazyLock<Option<Redis>> = LazyLock::new(Redis::start);
static VALKEY: LazyLock<Option<Redis>> =
    LazyLock::new(|| Redis::options().flavour(Flavour::Valkey).start());
static SENTINEL: LazyLock<Option<Sentinel>> = LazyLock::new(Sentinel::start);
static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);

store_conformance!(mod redis, RedisStore::connect(&REDIS.as_ref().unwrap().url()).await.unwrap());
store_conformance!(mod valkey, RedisStore::connect(&VALKEY.as_ref().unwrap().url()).await.unwrap());
store_conformance!(mod sentinel, RedisStore::connect_sentinel(SENTINEL.as_ref().unwrap().urls(), Sentinel::NAME).await.unwrap());
store_conformance!(mod cluster, RedisStore::connect_cluster(CLUSTER.as_ref().unwrap().urls()).await.unwrap());
