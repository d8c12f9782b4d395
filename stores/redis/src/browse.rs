//! Listing records, for operators.

use redis::{Pipeline, Value};
use silverback::{
    Timestamp,
    store::{Browse, Cursor, Listed, Page, RecordKey, StoreError},
};

use crate::{
    RedisStore, error,
    link::To,
    record::{HEAD, Head, is_later},
};

/// The most records on a page. The server looks through as many keys in one step, in which nobody
/// else is served.
const MOST: usize = 10_000;

/// Where a page begins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Place {
    /// The id of the server being listed. `None` if there is only one.
    pub(crate) node: Vec<u8>,
    /// Where the server continues. `None` if it has nothing more.
    pub(crate) scan: Option<u64>,
    /// Keys that did not fit on the page before.
    pub(crate) left: Vec<RecordKey>,
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

/// In a cluster, the servers are listed in turn. If a failover overtakes a page, the page fails or
/// misses what has moved.
impl Browse for RedisStore {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, MOST);
        let foreign = || StoreError::refused("the cursor does not belong to this store");
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
    /// Asks a server for more of its keys. Returns them and where to continue.
    async fn scan(&self, place: &mut Place, scan: u64, limit: usize) -> Result<(), StoreError> {
        #[cfg(feature = "cluster")]
        if self.link.is_cluster() {
            return self.scan_cluster(place, scan, limit).await;
        }
        let (next, keys) = self.scan_at(To::Key(""), scan, limit).await?;
        place.left = keys;
        place.scan = next;
        Ok(())
    }

    /// Asks one server for keys of this store. Returns them and where it continues, if it has more.
    pub(crate) async fn scan_at(
        &self,
        to: To<'_>,
        scan: u64,
        limit: usize,
    ) -> Result<(Option<u64>, Vec<RecordKey>), StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands
            .cmd("SCAN")
            .arg(scan)
            .arg("MATCH")
            .arg(self.pattern())
            .arg("COUNT")
            .arg(limit);
        let answers = self.link.run(to, &commands, self.timeout).await?;
        let answer = answers.into_iter().next().unwrap_or(Value::Nil);
        if let Some(error) = error::in_value(&answer) {
            return Err(error::of(error));
        }
        let (next, names): (u64, Vec<Vec<u8>>) =
            redis::from_redis_value(answer).map_err(StoreError::refused)?;
        // Another program's name may be any bytes.
        let names = names.iter().filter_map(|name| str::from_utf8(name).ok());
        let keys = names.filter_map(|name| self.key(name)).collect();
        Ok(((next != 0).then_some(next), keys))
    }

    /// Reads the head and the length of each record. Leaves out values that have ended meanwhile or
    /// are not records.
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
        let to = To::Key(first);
        let answers = self.link.run(to, &commands, self.timeout).await?;
        let (pairs, _) = answers.as_chunks::<2>();
        let mut listed = Vec::with_capacity(keys.len());
        for (key, [head, len]) in keys.iter().zip(pairs) {
            match (head, len) {
                (Value::BulkString(bytes), Value::Int(len)) => {
                    let size = usize::try_from(*len).unwrap_or(0).saturating_sub(HEAD);
                    let data = bytes.get(HEAD..).unwrap_or_default();
                    match Head::read(bytes) {
                        Some(head) => listed.push(Listed::new(*key, data, head.expires, size)),
                        // A move of all records must not overlook it.
                        None if is_later(bytes) => {
                            let never = Timestamp::from_secs(u64::MAX);
                            listed.push(Listed::new(*key, &[], never, size));
                        }
                        None => {}
                    }
                }
                (failed, other) => {
                    let error = error::in_value(failed).or_else(|| error::in_value(other));
                    match error.map(error::of) {
                        // A value of another type is not a record.
                        Some(StoreError::Corrupt(_)) => {}
                        Some(error) => return Err(error),
                        None => return Err(error::unexpected(failed)),
                    }
                }
            }
        }
        Ok(listed)
    }
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
