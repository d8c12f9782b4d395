//! A store without its server: it has to report the outage in time, and work again afterwards.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    bench::{Bench, Outcome, Shown, granted, require},
    schedule::Pauses,
    subject::{Doing, Guard, Hook},
};
use crate::store::{Bytes, Read, Record, RecordKey, Store, StoreError, Version};

/// The answer to a call while the server failed.
struct Answer {
    call: &'static str,
    /// `None` without an answer in time.
    seen: Option<Seen>,
}

enum Seen {
    Unavailable,
    /// A cache may have the record.
    StaleRecord,
    Other(String),
}

/// The records that exist before the outage, one for each call.
struct Records {
    read: RecordKey,
    updated: (RecordKey, Version),
    touched: (RecordKey, Version),
    deleted: (RecordKey, Version),
    deleted_too: (RecordKey, Version),
    /// There are no records under these.
    absent: RecordKey,
    created: RecordKey,
}

const OLD: &[u8] = b"as it was";
const NEW: &[u8] = b"as it was to be";

impl Records {
    async fn of<S: Store>(bench: &Bench<S>) -> Outcome<Self> {
        let made = async || -> Outcome<_> {
            let key = bench.key();
            Ok((key, bench.create(&key, OLD, bench.alive()).await?))
        };
        Ok(Self {
            read: made().await?.0,
            updated: made().await?,
            touched: made().await?,
            deleted: made().await?,
            deleted_too: made().await?,
            absent: bench.key(),
            created: bench.key(),
        })
    }
}

/// Makes the server fail, makes every call at once, and ends the failure.
async fn go_through<S: Store>(bench: &Bench<S>, fail: Option<&Hook<S, Guard>>) -> Outcome<Outage> {
    let fail = fail.ok_or("nothing makes the server fail")?;
    let records = Records::of(bench).await?;
    let failing = fail(Arc::clone(&bench.store)).await;
    let (mut calls, deadline) = (JoinSet::new(), bench.with.deadline);
    for (call, answer) in reads(bench, &records)
        .into_iter()
        .chain(writes(bench, &records))
    {
        calls.spawn(async move {
            let seen = in_time(deadline, answer).await;
            Answer { call, seen }
        });
    }
    let answers = calls.join_all().await;
    drop(failing);
    let settled = settles(bench, records.read).await;
    Ok(Outage {
        answers,
        records,
        settled,
    })
}

/// An outage that has passed.
struct Outage {
    answers: Vec<Answer>,
    records: Records,
    settled: Outcome,
}

/// This many calls at once use every connection of a pool.
const CALLS: usize = 64;

/// Waits until the store answers every call again. Until then it may be unavailable, once for each
/// of its connections, and nothing else.
async fn settles<S: Store>(bench: &Bench<S>, key: RecordKey) -> Outcome {
    let (begun, mut pauses) = (Instant::now(), Pauses::default());
    loop {
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            let store = Arc::clone(&bench.store);
            calls.spawn(async move {
                match store.load(&key, Read::Current).await {
                    Ok(Some(record)) if record.data() == OLD => Ok(true),
                    Err(StoreError::Unavailable(_)) => Ok(false),
                    Ok(Some(_)) => Err("another record".to_owned()),
                    Ok(None) => Err("no record".to_owned()),
                    Err(error) => Err(Shown(&error).to_string()),
                }
            });
        }
        let answers: Outcome<Vec<bool>> = calls.join_all().await.into_iter().collect();
        let answers = answers.map_err(|seen| {
            format!("load after an outage: expected the record or Unavailable, saw {seen}")
        })?;
        if answers.iter().all(|is_there| *is_there) {
            return Ok(());
        }
        if !pauses.next_within(bench.with.patience / 2, begun).await {
            return Err("load long after an outage: saw that the store is unavailable".to_owned());
        }
    }
}

