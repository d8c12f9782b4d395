#![doc = include_str!("../README.md")]

mod address;
mod calls;
mod connection;
mod error;
mod link;
mod meta;
mod record;
mod store;

pub use self::store::MemcachedStore;
