//! Random schedules of overlapping requests, on every kind of session, judged by an oracle that
//! uses only the public API. `SILVERBACK_SOAK` multiplies their number.

mod go;
mod moving;
mod oracle;
mod plan;
mod run;
mod script;
mod watcher;

use std::env;

use self::{
    oracle::Alarm,
    plan::Plan,
    run::{Counts, run},
};

/// The number of worlds in a short run.
const SHORT: u64 = 840;

/// The same with moves, whose worlds take ten times as long.
const SHORT_OF_MOVES: u64 = 120;

/// The first seed, and the number of worlds to try.
fn worlds(short: u64) -> (u64, u64) {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SILVERBACK_SEED").unwrap_or(0);
    let soak = env::var_os("SILVERBACK_SOAK").is_some();
    let many = if soak { short * 100 } else { short };
    (first, number("SILVERBACK_WORLDS").unwrap_or(many))
}

async fn story(seed: u64, plan: Plan, alarm: &Alarm) -> String {
    let rings = async |less: &Plan| {
        let (_, found) = run(less).await;
        found.is_some_and(|found| found.name == alarm.name)
    };
    let plan = plan.shortened(rings).await;
    let last = run(&plan).await.1.unwrap_or_else(|| alarm.clone());
    let mut story = format!(
        "seed {seed}, {:?}, encrypted {}, max_age {}\n",
        plan.kind, plan.is_encrypted, plan.has_max_age
    );
    for event in &plan.events {
        story += &format!("  {event:?}\n");
    }
    format!("{story}{}: {}", last.name, last.story)
}

#[tokio::test(start_paused = true)]
async fn no_schedule_rings_an_alarm() {
    try_all(SHORT, Plan::of).await;
}

/// The same while servers restart one by one and all records move to another store.
#[tokio::test(start_paused = true)]
async fn no_schedule_of_a_move_rings_an_alarm() {
    try_all(SHORT_OF_MOVES, Plan::of_a_move).await;
}

async fn try_all(short: u64, plan: fn(u64) -> Plan) {
    let (first, many) = worlds(short);
    let (mut all, mut alarms) = (Counts::default(), Vec::new());
    for seed in first..first + many {
        let plan = plan(seed);
        let (counts, alarm) = run(&plan).await;
        all.requests += counts.requests;
        all.renewals += counts.renewals;
        all.ends += counts.ends;
        all.cut_off += counts.cut_off;
        all.faults += counts.faults;
        all.late += counts.late;
        all.refused += counts.refused;
        if let Some(alarm) = alarm {
            if !alarms.iter().any(|(name, _)| *name == alarm.name) {
                eprintln!("seed {seed}: {}: {}", alarm.name, alarm.story);
                let story = story(seed, plan, &alarm).await;
                eprintln!("{story}\n");
                alarms.push((alarm.name, story));
            }
            if alarms.len() > 5 {
                break;
            }
        }
    }
    println!("{many} worlds: {all:?}, {} alarms", alarms.len());
    let stories: Vec<_> = alarms.into_iter().map(|(_, story)| story).collect();
    assert!(stories.is_empty(), "{}", stories.join("\n\n"));
}