type Call = (&'static str, Doing<Seen>);

fn reads<S: Store>(bench: &Bench<S>, records: &Records) -> Vec<Call> {
    let (there, absent) = (records.read, records.absent);
    let asks = |key: RecordKey, read: Read| {
        call(bench, move |store| async move {
            told(store.load(&key, read).await, read)
        })
    };
    let asks_many = |read: Read| {
        call(bench, move |store| async move {
            let mut answers = store.load_many(&[absent, there], read).await;
            let last = answers.pop().unwrap_or(Ok(None));
            match told(answers.pop().unwrap_or(Ok(None)), Read::Current) {
                Seen::Unavailable => told(last, read),
                other => other,
            }
        })
    };
    vec![
        ("load", asks(there, Read::Current)),
        ("load where no record is", asks(absent, Read::Current)),
        ("recent load", asks(there, Read::Recent)),
        ("recent load where no record is", asks(absent, Read::Recent)),
        ("load_many", asks_many(Read::Current)),
        ("recent load_many", asks_many(Read::Recent)),
    ]
}

fn writes<S: Store>(bench: &Bench<S>, records: &Records) -> Vec<Call> {
    let (expiry, created) = (bench.expiry(bench.alive()), records.created);
    let ((updated, from), (touched, at)) = (records.updated, records.touched);
    let ((deleted, expected), many) = (records.deleted, records.deleted_too);
    let new = || Bytes::from_static(NEW);
    vec![
        (
            "create",
            call(bench, move |store| async move {
                done(store.create(&created, new(), expiry).await)
            }),
        ),
        (
            "update",
            call(bench, move |store| async move {
                done(store.update(&updated, from, new(), expiry).await)
            }),
        ),
        (
            "touch",
            call(bench, move |store| async move {
                done(store.touch(&touched, at, expiry).await)
            }),
        ),
        (
            "delete",
            call(bench, move |store| async move {
                done(store.delete(&deleted, Some(expected)).await)
            }),
        ),
        (
            "delete_many",
            call(bench, move |store| async move {
                let deleted = store.delete_many(&[(many.0, Some(many.1))]).await;
                done(deleted.into_iter().next().unwrap_or(Ok(())))
            }),
        ),
    ]
}

fn call<S: Store, F>(bench: &Bench<S>, make: impl FnOnce(Arc<S>) -> F) -> Doing<Seen>
where
    F: Future<Output = Seen> + Send + 'static,
{
    Box::pin(make(Arc::clone(&bench.store)))
}

fn told(loaded: Result<Option<Record>, StoreError>, read: Read) -> Seen {
    match loaded {
        Ok(Some(record)) if read == Read::Recent && record.data() == OLD => Seen::StaleRecord,
        Ok(Some(_)) => Seen::Other("a record".to_owned()),
        Ok(None) => Seen::Other("no record".to_owned()),
        Err(error) => failed(&error),
    }
}

fn done<T>(written: Result<T, StoreError>) -> Seen {
    written.map_or_else(
        |error| failed(&error),
        |_| Seen::Other("success".to_owned()),
    )
}

fn failed(error: &StoreError) -> Seen {
    match error {
        StoreError::Unavailable(_) => Seen::Unavailable,
        error => Seen::Other(Shown(error).to_string()),
    }
}

/// Waits for twice the deadline, in slices: if the machine stands still, only one of them is lost.
async fn in_time<T>(deadline: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    for _ in 0..2 * SLICES {
        let slice = deadline / SLICES + Duration::from_millis(50);
        if let Ok(answer) = timeout(slice, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

const SLICES: u32 = 20;

pub(super) async fn is_unavailable<S: Store>(
    bench: &Bench<S>,
    fail: Option<&Hook<S, Guard>>,
) -> Outcome {
    for Answer { call, seen } in go_through(bench, fail).await?.answers {
        if let Some(Seen::Other(seen)) = seen {
            return Err(format!(
                "{call} without an answer of the server: expected Unavailable, saw {seen}"
            ));
        }
    }
    Ok(())
}

pub(super) async fn is_answered_in_time<S: Store>(
    bench: &Bench<S>,
    fail: Option<&Hook<S, Guard>>,
) -> Outcome {
    let deadline = bench.with.deadline;
    for Answer { call, seen } in go_through(bench, fail).await?.answers {
        require(seen.is_some(), || {
            format!(
                "{call} without an answer of the server: expected an error after {deadline:?}, which is the deadline of the `Subject`, saw none after twice as long"
            )
        })?;
    }
    Ok(())
}

fn hooks<S: Store>(bench: &Bench<S>) -> impl Iterator<Item = &Hook<S, Guard>> {
    [&bench.with.silence, &bench.with.cut].into_iter().flatten()
}

pub(super) async fn a_store_comes_back_with_its_server<S: Store>(bench: &Bench<S>) -> Outcome {
    for fail in hooks(bench) {
        go_through(bench, Some(fail)).await?.settled?;
        let (key, end) = (bench.key(), bench.alive());
        let version = bench.create(&key, b"anew", end).await?;
        let version = bench.update(&key, version, b"again", end).await?;
        let version = bench.touch(&key, version, end).await?;
        bench
            .holds("an outage", &key, b"again", version, end)
            .await?;
        bench.delete(&key).await?;
    }
    Ok(())
}

pub(super) async fn a_write_without_an_answer_happens_wholly_or_not_at_all<S: Store>(
    bench: &Bench<S>,
) -> Outcome {
    for fail in hooks(bench) {
        let Outage {
            records, settled, ..
        } = go_through(bench, Some(fail)).await?;
        settled?;
        let what = "a write without an answer";
        for (key, may_be_gone, data) in [
            (records.created, true, NEW),
            (records.updated.0, false, NEW),
            (records.touched.0, false, OLD),
            (records.deleted.0, true, OLD),
            (records.deleted_too.0, true, OLD),
        ] {
            let found = bench.load(what, &key).await?;
            let is_whole = found.as_ref().map_or(may_be_gone, |found| {
                found.expires() == bench.alive() && [OLD, data].contains(&found.data())
            });
            require(is_whole, || {
                format!(
                    "load after {what}: expected all of it or nothing, saw {found:?}, or other bytes"
                )
            })?;
            still_works(bench, &key).await?;
        }
    }
    Ok(())
}

/// A write without an answer may still be under way, and must not get in the way.
async fn still_works<S: Store>(bench: &Bench<S>, key: &RecordKey) -> Outcome {
    let (begun, mut pauses) = (Instant::now(), Pauses::default());
    loop {
        bench.delete(key).await?;
        let data = Bytes::from_static(b"anew");
        let created = bench
            .store
            .create(key, data, bench.expiry(bench.alive()))
            .await;
        match created {
            Err(StoreError::Exists) => {
                if !pauses.next_within(bench.with.patience / 2, begun).await {
                    return Err("create after a delete: saw Exists again and again".to_owned());
                }
            }
            created => {
                return granted("create after a write without an answer", created).map(drop);
            }
        }
    }
}
