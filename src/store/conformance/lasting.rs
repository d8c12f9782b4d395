//! When a record is over, seen by waiting for it: a server with a clock of its own cannot be told
//! the time.
//!
//! A store may go by either half of an [`Expiry`], and by whole seconds. So a record of three
//! seconds is there for two, and may be there for four. Nothing is judged by when it should have
//! happened: a record has to be there if an answer came before the earliest end, and to be gone if
//! the question was asked after the latest. What came too late for that is tried again.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    bench::{Bench, Outcome, Refusal, granted, refused, require},
    verdict::{Skip, Verdict},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{Bytes, Expiry, RecordKey, Store, StoreError, Version},
};

const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(30);
/// How far an end may be put off by whole seconds, at the store and here.
const SLACK: Duration = Duration::from_secs(1);
/// When what was to be over after `SHORT` is.
const LATER: Duration = Duration::from_secs(5);

/// What an attempt has seen.
enum Seen {
    InTime,
    /// It came to nothing, as this machine or the store was slow, or the system's clock was set.
    TooLate,
}

/// Tries until an attempt was in time.
async fn in_time<S, F>(bench: &Bench<S>, attempt: impl Fn() -> F) -> Outcome<Verdict>
where
    S: Store,
    F: Future<Output = Outcome<Seen>>,
{
    let begun = Instant::now();
    loop {
        if let Seen::InTime = attempt().await? {
            return Ok(Verdict::Passed);
        }
        if begun.elapsed() > bench.with.patience / 2 {
            let reason = "this machine or the store is too slow to tell one second from another";
            return Ok(Verdict::Skipped(Skip::new(reason)));
        }
    }
}

/// A moment by the system's clock, and by one that nobody sets.
#[derive(Clone, Copy)]
struct Moment {
    wall: Timestamp,
    at: Instant,
}

impl Moment {
    fn now() -> Self {
        let (wall, at) = (Clock::system().now(), Instant::now());
        Self { wall, at }
    }

    /// What a store is told of an end that is so far from this moment.
    fn expiry(self, life: Duration) -> Expiry {
        Expiry::new(self.wall.saturating_add(life), self.wall)
    }

    /// Says whether a record of this moment is there for certain: an answer that has come by now is
    /// about a living record.
    fn is_before_the_end_of(self, life: Duration) -> bool {
        self.at.elapsed() + SLACK < life && self.has_steady_clock()
    }

    /// Says whether the two clocks agree on how long ago this was.
    fn has_steady_clock(self) -> bool {
        let passed = self.at.elapsed().as_secs();
        let wall = Clock::system().now().as_secs();
        wall.abs_diff(self.wall.as_secs().saturating_add(passed)) <= 1
    }

