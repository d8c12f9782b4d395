#![doc = include_str!("../README.md")]

mod commands;
mod fault;
mod index;
mod record;
mod store;
mod upkeep;

pub use self::store::MongoStore;
