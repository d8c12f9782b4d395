#![doc = include_str!("../README.md")]

mod ask;
mod batch;
mod browse;
mod condition;
mod failure;
mod item;
mod store;
mod table;

pub use self::store::DynamoDbStore;
