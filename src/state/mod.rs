//! What one request knows about one session. Nothing here waits, reads a clock or asks a store.

mod change;
mod cut_off;
mod direct;
mod enrolment;
mod home;
mod job;
mod life;
mod lifetime;
mod log;
mod plan;
mod provenance;
mod reopen;
mod request;
mod unfinished;
mod value_key;
mod view;

pub(crate) use self::{
    change::{Change, Effect, RawFlash, Taken, TakenFlashes, Update, has_id},
    cut_off::CutOff,
    enrolment::Enrolment,
    home::{Home, Place},
    job::{Draft, Job, Written},
    life::Life,
    lifetime::Lifetime,
    log::Log,
    plan::{OldHome, When, Write},
    provenance::Provenance,
    request::{CookieDuty, Source, State, Use},
    unfinished::{Step, Unfinished},
    view::View,
};

#[cfg(test)]
mod tests;
