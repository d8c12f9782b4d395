//! What the server keeps of a session, and of a subject's roster.

mod crowd;
mod destroy;
mod ends;
mod enrol;
mod foreign;
mod marking;
mod open;
mod overflow;
mod own;
mod records;
mod renew;
mod retry;
mod rosters;
mod save;
mod subjects;
mod write;

pub(crate) use self::{
    destroy::Doomed,
    ends::{MARK_LIFETIME, Token},
    records::{Found, Vault},
    subjects::Unlisted,
};
