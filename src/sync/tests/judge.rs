//! What must hold in every order.

use super::{
    plan::{Act, KEYS, Kind, Plan, RIVAL},
    play::{Done, End},
};
use crate::ErrorKind;
use http::StatusCode;

pub(super) fn judge(plan: &Plan, end: &End) -> Result<(), &'static str> {
    let is_certain = plan.kind != Kind::Failing && !plan.does(Act::Destroy);
    if is_certain && end.status != StatusCode::OK {
        return Err("refused for nothing");
    }
    if !end
        .tasks
        .iter()
        .flatten()
        .all(|done| is_allowed(plan, done.1))
    {
        return Err("an error for nothing");
    }
    let has_ended = end
        .tasks
        .iter()
        .flatten()
        .any(|done| *done == (Act::Destroy, Ok(())));
    if has_ended && plan.kind.ends_older_cookies() && end.before.is_some() {
        return Err("alive after a logout");
    }
    if end.status == StatusCode::OK && !plan.does(Act::Destroy) {
        check_values(plan, end)?;
    }
    Ok(())
}

fn is_allowed(plan: &Plan, done: Result<(), ErrorKind>) -> bool {
    let Err(kind) = done else { return true };
    match kind {
        ErrorKind::AlreadyCommitted => true,
        // Another task is loading it again.
        ErrorKind::NotLoaded if plan.does(Act::Load) => true,
        ErrorKind::Gone | ErrorKind::Conflict => {
            plan.does(Act::Destroy) || plan.kind == Kind::Failing
        }
        _ => plan.kind == Kind::Failing,
    }
}

/// Each change that was answered, and not dropped since, is in the session once.
fn check_values(plan: &Plan, end: &End) -> Result<(), &'static str> {
    let (count, keys) = end.after.clone().unwrap_or_default();
    let loads = plan.does(Act::Load);
    if end.is_rival_saved && !keys.contains(&RIVAL) {
        return Err("the other request's value lost");
    }
    let (mut expected, mut all) = (0, 0);
    for (done, key) in end.tasks.iter().zip(KEYS) {
        let is_saved =
            |at: usize| !loads || done[at].0 == Act::InsertAndSave || is_saved_later(done, at);
        let is_ok = |at: &usize| done[*at].1.is_ok();
        for at in (0..done.len()).filter(is_ok) {
            match done[at].0 {
                Act::Insert | Act::InsertAndSave if is_saved(at) && !keys.contains(&key) => {
                    return Err("an answered insert lost");
                }
                Act::Count => {
                    all += 1;
                    expected += u32::from(is_saved(at));
                }
                _ => {}
            }
        }
    }
    match () {
        () if count < expected => Err("an answered update lost"),
        () if count > all => Err("an update counted twice"),
        () => Ok(()),
    }
}

/// Another task that loads the session after the response drops what is not saved.
fn is_saved_later(done: &Done, at: usize) -> bool {
    done[at..].contains(&(Act::Save, Ok(())))
}
