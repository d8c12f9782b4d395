//! [tower-sessions](https://docs.rs/tower-sessions) on
//! [silverback](https://docs.rs/silverback): its sessions in silverback's stores, its `Session` over
//! silverback's layer, and a move from one to the other that logs nobody out.
//!
//! | You want to | Take | Your handlers | Concurrent changes | A logout is final |
//! |---|---|---|---|---|
//! | keep tower-sessions, or axum-login, as it is, on another store | [`TowerSessionStore`] | stay | the last save wins | yes |
//! | keep handlers and axum-login, and get all of silverback's promises | [`TowerSessionLayer`] | stay | are merged | yes |
//! | leave tower-sessions | [`FormerSessions`] | change to [`silverback::Session`] | are merged | yes |
//!
//! [`FormerSessions`] works with the second way as well. The README has [the whole
//! table](https://docs.rs/crate/silverback-tower-sessions/latest). [The
//! guide](https://docs.rs/silverback/latest/silverback/guide/tower_sessions/index.html) has the way
//! from tower-sessions, and back.
//!
//! # Features
//!
//! | Feature | Adds | Default |
//! |---|---|---|
//! | `v0_14` | tower-sessions 0.14, which axum-login 0.18 and axum-messages 0.8 need | no |
//! | `v0_15` | tower-sessions 0.15 | no |
//! | `redis-1` | [`Former::redis`], with redis 1.x | no |
//! | `sqlx` | [`Former::sqlx`], with sqlx 0.9, which needs Rust 1.94, and the driver that you choose | no |
//! | `deletion-task` | tower-sessions' feature of that name: `continuously_delete_expired` | no |
//! | `signed` | [`FormerSessions::signed`] | no |
//! | `private` | [`FormerSessions::private`] | no |
//!
//! Without `v0_14` and `v0_15` the crate is empty. With both, code of both versions in one program
//! can share a store.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg(any(feature = "v0_14", feature = "v0_15"))]

mod answer;
mod failure;
mod former;
mod layer;
mod migration;
mod request;
mod row;
mod store;
mod version;

pub use self::{
    former::{Former, FormerSessionService, FormerSessions},
    layer::{TowerSessionLayer, TowerSessionService},
    migration::FormerMigration,
    store::TowerSessionStore,
};

/// The pages whose programs are built as tests.
#[cfg(all(
    doctest,
    feature = "private",
    feature = "signed",
    feature = "v0_14",
    feature = "v0_15"
))]
mod pages {
    #[doc = include_str!("../README.md")]
    mod readme {}

    #[doc = include_str!("../../../docs/guides/tower-sessions.md")]
    mod guide {}
}
