//! What must hold when a crowd has gone, in whatever order it came.

use std::collections::BTreeSet;

use http::StatusCode;

use super::{
    deeds::{Deed, Done, USERS},
    living::{Living, check_apart},
    outside::{Outside, PARCEL},
    plan::{Plan, Reply},
    play::{End, Outcome, tag},
    taken::{check_taken, may_be_read},
};
use crate::support::World;

pub(super) async fn judge(plan: &Plan, end: &End) -> Result<(), &'static str> {
    let mut living = Living::all(end).await;
    let other = Living::see(&end.world, &end.before.other).await;
    check_apart(&living)?;
    check_ends(plan, end, &living)?;
    check_other(plan, end, other.is_some())?;
    check_values(plan, end, &living)?;
    check_discarded(plan, end, &living)?;
    check_taken(plan, end, &living)?;
    living.extend(other);
    check_left(plan, &end.world, &living).await?;
    check_lists(plan, &end.world, &living).await
}

/// Each record belongs to a session that somebody can open, unless a store has failed, or a save
/// came before a response that was refused.
async fn check_left(plan: &Plan, world: &World, living: &[Living]) -> Result<(), &'static str> {
    let saves = plan.does(|deed| *deed == Deed::Save);
    if !plan.is_calm() || plan.moves || saves {
        return Ok(());
    }
    let keys: BTreeSet<_> = living.iter().map(|session| session.key).collect();
    match world.records().sessions().await > keys.len() {
        true => Err("a record that nobody can open"),
        false => Ok(()),
    }
}

/// A session that was ended is dead, and one that nobody ends lives.
fn check_ends(plan: &Plan, end: &End, living: &[Living]) -> Result<(), &'static str> {
    let lives = living.iter().any(|session| session.has_birth);
    let destroyed = (Deed::Destroy, Ok(Vec::new()));
    let destroys = |outcome: &Outcome| outcome.all_done().any(|done| *done == destroyed);
    if lives && end.outcomes.iter().any(destroys) {
        return Err("alive after an acknowledged destroy");
    }
    let stays = !plan.does(|deed| deed.moves() || *deed == Deed::Leave);
    // What ended may also be a session that another request has begun.
    let leaves = plan.visits.len() == 1 && !plan.does(|deed| deed.moves());
    for (outside, found) in &end.outside {
        let Ok(found) = *found else { continue };
        // The user's other session ends too.
        let (is_end, was_found) = match outside {
            Outside::EndByKey => (found > 0, false),
            Outside::EndListed("ada") => (stays && found > 0, leaves && found > 0),
            Outside::EndAll("ada") => (stays, leaves && found > 1),
            _ => (false, false),
        };
        if lives && (is_end || was_found) {
            return Err("alive after an acknowledged end without a request");
        }
        let is_only = plan.is_calm()
            && !plan.is_sealed
            && stays
            && plan.outside.len() == 1
            && !plan.ends_itself();
        let is_missed = found == 0 && !matches!(outside, Outside::EndAll(_));
        if is_only && is_missed && !matches!(outside, Outside::EndListed("bob") | Outside::Put) {
            return Err("not found by who ends it");
        }
    }
    if !lives && !plan.ends() && !may_be_lost(plan, end) {
        return Err("gone although nobody ended it");
    }
    Ok(())
}

/// The user's other session ends only with all others.
fn check_other(plan: &Plan, end: &End, lives: bool) -> Result<(), &'static str> {
    if plan.limit.is_some() {
        return Ok(());
    }
    let all = Outside::EndAll("ada");
    let may_end = plan.outside.contains(&all) || plan.does(|deed| *deed == Deed::DestroyOthers);
    if !lives && !may_end {
        return Err("another session ended");
    }
    let ends = |outcome: &Outcome| {
        let is_end = |(deed, _): &(Deed, Done)| *deed == Deed::DestroyOthers;
        let Some(at) = outcome.done.iter().position(is_end) else {
            return false;
        };
        let leaves =
            |(deed, _): &(Deed, Done)| deed.moves() || matches!(deed, Deed::Leave | Deed::Destroy);
        outcome.has_loaded && outcome.done[at].1.is_ok() && !outcome.done[..at].iter().any(leaves)
    };
    let ended_all = end
        .outside
        .iter()
        .any(|(what, found)| *what == all && found.is_ok());
    if lives && (ended_all || end.outcomes.iter().any(ends)) {
        return Err("another session alive after the end of others");
    }
    Ok(())
}

