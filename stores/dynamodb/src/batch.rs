//! Many records in few questions.
//!
//! If a whole batch would be too much, DynamoDB answers a part of it and names the rest, which is
//! asked for again.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    Client,
    types::{DeleteRequest, KeysAndAttributes, WriteRequest},
};
use silverback::store::{Read, RecordKey};

use crate::{
    ask::{Deadline, Pauses, all},
    failure::Failure,
    item::{self, Item},
};

/// DynamoDB's limits for a batch.
const GETS: usize = 100;
const DELETIONS: usize = 25;

/// The outcome for each key of a batch.
pub(crate) type Outcomes<T> = HashMap<RecordKey, Result<T, Failure>>;

/// Loads the items under these keys. Keys without an item have no outcome, or `None`.
pub(crate) async fn get(
    client: &Client,
    table: &str,
    keys: impl IntoIterator<Item = RecordKey>,
    read: Read,
    deadline: Deadline,
) -> Outcomes<Option<Item>> {
    let chunks = chunks(keys, GETS);
    let get = |keys| get_some(client, table, keys, read, deadline);
    let answers = all(chunks.iter().map(|keys| get(&**keys)).collect()).await;
    let mut outcomes = Outcomes::new();
    for (keys, answer) in chunks.iter().zip(answers) {
        match answer {
            Ok(items) => {
                outcomes.extend(items.into_iter().map(|(key, item)| (key, Ok(Some(item)))))
            }
            Err(failure) => outcomes.extend(keys.iter().map(|key| (*key, Err(failure.clone())))),
        }
    }
    outcomes
}

async fn get_some(
    client: &Client,
    table: &str,
    keys: &[RecordKey],
    read: Read,
    deadline: Deadline,
) -> Result<HashMap<RecordKey, Item>, Failure> {
    let mut found = HashMap::new();
    let mut left: Vec<_> = keys.iter().map(item::named).collect();
    let mut pauses = Pauses::default();
    while !left.is_empty() {
        let asked = left.len();
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(left))
            .consistent_read(read == Read::Current)
            .build()
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let send = || {
            let question = client.batch_get_item();
            question.request_items(table, keys.clone()).send()
        };
        let answer = deadline.ask(send).await?;
        let items = answer.responses.into_iter().flatten();
        let items = items.flat_map(|(_, items)| items);
        found.extend(items.filter_map(|item| Some((item::key(&item)?, item))));
        let unprocessed = answer.unprocessed_keys.into_iter().flatten();
        left = unprocessed.flat_map(|(_, keys)| keys.keys).collect();
        go_on(left.len(), asked, &mut pauses, deadline).await?;
    }
    Ok(found)
}

/// Deletes whatever is under these keys.
pub(crate) async fn delete(
    client: &Client,
    table: &str,
    keys: impl IntoIterator<Item = RecordKey>,
    deadline: Deadline,
) -> Outcomes<()> {
    let chunks = chunks(keys, DELETIONS);
    let delete = |keys| delete_some(client, table, keys, deadline);
    let answers = all(chunks.iter().map(|keys| delete(&**keys)).collect()).await;
    let mut outcomes = Outcomes::new();
    for (keys, answer) in chunks.iter().zip(answers) {
        outcomes.extend(keys.iter().map(|key| (*key, answer.clone())));
    }
    outcomes
}

async fn delete_some(
    client: &Client,
    table: &str,
    keys: &[RecordKey],
    deadline: Deadline,
) -> Result<(), Failure> {
    let deletion = |key: &RecordKey| {
        let deletion = DeleteRequest::builder().set_key(Some(item::named(key)));
        let deletion = deletion
            .build()
            .map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(WriteRequest::builder().delete_request(deletion).build())
    };
    let mut left = keys.iter().map(deletion).collect::<Result<Vec<_>, _>>()?;
    let mut pauses = Pauses::default();
    while !left.is_empty() {
        let send = || {
            let question = client.batch_write_item();
            question.request_items(table, left.clone()).send()
        };
        let answer = deadline.ask(send).await?;
        let asked = left.len();
        let unprocessed = answer.unprocessed_items.into_iter().flatten();
        left = unprocessed.flat_map(|(_, deletions)| deletions).collect();
        go_on(left.len(), asked, &mut pauses, deadline).await?;
    }
    Ok(())
}

/// Waits a moment if a batch made no progress.
async fn go_on(
    left: usize,
    asked: usize,
    pauses: &mut Pauses,
    deadline: Deadline,
) -> Result<(), Failure> {
    if left < asked || deadline.pause(pauses).await {
        return Ok(());
    }
    Err(Failure::Busy(
        "DynamoDB keeps putting the batch off".to_owned(),
    ))
}

/// DynamoDB refuses a batch with a repeated key.
fn chunks(keys: impl IntoIterator<Item = RecordKey>, most: usize) -> Vec<Vec<RecordKey>> {
    let keys: Vec<_> = BTreeSet::from_iter(keys).into_iter().collect();
    keys.chunks(most).map(<[_]>::to_vec).collect()
}
