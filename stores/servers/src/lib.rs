//! Servers for tests. Each has a free port of the loopback and its own folder, and ends when it is
//! dropped or when the test's process ends, however that happens.
//!
//! ```no_run
//! use silverback_test_servers::Redis;
//!
//! let Some(redis) = Redis::start() else { return };
//! println!("{}", redis.url());
//! redis.kill(); // as `kill -9` does
//! redis.restart();
//! redis.pause(); // the connections stay, nobody answers
//! redis.resume();
//! ```
//!
//! `start` returns `None` if a program is not installed, after printing its name. With `CI` set it
//! panics instead, so that no test is skipped where all are meant to run. It also panics if the
//! server does not start.
//!
//! Everything blocks: in an asynchronous test, other tasks of the thread wait meanwhile.
#![cfg(unix)]
#![allow(clippy::panic, reason = "only tests call this")]

mod certificates;
mod dynamodb;
mod firestore;
mod galera;
mod go;
#[cfg(feature = "kit")]
pub mod kit;
mod mariadb;
mod memcached;
mod mysql;
mod port;
mod postgres;
mod process;
mod program;
mod proxy;
mod redis;
mod secantus;
mod server;
mod user;
mod waiting;

pub use self::{
    certificates::Certificates,
    dynamodb::DynamoDb,
    firestore::Firestore,
    galera::Galera,
    go::GoServer,
    mariadb::{MariaDb, MariaDbOptions},
    memcached::Memcached,
    mysql::MySql,
    port::Port,
    postgres::{Postgres, PostgresOptions},
    program::find,
    proxy::{Outage, Proxy},
    redis::{Cluster, ClusterOptions, Flavour, Redis, RedisOptions, Reply, Sentinel},
    secantus::SecantusDb,
    server::Server,
};
