//! The sessions of one request, side by side: one cell each, empty until somebody asks for it.

mod commit;
mod fetch;
mod registry;

pub(crate) use self::{
    commit::{Commit, Committed, Cookies, commit},
    fetch::fetch,
    registry::{Handle, Registry, Shared},
};
