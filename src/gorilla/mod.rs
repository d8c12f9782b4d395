//! Sessions shared with Go: what gorilla/sessions and its relatives keep.

mod base64;
mod envelope;
mod error;
pub mod gob;

pub use self::{
    envelope::{KeyPair, OpenedCookie, SecureCookie},
    error::SecureCookieError,
};
pub use crate::crypto::HashFunction;
