//! Calls on one connection, and the meaning of the answers.
//!
//! A token identifies the state of a record that was read. It is used only on the connection it
//! came from: a restarted server counts from 1 again, and a restart ends the connection.

use silverback::store::{Expiry, Record, StoreError, Version};

use crate::{
    connection::Shared,
    error::Lost,
    meta::{Answer, Commands},
    record,
};

/// The outcome of a call. The inner error is about the record, the outer one about the connection.
pub(crate) type CallResult<T> = Result<Result<T, StoreError>, Lost>;

/// A value for the server to store.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) bytes: Vec<u8>,
    pub(crate) seconds: i64,
}

/// A record, and the token of its state.
struct Found {
    record: Record,
    token: u64,
}

pub(crate) fn loaded(answer: Answer) -> Result<Option<Record>, StoreError> {
    Ok(found(answer)?.map(|found| found.record))
}

fn found(answer: Answer) -> Result<Option<Found>, StoreError> {
    match answer {
        Answer::Missing => Ok(None),
        Answer::Value { token, data } => {
            let record = record::read(data)?;
            Ok(Some(Found { record, token }))
        }
        other => Err(unexpected(&other)),
    }
}

async fn look(connection: &Shared, name: &str) -> CallResult<Option<Found>> {
    let answer = connection.ask_one(|commands| commands.get(name)).await?;
    Ok(found(answer))
}

/// Returns the record if it has the expected version.
async fn expect(connection: &Shared, name: &str, expected: Version) -> CallResult<Found> {
    let found = match look(connection, name).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match found {
        None => Err(StoreError::Gone),
        Some(found) if found.record.version() == expected => Ok(found),
        Some(_) => Err(StoreError::Conflict),
    })
}

/// Stores a value where there is no record.
pub(crate) async fn create(connection: Shared, name: String, value: &Value) -> CallResult<()> {
    loop {
        let add = connection.ask_one(|asked| asked.add(&name, value.seconds, &value.bytes));
        match add.await? {
            Answer::Done => return Ok(Ok(())),
            Answer::Exists => {}
            other => return Ok(Err(unexpected(&other))),
        }
        let answer = connection.ask_one(|asked| asked.get(&name)).await?;
        let Answer::Value { token, data } = answer else {
            // The record has ended meanwhile.
            continue;
        };
        match record::read(data) {
            Ok(_) => return Ok(Err(StoreError::Exists)),
            // A value that is not a record is replaced.
            Err(StoreError::Corrupt(_)) => {}
            Err(error) => return Ok(Err(error)),
        }
        connection
            .ask_one(|asked| asked.delete(&name, Some(token)))
            .await?;
    }
}

/// Replaces the record by a value that is made from it, if it has the expected version. A
/// concurrent touch changes the token but not the version, so this reads again.
pub(crate) async fn replace(
    connection: Shared,
    name: String,
    expected: Version,
    value: impl Fn(&Record) -> Value,
) -> CallResult<()> {
    loop {
        let found = match expect(&connection, &name, expected).await? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let value = value(&found.record);
        let replace = connection
            .ask_one(|asked| asked.replace(&name, found.token, value.seconds, &value.bytes));
        match replace.await? {
            Answer::Done => return Ok(Ok(())),
            Answer::Missing => return Ok(Err(StoreError::Gone)),
            Answer::Changed => {}
            other => return Ok(Err(unexpected(&other))),
        }
    }
}

pub(crate) fn touched(record: &Record, expiry: Expiry, seconds: i64) -> Value {
    Value {
        bytes: record::write(record.version(), expiry.at, record.data()),
        seconds,
    }
}

/// A deletion that is not done yet.
struct Deletion {
    place: usize,
    name: String,
    expected: Option<Version>,
}

/// Deletes records in two round trips, or one if no version is expected. A record that is touched
/// meanwhile takes more.
pub(crate) async fn delete(
    connection: Shared,
    records: Vec<(String, Option<Version>)>,
) -> CallResult<Vec<Result<(), StoreError>>> {
    let mut results: Vec<Result<(), StoreError>> = records.iter().map(|_| Ok(())).collect();
    let deletions = records.into_iter().enumerate();
    let deletion = |(place, (name, expected))| Deletion {
        place,
        name,
        expected,
    };
    let mut left: Vec<_> = deletions.map(deletion).collect();
    while !left.is_empty() {
        let due = look_at_all(&connection, left, &mut results).await?;
        let answers = if due.is_empty() {
            Vec::new()
        } else {
            let ask = |asked: &mut Commands<'_>| {
                for (deletion, token) in &due {
                    asked.delete(&deletion.name, *token);
                }
            };
            connection.ask(ask).await?
        };
        left = Vec::new();
        for ((deletion, _), answer) in due.into_iter().zip(answers) {
            match answer {
                Answer::Done | Answer::Missing => {}
                Answer::Changed => left.push(deletion),
                other => set(&mut results, deletion.place, Err(unexpected(&other))),
            }
        }
    }
    Ok(Ok(results))
}

/// Reads the tokens of those with an expected version. Leaves out those that are done already.
async fn look_at_all(
    connection: &Shared,
    deletions: Vec<Deletion>,
    results: &mut [Result<(), StoreError>],
) -> Result<Vec<(Deletion, Option<u64>)>, Lost> {
    let looks = || {
        deletions
            .iter()
            .filter(|deletion| deletion.expected.is_some())
    };
    let mut answers = Vec::new().into_iter();
    if looks().next().is_some() {
        let asked = connection.ask(|asked| looks().for_each(|look| asked.get(&look.name)));
        answers = asked.await?.into_iter();
    }
    let mut due = Vec::new();
    for deletion in deletions {
        let Some(expected) = deletion.expected else {
            due.push((deletion, None));
            continue;
        };
        match answers.next().ok_or(Lost::Unanswered).map(found)? {
            Ok(None) => {}
            Ok(Some(found)) if found.record.version() == expected => {
                due.push((deletion, Some(found.token)));
            }
            Ok(Some(_)) => set(results, deletion.place, Err(StoreError::Conflict)),
            Err(error) => set(results, deletion.place, Err(error)),
        }
    }
    Ok(due)
}

fn set(results: &mut [Result<(), StoreError>], place: usize, result: Result<(), StoreError>) {
    if let Some(found) = results.get_mut(place) {
        *found = result;
    }
}

fn unexpected(answer: &Answer) -> StoreError {
    match answer {
        Answer::Refused(reason) => StoreError::refused(format!("memcached says: {reason}")),
        _ => StoreError::refused("memcached's answer breaks its protocol"),
    }
}
