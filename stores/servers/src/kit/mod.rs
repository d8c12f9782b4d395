//! Checks that the tests of several stores share: an application on a store, its visitors, and what
//! they may see while a proxy or a server fails. Each check takes the store and the failing part,
//! and panics if the store breaks its promises.
#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a check fails by panicking"
)]

mod adding;
mod cuts;
mod outages;
mod records;
mod site;
mod upkeep;

pub use self::{
    adding::{Adding, Answers, no_increment_is_lost},
    cuts::{
        Case, an_idle_connection_may_be_cut, everybody_gets_their_own_answers, lost_answers,
        lost_answers_cost_nobody_an_error,
    },
    outages::{
        a_flush_between_load_and_save_is_a_conflict, a_server_that_is_away_is_waited_for,
        connected, is_unavailable, silence_is_an_error,
    },
    records::{DATA, create, data, key, load},
    site::{Site, Visitor, count, count_at_last, ok, visitor, visitor_with, visitor_within},
    upkeep::{listed, swept},
};
