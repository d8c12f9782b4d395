#![doc = include_str!("../README.md")]

mod disk;
mod error;
mod file;
mod open;
mod operation;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

pub use self::{
    error::OpenError,
    open::{Durability, RedbOptions},
    store::RedbStore,
};
