//! Expiry in real time, for stores whose server has a clock that cannot be set.
//!
//! A store may use either half of an [`Expiry`], and count in whole seconds. So a record of three
//! seconds lives for at least two, and may live for four. The rules never judge by when something
//! should have happened: a record has to exist if an answer came before the earliest end, and to be
//! gone if the question was asked after the latest. If an answer comes too late, the rule tries
//! again.

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
/// How far whole seconds may put off an end, in the store and here.
const SLACK: Duration = Duration::from_secs(1);
/// When a record of `SHORT` has certainly expired.
const LATER: Duration = Duration::from_secs(5);

/// The result of an attempt.
enum Seen {
    InTime,
    /// Inconclusive: this machine or the store was slow, or the system's clock was set.
    TooLate,
}

/// Tries until an attempt is in time.
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

    /// The expiry of a record that lives this long from this moment.
    fn expiry(self, life: Duration) -> Expiry {
        Expiry::new(self.wall.saturating_add(life), self.wall)
    }

    /// Returns whether a record of this moment is certainly alive: an answer that has come by now
    /// is about a living record.
    fn is_before_the_end_of(self, life: Duration) -> bool {
        self.at.elapsed() + SLACK < life && self.has_steady_clock()
    }

    fn has_steady_clock(self) -> bool {
        self.agrees(self.at.elapsed(), Clock::system().now())
    }

    /// Returns whether this time has passed between this moment and one at `wall`.
    fn agrees(self, passed: Duration, wall: Timestamp) -> bool {
        self.wall
            .saturating_add(passed)
            .as_secs()
            .abs_diff(wall.as_secs())
            <= 1
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

/// The shortest life that a session can have left when its record is written.
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

/// Gives the record another end.
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
    // By the common clock, the record had expired before the answer came.
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

/// Requires the long-lived record to be unchanged.
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

/// Requires the short-lived record, which the store confirmed long enough ago, to be gone.
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{
        super::{bench::NO_VERSION, subject::Subject},
        *,
    };
    use crate::store::MemoryStore;

    fn bench(patience: Duration) -> Bench<MemoryStore> {
        let subject = Subject::new(MemoryStore::new()).patience(patience);
        Bench::new(subject.0.unwrap(), Clock::system().now())
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn an_attempt_that_was_too_late_is_repeated() {
        let (bench, attempts) = (bench(HOUR), Cell::new(0));
        let attempt = async || {
            attempts.set(attempts.get() + 1);
            Ok(match attempts.get() {
                ..3 => Seen::TooLate,
                _ => Seen::InTime,
            })
        };
        let verdict = in_time(&bench, attempt).await;
        assert_eq!(verdict, Ok(Verdict::Passed));
        assert_eq!(attempts.get(), 3);
    }

    #[tokio::test]
    async fn on_a_machine_that_is_too_slow_the_rule_is_skipped() {
        let (bench, attempts) = (bench(Duration::ZERO), Cell::new(0));
        let attempt = async || {
            attempts.set(attempts.get() + 1);
            Ok(Seen::TooLate)
        };
        let verdict = in_time(&bench, attempt).await.unwrap();
        let reason = verdict.skipped().unwrap().to_string();
        assert!(reason.contains("too slow"), "{reason}");
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test]
    async fn a_broken_rule_is_not_tried_again() {
        let (bench, attempts) = (bench(HOUR), Cell::new(0));
        let attempt = async || {
            attempts.set(attempts.get() + 1);
            Err("broken".to_owned())
        };
        let verdict = in_time(&bench, attempt).await;
        assert_eq!(verdict, Err("broken".to_owned()));
        assert_eq!(attempts.get(), 1);
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_is_not_trusted() {
        let moment = Moment::now();
        let after = |seconds| moment.wall.saturating_add(Duration::from_secs(seconds));
        for (passed, wall, agrees) in [
            (0, 0, true),
            (0, 1, true),
            (0, 2, false),
            (60, 59, true),
            (60, 61, true),
            (60, 0, false),
            (60, 3_660, false),
        ] {
            let passed = Duration::from_secs(passed);
            assert_eq!(moment.agrees(passed, after(wall)), agrees, "{wall}");
        }
        let of_the_future = Moment {
            wall: after(3_600),
            ..moment
        };
        assert!(!of_the_future.is_before_the_end_of(HOUR));
    }

    /// The record is missing each time, which is a fault only if the answer was in time.
    #[tokio::test]
    async fn an_answer_that_came_too_late_is_not_judged() {
        let bench = bench(HOUR);
        let key = bench.key();
        let seen = async |begun: Moment| {
            let end = begun.expiry(LONG);
            lives(&bench, "a create", &key, (begun, end, NO_VERSION)).await
        };
        let fault = loop {
            if let Err(fault) = seen(Moment::now()).await {
                break fault;
            }
        };
        assert!(fault.contains("expected the record"), "{fault}");
        let now = Moment::now();
        let late = Moment {
            wall: Timestamp::from_secs(now.wall.as_secs() - LONG.as_secs()),
            at: now.at.checked_sub(LONG).unwrap(),
        };
        let of_the_future = Moment {
            wall: now.wall.saturating_add(HOUR),
            ..now
        };
        for begun in [late, of_the_future] {
            assert!(matches!(seen(begun).await, Ok(Seen::TooLate)));
        }
    }
}
