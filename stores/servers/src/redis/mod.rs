//! Redis and Valkey.

mod cluster;
mod resp;
mod sentinel;
mod single;

pub use self::{
    cluster::{Cluster, ClusterOptions},
    resp::Reply,
    sentinel::Sentinel,
    single::{Flavour, Redis, RedisOptions},
};
