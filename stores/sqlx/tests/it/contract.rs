//! Every database keeps the contract, to a second handle and over bad hours too.

use std::{future::ready, sync::Arc, time::Duration};

use silverback::{
    Clock,
    store::{
        RecordKey, Store, Sweep,
        conformance::{Skip, Subject},
    },
    store_conformance,
};
use silverback_sqlx::{MySqlStore, PostgresStore, SqliteStore};
use sqlx::{MySqlPool, PgPool, SqlitePool, query, query_scalar};
use tempfile::TempDir;

use crate::support::{
    nodes::Nodes,
    servers::{
        Galera, MariaDb, Postgres, Proxy, file_pool, file_store, mysql_pool, mysql_store,
        postgres_pool, postgres_store, through,
    },
};

store_conformance!(mod sqlite, |clock| sqlite(clock).await);
store_conformance!(mod sqlite_of_the_systems_time, once sqlite(Clock::system()).await);
store_conformance!(mod postgres, once postgres().await);
store_conformance!(mod mariadb, once mariadb().await);
store_conformance!(mod galera, once galera().await);

/// More than the largest record that the rules try.
const ROOM: usize = 10 << 20;

/// Rules that have dozens of tasks wait for one another take long on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Three nodes have to agree on each write.
const OF_NODES: Duration = Duration::from_secs(20);

async fn sqlite(clock: Clock) -> Subject<SqliteStore> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let open = async || {
        let store = file_store(&path).await.clock(clock.clone());
        // No rule makes a file fail, and a busy disk takes its time.
        store.max_record_bytes(ROOM).timeout(12 * TIMEOUT)
    };
    let (pool, asked) = (file_pool(&path), file_pool(&path));
    let subject = Subject::new(open().await).peer(open().await);
    let subject = subject
        .sweep(sweep)
        .garbage(move |_, key| damage_sqlite(pool.clone(), key))
        .time_left(move |_, key| left_in_sqlite(asked.clone(), clock.clone(), key));
    subject.keep(dir)
}

async fn left_in_sqlite(pool: SqlitePool, clock: Clock, key: RecordKey) -> Option<Duration> {
    let end = query_scalar("SELECT expires FROM silverback_sessions WHERE id = ?1");
    let end = end.bind(key.as_bytes().as_slice()).fetch_optional(&pool);
    let end: Option<i64> = end.await.unwrap();
    end?.checked_sub_unsigned(clock.now().as_secs())
        .and_then(seconds)
}

/// None for one that is over.
fn seconds(left: i64) -> Option<Duration> {
    left.try_into().ok().map(Duration::from_secs)
}

async fn damage_sqlite(pool: SqlitePool, key: RecordKey) {
    let sql = "INSERT INTO silverback_sessions VALUES (?1, x'00', x'00', 9000000000) \
               ON CONFLICT (id) DO UPDATE SET version = x'00'";
    let damage = query(sql).bind(key.as_bytes().as_slice());
    damage.execute(&pool).await.unwrap();
}

async fn postgres() -> Result<Subject<PostgresStore>, Skip> {
    let server = Postgres::start().ok_or_else(|| Skip::new("PostgreSQL is not installed"))?;
    let proxy = Proxy::to(server.port());
    let url = through(&server.url(), server.port(), &proxy);
    let store = postgres_store(&url).await.max_record_bytes(ROOM);
    let peer = postgres_store(&server.url()).await.max_record_bytes(ROOM);
    let (pool, asked) = (postgres_pool(&server.url()), postgres_pool(&server.url()));
    let subject = Subject::new(store.timeout(TIMEOUT))
        .peer(peer.timeout(TIMEOUT))
        .sweep(sweep)
        .garbage(move |_, key| damage_postgres(pool.clone(), key))
        .time_left(move |_, key| left_in_postgres(asked.clone(), key));
    Ok(failing(subject, vec![proxy]).keep(server))
}

async fn left_in_postgres(pool: PgPool, key: RecordKey) -> Option<Duration> {
    let left = query_scalar(
        "SELECT extract(epoch FROM expires - now())::bigint FROM silverback_sessions WHERE id = $1",
    );
    let left = left.bind(key.as_bytes().as_slice()).fetch_optional(&pool);
    left.await.unwrap().and_then(seconds)
}

