//! The stores by address.

use std::{
    env,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use silverback::{
    FilesystemStore,
    store::{
        Browse as _, Cursor, DynStore, Page, Read, RecordKey, Store as _, StoreError, Sweep as _,
        Swept,
    },
};
use silverback_dynamodb::DynamoDbStore;
use silverback_firestore::FirestoreStore;
use silverback_memcached::MemcachedStore;
use silverback_mongodb::MongoStore;
use silverback_redb::RedbStore;
use silverback_redis::RedisStore;
use silverback_sqlx::{MySqlStore, PostgresStore, SqlStore, SqliteStore};
use sqlx::{
    Connection, MySqlConnection, MySqlPool, PgConnection, PgPool, SqlitePool,
    mysql::MySqlPoolOptions, postgres::PgPoolOptions, sqlite::SqliteConnectOptions,
};

use crate::{
    dsn::{Dsn, Place},
    failure::Failure,
};

/// A store that was opened by its address.
pub(crate) struct Opened {
    pub(crate) kind: Kind,
    pub(crate) dsn: Dsn,
    shared: DynStore,
}

/// The store with its type, for `doctor`.
pub(crate) enum Kind {
    File(FilesystemStore, PathBuf),
    Redis(RedisStore),
    Postgres(PostgresStore, PgPool),
    MySql(MySqlStore, MySqlPool),
    Sqlite(SqliteStore, SqlitePool),
    Redb(RedbStore, PathBuf),
    Memcached(MemcachedStore),
    Firestore(FirestoreStore),
    MongoDb(MongoStore),
    DynamoDb(DynamoDbStore),
}

/// How long a database may take to accept this tool, or to answer `doctor`.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl Opened {
    /// Opens an existing store, and creates nothing.
    pub(crate) async fn open(dsn: Dsn) -> Result<Self, Failure> {
        let kind = match open(&dsn).await {
            Err(Failure::Failed(message)) => return Err(Failure::Failed(dsn.hide(&message))),
            Err(Failure::Refused(message)) => return Err(Failure::Refused(dsn.hide(&message))),
            opened => opened?,
        };
        let shared = match &kind {
            Kind::File(store, _) => DynStore::new(store.clone()),
            Kind::Redis(store) => DynStore::new(store.clone()),
            Kind::Postgres(store, _) => DynStore::new(store.clone()),
            Kind::MySql(store, _) => DynStore::new(store.clone()),
            Kind::Sqlite(store, _) => DynStore::new(store.clone()),
            Kind::Redb(store, _) => DynStore::new(store.clone()),
            Kind::Memcached(store) => DynStore::new(store.clone()),
            Kind::Firestore(store) => DynStore::new(store.clone()),
            Kind::MongoDb(store) => DynStore::new(store.clone()),
            Kind::DynamoDb(store) => DynStore::new(store.clone()),
        };
        Ok(Self { kind, dsn, shared })
    }

    /// The store, for a session's settings.
    pub(crate) fn shared(&self) -> DynStore {
        self.shared.clone()
    }

    pub(crate) async fn page(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        match &self.kind {
            Kind::File(store, _) => store.browse(from, limit).await,
            Kind::Redis(store) => store.browse(from, limit).await,
            Kind::Postgres(store, _) => store.browse(from, limit).await,
            Kind::MySql(store, _) => store.browse(from, limit).await,
            Kind::Sqlite(store, _) => store.browse(from, limit).await,
            Kind::Redb(store, _) => store.browse(from, limit).await,
            Kind::Firestore(store) => store.browse(from, limit).await,
            Kind::MongoDb(store) => store.browse(from, limit).await,
            Kind::DynamoDb(store) => store.browse(from, limit).await,
            Kind::Memcached(_) => Err(StoreError::refused("memcached cannot list its keys")),
        }
    }

    /// Sweeps some records. Returns `None` if the server removes expired records itself.
    pub(crate) async fn sweep_some(&self, limit: usize) -> Option<Swept> {
        Some(match &self.kind {
            Kind::Redis(_) | Kind::Memcached(_) | Kind::DynamoDb(_) => return None,
            Kind::File(store, _) => store.sweep_some(limit).await,
            Kind::Postgres(store, _) => store.sweep_some(limit).await,
            Kind::MySql(store, _) => store.sweep_some(limit).await,
            Kind::Sqlite(store, _) => store.sweep_some(limit).await,
            Kind::Redb(store, _) => store.sweep_some(limit).await,
            Kind::Firestore(store) => store.sweep_some(limit).await,
            Kind::MongoDb(store) => store.sweep_some(limit).await,
        })
    }
}