    async fn wait_until(self, later: Duration) {
        loop {
            let left = later.saturating_sub(self.at.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}

pub(super) async fn a_record_ends_in_real_time<S: Store>(bench: &Bench<S>) -> Outcome<Verdict> {
    in_time(bench, async || {
        let (short, long) = (bench.key(), bench.key());
        let begun = Moment::now();
        let end = begun.expiry(LONG);
        let version = create(bench, &long, end).await?;
        create(bench, &short, begun.expiry(SHORT)).await?;
        let answered = Moment::now();
        answered.wait_until(LATER).await;
        is_over(bench, "a create", &short, answered).await?;
        lives(bench, "a create", &long, (begun, end, version)).await
    })
    .await
}

pub(super) async fn an_update_moves_the_end_in_real_time<S: Store>(
    bench: &Bench<S>,
) -> Outcome<Verdict> {
    in_time(bench, async || moves_the_end(bench, Way::Update).await).await
}

pub(super) async fn a_touch_moves_the_end_in_real_time<S: Store>(
    bench: &Bench<S>,
) -> Outcome<Verdict> {
    in_time(bench, async || moves_the_end(bench, Way::Touch).await).await
}

async fn moves_the_end<S: Store>(bench: &Bench<S>, way: Way) -> Outcome<Seen> {
    let (sooner, later) = (bench.key(), bench.key());
    let created = Moment::now();
    let version = create(bench, &later, created.expiry(SHORT)).await?;
    let begun = Moment::now();
    let end = begun.expiry(LONG);
    let written = write_over(bench, way, &later, version, end).await;
    if !created.is_before_the_end_of(SHORT) {
        return Ok(Seen::TooLate);
    }
    let what = format!("{} with the current version", way.name());
    let version = granted(&what, written)?;
    let first = create(bench, &sooner, begun.expiry(LONG)).await?;
    let short = Moment::now().expiry(SHORT);
    granted(&what, write_over(bench, way, &sooner, first, short).await)?;
    let answered = Moment::now();
    answered.wait_until(LATER).await;
    let what = format!("{} to a sooner end", way.name());
    is_over(bench, &what, &sooner, answered).await?;
    let what = format!("{} to a later end", way.name());
    lives(bench, &what, &later, (begun, end, version)).await
}

pub(super) async fn what_ended_by_itself_is_gone_for_every_call<S: Store>(
    bench: &Bench<S>,
) -> Outcome<Verdict> {
    in_time(bench, async || {
        let (key, anew) = (bench.key(), bench.key());
        let begun = Moment::now();
        let version = create(bench, &key, begun.expiry(SHORT)).await?;
        create(bench, &anew, begun.expiry(SHORT)).await?;
        let answered = Moment::now();
        answered.wait_until(LATER).await;
        let expiry = Moment::now().expiry(LONG);
        let updated = update(bench, &key, version, expiry).await;
        refused("update of a record that ended", &updated, Refusal::Gone)?;
        let touched = bench.store.touch(&key, version, expiry).await;
        refused("touch of a record that ended", &touched, Refusal::Gone)?;
        let deleted = bench.store.delete(&key, Some(version)).await;
        granted("delete of a record that ended", deleted)?;
        let made = Moment::now();
        let end = made.expiry(LONG);
        let created = create(bench, &anew, end).await?;
        lives(bench, "a create in its place", &anew, (made, end, created)).await
    })
    .await
}

/// The shortest life that a session can have left, and may have to be told in.
const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn a_record_of_one_second_is_kept_for_it<S: Store>(
    bench: &Bench<S>,
) -> Outcome<Verdict> {
    for way in [Way::Create, Way::Update, Way::Touch] {
        let verdict = in_time(bench, async || lives_a_second(bench, way).await).await?;
        if verdict != Verdict::Passed {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Passed)
}

#[derive(Clone, Copy)]
enum Way {
    Create,
    Update,
    Touch,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "a create",
            Self::Update => "an update",
            Self::Touch => "a touch",
        }
    }
}

/// Gives the record of this version another end.
async fn write_over<S: Store>(
    bench: &Bench<S>,
    way: Way,
    key: &RecordKey,
    from: Version,
    end: Expiry,
) -> Result<Version, StoreError> {
    match way {
        Way::Touch => bench.store.touch(key, from, end).await,
        Way::Create | Way::Update => update(bench, key, from, end).await,
    }
}

async fn lives_a_second<S: Store>(bench: &Bench<S>, way: Way) -> Outcome<Seen> {
    let what = way.name();
    let (key, long) = (bench.key(), Moment::now().expiry(LONG));
    let version = match way {
        Way::Create => None,
        Way::Update | Way::Touch => Some(create(bench, &key, long).await?),
    };
    let begun = a_new_second().await;
    let end = begun.expiry(SECOND);
    let written = match version {
        Some(version) => write_over(bench, way, &key, version, end).await,
        None => Ok(create(bench, &key, end).await?),
    };
    let version = granted(what, written)?;
    let found = bench.load(what, &key).await?;
    // By the clock that everybody has, the record was over before the answer came.
    if Clock::system().now() >= end.at || !begun.has_steady_clock() {
        return Ok(Seen::TooLate);
    }
    let found = found.ok_or_else(|| {
        format!("load within the second after {what} for a second: expected the record, saw none")
    })?;
    require(
        found.version() == version && found.expires() == end.at,
        || {
            format!(
                "load after {what} for a second: expected version and end as told, saw {found:?}"
            )
        },
    )?;
    Ok(Seen::InTime)
}

/// The beginning of a second by the system's clock.
async fn a_new_second() -> Moment {
    let before = Clock::system().now();
    loop {
        let now = Moment::now();
        if now.wall != before {
            return now;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn create<S: Store>(bench: &Bench<S>, key: &RecordKey, end: Expiry) -> Outcome<Version> {
    let data = Bytes::from_static(b"data");
    granted(
        "create of a new record",
        bench.store.create(key, data, end).await,
    )
}

async fn update<S: Store>(
    bench: &Bench<S>,
    key: &RecordKey,
    from: Version,
    end: Expiry,
) -> Result<Version, StoreError> {
    let data = Bytes::from_static(b"data");
    bench.store.update(key, from, data, end).await
}

/// The record that was written for a long time is there as it was.
async fn lives<S: Store>(
    bench: &Bench<S>,
    after: &str,
    key: &RecordKey,
    (begun, end, version): (Moment, Expiry, Version),
) -> Outcome<Seen> {
    let held = bench.holds(after, key, b"data", version, end.at).await;
    if !begun.is_before_the_end_of(LONG) {
        return Ok(Seen::TooLate);
    }
    held.map_err(|fault| format!("{fault}; {} s after it", begun.at.elapsed().as_secs()))?;
    Ok(Seen::InTime)
}

/// The record that was written for a short time, and that the store answered for so long ago.
async fn is_over<S: Store>(
    bench: &Bench<S>,
    after: &str,
    key: &RecordKey,
    answered: Moment,
) -> Outcome {
    let passed = answered.at.elapsed().as_secs();
    bench.is_gone(after, key).await.map_err(|fault| {
        let life = SHORT.as_secs();
        format!("{fault}; {passed} s after it, for an end after {life} s")
    })
}
