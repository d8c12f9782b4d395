//! How a database's errors are reported.

use std::{fs, os::unix::fs::PermissionsExt};

use silverback::store::{Bytes, Read, Store, StoreError, Version};
use silverback_sqlx::{Dialect, SqlStore, SqliteStore};
use silverback_test_servers::MariaDb;
use sqlx::{
    AssertSqlSafe,
    mysql::MySqlPoolOptions,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tempfile::TempDir;

use crate::support::{
    records::{HOUR, data, key, make, told, until},
    servers::{file_store, mariadb, mysql_pool, mysql_store, on, postgres, postgres_pool},
};

/// The records exist, and every write fails with this.
async fn reads_only<DB: Dialect>(store: &SqlStore<DB>, is_expected: fn(&StoreError) -> bool) {
    let loaded = store.load(&key(1), Read::Current).await.unwrap().unwrap();
    assert_eq!(loaded.data(), b"data");
    let (data, end) = (Bytes::from_static(b"new"), until(HOUR));
    let created = store.create(&key(2), data.clone(), end).await;
    let updated = store.update(&key(1), loaded.version(), data, end).await;
    let touched = store.touch(&key(1), loaded.version(), end).await;
    let deleted = store.delete(&key(1), None).await;
    let failures = [created, updated, touched].map(Result::unwrap_err);
    for error in failures.into_iter().chain([deleted.unwrap_err()]) {
        assert!(is_expected(&error), "{error:?}");
    }
    assert!(store.load(&key(1), Read::Current).await.unwrap().is_some());
}

fn is_refused(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(_))
}

fn is_unavailable(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_))
}

#[tokio::test]
async fn a_file_that_is_read_only_refuses() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    make(&file_store(&path).await, 1, b"data", HOUR).await;
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let pool = SqlitePoolOptions::new().connect_lazy_with(options);
    reads_only(&on(pool), is_refused).await;
}

#[tokio::test]
async fn a_file_that_is_full_refuses() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let store = file_store(&path).await;
    let options = SqliteConnectOptions::new().filename(&path);
    let options = options.pragma("max_page_count", "12");
    let full = on(SqlitePoolOptions::new().connect_lazy_with(options));
    let version = make(&full, 1, b"data", HOUR).await;
    let large = Bytes::from(vec![1; 100_000]);
    let created = full.create(&key(2), large.clone(), until(HOUR)).await;
    assert!(
        matches!(created, Err(StoreError::Refused(_))),
        "{created:?}"
    );
    let updated = full.update(&key(1), version, large, until(HOUR)).await;
    assert!(
        matches!(updated, Err(StoreError::Refused(_))),
        "{updated:?}"
    );
    let left = store.load(&key(1), Read::Current).await.unwrap().unwrap();
    assert_eq!((left.data(), left.version()), (&b"data"[..], version));
}

#[tokio::test]
async fn something_else_than_a_database_is_no_empty_store() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    fs::write(
        &path,
        "a file of another program, long enough to be looked at ".repeat(90),
    )
    .unwrap();
    let options = SqliteConnectOptions::new().filename(&path);
    let store = on(SqlitePoolOptions::new().connect_lazy_with(options));
    let loaded = store.load(&key(1), Read::Current).await.unwrap_err();
    assert!(matches!(loaded, StoreError::Refused(_)), "{loaded:?}");
    assert!(SqliteStore::open(&path).await.is_err());
}

#[tokio::test]
async fn a_role_that_may_only_read_is_refused() {
    let Some(server) = postgres() else { return };
    let owner = on(postgres_pool(&server.url()));
    let owner = owner.table("readable").unwrap();
    owner.create_table().await.unwrap();
    make(&owner, 1, b"data", HOUR).await;
    server.sql("CREATE ROLE reader LOGIN; GRANT SELECT ON readable TO reader");
    let url = server.url().replace("postgres@", "reader@");
    let reader = on(postgres_pool(&url));
    reads_only(&reader.table("readable").unwrap(), is_refused).await;
}

#[tokio::test]
async fn a_standby_of_postgres_is_not_the_primary() {
    let Some(server) = postgres() else { return };
    let owner = on(postgres_pool(&server.url()));
    let owner = owner.table("standby").unwrap();
    owner.create_table().await.unwrap();
    make(&owner, 1, b"data", HOUR).await;
    let url = server.url() + "?options=-c%20default_transaction_read_only%3Don";
    let standby = on(postgres_pool(&url));
    reads_only(&standby.table("standby").unwrap(), is_unavailable).await;
}

/// The server of the pool's only connection has lost its rank, and a new connection leads to the
/// one that has it now.
#[tokio::test]
async fn the_next_primary_is_found() {
    let new = || Bytes::from_static(b"new");
    if let Some(server) = postgres() {
        let pool = PgPoolOptions::new().max_connections(1);
        let pool = pool.connect_lazy(&server.url()).unwrap();
        let store = on(pool.clone()).table("primary").unwrap();
        store.create_table().await.unwrap();
        let demote = "SET default_transaction_read_only = on";
        sqlx::query(demote).execute(&pool).await.unwrap();
        let created = store.create(&key(1), new(), until(HOUR)).await;
        assert!(is_unavailable(&created.unwrap_err()));
        store.create(&key(1), new(), until(HOUR)).await.unwrap();
    }
    if let Some(server) = mariadb() {
        let pool = MySqlPoolOptions::new().max_connections(1);
        let pool = pool.connect_lazy(&server.url()).unwrap();
        let store = on(pool.clone()).table("primary").unwrap();
        store.create_table().await.unwrap();
        let demote = "SET SESSION TRANSACTION READ ONLY";
        sqlx::query(demote).execute(&pool).await.unwrap();
        let created = store.create(&key(1), new(), until(HOUR)).await;
        assert!(is_unavailable(&created.unwrap_err()));
        store.create(&key(1), new(), until(HOUR)).await.unwrap();
    }
}

