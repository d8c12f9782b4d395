//! Servers, pools and stores.

use std::{path::Path, sync::OnceLock, time::Duration};

use silverback_sqlx::{Dialect, MySqlStore, PostgresStore, SqlStore, SqliteStore};
pub(crate) use silverback_test_servers::{Galera, MariaDb, MySql, Postgres, Proxy};
use sqlx::{
    MySqlPool, PgPool, Pool, SqlitePool,
    mysql::MySqlPoolOptions,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

/// As many as the tasks of a test need not to wait for each other, and three nodes of a server have
/// room for.
const CONNECTIONS: u32 = 24;

pub(crate) fn postgres_pool(url: &str) -> PgPool {
    let options = PgPoolOptions::new().max_connections(CONNECTIONS);
    let options = options.test_before_acquire(false);
    options.connect_lazy(url).unwrap()
}

pub(crate) fn mysql_pool(url: &str) -> MySqlPool {
    let options = MySqlPoolOptions::new().max_connections(CONNECTIONS);
    let options = options.test_before_acquire(false);
    options.connect_lazy(url).unwrap()
}

pub(crate) fn file_pool(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    SqlitePoolOptions::new().connect_lazy_with(options)
}

/// Longer than a busy machine keeps a call waiting.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A store on a pool, for a busy machine.
pub(crate) fn on<DB: Dialect>(pool: Pool<DB>) -> SqlStore<DB> {
    SqlStore::new(pool).timeout(LONG)
}

/// The address of a server behind a proxy, or of another database on it.
pub(crate) fn through(url: &str, from: u16, proxy: &Proxy) -> String {
    url.replace(&format!(":{from}/"), &format!(":{}/", proxy.port()))
}

pub(crate) async fn postgres_store(url: &str) -> PostgresStore {
    let store = on(postgres_pool(url));
    store.create_table().await.unwrap();
    store
}

pub(crate) async fn mysql_store(url: &str) -> MySqlStore {
    let store = on(mysql_pool(url));
    store.create_table().await.unwrap();
    store
}

pub(crate) async fn file_store(path: &Path) -> SqliteStore {
    let store = on(file_pool(path));
    store.create_table().await.unwrap();
    store
}

/// The server of all tests that leave it as it is, each with a table of its own.
pub(crate) fn postgres() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start).as_ref()
}

/// The server of all tests that leave it as it is, each with a table of its own.
pub(crate) fn mariadb() -> Option<&'static MariaDb> {
    static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
    SERVER.get_or_init(MariaDb::start).as_ref()
}
