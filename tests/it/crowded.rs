//! Requests of one browser that change, outgrow, renew, leave, empty and end its session at once, in
//! random order, while others end or change it without a request, its records move, and calls to its
//! stores fail or lose their answers. The model knows only what must hold in every order.
//! `SILVERBACK_SOAK` multiplies the number of crowds by thirty, and `SILVERBACK_SEED` is the first
//! seed.

mod deeds;
mod judge;
mod living;
mod mishaps;
mod outside;
mod plan;
mod play;
mod taken;

use std::{collections::BTreeSet, env, fmt::Write};

use self::{
    judge::judge,
    plan::Plan,
    play::{End, play},
};
use crate::support::schedule::rounds;

/// How many orders are tried for each shorter plan.
const ORDERS: u64 = 40;

/// What is wrong in the end, if anything is.
async fn verdict(plan: &Plan) -> Option<(&'static str, End)> {
    let end = play(plan).await;
    let wrong = judge(plan, &end).await.err()?;
    Some((wrong, end))
}

/// Returns a shorter plan in which the same is wrong.
async fn shortened(mut plan: Plan, wrong: &str) -> Plan {
    'shorter: loop {
        for less in plan.with_less() {
            for order in 0..ORDERS {
                let mut less = less.clone();
                less.seed = less.seed.wrapping_add(order * 7_919);
                if verdict(&less)
                    .await
                    .is_some_and(|(other, _)| other == wrong)
                {
                    plan = less;
                    continue 'shorter;
                }
            }
        }
        return plan;
    }
}

/// Plays a plan until the same is wrong again: pauses before a retry are random.
async fn seen_again(plan: &Plan, wrong: &str) -> Option<End> {
    for _ in 0..1_000 {
        let seen = verdict(plan).await.filter(|(other, _)| *other == wrong);
        if let Some((_, end)) = seen {
            return Some(end);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_first_every_promise_holds() {
    let first = env::var("SILVERBACK_SEED").ok();
    let first: u64 = first.and_then(|text| text.parse().ok()).unwrap_or(0);
    let (mut stories, mut known) = (String::new(), BTreeSet::new());
    for round in rounds(500) {
        let plan = Plan::of(first + round);
        let Some((wrong, _)) = verdict(&plan).await else {
            continue;
        };
        if known.insert(wrong) {
            let plan = shortened(plan, wrong).await;
            let end = seen_again(&plan, wrong).await;
            let outcomes = end.map(|end| (end.outcomes, end.outside));
            writeln!(stories, "round {round}: {wrong}\n{plan:#?}\n{outcomes:#?}").unwrap();
        }
    }
    assert!(stories.is_empty(), "{stories}");
}
