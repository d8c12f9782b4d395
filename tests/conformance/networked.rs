//! A store on a server that is sound except for one fault, which does not show in one process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use silverback::{
    Clock,
    store::{
        Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version,
        conformance::Subject,
    },
};

use crate::server::{Kept, Row, Rows, Server};

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Fault {
    None,
    TouchLeavesTheTtl,
    UpdateLeavesTheTtl,
    LivesAMinute,
    LivesForEver,
    ErrorIsNoRecord,
    GarbageIsNoRecord,
    ShortIsNotStored,
    ComparesThenSets,
    LooksThenSets,
    EndIsOfTheTtl,
    CutsAtAMebibyte,
    CachesInProcess,
    // The twelve faults above were seen in stores. The others break rules that those keep.
    LoadManyLoops,
    DeleteManyLoops,
    WaitsForEver,
    WaitsForTheConnection,
    ErrorIsRefused,
    WritesInTwoSteps,
    StaysAway,
    GarbageStays,
    CountsVersionsByItself,
    RecentNeverAges,
    UpdatesWhatEnded,
    HidesWhatLivesForEver,
}

pub(crate) struct Client {
    fault: Fault,
    server: Arc<Server>,
    /// The records that this process has last seen.
    cache: Mutex<HashMap<RecordKey, Record>>,
    has_failed: AtomicBool,
    written: AtomicU64,
}

/// Longer than a busy machine delays an answer.
const DEADLINE: Duration = Duration::from_secs(5);
const EVER: Duration = Duration::from_secs(3_600);

impl Client {
    fn of(fault: Fault, server: &Arc<Server>) -> Self {
        Self {
            fault,
            server: Arc::clone(server),
            cache: Mutex::default(),
            has_failed: AtomicBool::new(false),
            written: AtomicU64::new(0),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Rows) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        if self.has(Fault::StaysAway) && self.has_failed.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the connection was lost"));
        }
        while self.has(Fault::WaitsForTheConnection) && self.server.is_cut() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let patience = if self.has(Fault::WaitsForEver) {
            EVER
        } else {
            DEADLINE
        };
        let answer = self.server.ask(patience, question).await;
        if answer.is_err() {
            self.has_failed.store(true, Ordering::SeqCst);
        }
        match answer {
            Err(StoreError::Unavailable(error)) if self.has(Fault::ErrorIsRefused) => {
                Err(StoreError::refused(error))
            }
            answer => answer,
        }
    }

    fn version(&self) -> Result<Version, StoreError> {
        if self.has(Fault::CountsVersionsByItself) {
            return Ok(Version::from_u64(
                self.written.fetch_add(1, Ordering::SeqCst) + 1,
            ));
        }
        Version::random()
    }

    /// The row to write, or `None` if it would have expired.
    fn row(&self, data: Bytes, version: Version, expiry: Expiry) -> Option<Row> {
        let short = Duration::from_secs(2);
        if expiry.after.is_zero() || self.has(Fault::ShortIsNotStored) && expiry.after < short {
            return None;
        }
        let life = match self.fault {
            Fault::LivesAMinute => Some(Duration::from_secs(60)),
            Fault::LivesForEver | Fault::HidesWhatLivesForEver => None,
            _ => Some(expiry.after),
        };
        let data = match self.fault {
            Fault::CutsAtAMebibyte => data.slice(..data.len().min(1 << 20)),
            _ => data,
        };
        let gone = life.and_then(|life| Instant::now().checked_add(life));
        Some(Row {
            data,
            version,
            told: expiry.at,
            gone,
        })
    }

    /// The record of a row.
    fn read(fault: Fault, kept: Option<Kept>) -> Result<Option<Record>, StoreError> {
        match kept.filter(|kept| !is_hidden(fault, kept)) {
            None => Ok(None),
            Some(Kept::Garbage) if fault == Fault::GarbageIsNoRecord => Ok(None),
            Some(Kept::Garbage) => Err(StoreError::Corrupt("no record".into())),
            Some(Kept::Record(row)) => {
                let left = row
                    .gone
                    .map(|gone| gone.saturating_duration_since(Instant::now()));
                let end = match (fault, left) {
                    (Fault::EndIsOfTheTtl, Some(left)) => {
                        Clock::system().now().saturating_add(left)
                    }
                    _ => row.told,
                };
                Ok(Some(Record::new(row.data, row.version, end)))
            }
        }
    }

    fn cached(&self, key: &RecordKey, read: Read) -> Option<Record> {
        let serves = match self.fault {
            Fault::CachesInProcess => true,
            Fault::RecentNeverAges => read == Read::Recent,
            _ => false,
        };
        let cache = self.cache.lock().unwrap();
        cache
            .get(key)
            .filter(|record| serves && !record.is_expired())
            .cloned()
    }

    fn remember(&self, key: &RecordKey, record: Option<&Record>) {
        let mut cache = self.cache.lock().unwrap();
        cache.remove(key);
        cache.extend(record.map(|record| (*key, record.clone())));
    }

    /// Replaces a record of this version.
    async fn replace(
        &self,
        key: RecordKey,
        expected: Version,
        row: impl Fn(&Row) -> Option<Row> + Send + 'static,
    ) -> Result<(), StoreError> {
        let fault = self.fault;
        if self.has(Fault::ComparesThenSets) {
            let old = self
                .ask(move |rows| check(rows.get(&key), expected))
                .await??;
            return self.ask(move |rows| put(rows, key, row(&old))).await;
        }
        let replaced = self.ask(move |rows| {
            let kept = match fault {
                Fault::UpdatesWhatEnded => rows.raw(&key),
                _ => rows.get(&key),
            };
            let kept = kept.filter(|kept| !is_hidden(fault, kept));
            let old = check(kept, expected)?;
            put(rows, key, row(&old));
            Ok(())
        });
        replaced.await?
    }
}