impl Dsn {
    /// Replaces the password in a client's message.
    pub(crate) fn hide(&self, message: &str) -> String {
        match &self.secret {
            Some(secret) if !secret.is_empty() => message.replace(secret, "***"),
            _ => message.to_owned(),
        }
    }
}

async fn open(dsn: &Dsn) -> Result<Kind, Failure> {
    let shown = &dsn.shown;
    Ok(match &dsn.place {
        Place::File(path) => Kind::File(open_directory(path, dsn)?, path.clone()),
        Place::Redis(url) => {
            install_tls();
            reach_redis(url, shown).await?;
            prefixed(RedisStore::connect(url).await, dsn)?
        }
        Place::RedisCluster(urls) => {
            install_tls();
            prefixed(RedisStore::connect_cluster(urls).await, dsn)?
        }
        Place::RedisSentinel(urls, master) => {
            install_tls();
            prefixed(RedisStore::connect_sentinel(urls, master).await, dsn)?
        }
        Place::Postgres(url) => {
            let options = PgPoolOptions::new()
                .max_connections(2)
                .acquire_timeout(PATIENCE);
            reach::<PgConnection>(url, shown).await?;
            let pool = options
                .connect_lazy(url)
                .map_err(|error| cannot_open(shown, &error))?;
            Kind::Postgres(tabled(SqlStore::new(pool.clone()), dsn)?, pool)
        }
        Place::MySql(url) => {
            let options = MySqlPoolOptions::new()
                .max_connections(2)
                .acquire_timeout(PATIENCE);
            reach::<MySqlConnection>(url, shown).await?;
            let pool = options
                .connect_lazy(url)
                .map_err(|error| cannot_open(shown, &error))?;
            Kind::MySql(tabled(SqlStore::new(pool.clone()), dsn)?, pool)
        }
        Place::Redb(path) => {
            check_file(path, shown)?;
            let options = RedbStore::options().max_record_bytes(usize::MAX);
            let opened = options.open(path).await;
            let store = opened.map_err(|error| cannot_open(shown, &error))?;
            Kind::Redb(store, path.clone())
        }
        Place::Memcached(url) => {
            let connected = MemcachedStore::connect(url).await;
            let store = connected.map_err(|error| not_connected(shown, &error))?;
            let prefixed = dsn
                .prefix
                .iter()
                .try_fold(store, |store, it| store.prefix(it));
            Kind::Memcached(prefixed.map_err(|error| Failure::refused("--store", &error))?)
        }
        Place::Firestore(url) => Kind::Firestore(open_firestore(url, dsn).await?),
        Place::MongoDb(url) => {
            let connected = MongoStore::connect(url).await;
            let store = connected.map_err(|error| not_connected(shown, &error))?;
            let store = store.max_record_bytes(usize::MAX);
            Kind::MongoDb(match &dsn.collection {
                Some(name) => store.collection(name),
                None => store,
            })
        }
        Place::DynamoDb(table) => Kind::DynamoDb(open_table(table, dsn).await?),
        Place::Sqlite(path) => {
            check_file(path, shown)?;
            let options = SqliteConnectOptions::from_str("sqlite:")
                .map_err(|error| cannot_open(shown, &error))?
                .filename(path)
                .create_if_missing(false);
            let pool = SqlitePool::connect_with(options).await;
            let pool = pool.map_err(|error| cannot_open(shown, &error))?;
            Kind::Sqlite(tabled(SqlStore::new(pool.clone()), dsn)?, pool)
        }
    })
}

/// Connects once, since a pool would keep trying to reach a server that is down.
async fn reach<C: Connection>(url: &str, shown: &str) -> Result<(), Failure> {
    let reached = tokio::time::timeout(PATIENCE, async { C::connect(url).await?.close().await });
    let why = match reached.await {
        Ok(Ok(())) => return Ok(()),
        // Without sqlx's "at line", which is a line of the server's source.
        Ok(Err(sqlx::Error::Database(error))) => error.message().to_owned(),
        Ok(Err(error)) => return Err(cannot_open(shown, &error)),
        Err(_) => format!("it has not answered within {PATIENCE:?}"),
    };
    Err(Failure::Failed(format!("{shown} cannot be opened: {why}")))
}

