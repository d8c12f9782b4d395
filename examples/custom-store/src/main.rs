//! Your own store. This one keeps sessions in a map, and prints each call.
//!
//! ```text
//! cargo run -p example-custom-store
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

struct PrintingStore {
    records: Mutex<HashMap<RecordKey, Record>>,
    clock: Clock,
}

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
        let (version, end) = (Version::random()?, self.end(expiry)?);
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
        *record = Record::new(data, Version::random()?, self.end(expiry)?);
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
        *record = Record::new(record.clone().into_data(), expected, self.end(expiry)?);
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
    /// Tests move the clock. A program uses `Clock::system()`.
    fn new(clock: Clock) -> Self {
        Self {
            records: Mutex::default(),
            clock,
        }
    }

    /// Locks the records, and removes those that have expired.
    fn records(&self) -> MutexGuard<'_, HashMap<RecordKey, Record>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        records.retain(|_, record| !record.is_expired_at(now));
        records
    }

    /// Returns the record's end, unless it has already passed by the store's clock.
    fn end(&self, expiry: Expiry) -> Result<Timestamp, StoreError> {
        expiry.checked_at(self.clock.now())
    }
}

/// Returns the record, if it has the expected version.
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
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(Keys::generate()?)).await?;
    Ok(())
}

fn app(keys: Keys) -> Router {
    let config = SessionConfig::new("session", PrintingStore::new(Clock::system()), keys)
        .insecure_local_http();
    Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(config))
}

async fn visit(session: Session) -> Result<String, Error> {
    let n = session.update("visits", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {n}\n"))
}

// The contract of stores, as tests. Sessions rely on each of these promises.
#[cfg(test)]
silverback::store_conformance!(|clock| PrintingStore::new(clock));

#[cfg(test)]
mod tests {
    use silverback::testing::Browser;

    use super::*;

    #[tokio::test]
    async fn visits_are_counted_for_each_visitor() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        assert_eq!(ada.get("/").await.text(), "visit 1\n");
        assert_eq!(ada.get("/").await.text(), "visit 2\n");
        assert_eq!(ada.another().get("/").await.text(), "visit 1\n");
    }
}
