#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod browse;
mod calls;
#[cfg(feature = "cluster")]
mod cluster;
mod connect;
mod error;
#[cfg(feature = "gorilla")]
mod gorilla;
mod link;
mod record;
mod script;
mod store;

#[cfg(feature = "gorilla")]
#[cfg_attr(docsrs, doc(cfg(feature = "gorilla")))]
pub use self::gorilla::GorillaRedis;
pub use self::store::RedisStore;
