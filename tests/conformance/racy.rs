//! Stores that look at a record under one lock and write it under another.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    thread,
};

use silverback::{
    Clock,
    store::{
        Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version,
        conformance::{self, Rule},
    },
};

/// The method that writes whatever has happened since it looked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Racy {
    Nothing,
    Create,
    Update,
    /// Refuses a record that has changed, but brings back one that is gone.
    UpdateRevives,
    Touch,
    /// Sets the end of the record that is there by now.
    TouchOfAnother,
    TouchRevives,
    Delete,
    DeleteAtVersion,
}

struct RacyStore {
    racy: Racy,
    records: Mutex<HashMap<RecordKey, Record>>,
}

type Records<'a> = MutexGuard<'a, HashMap<RecordKey, Record>>;

impl RacyStore {
    fn records(&self) -> Records<'_> {
        self.records.lock().unwrap()
    }

    /// Gives the lock away for a moment, if this method is the racy one.
    fn again<'a>(&'a self, records: Records<'a>, racy: &[Racy]) -> Records<'a> {
        if !racy.contains(&self.racy) {
            return records;
        }
        drop(records);
        thread::yield_now();
        self.records()
    }
}

fn look(records: &Records<'_>, key: &RecordKey) -> Option<Record> {
    records.get(key).filter(|it| !it.is_expired()).cloned()
}

fn expect(records: &Records<'_>, key: &RecordKey, expected: Version) -> Result<Record, StoreError> {
    let found = look(records, key).ok_or(StoreError::Gone)?;
    let is_expected = found.version() == expected;
    is_expected.then_some(found).ok_or(StoreError::Conflict)
}

impl Store for RacyStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        Ok(look(&self.records(), key))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        _: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let records = self.records();
        keys.iter().map(|key| Ok(look(&records, key))).collect()
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let records = self.records();
        if look(&records, key).is_some() {
            return Err(StoreError::Exists);
        }
        let mut records = self.again(records, &[Racy::Create]);
        let (version, end) = (
            Version::random()?,
            expiry.checked_at(Clock::system().now())?,
        );
        records.insert(*key, Record::new(data, version, end));
        Ok(version)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let records = self.records();
        expect(&records, key, expected)?;
        let mut records = self.again(records, &[Racy::Update, Racy::UpdateRevives]);
        if self.racy == Racy::UpdateRevives
            && let Err(StoreError::Conflict) = expect(&records, key, expected)
        {
            return Err(StoreError::Conflict);
        }
        let (version, end) = (
            Version::random()?,
            expiry.checked_at(Clock::system().now())?,
        );
        records.insert(*key, Record::new(data, version, end));
        Ok(version)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let records = self.records();
        let mut found = expect(&records, key, expected)?;
        let racy = [Racy::Touch, Racy::TouchOfAnother, Racy::TouchRevives];
        let mut records = self.again(records, &racy);
        match (self.racy, look(&records, key)) {
            (Racy::Touch | Racy::TouchOfAnother, None) => return Err(StoreError::Gone),
            (Racy::TouchOfAnother, Some(now)) => found = now,
            (Racy::TouchRevives, Some(now)) if now.version() != expected => {
                return Err(StoreError::Conflict);
            }
            _ => {}
        }
        let (version, end) = (found.version(), expiry.checked_at(Clock::system().now())?);
        records.insert(*key, Record::new(found.into_data(), version, end));
        Ok(version)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let records = self.records();
        let Some(expected) = expected else {
            let seen = look(&records, key).map(|record| record.version());
            let mut records = self.again(records, &[Racy::Delete]);
            if look(&records, key).map(|record| record.version()) == seen {
                records.remove(key);
            }
            return Ok(());
        };
        match expect(&records, key, expected) {
            Err(StoreError::Gone) => Ok(()),
            Err(refused) => Err(refused),
            Ok(_) => {
                self.again(records, &[Racy::DeleteAtVersion]).remove(key);
                Ok(())
            }
        }
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let mut deleted = Vec::with_capacity(records.len());
        for (key, expected) in records {
            deleted.push(self.delete(key, *expected).await);
        }
        deleted
    }

    fn limits(&self) -> Limits {
        Limits {
            never_waits: true,
            ..Limits::default()
        }
    }
}

const RACY: &[(Racy, &str)] = &[
    (Racy::Create, "of_many_creates_one_wins"),
    (Racy::Update, "no_increment_is_lost"),
    (Racy::UpdateRevives, "a_deleted_record_never_comes_back"),
    (Racy::Touch, "an_update_and_a_touch_lose_nothing"),
    (Racy::TouchOfAnother, "an_update_and_a_touch_lose_nothing"),
    (Racy::TouchRevives, "a_deleted_record_never_comes_back"),
    (Racy::Delete, "a_deleted_record_never_comes_back"),
    (
        Racy::DeleteAtVersion,
        "a_delete_at_a_version_spares_a_racing_update",
    ),
];

async fn check(racy: Racy, rule: &str) -> Result<(), conformance::Violation> {
    let records = Mutex::default();
    let rule = Rule::named(rule).unwrap();
    let checked = conformance::check(rule, RacyStore { racy, records }).await;
    checked.map(drop)
}

/// A busy machine runs one thread at a time for most of the time that a rule takes, so that the
/// threads may not meet. Then the rule is checked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_racy_store_fails_the_rule_it_breaks() {
    for (racy, rule) in RACY {
        let mut checks = 0..100;
        let violation = loop {
            assert!(checks.next().is_some(), "{racy:?} passes {rule}");
            if let Err(violation) = check(*racy, rule).await {
                break violation;
            }
        };
        println!("{racy:?}: {violation}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_store_with_one_lock_passes() {
    for (_, rule) in RACY {
        check(Racy::Nothing, rule).await.unwrap();
    }
}
