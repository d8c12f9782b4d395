//! What one request knows about one session. Nothing here waits, reads a clock or asks a store.

mod change;
mod direct;
mod enrolment;
mod home;
mod job;
mod life;
mod lifetime;
mod log;
mod plan;
mod value_key;

pub(crate) use self::{
    change::{Change, Effect, RawFlash, Taken, TakenFlashes, Update},
    enrolment::Enrolment,
    home::{Home, Place},
    job::{Draft, Job, Written},
    life::Life,
    lifetime::Lifetime,
    log::Log,
    plan::{When, Write},
    request::{CookieDuty, CutOff, Source, State, Use, View},
};

mod request;

#[cfg(test)]
mod tests;
