//! What is done to one session of one request from beginning to end: opening, saving, ending and
//! committing it.

mod applied;
mod cell;
mod commit;
mod contenders;
mod destroy;
mod direct;
mod exchange;
mod flight;
mod look;
mod open;
mod presented;
mod reply;
mod save;

pub(crate) use self::{
    cell::{Anchor, Cell, run, run_now},
    commit::{Commit, Keep, commit_cookie},
    destroy::Destroy,
    exchange::Exchange,
    look::{Fetched, check_cookie, claimed, wanted},
    open::{Open, OpenFetched, ROUNDS, Reopen, open_cookie},
    reply::Reply,
    save::{Save, Touch},
};
