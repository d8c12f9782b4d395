//! What one request has taken, no other may have.

use std::collections::BTreeSet;

use http::StatusCode;

use super::{
    deeds::{Deed, Done, PRIZE},
    living::Living,
    plan::{Plan, Reply},
    play::{End, MESSAGE, Outcome},
};

/// Returns whether a request may have taken the value, or read the message, with this tag.
pub(super) fn may_be_read(tag: &str, plan: &Plan, end: &End) -> bool {
    let takes = |deed: &Deed| match tag {
        PRIZE => *deed == Deed::Take,
        _ => deed.reads_flashes(),
    };
    let took = |(_, done): &(Deed, Done)| done.iter().flatten().any(|one| one == tag);
    let may_have_taken = |(deed, done): &(Deed, Done)| done.is_err() && takes(deed);
    end.outcomes.iter().any(|outcome| {
        let is_cut = outcome.status.is_none() && plan.visits[outcome.at].does(takes);
        let is_unknown = !plan.is_calm() && outcome.all_done().any(may_have_taken);
        let keeps = tag == PRIZE || !gives_back(plan, outcome);
        let mut done = outcome.done.iter().filter(|_| keeps);
        is_cut || is_unknown || done.any(took) || outcome.late.iter().any(took)
    })
}

/// Returns whether the messages that the request read are for the next one.
fn gives_back(plan: &Plan, outcome: &Outcome) -> bool {
    let is_head = plan.visits[outcome.at].reply == Reply::Head;
    // A request that lost a renewal has nothing to give back.
    let renews = plan.does(|deed| deed.may_renew());
    is_head && !renews && outcome.status == Some(StatusCode::OK)
}

/// What one request has taken, no other has, and what none has taken is there.
pub(super) fn check_taken(plan: &Plan, end: &End, living: &[Living]) -> Result<(), &'static str> {
    if !plan.is_in_store() {
        return Ok(());
    }
    let is_there = |tag: &String| living.iter().any(|session| session.has(tag));
    let mut taken = BTreeSet::new();
    // What is given back can be taken again.
    let given_back = |outcome: &Outcome, deed: &Deed| {
        plan.visits[outcome.at].reply == Reply::Head && deed.reads_flashes()
    };
    let done = end.outcomes.iter().flat_map(|outcome| {
        let done = outcome.all_done();
        done.filter(|(deed, _)| deed.saves() && !given_back(outcome, deed))
    });
    for (_, done) in done {
        for tag in done.iter().flatten() {
            if !taken.insert(tag) {
                return Err("taken twice");
            }
            if is_there(tag) {
                return Err("there although it was taken");
            }
        }
    }
    let renews = plan.does(|deed| deed.may_renew());
    for outcome in end.outcomes.iter().filter(|_| !renews) {
        let is_saved = outcome.status == Some(StatusCode::OK) && !gives_back(plan, outcome);
        let done = outcome.done.iter().filter(|_| is_saved);
        let late = outcome.late.iter().filter(|_| outcome.is_late_done());
        if done
            .chain(late)
            .flat_map(|(_, done)| done)
            .flatten()
            .any(is_there)
        {
            return Err("there although it was read");
        }
    }
    let lives = living.iter().any(|session| session.has_birth);
    for tag in [PRIZE, MESSAGE] {
        if lives && !is_there(&tag.to_owned()) && !may_be_read(tag, plan, end) {
            return Err("taken by nobody");
        }
    }
    Ok(())
}
