//! silverback
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
pub mod axum;
mod clock;
mod codec;
mod config;
mod cookie;
mod crypto;
mod error;
mod future;
mod id;
pub mod key;
mod layer;
mod registry;
mod responder;
mod service;
mod session;
pub mod store;
mod trace;

pub use self::{
    clock::{Clock, Timestamp},
    config::{SessionConfig, Timeouts},
    cookie::CookieAttributes,
    error::{ConfigError, Error, ErrorKind, Rejection},
    future::ResponseFuture,
    key::{Key, KeyError, KeyId, KeyState, Keys},
    layer::SessionLayer,
    registry::Sessions,
    responder::{DefaultResponder, FailedCommit, Responder},
    service::SessionService,
    session::{Flashes, Session, SessionData, Typed},
};
pub use ::cookie::SameSite;