/// Connects once, since the store would wait for a server that is about to start.
async fn reach_redis(url: &str, shown: &str) -> Result<(), Failure> {
    let client = redis::Client::open(url).map_err(|error| Failure::refused("--store", &error))?;
    let config = redis::AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE));
    let reached = client
        .get_multiplexed_async_connection_with_config(&config)
        .await;
    reached
        .map(drop)
        .map_err(|error| cannot_open(shown, &error))
}

/// Uses the same credentials as the AWS CLI, and asks once, for any key.
async fn open_table(table: &str, dsn: &Dsn) -> Result<DynamoDbStore, Failure> {
    let tls = tls::Provider::Rustls(CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls);
    let mut config =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http.build_https());
    if let Some(region) = &dsn.region {
        config = config.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &dsn.endpoint {
        config = config.endpoint_url(endpoint);
    }
    let client = aws_sdk_dynamodb::Client::new(&config.load().await);
    let store = DynamoDbStore::new(&client, table).timeout(PATIENCE);
    let any = RecordKey::from_bytes([0; 32]);
    match store.load(&any, Read::Recent).await {
        Ok(_) | Err(StoreError::Corrupt(_)) => Ok(store),
        Err(error) => Err(not_connected(&dsn.shown, &error)),
    }
}

fn open_directory(path: &PathBuf, dsn: &Dsn) -> Result<FilesystemStore, Failure> {
    let shown = &dsn.shown;
    if !path.is_dir() {
        return Err(Failure::Failed(format!(
            "{shown}: there is no such directory"
        )));
    }
    let options = FilesystemStore::options().allow_network_filesystem(dsn.is_network);
    options
        .max_record_bytes(usize::MAX)
        .open(path)
        .map_err(|error| cannot_open(shown, &error))
}

/// Opens Google's service with a token, or the emulator, by the variables that Google's own tools
/// and Terraform use.
async fn open_firestore(url: &str, dsn: &Dsn) -> Result<FirestoreStore, Failure> {
    let connected = match env::var("FIRESTORE_EMULATOR_HOST") {
        Ok(host) => FirestoreStore::connect_emulator(&host, url).await,
        Err(_) => FirestoreStore::connect(url, async || token()).await,
    };
    let store = connected.map_err(|error| not_connected(&dsn.shown, &error))?;
    let store = store.timeout(PATIENCE);
    let named = dsn
        .collection
        .iter()
        .try_fold(store, |store, name| store.collection(name));
    named.map_err(|error| Failure::refused("--store", &error))
}

/// The variable for a token of `gcloud auth print-access-token`.
const TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";

fn token() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    env::var(TOKEN).map_err(|error| format!("{TOKEN}: {error}").into())
}

fn prefixed(store: Result<RedisStore, StoreError>, dsn: &Dsn) -> Result<Kind, Failure> {
    let store = store.map_err(|error| not_connected(&dsn.shown, &error))?;
    Ok(Kind::Redis(match &dsn.prefix {
        Some(prefix) => store.prefix(prefix),
        None => store,
    }))
}

fn tabled<DB: silverback_sqlx::Dialect>(
    store: SqlStore<DB>,
    dsn: &Dsn,
) -> Result<SqlStore<DB>, Failure> {
    match &dsn.table {
        Some(table) => store
            .table(table)
            .map_err(|error| Failure::refused("--store", &error)),
        None => Ok(store),
    }
}

fn check_file(path: &Path, shown: &str) -> Result<(), Failure> {
    if path.is_file() {
        return Ok(());
    }
    Err(Failure::Failed(format!("{shown}: there is no such file")))
}

fn not_connected(shown: &str, error: &StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => cannot_open(shown, error),
        _ => Failure::refused(shown, error),
    }
}

fn cannot_open(shown: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::failed(format!("{shown} cannot be opened"), error)
}

/// rustls has no default provider where an application may choose one.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_named() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let [postgres, mysql] = ["postgres", "mysql"].map(|it| format!("{it}://{address}/x"));
        let postgres = reach::<PgConnection>(&postgres, "the store");
        let mysql = reach::<MySqlConnection>(&mysql, "the store");
        for failed in [postgres.await, mysql.await] {
            let message = failed.unwrap_err().message().unwrap();
            assert_eq!(
                message,
                "the store cannot be opened: it has not answered within 10s"
            );
        }
    }
}
