//! Reading the records of several sessions in one call.

use super::registry::Handle;
use crate::{
    id::RecordKey,
    join,
    turn::{self, Anchor, Fetched},
};

/// Sessions whose records are in one store.
struct Group<'a> {
    first: &'a Handle,
    members: Vec<(usize, RecordKey)>,
}

/// Reads the records of sessions that are not open yet and share a store, with one call for each
/// store. A session that is alone in its store is left to read its own record.
pub(crate) async fn fetch(handles: &[&Handle]) -> Vec<Option<Fetched>> {
    let mut groups = Vec::<Group<'_>>::new();
    for (at, handle) in handles.iter().enumerate() {
        let Some(key) = turn::wanted(*handle) else {
            continue;
        };
        let is_of = |group: &&mut Group<'_>| group.first.vault().shares_records(&handle.vault());
        match groups.iter_mut().find(is_of) {
            Some(group) => group.members.push((at, key)),
            None => groups.push(Group {
                first: handle,
                members: vec![(at, key)],
            }),
        }
    }
    groups.retain(|group| group.members.len() > 1);
    let mut fetched: Vec<_> = handles.iter().map(|_| None).collect();
    for (at, answer) in join::all(groups.into_iter().map(read).collect())
        .await
        .into_iter()
        .flatten()
    {
        if let Some(place) = fetched.get_mut(at) {
            *place = Some(answer);
        }
    }
    fetched
}

async fn read(group: Group<'_>) -> Vec<(usize, Fetched)> {
    let keys: Vec<_> = group.members.iter().map(|(_, key)| *key).collect();
    let records = group.first.vault().fetch(&keys).await;
    let members = group.members.into_iter().zip(records);
    members
        .map(|((at, key), record)| (at, Fetched { key, record }))
        .collect()
}
