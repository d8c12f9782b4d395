//! Many records in few questions.
//!
//! If a whole batch would be too much, DynamoDB answers a part of it and names the rest, which is
//! asked for again. If time runs out meanwhile, only the rest has failed.

use std::collections::{BTreeSet, HashMap, HashSet};

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

/// The outcomes of a batch. A key without one has no item, as far as DynamoDB knows.
pub(crate) type Outcomes<T> = HashMap<RecordKey, Result<T, Failure>>;

/// Loads the items under these keys.
pub(crate) async fn get(
    client: &Client,
    table: &str,
    keys: impl IntoIterator<Item = RecordKey>,
    read: Read,
    deadline: Deadline,
) -> Outcomes<Item> {
    let chunks = chunks(keys, GETS);
    let get = async |keys: &[RecordKey]| {
        let (mut left, mut found) = (keys.iter().map(item::named).collect(), Outcomes::new());
        let got = get_all(client, table, &mut left, &mut found, read, deadline).await;
        if let Err(failure) = got {
            found.extend(failures(keys, left.iter().map(item::key), &failure));
        }
        found
    };
    let outcomes = all(chunks.iter().map(|keys| get(keys)).collect()).await;
    outcomes.into_iter().flatten().collect()
}

/// `left` has the items that DynamoDB has not answered.
async fn get_all(
    client: &Client,
    table: &str,
    left: &mut Vec<Item>,
    found: &mut Outcomes<Item>,
    read: Read,
    deadline: Deadline,
) -> Result<(), Failure> {
    let mut pauses = Pauses::default();
    while !left.is_empty() {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(left.clone()))
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
        found.extend(items.filter_map(|item| Some((item::key(&item)?, Ok(item)))));
        let asked = left.len();
        let unprocessed = answer.unprocessed_keys.into_iter().flatten();
        *left = unprocessed.flat_map(|(_, keys)| keys.keys).collect();
        go_on(left.len(), asked, &mut pauses, deadline).await?;
    }
    Ok(())
}

/// Deletes whatever is under these keys.
pub(crate) async fn delete(
    client: &Client,
    table: &str,
    keys: impl IntoIterator<Item = RecordKey>,
    deadline: Deadline,
) -> Outcomes<()> {
    let chunks = chunks(keys, DELETIONS);
    let delete = async |keys: &[RecordKey]| {
        let mut left = keys.iter().map(item::named).collect();
        match delete_all(client, table, &mut left, deadline).await {
            Err(failure) => failures(keys, left.iter().map(item::key), &failure),
            Ok(()) => Outcomes::new(),
        }
    };
    let outcomes = all(chunks.iter().map(|keys| delete(keys)).collect()).await;
    outcomes.into_iter().flatten().collect()
}

/// `left` has the items that DynamoDB has not deleted.
async fn delete_all(
    client: &Client,
    table: &str,
    left: &mut Vec<Item>,
    deadline: Deadline,
) -> Result<(), Failure> {
    let deletion = |key: &Item| {
        let deletion = DeleteRequest::builder().set_key(Some(key.clone()));
        let deletion = deletion
            .build()
            .map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(WriteRequest::builder().delete_request(deletion).build())
    };
    let mut pauses = Pauses::default();
    while !left.is_empty() {
        let deletions = left.iter().map(deletion).collect::<Result<Vec<_>, _>>()?;
        let send = || {
            let question = client.batch_write_item();
            question.request_items(table, deletions.clone()).send()
        };
        let answer = deadline.ask(send).await?;
        let asked = left.len();
        let unprocessed = answer.unprocessed_items.into_iter().flatten();
        let unprocessed = unprocessed.flat_map(|(_, deletions)| deletions);
        *left = unprocessed
            .map(|one| one.delete_request.map_or_else(Item::new, |one| one.key))
            .collect();
        go_on(left.len(), asked, &mut pauses, deadline).await?;
    }
    Ok(())
}

/// The failures of a batch: of the keys that are left, or of all if something else is.
fn failures<T>(
    keys: &[RecordKey],
    left: impl Iterator<Item = Option<RecordKey>>,
    failure: &Failure,
) -> Outcomes<T> {
    let left: Option<HashSet<_>> = left.collect();
    let is_left = |key: &&RecordKey| left.as_ref().is_none_or(|left| left.contains(*key));
    let keys = keys.iter().filter(is_left);
    keys.map(|key| (*key, Err(failure.clone()))).collect()
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
