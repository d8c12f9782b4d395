#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod browse;
mod calls;
#[cfg(feature = "cluster")]
mod cluster;
mod connect;
mod error;
mod link;
mod record;
mod script;
mod store;

pub use self::store::RedisStore;
