//! Listing what is there, for operators.

use redis::{Pipeline, Value};
use silverback::store::{Browse, Cursor, Listed, Page, RecordKey, StoreError};

#[cfg(feature = "cluster")]
use crate::link::To;
use crate::{
    RedisStore, error,
    record::{HEAD, Head},
};

/// Where a page begins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Place {
    /// The server that is looked through, by its id; none if there is one alone.
    node: Vec<u8>,
    /// Where the server goes on; `None` if it has nothing more.
    scan: Option<u64>,
    /// What did not fit on the page before.
    left: Vec<RecordKey>,
}

impl Place {
    fn read(cursor: &Cursor) -> Option<Self> {
        let bytes = cursor.as_bytes();
        if bytes.is_empty() {
            return Some(Self {
                scan: Some(0),
                ..Self::default()
            });
        }
        let (scan, bytes) = bytes.split_first_chunk()?;
        let (more, bytes) = bytes.split_first()?;
        let (len, bytes) = bytes.split_first()?;
        let (node, keys) = bytes.split_at_checked(usize::from(*len))?;
        let (keys, rest) = keys.as_chunks();
        let is_whole = rest.is_empty() && *more <= 1;
        is_whole.then(|| Self {
            node: node.to_vec(),
            scan: (*more == 1).then_some(u64::from_be_bytes(*scan)),
            left: keys.iter().copied().map(RecordKey::from_bytes).collect(),
        })
    }

    fn write(&self) -> Cursor {
        let mut bytes = self.scan.unwrap_or(0).to_be_bytes().to_vec();
        bytes.push(u8::from(self.scan.is_some()));
        bytes.push(u8::try_from(self.node.len()).unwrap_or(0));
        bytes.extend_from_slice(&self.node);
        for key in &self.left {
            bytes.extend_from_slice(key.as_bytes());
        }
        Cursor::new(bytes)
    }
}

/// A master of a cluster.
#[cfg(feature = "cluster")]
pub(crate) struct Node {
    id: Vec<u8>,
    host: String,
    port: u16,
}

#[cfg(feature = "cluster")]
impl Node {
    pub(crate) fn to(&self) -> To<'_> {
        To::Node(&self.host, self.port)
    }

    /// Reads an entry of `CLUSTER SLOTS`: from, to, the master, its replicas.
    fn read(entry: &Value) -> Option<Self> {
        let Value::Array(entry) = entry else {
            return None;
        };
        let Value::Array(master) = entry.get(2)? else {
            return None;
        };
        let [
            Value::BulkString(host),
            Value::Int(port),
            Value::BulkString(id),
            ..,
        ] = &**master
        else {
            return None;
        };
        Some(Self {
            id: id.clone(),
            host: String::from_utf8(host.clone()).ok()?,
            port: u16::try_from(*port).ok()?,
        })
    }
}

/// In a cluster, each server is looked through in turn. A page that a failover overtakes is an error,
/// or misses what moved.
impl Browse for RedisStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.max(1);
        let foreign = || StoreError::refused("the cursor is none of this store");
        let mut place = Place::read(from).ok_or_else(foreign)?;
        if place.left.is_empty()
            && let Some(scan) = place.scan
        {
            self.scan(&mut place, scan, limit).await?;
        }
        let rest = place.left.split_off(limit.min(place.left.len()));
        let keys = std::mem::replace(&mut place.left, rest);
        let entries = self.look(&keys).await?;
        let is_last = place.left.is_empty() && place.scan.is_none();
        Ok(Page::new(entries, (!is_last).then(|| place.write())))
    }
}

