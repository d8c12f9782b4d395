//! The sessions of one request. Each has a cell, which is empty until the session is used.

mod commit;
mod fetch;
mod registry;

pub(crate) use self::{
    commit::{Committed, Progress, commit},
    fetch::fetch,
    registry::{Handle, Registry, Shared},
};
