//! What must hold when a crowd has gone, whoever came first.

use std::collections::BTreeSet;

use http::StatusCode;
use silverback::{Session, store::RecordKey};

use super::{
    plan::{Deed, Plan, USERS},
    play::{End, Outcome, key},
};
use crate::support::{Jar, Kind, World};

/// A living session.
struct Living {
    jar: Jar,
    key: RecordKey,
    /// It has what was in the session before the crowd came.
    has_birth: bool,
    subject: Option<String>,
    keys: BTreeSet<String>,
}

async fn see(world: &World, jar: &Jar) -> Option<Living> {
    let look = async |session: Session| {
        session.skip_touch();
        session.load().await.unwrap();
        if session.is_new().unwrap() {
            return None;
        }
        let keys = session.keys().unwrap().into_iter();
        Some(Living {
            jar: jar.clone(),
            key: session.record_key().unwrap(),
            has_birth: session.contains_key("birth").unwrap(),
            subject: session.subject().unwrap(),
            keys: keys.filter(|key| key.starts_with("put")).collect(),
        })
    };
    world.visit(&mut jar.clone(), look).await.0
}

pub(super) async fn judge(plan: &Plan, end: &End) -> Result<(), &'static str> {
    let mut living = Vec::new();
    let after = end.outcomes.iter().map(|outcome| &outcome.jar);
    for jar in std::iter::once(&end.before).chain(after) {
        living.extend(see(&end.world, jar).await);
    }
    check_apart(&living)?;
    check_ends(plan, end, &living)?;
    check_values(plan, end, &living)?;
    check_lists(plan, &end.world, &living).await
}

/// No two IDs have values of one session, or of one request.
fn check_apart(living: &[Living]) -> Result<(), &'static str> {
    for (at, one) in living.iter().enumerate() {
        let mut others = living[at + 1..].iter().filter(|two| one.key != two.key);
        let share =
            |two: &Living| (one.has_birth && two.has_birth) || !one.keys.is_disjoint(&two.keys);
        if others.any(share) {
            return Err("two IDs with values of one session");
        }
    }
    Ok(())
}

/// A session that was ended is dead, and one that nobody ends lives.
fn check_ends(plan: &Plan, end: &End, living: &[Living]) -> Result<(), &'static str> {
    let lives = living.iter().any(|session| session.has_birth);
    let destroyed = |outcome: &Outcome| outcome.done.contains(&(Deed::Destroy, Ok(())));
    if lives && end.outcomes.iter().any(destroyed) {
        return Err("alive after an acknowledged destroy");
    }
    let moves =
        plan.does(|deed| matches!(deed, Deed::LogIn(_) | Deed::SetSubject(_) | Deed::Leave));
    let stays = !moves;
    // What ended may also be a session that another request has begun.
    let leaves = plan.visits.len() == 1
        && !plan.does(|deed| matches!(deed, Deed::LogIn(_) | Deed::SetSubject(_)));
    if lives
        && plan.ends_all == Some("ada")
        && let Some(Ok(count)) = end.ended
        && (stays || (leaves && count > 0))
    {
        return Err("alive after an acknowledged end of all");
    }
    let ends = ends(plan);
    let renews = plan.does(|deed| deed.may_renew());
    // A renewal that is cut off may leave the session under an ID that nobody knows.
    if !lives && !ends && (!renews || plan.is_calm()) {
        return Err("gone although nobody ended it");
    }
    Ok(())
}

fn ends(plan: &Plan) -> bool {
    plan.ends_all.is_some() || plan.does(|deed| matches!(deed, Deed::Destroy | Deed::DestroyOthers))
}

/// What a response acknowledges is there, unless the session ends, or is in a cookie, where the last
/// response wins.
fn check_values(plan: &Plan, end: &End, living: &[Living]) -> Result<(), &'static str> {
    let renews = plan.does(|deed| deed.may_renew());
    if ends(plan) || (renews && !plan.is_calm()) {
        return Ok(());
    }
    for outcome in &end.outcomes {
        let is_done = outcome.done.iter().all(|(_, done)| done.is_ok());
        if outcome.status != Some(StatusCode::OK) || !outcome.has_loaded || !is_done {
            continue;
        }
        let (deeds, _) = &plan.visits[outcome.at];
        let logs_in = deeds
            .iter()
            .any(|deed| matches!(deed, Deed::Renew | Deed::LogIn(_)));
        let saves = deeds.contains(&Deed::Save);
        // A login that lost to another renewal starts with what it had not saved before.
        let is_kept = plan.kind == Kind::Remote || (logs_in && !saves);
        let puts = deeds.iter().enumerate().filter(|(_, deed)| deed.puts());
        let mut puts = puts.map(|(number, _)| key(outcome.at, number));
        let is_there = |key: &String| living.iter().any(|session| session.keys.contains(key));
        if is_kept && !puts.all(|key| is_there(&key)) {
            return Err("an answered write lost");
        }
    }
    Ok(())
}

/// Each session is in the list of its subject and in no other, and ends with that subject's.
async fn check_lists(plan: &Plan, world: &World, living: &[Living]) -> Result<(), &'static str> {
    for user in USERS {
        let listed = world.subjects().list(user).await.unwrap();
        for session in living.iter().filter(|_| plan.is_calm()) {
            let is_theirs = session.subject.as_deref() == Some(user);
            let is_listed = listed.iter().any(|one| one.record_key() == session.key);
            if is_theirs != is_listed {
                return Err("not listed, or in another's list");
            }
        }
    }
    for user in USERS {
        world.destroy_all(user).await;
        for session in living {
            let now = see(world, &session.jar).await;
            let is_theirs = |session: &Living| session.subject.as_deref() == Some(user);
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