impl RedisStore {
    /// Has a server name some more of its keys, and says where to go on.
    async fn scan(&self, place: &mut Place, scan: u64, limit: usize) -> Result<(), StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands
            .cmd("SCAN")
            .arg(scan)
            .arg("MATCH")
            .arg(self.pattern())
            .arg("COUNT")
            .arg(limit);
        #[cfg(feature = "cluster")]
        let masters = if self.link.is_cluster() {
            self.masters().await?
        } else {
            Vec::new()
        };
        #[cfg(feature = "cluster")]
        let node = masters.iter().find(|node| *node.id >= *place.node);
        #[cfg(feature = "cluster")]
        let to = match node {
            // A server that is gone gives way to the next, from its beginning on.
            Some(node) if node.id != place.node && !place.node.is_empty() => {
                place.node.clone_from(&node.id);
                place.scan = Some(0);
                return Ok(());
            }
            Some(node) => {
                place.node.clone_from(&node.id);
                node.to()
            }
            None if self.link.is_cluster() => {
                place.scan = None;
                return Ok(());
            }
            None => To::Key(""),
        };
        #[cfg(not(feature = "cluster"))]
        let to = crate::link::To::Key("");
        let answers = self.link.run(to, &commands, self.timeout).await?;
        let (next, names) = scanned(answers)?;
        let keys = names.iter().filter_map(|name| self.key(name));
        place.left.extend(keys);
        place.scan = (next != 0).then_some(next);
        #[cfg(feature = "cluster")]
        if next == 0
            && let Some(after) = masters.iter().find(|node| *node.id > *place.node)
        {
            place.node.clone_from(&after.id);
            place.scan = Some(0);
        }
        Ok(())
    }

    /// Looks at the head and the length of each record. One that has ended meanwhile, or is none, is
    /// left out.
    async fn look(&self, keys: &[RecordKey]) -> Result<Vec<Listed>, StoreError> {
        #[cfg(feature = "cluster")]
        if self.link.is_cluster() {
            let looks = keys
                .iter()
                .map(|key| self.look_at(std::slice::from_ref(key)));
            let looked = futures_util::future::try_join_all(looks).await?;
            return Ok(looked.into_iter().flatten().collect());
        }
        self.look_at(keys).await
    }

    async fn look_at(&self, keys: &[RecordKey]) -> Result<Vec<Listed>, StoreError> {
        let names: Vec<_> = keys.iter().map(|key| self.name(key)).collect();
        let Some(first) = names.first() else {
            return Ok(Vec::new());
        };
        let mut commands = Pipeline::with_capacity(2 * names.len());
        for name in &names {
            commands.cmd("GETRANGE").arg(name).arg(0).arg(HEAD);
            commands.cmd("STRLEN").arg(name);
        }
        let to = crate::link::To::Key(first);
        let answers = self.link.run(to, &commands, self.timeout).await?;
        let (pairs, _) = answers.as_chunks::<2>();
        let mut listed = Vec::with_capacity(keys.len());
        for (key, [head, len]) in keys.iter().zip(pairs) {
            match (head, len) {
                (Value::BulkString(bytes), Value::Int(len)) => {
                    let size = usize::try_from(*len).unwrap_or(0).saturating_sub(HEAD);
                    let data = bytes.get(HEAD..).unwrap_or_default();
                    let of = |head: Head| Listed::new(*key, data, head.expires, size);
                    listed.extend(Head::read(bytes).map(of));
                }
                (failed, other) => {
                    let error = error::in_value(failed).or_else(|| error::in_value(other));
                    match error.map(error::of) {
                        // A value of another type is no record.
                        Some(StoreError::Corrupt(_)) => {}
                        Some(error) => return Err(error),
                        None => return Err(error::unexpected(failed)),
                    }
                }
            }
        }
        Ok(listed)
    }

    /// The masters of a cluster, in the order of their ids.
    #[cfg(feature = "cluster")]
    pub(crate) async fn masters(&self) -> Result<Vec<Node>, StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands.cmd("CLUSTER").arg("SLOTS");
        let answers = self.link.run(To::Any, &commands, self.timeout).await?;
        let slots = match answers.into_iter().next() {
            Some(Value::Array(slots)) => slots,
            Some(other) => {
                let error = error::in_value(&other).map(error::of);
                return Err(error.unwrap_or_else(|| error::unexpected(&other)));
            }
            None => Vec::new(),
        };
        let mut nodes: Vec<_> = slots.iter().filter_map(Node::read).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        nodes.dedup_by(|one, other| one.id == other.id);
        Ok(nodes)
    }
}

fn scanned(answers: Vec<Value>) -> Result<(u64, Vec<String>), StoreError> {
    let answer = answers.into_iter().next().unwrap_or(Value::Nil);
    if let Some(error) = error::in_value(&answer) {
        return Err(error::of(error));
    }
    redis::from_redis_value(answer).map_err(StoreError::refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let keys = [
            RecordKey::from_bytes([1; 32]),
            RecordKey::from_bytes([2; 32]),
        ];
        for node in [b"".to_vec(), b"0123456789".to_vec()] {
            for scan in [None, Some(0), Some(u64::MAX)] {
                for count in 0..=keys.len() {
                    let (node, left) = (node.clone(), keys[..count].to_vec());
                    let place = Place { node, scan, left };
                    assert_eq!(Place::read(&place.write()), Some(place));
                }
            }
        }
        let first = Place::read(&Cursor::default()).unwrap();
        assert_eq!((first.scan, first.left.len()), (Some(0), 0));
    }

    #[test]
    fn a_cursor_of_another_store_is_none() {
        for bytes in [&b"x"[..], &[0; 10][..9], &[7; 10], &[0; 11]] {
            assert_eq!(Place::read(&Cursor::new(bytes.to_vec())), None, "{bytes:?}");
        }
    }
}