fn is_hidden(fault: Fault, kept: &Kept) -> bool {
    let is_over = matches!(kept, Kept::Record(row) if row.told <= Clock::system().now());
    fault == Fault::HidesWhatLivesForEver && is_over
}

fn check(kept: Option<Kept>, expected: Version) -> Result<Row, StoreError> {
    match kept {
        None => Err(StoreError::Gone),
        Some(Kept::Garbage) => Err(StoreError::Corrupt("no record".into())),
        Some(Kept::Record(row)) if row.version == expected => Ok(row),
        Some(Kept::Record(_)) => Err(StoreError::Conflict),
    }
}

fn put(rows: &mut Rows, key: RecordKey, row: Option<Row>) {
    match row {
        Some(row) => rows.put(key, Kept::Record(row)),
        None => rows.remove(&key),
    }
}

fn remove(
    fault: Fault,
    rows: &mut Rows,
    key: &RecordKey,
    expected: Option<Version>,
) -> Result<(), StoreError> {
    match (rows.get(key), expected) {
        (Some(Kept::Garbage), _) if fault == Fault::GarbageStays => {
            Err(StoreError::Corrupt("no record".into()))
        }
        (Some(Kept::Record(row)), Some(expected)) if row.version != expected => {
            Err(StoreError::Conflict)
        }
        _ => {
            rows.remove(key);
            Ok(())
        }
    }
}