/// PgBouncer leads a connection to another server than the one that has its statements, or to one
/// that has another client's.
#[tokio::test]
async fn statements_that_are_mixed_up_are_explained() {
    let Some(server) = postgres() else { return };
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_lazy(&server.url()).unwrap();
    let store = on(pool.clone()).table("mixed").unwrap();
    store.create_table().await.unwrap();
    let load = async || store.load(&key(1), Read::Current).await;
    load().await.unwrap();
    let run = async |statement: String| {
        let run = sqlx::raw_sql(AssertSqlSafe(statement));
        run.execute(&pool).await.unwrap();
    };
    run("DEALLOCATE ALL".to_owned()).await;
    let gone = load().await.unwrap_err();
    for number in 1..20 {
        run(format!("PREPARE sqlx_s_{number} AS SELECT 1")).await;
    }
    let taken = store
        .touch(&key(1), Version::from_u64(1), until(HOUR))
        .await;
    for error in [gone, taken.unwrap_err()] {
        assert!(is_refused(&error), "{error:?}");
        assert!(told(&error).contains("max_prepared_statements"), "{error}");
    }
}

/// Errors after which a write may have happened, or may succeed if it is tried again. The last ones
/// are those of proxies, whose connection to the server was lost.
#[tokio::test]
async fn errors_of_servers_that_come_and_go_are_unavailable() {
    if let Some(server) = mariadb() {
        let store = on(mysql_pool(&server.url())).table("going").unwrap();
        store.create_table().await.unwrap();
        let numbers = [
            1180, 3032, 3100, 3101, 3168, 3169, 4031, 2003, 2006, 2013, 9001,
        ];
        for number in numbers {
            server.sql(&format!(
                "CREATE OR REPLACE TRIGGER silverback.fails BEFORE INSERT ON silverback.going \
                 FOR EACH ROW SIGNAL SQLSTATE 'HY000' \
                 SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'going'"
            ));
            let created = store.create(&key(1), Bytes::new(), until(HOUR)).await;
            let error = created.unwrap_err();
            assert!(is_unavailable(&error), "{number}: {error:?}");
        }
    }
    if let Some(server) = postgres() {
        let store = on(postgres_pool(&server.url())).table("going").unwrap();
        store.create_table().await.unwrap();
        for code in [
            "25P03", "25P04", "40003", "57014", "57P01", "57P05", "08006", "08P01", "58000",
            "58030", "XX000",
        ] {
            server.sql(&format!(
                "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$; \
                 CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON going \
                 FOR EACH ROW EXECUTE FUNCTION fails()"
            ));
            let created = store.create(&key(1), Bytes::new(), until(HOUR)).await;
            let error = created.unwrap_err();
            assert!(is_unavailable(&error), "{code}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_commits_nothing_is_refused() {
    let Some(server) = MariaDb::start() else {
        return;
    };
    server.sql("SET GLOBAL autocommit = 0");
    let store = mysql_store(&server.url()).await;
    let created = store.create(&key(1), Bytes::new(), until(HOUR)).await;
    let error = created.unwrap_err();
    assert!(is_refused(&error), "{error:?}");
    assert!(told(&error).contains("autocommit"), "{}", told(&error));
}

#[tokio::test]
async fn a_replica_of_mariadb_is_not_the_primary() {
    let Some(server) = MariaDb::start() else {
        return;
    };
    make(&mysql_store(&server.url()).await, 1, b"data", HOUR).await;
    server.sql("CREATE USER app@'127.0.0.1'; GRANT ALL ON silverback.* TO app@'127.0.0.1'");
    server.sql("SET GLOBAL read_only = ON");
    let url = server.url().replace("root@", "app@");
    reads_only(&on(mysql_pool(&url)), is_unavailable).await;
}

#[tokio::test]
async fn records_have_to_fit_into_a_packet() {
    let options = MariaDb::options().set("max-allowed-packet", "1M");
    let Some(server) = options.start() else {
        return;
    };
    let store = mysql_store(&server.url()).await;
    let loaded = store.load(&key(1), Read::Current).await.unwrap_err();
    assert!(matches!(loaded, StoreError::Refused(_)), "{loaded:?}");
    assert!(
        told(&loaded).contains("max_record_bytes"),
        "{}",
        told(&loaded)
    );
    let most = (1 << 20) - 4_096;
    let store = store.max_record_bytes(most);
    let largest = Bytes::from(vec![b'\''; most]);
    let (key, end) = (key(1), until(HOUR));
    let version = store.create(&key, largest.clone(), end).await.unwrap();
    store.update(&key, version, largest, end).await.unwrap();
}

#[tokio::test]
async fn a_pool_that_is_closed_is_no_empty_store() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let pool = crate::support::servers::file_pool(&path);
    let store = on(pool.clone());
    pool.close().await;
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );
}

#[tokio::test]
async fn a_file_that_the_store_opens_is_its_owners_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    for round in 0..2 {
        let store = SqliteStore::open(&path).await.unwrap();
        if round == 0 {
            make(&store, 1, b"data", HOUR).await;
        }
        assert_eq!(data(&store, 1).await.unwrap(), b"data");
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{file:?}");
        }
    }
    let nowhere = SqliteStore::open(dir.path().join("none/sessions.db")).await;
    assert!(nowhere.is_err());
}
