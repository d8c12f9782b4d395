//! Redis and Valkey.

mod resp;
mod single;

pub use self::{
    resp::Reply,
    single::{Flavour, Redis, RedisOptions},
};
