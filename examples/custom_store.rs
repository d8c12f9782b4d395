//! A store of one's own: here it keeps sessions in a map and prints what it is asked to do.
//!
//! ```text
//! cargo run --example custom_store --features axum
//! curl -b jar -c jar http://localhost:8080/
//! ```

use std::{collections::HashMap, sync::Mutex};

use axum::{Router, routing::get};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer, Timestamp,
    store::{Bytes, Record, RecordKey, Store, StoreError, Version},
};
use tokio::net::TcpListener;

#[derive(Default)]
struct PrintingStore(Mutex<HashMap<RecordKey, Record>>);

impl Store for PrintingStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        println!("load   {key}");
        Ok(self
            .records()
            .get(key)
            .filter(|record| !record.is_expired())
            .cloned())
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        println!("create {key}, {} bytes", data.len());
        let mut records = self.records();
        if records.get(key).is_some_and(|record| !record.is_expired()) {
            return Err(StoreError::Exists);
        }
        records.insert(*key, Record::new(data, Version::FIRST, expires));
        Ok(Version::FIRST)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expires: Timestamp,
    ) -> Result<Version, StoreError> {
        println!("update {key}, {} bytes", data.len());
        let mut records = self.records();
        let record = records
            .get_mut(key)
            .filter(|record| !record.is_expired())
            .ok_or(StoreError::Gone)?;
        if record.version() != expected {
            return Err(StoreError::Conflict);
        }
        *record = Record::new(data, expected.next(), expires);
        Ok(expected.next())
    }

    async fn delete(&self, key: &RecordKey) -> Result<(), StoreError> {
        println!("delete {key}");
        self.records().remove(key);
        Ok(())
    }
}

impl PrintingStore {
    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<RecordKey, Record>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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
    let n = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("visit {n}\n"))
}