async fn damage_postgres(pool: PgPool, key: RecordKey) {
    let sql = "INSERT INTO silverback_sessions \
               VALUES ($1, '\\x00', '\\x00', 9000000000, now() + interval '1 day') \
               ON CONFLICT (id) DO UPDATE SET version = '\\x00'";
    let damage = query(sql).bind(key.as_bytes().as_slice());
    damage.execute(&pool).await.unwrap();
}

async fn mariadb() -> Result<Subject<MySqlStore>, Skip> {
    let server = MariaDb::start().ok_or_else(|| Skip::new("MariaDB is not installed"))?;
    let proxy = Proxy::to(server.port());
    let url = through(&server.url(), server.port(), &proxy);
    let store = mysql_store(&url).await.max_record_bytes(ROOM);
    let peer = mysql_store(&server.url()).await.max_record_bytes(ROOM);
    let (pool, asked) = (mysql_pool(&server.url()), mysql_pool(&server.url()));
    let subject = Subject::new(store.timeout(TIMEOUT))
        .peer(peer.timeout(TIMEOUT))
        .sweep(sweep)
        .garbage(move |_, key| damage_mysql(pool.clone(), key))
        .time_left(move |_, key| left_in_mysql(asked.clone(), key));
    Ok(failing(subject, vec![proxy]).keep(server))
}

/// The columns for keys and versions take no other lengths, so an end before 1970 has to do.
async fn damage_mysql(pool: MySqlPool, key: RecordKey) {
    let sql = "INSERT INTO silverback_sessions \
               VALUES (?, REPEAT('x', 16), '', -1, UTC_TIMESTAMP(6) + INTERVAL 1 DAY) \
               ON DUPLICATE KEY UPDATE version = REPEAT('x', 16), app_expires = -1";
    loop {
        let damage = query(sql).bind(key.as_bytes().as_slice());
        match damage.execute(&pool).await {
            // Another node was faster.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40001") => {}
            damaged => {
                damaged.unwrap();
                return;
            }
        }
    }
}

async fn left_in_mysql(pool: MySqlPool, key: RecordKey) -> Option<Duration> {
    // Another node may have written it.
    let left = query_scalar(
        "SET STATEMENT wsrep_sync_wait = 1 FOR SELECT \
         TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), expires) FROM silverback_sessions WHERE id = ?",
    );
    let left = left.bind(key.as_bytes().as_slice()).fetch_optional(&pool);
    left.await.unwrap().and_then(seconds)
}

/// Each call goes to the next of three nodes, and so it does at the peer, which does not pass the
/// proxies.
async fn galera() -> Result<Subject<Nodes<MySqlStore>>, Skip> {
    let cluster = Galera::start().ok_or_else(|| Skip::new("Galera is not installed"))?;
    let (mut store, mut peer, mut proxies) = (Vec::new(), Vec::new(), Vec::new());
    for node in cluster.nodes() {
        let proxy = Proxy::to(node.port());
        let behind = mysql_store(&through(&node.url(), node.port(), &proxy)).await;
        store.push(behind.max_record_bytes(ROOM).timeout(OF_NODES));
        let direct = mysql_store(&node.url()).await;
        peer.insert(0, direct.max_record_bytes(ROOM).timeout(OF_NODES));
        proxies.push(proxy);
    }
    let url = &cluster.urls()[0];
    let (pool, asked) = (mysql_pool(url), mysql_pool(url));
    let subject = Subject::new(Nodes::new(store)).peer(Nodes::new(peer));
    let subject = subject
        .sweep(sweep)
        .garbage(move |_, key| damage_mysql(pool.clone(), key))
        .time_left(move |_, key| left_in_mysql(asked.clone(), key));
    Ok(failing(subject, proxies).deadline(OF_NODES).keep(cluster))
}

async fn sweep<S: Sweep>(store: Arc<S>) {
    drop(store.sweep().await);
}

/// Checks what becomes of a store if the proxies before its servers fail.
fn failing<S: Store>(subject: Subject<S>, proxies: Vec<Proxy>) -> Subject<S> {
    let proxies: Arc<[_]> = proxies.into_iter().map(Arc::new).collect();
    let [silenced, cut, counted] = std::array::from_fn(|_| Arc::clone(&proxies));
    subject
        .deadline(TIMEOUT)
        .silence(move |_| ready(silenced.iter().map(Proxy::silenced).collect::<Vec<_>>()))
        .cut(move |_| ready(cut.iter().map(Proxy::cut_off).collect::<Vec<_>>()))
        .round_trips(move |_| ready(counted.iter().map(|proxy| proxy.requests()).sum()))
}
