//! A store in DynamoDB, on emulators.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]
#![cfg(unix)]

mod answers;
mod batches;
mod browsing;
mod contract;
mod cuts;
mod limits;
mod moto;
mod outage;
mod scripted;
mod table;

use std::{sync::LazyLock, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
};
use silverback::{Clock, Timestamp, store::Expiry};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::DynamoDb;

use self::table::{Table, create};

/// Nothing ends during a test.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The last second of the year 9999.
const LATEST: Timestamp = Timestamp::from_secs(253_402_300_799);

/// Bounds a hang.
const FOR_EVER: Duration = Duration::from_secs(300);

fn seconds(after: u64) -> Expiry {
    Expiry::new(NOW.saturating_add(Duration::from_secs(after)), NOW)
}

fn day() -> Expiry {
    seconds(86_400)
}

/// The settings of an application. Nobody checks these credentials.
fn config(endpoint: &str) -> aws_sdk_dynamodb::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
}

fn client(endpoint: &str) -> Client {
    Client::from_conf(config(endpoint).build())
}

/// The server for tests that do not harm it.
fn server() -> Option<&'static DynamoDb> {
    static SERVER: LazyLock<Option<DynamoDb>> = LazyLock::new(DynamoDb::start);
    SERVER.as_ref()
}

/// A store on a port that leads to the server.
fn through(port: u16) -> Client {
    client(&format!("http://127.0.0.1:{port}"))
}

/// A store whose clock stands still. Its timeout is longer than the default, for busy machines.
fn store(client: &Client, table: &str) -> DynamoDbStore {
    let store = DynamoDbStore::new(client, table).clock(Clock::manual(NOW));
    store.timeout(FOR_EVER)
}

/// A store in its own table.
async fn fresh() -> Option<(DynamoDbStore, Table)> {
    let table = create(client(&server()?.url())).await;
    Some((store(&table.client, &table.name), table))
}
