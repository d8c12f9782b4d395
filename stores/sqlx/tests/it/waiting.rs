//! Calls that wait for others, and those that give up.

use std::{
    future::poll_fn,
    net::{Ipv4Addr, TcpListener},
    pin::pin,
    task::Poll,
    time::Duration,
};

use silverback::store::{Browse, Bytes, Cursor, Read, Store, StoreError, Sweep};
use silverback_sqlx::{Dialect, SqlStore};
use sqlx::{Connection, Executor, PgConnection, mysql::MySqlPoolOptions, postgres::PgPoolOptions};
use tokio::time::Instant;

use crate::support::{
    records::{HOUR, data, key, make, until},
    servers::{Proxy, mariadb, mysql_store, on, postgres, postgres_pool, through},
};

/// Bounds a hang.
const FOR_EVER: Duration = Duration::from_secs(120);

/// An update waits for a lock and gives up. Its connection is the only one of its pool, and is
/// replaced although the lock remains.
#[tokio::test]
async fn a_statement_that_is_given_up_does_not_keep_its_connection() {
    let Some(server) = postgres() else { return };
    let options = PgPoolOptions::new().max_connections(1);
    let pool = options.connect_lazy(&server.url()).unwrap();
    let store = on(pool).table("held").unwrap();
    store.create_table().await.unwrap();
    let version = make(&store, 1, b"data", HOUR).await;
    let store = store.timeout(Duration::from_millis(500));
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let lock = "BEGIN; SELECT * FROM held FOR UPDATE";
    other.execute(lock).await.unwrap();
    let new = Bytes::from_static(b"new");
    let updated = store.update(&key(1), version, new, until(HOUR)).await;
    assert!(
        matches!(updated, Err(StoreError::Unavailable(_))),
        "{updated:?}"
    );
    let loaded = async {
        loop {
            match store.load(&key(1), Read::Current).await {
                Ok(found) => break found.unwrap(),
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let loaded = tokio::time::timeout(FOR_EVER, loaded).await.unwrap();
    assert_eq!(loaded.data(), b"data");
    other.execute("ROLLBACK").await.unwrap();
}

/// The first call asks the server for its properties.
#[tokio::test]
async fn a_first_call_that_nobody_polls_any_more_keeps_no_other_waiting() {
    let Some(server) = mariadb() else { return };
    mysql_store(&server.url()).await;
    let options = MySqlPoolOptions::new().test_before_acquire(false);
    // The first call takes this connection without waiting.
    let pool = options.connect(&server.url()).await.unwrap();
    let (store, key) = (on(pool), key(1));
    let mut left = pin!(store.load(&key, Read::Current));
    let begun = poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_pending()));
    assert!(begun.await, "it is asking");
    assert!(store.load(&key, Read::Current).await.unwrap().is_none());
    assert!(left.await.unwrap().is_none());
}

/// However many statements they take.
#[tokio::test(start_paused = true)]
async fn a_call_about_many_records_has_no_more_time() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let pool = PgPoolOptions::new().acquire_timeout(FOR_EVER);
    let pool = pool.connect_lazy(&format!("postgres://app@127.0.0.1:{port}/app"));
    let store = on(pool.unwrap()).timeout(Duration::from_secs(2));
    let keys: Vec<_> = (0..2_000).map(key).collect();
    let start = Instant::now();
    let loaded = store.load_many(&keys, Read::Current).await;
    assert!(loaded.len() == keys.len() && loaded.iter().all(Result::is_err));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let records: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
    let deleted = store.delete_many(&records).await;
    assert!(deleted.len() == keys.len() && deleted.iter().all(Result::is_err));
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}

/// The database ends a statement that has waited too long for a lock. The store repeats it, and the
/// caller does not notice.
#[tokio::test]
async fn a_lock_that_takes_too_long_is_waited_for_again() {
    let Some(server) = postgres() else { return };
    let url = server.url() + "?options=-c%20lock_timeout%3D1s";
    let store = on(postgres_pool(&url));
    let store = store.table("waiting").unwrap();
    store.create_table().await.unwrap();
    let version = make(&store, 1, b"data", HOUR).await;
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let lock = "BEGIN; SELECT * FROM waiting FOR UPDATE";
    other.execute(lock).await.unwrap();
    let (one, end, new) = (key(1), until(HOUR), Bytes::from_static(b"new"));
    let free = async {
        while !server.log().contains("due to lock timeout") {
            tokio::task::yield_now().await;
        }
        other.execute("COMMIT").await.unwrap();
    };
    let (updated, ()) = tokio::join!(store.update(&one, version, new, end), free);
    updated.unwrap();
    assert_eq!(data(&store, 1).await.unwrap(), b"new");
}

/// The server's host vanishes when it has just answered, and its address leads to another one. The
/// only connection of the pool is on its way back then.
async fn outlives_its_server<DB: Dialect>(store: SqlStore<DB>, proxy: &Proxy) {
    let store = store.table("outlived").unwrap();
    store.create_table().await.unwrap();
    make(&store, 1, b"data", HOUR).await;
    let store = store.timeout(Duration::from_millis(500));
    for _ in 0..2 {
        loop {
            match store.load(&key(1), Read::Current).await {
                Ok(found) => break assert_eq!(found.unwrap().data(), b"data"),
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        // Nothing has run since the answer: the runtime has one thread.
        proxy.abandon();
    }
}

#[tokio::test]
async fn a_server_that_vanishes_does_not_keep_postgres_connections() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::to(server.port());
    let options = PgPoolOptions::new().max_connections(1);
    let options = options.test_before_acquire(false);
    let url = through(&server.url(), server.port(), &proxy);
    let store = on(options.connect_lazy(&url).unwrap());
    let outlived = outlives_its_server(store, &proxy);
    tokio::time::timeout(FOR_EVER, outlived).await.unwrap();
}

#[tokio::test]
async fn a_server_that_vanishes_does_not_keep_mariadb_connections() {
    let Some(server) = mariadb() else { return };
    let proxy = Proxy::to(server.port());
    let options = MySqlPoolOptions::new().max_connections(1);
    let options = options.test_before_acquire(false);
    let url = through(&server.url(), server.port(), &proxy);
    let store = on(options.connect_lazy(&url).unwrap());
    let outlived = outlives_its_server(store, &proxy);
    tokio::time::timeout(FOR_EVER, outlived).await.unwrap();
}

/// A sweeper would never sweep again.
#[tokio::test]
async fn a_sweep_and_a_page_come_to_an_end_without_an_answer() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::to(server.port());
    let options = PgPoolOptions::new().test_before_acquire(false);
    let url = through(&server.url(), server.port(), &proxy);
    let store = on(options.connect_lazy(&url).unwrap());
    let store = store.table("unanswered").unwrap();
    store.create_table().await.unwrap();
    assert!(store.sweep().await.is_finished());
    proxy.silence();
    tokio::time::pause();
    let swept = tokio::time::timeout(FOR_EVER, store.sweep()).await.unwrap();
    assert!(swept.failed() == 1 && !swept.is_finished(), "{swept:?}");
    let page = store.browse(&Cursor::default(), 1).await;
    assert!(matches!(page, Err(StoreError::Unavailable(_))), "{page:?}");
}
