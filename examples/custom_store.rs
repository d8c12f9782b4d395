//! A store of one's own: here it keeps sessions in a map and prints what it is asked to do.
//!
//! ```text
//! cargo run --example custom_store --features axum
//! curl -b jar -c jar http://localhost:8080/
//! ```

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{Router, routing::get};
use silverback::{
    Clock, Error, Keys, Session, SessionConfig, SessionLayer, Timestamp,
    store::{Bytes, Expiry, Limits, Read, Record, RecordKey, Store, StoreError, Version},
};
use tokio::net::TcpListener;

#[derive(Default)]
struct PrintingStore(Mutex<HashMap<RecordKey, Record>>);

impl Store for PrintingStore {
    async fn load(&self, key: &RecordKey, _: Read) -> Result<Option<Record>, StoreError> {
        println!("load   {key}");
        Ok(self.records().get(key).cloned())
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut loaded = Vec::with_capacity(keys.len());
        for key in keys {
            loaded.push(self.load(key, read).await);
        }
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        println!("create {key}, {} bytes", data.len());
        let mut records = self.records();
        if records.contains_key(key) {
            return Err(StoreError::Exists);
        }
        let (version, end) = (Version::random()?, end(expiry)?);
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
        println!("update {key}, {} bytes", data.len());
        let mut records = self.records();
        let record = expect(&mut records, key, expected)?;
        *record = Record::new(data, Version::random()?, end(expiry)?);
        Ok(record.version())
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        println!("touch  {key}, {} s", expiry.after.as_secs());
        let mut records = self.records();
        let record = expect(&mut records, key, expected)?;
        *record = Record::new(record.clone().into_data(), expected, end(expiry)?);
        Ok(expected)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        println!("delete {key}");
        let mut records = self.records();
        if let Some(version) = expected
            && let Err(StoreError::Conflict) = expect(&mut records, key, version)
        {
            return Err(StoreError::Conflict);
        }
        records.remove(key);
        Ok(())
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

impl PrintingStore {
    /// The records that are not over.
    fn records(&self) -> MutexGuard<'_, HashMap<RecordKey, Record>> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|_, record| !record.is_expired());
        records
    }
}

/// The end by the clock of this store, which is the system's.
fn end(expiry: Expiry) -> Result<Timestamp, StoreError> {
    expiry.checked_at(Clock::system().now())
}

/// The record, if it has the expected version.
fn expect<'a>(
    records: &'a mut HashMap<RecordKey, Record>,
    key: &RecordKey,
    expected: Version,
) -> Result<&'a mut Record, StoreError> {
    let record = records.get_mut(key).ok_or(StoreError::Gone)?;
    if record.version() == expected {
        Ok(record)
    } else {
        Err(StoreError::Conflict)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = SessionConfig::new("session", PrintingStore::default(), Keys::generate()?)
        .insecure_local_http();
    let app = Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(config));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn visit(session: Session) -> Result<String, Error> {
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}\n"))
}
