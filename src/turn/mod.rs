//! The operations on one session of one request: opening, saving, ending and committing it.

mod cell;
mod commit;
mod contenders;
mod destroy;
mod direct;
mod exchange;
mod flights;
mod look;
mod open;
mod others;
mod presented;
mod rebase;
mod reply;
mod save;

pub(crate) use self::{
    cell::{Anchor, Cell, run, run_now},
    commit::{Commit, Keep, commit_cookie},
    destroy::Destroy,
    exchange::{Exchange, Origin},
    look::{Fetched, check_cookie, claimed, wanted},
    open::{Open, OpenFetched, ROUNDS, Reopen, open_cookie},
    others::DestroyOthers,
    reply::{Cookies, Reply},
    save::{Save, Touch},
};
