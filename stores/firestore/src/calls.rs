//! Compare and swap by the update times of documents.

use std::collections::HashSet;

use silverback::store::{RecordKey, StoreError, Version};

use crate::{
    clock::Moment,
    collection::{Collection, Write, pause},
    document::{Fields, Found, State},
    fault::{Fault, Kind},
};

/// Creates a record. Replaces an expired record, or a document that is not a record.
pub(crate) async fn create(
    collection: &Collection,
    key: &RecordKey,
    fields: &Fields,
) -> Result<Moment, StoreError> {
    loop {
        match collection.commit(&collection.create(key, fields)).await {
            Err(fault) if fault.kind == Kind::Exists => {}
            committed => return Ok(committed?),
        }
        let stale = match collection.look_at(key).await? {
            Found::Record(_) => return Err(StoreError::Exists),
            Found::Over(updated) | Found::Garbage(updated) => updated,
            // It was deleted meanwhile.
            Found::Nothing => continue,
        };
        let update = collection.update(key, fields, stale);
        match collection.commit(&update).await {
            Err(fault) if fault.kind == Kind::OtherState => {}
            committed => return Ok(committed?),
        }
    }
}

/// Replaces a record that has the expected version and has not expired.
pub(crate) async fn replace<'a>(
    collection: &Collection,
    key: &RecordKey,
    expected: Version,
    write: impl Fn(Moment) -> Write<'a>,
) -> Result<Moment, StoreError> {
    let mut attempt = 0;
    loop {
        // Firestore does not compare ends, so an expired record must not be written.
        let now = collection.clock.now().second();
        let state = State::of(expected).filter(|state| state.expires > now);
        let mut refusal = None;
        if let Some(state) = state {
            match collection.commit(&write(state.updated)).await {
                Err(fault) if is_about_the_state(&fault) => refusal = Some(fault),
                committed => return Ok(committed?),
            }
        }
        match collection.look_at(key).await?.to_record()? {
            None => return Err(StoreError::Gone),
            Some(record) if record.version() != expected => return Err(StoreError::Conflict),
            Some(_) => if_it_is_so(refusal)?,
        }
        attempt += 1;
        pause(attempt).await?;
    }
}

/// Returns whether a write was refused because of the document's state, as far as can be told.
fn is_about_the_state(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::OtherState | Kind::Invalid)
}

/// Interprets a refusal although the document is in the expected state: it is again, or has not
/// expired by Firestore's clock. Otherwise there was another reason.
fn if_it_is_so(refusal: Option<Fault>) -> Result<(), Fault> {
    refusal
        .filter(|fault| fault.kind == Kind::Invalid)
        .map_or(Ok(()), Err)
}

/// A deletion that is not done yet.
struct Deletion {
    place: usize,
    key: RecordKey,
    expected: Option<Version>,
    refusal: Option<Fault>,
}

/// The outcomes of deletions, by their places.
type Outcomes = Vec<(usize, Result<(), StoreError>)>;

/// Deletes records. One round trip deletes those that are as expected or may be anything, and one
/// more finds out why others were refused.
pub(crate) async fn delete(
    collection: &Collection,
    records: &[(RecordKey, Option<Version>)],
) -> Result<Vec<Result<(), StoreError>>, Fault> {
    let deletions = records.iter().enumerate();
    let deletion = |(place, (key, expected)): (usize, &(RecordKey, Option<Version>))| Deletion {
        place,
        key: *key,
        expected: *expected,
        refusal: None,
    };
    let mut left: Vec<_> = deletions.map(deletion).collect();
    let mut outcomes = Outcomes::new();
    let mut attempt = 0;
    while !left.is_empty() {
        if attempt > 0 {
            pause(attempt).await?;
        }
        attempt += 1;
        // A document may be in a question only once.
        let mut keys = HashSet::new();
        let is_first = |deletion: &Deletion| keys.insert(deletion.key);
        let (due, mut later): (Vec<_>, Vec<_>) = left.into_iter().partition(is_first);
        let refused = write(collection, due, &mut outcomes, &mut later).await?;
        look(collection, refused, &mut outcomes, &mut later).await?;
        left = later;
    }
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

/// Deletes the documents that are as expected, and returns the other deletions.
async fn write(
    collection: &Collection,
    deletions: Vec<Deletion>,
    outcomes: &mut Outcomes,
    later: &mut Vec<Deletion>,
) -> Result<Vec<Deletion>, Fault> {
    let mut refused = Vec::new();
    let mut due = Vec::new();
    for deletion in deletions {
        match deletion.expected.map(State::of) {
            // No document can be in this state.
            Some(None) => refused.push(deletion),
            Some(Some(state)) => due.push((deletion, Some(state.updated))),
            None => due.push((deletion, None)),
        }
    }
    if due.is_empty() {
        return Ok(refused);
    }
    let documents: Vec<_> = due
        .iter()
        .map(|(deletion, at)| (deletion.key, *at))
        .collect();
    let answers = collection.delete_each(&documents).await?;
    for ((mut deletion, _), answer) in due.into_iter().zip(answers) {
        match answer {
            Ok(()) => outcomes.push((deletion.place, Ok(()))),
            Err(fault) if is_about_the_state(&fault) => {
                deletion.refusal = Some(fault);
                refused.push(deletion);
            }
            Err(fault) if fault.kind == Kind::Contention => later.push(deletion),
            Err(fault) => outcomes.push((deletion.place, Err(fault.into()))),
        }
    }
    Ok(refused)
}

/// Reads the refused documents. A missing one counts as deleted.
async fn look(
    collection: &Collection,
    refused: Vec<Deletion>,
    outcomes: &mut Outcomes,
    later: &mut Vec<Deletion>,
) -> Result<(), Fault> {
    if refused.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = refused.iter().map(|deletion| deletion.key).collect();
    let found = collection.look(&keys).await?;
    for mut deletion in refused {
        let place = deletion.place;
        match found.get(&deletion.key).map_or(Ok(None), Found::to_record) {
            Err(error) => outcomes.push((place, Err(error))),
            Ok(None) => outcomes.push((place, Ok(()))),
            Ok(Some(record)) if deletion.expected != Some(record.version()) => {
                outcomes.push((place, Err(StoreError::Conflict)));
            }
            Ok(Some(_)) => match if_it_is_so(deletion.refusal.take()) {
                Ok(()) => later.push(deletion),
                Err(fault) => outcomes.push((place, Err(fault.into()))),
            },
        }
    }
    Ok(())
}
