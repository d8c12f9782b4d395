//! The sessions of one request, side by side: one cell each, empty until somebody asks for it.

mod commit;
mod registry;

pub(crate) use self::{
    commit::{Commit, Committed, Cookies, commit},
    registry::{Handle, Registry, Shared},
};