/// A renewal that is cut off may leave the session under an ID that nobody knows.
fn may_be_lost(plan: &Plan, end: &End) -> bool {
    let is_lost = |outcome: &Outcome| outcome.status != Some(StatusCode::OK);
    let renews = |outcome: &Outcome| {
        let mut deeds = plan.visits[outcome.at].deeds.iter();
        deeds.any(|deed| deed.may_renew())
    };
    let mut outcomes = end.outcomes.iter();
    !plan.is_calm() && outcomes.any(|outcome| is_lost(outcome) && renews(outcome))
}

/// What a response acknowledges is there, unless the session ends, or is in a cookie, where the last
/// response wins.
fn check_values(plan: &Plan, end: &End, living: &[Living]) -> Result<(), &'static str> {
    if plan.ends() || may_be_lost(plan, end) {
        return Ok(());
    }
    let is_there =
        |tag: &str| living.iter().any(|session| session.has(tag)) || may_be_read(tag, plan, end);
    let are_there = |at: usize, first: usize, deeds: &[Deed]| {
        let puts = (first..).zip(deeds).filter(|(_, deed)| deed.puts());
        { puts }.all(|(number, _)| is_there(&tag(at, number)))
    };
    for outcome in &end.outcomes {
        let visit = &plan.visits[outcome.at];
        let deeds = &visit.deeds;
        let logs_in = deeds
            .iter()
            .any(|deed| matches!(deed, Deed::Renew | Deed::LogIn(_)));
        let saves = deeds.iter().any(|deed| deed.saves());
        // A login that lost to another renewal starts with what it had not saved before.
        let has_record = plan.is_in_store() || (plan.is_calm() && plan.outgrows(visit));
        let is_kept = has_record || plan.visits.len() == 1 || (logs_in && !saves);
        if outcome.is_done() && outcome.has_loaded && is_kept {
            if !are_there(outcome.at, 0, deeds) {
                return Err("an answered write lost");
            }
            let persists = deeds.contains(&Deed::Persist);
            if persists && !living.iter().any(|session| session.is_persistent) {
                return Err("an answered lifetime lost");
            }
        }
        let is_done = outcome.has_loaded_late && outcome.is_late_done() && plan.is_in_store();
        if is_done && !are_there(outcome.at, deeds.len(), &visit.late) {
            return Err("a write after the response lost");
        }
    }
    let sent = end.outside.contains(&(Outside::Put, Ok(1)));
    if sent && plan.is_in_store() && !is_there(PARCEL) {
        return Err("a write without a request lost");
    }
    Ok(())
}

/// The changes of a handler that failed are nowhere, unless it saved them itself.
fn check_discarded(plan: &Plan, end: &End, living: &[Living]) -> Result<(), &'static str> {
    for outcome in &end.outcomes {
        let visit = &plan.visits[outcome.at];
        let is_discarded =
            visit.reply == Reply::Failure && !visit.deeds.iter().any(|deed| deed.saves());
        let tags = (0..visit.deeds.len()).map(|number| tag(outcome.at, number));
        if is_discarded && { tags }.any(|tag| living.iter().any(|session| session.has(&tag))) {
            return Err("there although it was discarded");
        }
    }
    Ok(())
}

/// Each session is in the list of its subject and in no other, and ends with that subject's.
async fn check_lists(plan: &Plan, world: &World, living: &[Living]) -> Result<(), &'static str> {
    for user in USERS {
        let listed = world.subjects().list(user).await.unwrap();
        for session in living.iter().filter(|_| plan.is_calm()) {
            let is_listed = listed.iter().any(|one| one.record_key() == session.key);
            if session.is_of(user) != is_listed {
                return Err("not listed, or in another's list");
            }
        }
        let theirs = living.iter().filter(|session| session.is_of(user));
        let theirs: BTreeSet<_> = theirs.map(|session| session.key).collect();
        if plan.is_calm() && plan.limit.is_some_and(|limit| theirs.len() > limit) {
            return Err("more sessions than a user may have");
        }
    }
    for user in USERS {
        world.destroy_all(user).await;
        for session in living {
            let now = Living::see(world, &session.jar).await;
            let is_theirs = |session: &Living| session.is_of(user);
            if is_theirs(session) && now.as_ref().is_some_and(is_theirs) {
                return Err("alive after the end of all");
            }
            if session.subject.is_none() && now.is_none() && plan.is_calm() {
                return Err("nobody's session ended with somebody's");
            }
        }
    }
    Ok(())
}
