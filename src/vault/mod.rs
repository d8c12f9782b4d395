//! What the server keeps of a session, and of a subject's roster.

mod overflow;
mod records;
mod renew;
mod retry;
mod rosters;
mod save;
mod write;

pub(crate) use self::{records::Vault, rosters::Enrolled};
