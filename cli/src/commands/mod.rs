//! The commands, one function each.

mod batches;
mod cookie;
mod end;
mod import;
mod inspect;
mod keys;
mod list;
mod migrate;
mod pages;
mod progress;
mod shell;
mod sweep;

pub(crate) use self::{
    cookie::{decode, explain},
    end::{end, end_user},
    import::import,
    inspect::inspect,
    keys::{keygen, revoke, rotate},
    list::list,
    migrate::migrate,
    pages::Pages,
    shell::{completions, man},
    sweep::sweep,
};
