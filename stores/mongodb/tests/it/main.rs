//! The store on a server that stands in for MongoDB.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(unix)]

mod concerns;
mod contract;
mod cuts;
mod limits;
mod outage;
mod refusals;
mod repeats;
mod upkeep;

use std::{sync::OnceLock, time::Duration};

use mongodb::{
    Client, Collection,
    bson::{Binary, Document, doc, spec::BinarySubtype},
};
use silverback::{
    Clock,
    store::{Expiry, RecordKey},
};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{SecantusDb, kit::connected};

/// A day, so that nothing ends during a test.
fn day() -> Expiry {
    let now = Clock::system().now();
    Expiry::new(now.saturating_add(Duration::from_secs(86_400)), now)
}

/// Longer than the default, for busy machines.
const PATIENCE: Duration = Duration::from_secs(60);

async fn at(url: &str) -> MongoStore {
    let store = connected(|| MongoStore::connect(url)).await;
    store.timeout(PATIENCE)
}

/// The server of all tests that do not harm it, each with its own database. Starting one takes a
/// second of CPU time.
fn server() -> Option<&'static SecantusDb> {
    static SERVER: OnceLock<Option<SecantusDb>> = OnceLock::new();
    SERVER.get_or_init(SecantusDb::start).as_ref()
}

async fn connect(server: &SecantusDb, database: &str) -> MongoStore {
    at(&server.url(database)).await
}

/// A store on a port that leads to the server.
async fn through(port: u16, database: &str) -> MongoStore {
    at(&SecantusDb::url_at(port, database)).await
}

/// The same with a client of the application, which repeats writes if the server numbers them.
async fn through_repeating(port: u16, database: &str) -> MongoStore {
    let url = SecantusDb::url_at(port, database);
    let client = Client::with_uri_str(url).await.unwrap();
    MongoStore::new(client.database(database)).timeout(PATIENCE)
}

/// The collection as another program uses it.
async fn documents(server: &SecantusDb, database: &str, collection: &str) -> Collection<Document> {
    let client = Client::with_uri_str(server.url(database)).await.unwrap();
    client.database(database).collection(collection)
}

async fn put(documents: &Collection<Document>, key: RecordKey, mut document: Document) {
    let id = id(&key);
    document.insert("_id", id.clone());
    let put = documents.replace_one(doc! { "_id": id }, document);
    put.upsert(true).await.unwrap();
}

fn id(key: &RecordKey) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: key.as_bytes().to_vec(),
    }
}