impl Store for Client {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        if let Some(cached) = self.cached(key, read) {
            return Ok(Some(cached));
        }
        let (key, fault) = (*key, self.fault);
        let found = match self
            .ask(move |rows| Self::read(fault, rows.get(&key)))
            .await
        {
            Err(_) if self.has(Fault::ErrorIsNoRecord) => return Ok(None),
            answer => answer??,
        };
        self.remember(&key, found.as_ref());
        Ok(found)
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        if self.has(Fault::LoadManyLoops) {
            let mut loaded = Vec::new();
            for key in keys {
                loaded.push(self.load(key, read).await);
            }
            return loaded;
        }
        let (asked, fault) = (keys.to_vec(), self.fault);
        let answer = self.ask(move |rows| {
            let read = |key: &RecordKey| Self::read(fault, rows.get(key));
            asked.iter().map(read).collect::<Vec<_>>()
        });
        let failed = |error: &StoreError| match self.fault {
            Fault::ErrorIsNoRecord => Ok(None),
            _ => Err(StoreError::unavailable(error.to_string())),
        };
        let loaded = answer.await;
        let loaded = loaded.unwrap_or_else(|error| keys.iter().map(|_| failed(&error)).collect());
        let cached = keys.iter().map(|key| self.cached(key, read));
        let newer =
            |(loaded, cached): (_, Option<Record>)| cached.map_or(loaded, |it| Ok(Some(it)));
        loaded.into_iter().zip(cached).map(newer).collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let (key, version) = (*key, self.version()?);
        let row = self.row(data, version, expiry);
        if self.has(Fault::LooksThenSets) {
            if self.ask(move |rows| rows.get(&key)).await?.is_some() {
                return Err(StoreError::Exists);
            }
            self.ask(move |rows| put(rows, key, row)).await?;
            return Ok(version);
        }
        let fault = self.fault;
        let made = self.ask(move |rows| match rows.get(&key) {
            Some(kept) if is_hidden(fault, &kept) => {
                put(rows, key, row);
                Ok(())
            }
            Some(_) => Err(StoreError::Exists),
            None => {
                put(rows, key, row);
                Ok(())
            }
        });
        made.await??;
        Ok(version)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let (key, version) = (*key, self.version()?);
        if self.has(Fault::WritesInTwoSteps) {
            let empty = self.row(Bytes::new(), expected, expiry);
            self.replace(key, expected, move |_| empty.clone()).await?;
        }
        let (row, keeps_ttl) = (
            self.row(data, version, expiry),
            self.has(Fault::UpdateLeavesTheTtl),
        );
        let new = move |old: &Row| match &row {
            Some(row) if keeps_ttl => Some(Row {
                gone: old.gone,
                ..row.clone()
            }),
            row => row.clone(),
        };
        self.replace(key, expected, new).await?;
        self.remember(&key, None);
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let keeps_ttl = self.has(Fault::TouchLeavesTheTtl);
        let row = self.row(Bytes::new(), expected, expiry);
        let new = move |old: &Row| {
            let gone = if keeps_ttl {
                old.gone
            } else {
                row.as_ref()?.gone
            };
            Some(Row {
                data: old.data.clone(),
                gone,
                ..row.clone()?
            })
        };
        self.replace(*key, expected, new).await?;
        self.remember(key, None);
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let (asked, fault) = (*key, self.fault);
        self.ask(move |rows| remove(fault, rows, &asked, expected))
            .await??;
        self.remember(key, None);
        Ok(())
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        if self.has(Fault::DeleteManyLoops) {
            let mut deleted = Vec::new();
            for (key, expected) in records {
                deleted.push(self.delete(key, *expected).await);
            }
            return deleted;
        }
        let (asked, fault) = (records.to_vec(), self.fault);
        let answer = self.ask(move |rows| {
            let mut deleted = Vec::new();
            for (key, expected) in &asked {
                deleted.push(remove(fault, rows, key, *expected));
            }
            deleted
        });
        records.iter().for_each(|(key, _)| self.remember(key, None));
        answer.await.unwrap_or_else(|error| {
            let failed = || Err(StoreError::unavailable(error.to_string()));
            records.iter().map(|_| failed()).collect()
        })
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }
}

impl Fault {
    /// Whether it shows only if two calls meet, or if a cut comes between two steps.
    pub(crate) const fn is_race(self) -> bool {
        matches!(
            self,
            Self::ComparesThenSets | Self::LooksThenSets | Self::WritesInTwoSteps
        )
    }
}

/// Two processes on one server, with everything that the rules can use.
pub(crate) fn subject(fault: Fault, server: &Arc<Server>) -> Subject<Client> {
    let [silent, cut, dirty, counted, asked] = [(); 5].map(|()| Arc::clone(server));
    Subject::new(Client::of(fault, server))
        .peer(Client::of(fault, server))
        .silence(move |_| std::future::ready(silent.silence()))
        .cut(move |_| std::future::ready(cut.cut()))
        .garbage(move |_, key| {
            dirty.garbage(key);
            std::future::ready(())
        })
        .round_trips(move |_| std::future::ready(counted.asked()))
        .time_left(move |_, key| std::future::ready(asked.time_left(&key)))
        .deadline(DEADLINE)
        // A race is lost only after many tries.
        .scale(if fault.is_race() { 1.0 } else { 0.1 })
}
