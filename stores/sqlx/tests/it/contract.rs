//! Every database keeps the contract, for a second handle and in outages too.

use std::{future::ready, sync::Arc, time::Duration};

use silverback::{
    Clock,
    store::{
        RecordKey, Store, Sweep,
        conformance::{self, Skip, Subject},
    },
    store_conformance,
};
use silverback_sqlx::{MySqlStore, PostgresStore, SqliteStore};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool, query, query_scalar};
use tempfile::TempDir;

use crate::support::{
    nodes::Nodes,
    servers::{
        Galera, MariaDb, MySql, Postgres, Proxy, file_pool, file_store, mysql_pool, mysql_store,
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

/// Rules with dozens of contending tasks take long on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);
const WAIT: &str = "SET STATEMENT wsrep_sync_wait = 1 FOR ";
/// Three nodes have to agree on each write.
const OF_NODES: Duration = Duration::from_secs(20);

async fn sqlite(clock: Clock) -> Subject<SqliteStore> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let open = async || {
        let store = file_store(&path).await.clock(clock.clone());
        // No rule makes a file fail, and a busy disk is slow.
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

/// `None` for a record that has ended.
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
    let (url, port) = (server.url(), server.port());
    let store = patient_postgres(&through(&url, port, &proxy)).await;
    let peer = patient_postgres(&url).await;
    let (pool, asked) = (postgres_pool(&url), postgres_pool(&url));
    let subject = Subject::new(store)
        .peer(peer)
        .sweep(sweep)
        .garbage(move |_, key| damage_postgres(pool.clone(), key))
        .time_left(move |_, key| left_in_postgres(asked.clone(), key))
        .outages(move || postgres_that_fails(url.clone(), port));
    Ok(counted(subject, vec![proxy]).keep(server))
}

async fn patient_postgres(url: &str) -> PostgresStore {
    let store = postgres_store(url).await;
    store.max_record_bytes(ROOM).timeout(TIMEOUT)
}

async fn postgres_that_fails(url: String, port: u16) -> Subject<PostgresStore> {
    let proxy = Proxy::to(port);
    let store = patient_postgres(&through(&url, port, &proxy)).await;
    failing(Subject::new(store).deadline(TIMEOUT), vec![proxy])
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
               VALUES ($1, '\\x00', '\\x00', 9000000000, now() + interval '1 day', now()) \
               ON CONFLICT (id) DO UPDATE SET version = '\\x00'";
    let damage = query(sql).bind(key.as_bytes().as_slice());
    damage.execute(&pool).await.unwrap();
}

async fn mariadb() -> Result<Subject<MySqlStore>, Skip> {
    let server = MariaDb::start().ok_or_else(|| Skip::new("MariaDB is not installed"))?;
    Ok(on_server(server.url(), server.port()).await.keep(server))
}

/// One test, because few machines have Oracle's MySQL, and with `CI` set no rule may be skipped.
#[tokio::test(flavor = "multi_thread")]
async fn mysql_keeps_the_contract() {
    let Some(server) = MySql::start() else {
        return;
    };
    let subject = on_server(server.url(), server.port()).await;
    let mut skipped = Vec::new();
    for (rule, checked) in conformance::check_all(subject).await {
        let verdict = checked.unwrap_or_else(|violation| panic!("{violation}"));
        if !verdict.is_passed() {
            skipped.push(rule.to_string());
        }
    }
    // The server has a clock of its own, and waits.
    let of_others = [
        "a clock that jumps harms no live record",
        "a store that never waits is done at once",
    ];
    assert_eq!(skipped, of_others);
}

async fn on_server(url: String, port: u16) -> Subject<MySqlStore> {
    let proxy = Proxy::to(port);
    let store = patient_mysql(&through(&url, port, &proxy), TIMEOUT).await;
    let peer = patient_mysql(&url, TIMEOUT).await;
    let (pool, asked) = (mysql_pool(&url), mysql_pool(&url));
    let subject = Subject::new(store)
        .peer(peer)
        .sweep(sweep)
        .garbage(move |_, key| damage_mysql(pool.clone(), key))
        .time_left(move |_, key| left_in_mysql(asked.clone(), "", key))
        .outages(move || mysql_that_fails(url.clone(), port));
    counted(subject, vec![proxy])
}

async fn patient_mysql(url: &str, timeout: Duration) -> MySqlStore {
    let store = mysql_store(url).await;
    store.max_record_bytes(ROOM).timeout(timeout)
}

async fn mysql_that_fails(url: String, port: u16) -> Subject<MySqlStore> {
    let proxy = Proxy::to(port);
    let store = patient_mysql(&through(&url, port, &proxy), TIMEOUT).await;
    failing(Subject::new(store).deadline(TIMEOUT), vec![proxy])
}

/// The columns for keys and versions accept only one length, so the garbage is an end before 1970.
async fn damage_mysql(pool: MySqlPool, key: RecordKey) {
    let sql = "INSERT INTO silverback_sessions \
               VALUES (?, REPEAT('x', 16), '', -1, UTC_TIMESTAMP(6) + INTERVAL 1 DAY, UTC_TIMESTAMP(6)) \
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

/// `prefix` has the node of a cluster wait for what another node has written.
async fn left_in_mysql(pool: MySqlPool, prefix: &str, key: RecordKey) -> Option<Duration> {
    let sql = format!(
        "{prefix}SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), expires) \
         FROM silverback_sessions WHERE id = ?"
    );
    let left = query_scalar(AssertSqlSafe(sql)).bind(key.as_bytes().as_slice());
    left.fetch_optional(&pool).await.unwrap().and_then(seconds)
}

/// Each call goes to the next of three nodes. The same holds for the peer, which bypasses the
/// proxies.
async fn galera() -> Result<Subject<Nodes<MySqlStore>>, Skip> {
    let cluster = Galera::start().ok_or_else(|| Skip::new("Galera is not installed"))?;
    let nodes = cluster.nodes().iter().map(|node| (node.url(), node.port()));
    let nodes: Vec<_> = nodes.collect();
    let (store, proxies) = behind_proxies(&nodes).await;
    let mut peer = Vec::new();
    for (url, _) in nodes.iter().rev() {
        peer.push(patient_mysql(url, OF_NODES).await);
    }
    let (pool, asked) = (mysql_pool(&nodes[0].0), mysql_pool(&nodes[0].0));
    let subject = Subject::new(store)
        .peer(Nodes::new(peer))
        .sweep(sweep)
        .garbage(move |_, key| damage_mysql(pool.clone(), key))
        .time_left(move |_, key| left_in_mysql(asked.clone(), WAIT, key))
        .outages(move || galera_that_fails(nodes.clone()));
    Ok(counted(subject, proxies).keep(cluster))
}

async fn behind_proxies(nodes: &[(String, u16)]) -> (Nodes<MySqlStore>, Vec<Proxy>) {
    let (mut store, mut proxies) = (Vec::new(), Vec::new());
    for (url, port) in nodes {
        let proxy = Proxy::to(*port);
        store.push(patient_mysql(&through(url, *port, &proxy), OF_NODES).await);
        proxies.push(proxy);
    }
    (Nodes::new(store), proxies)
}

async fn galera_that_fails(nodes: Vec<(String, u16)>) -> Subject<Nodes<MySqlStore>> {
    let (store, proxies) = behind_proxies(&nodes).await;
    failing(Subject::new(store).deadline(OF_NODES), proxies)
}

async fn sweep<S: Sweep>(store: Arc<S>) {
    drop(store.sweep().await);
}

/// Counts the traffic of the proxies in front of a store's servers.
fn counted<S: Store>(subject: Subject<S>, proxies: Vec<Proxy>) -> Subject<S> {
    subject.round_trips(move |_| ready(proxies.iter().map(Proxy::requests).sum()))
}

/// Makes the proxies in front of a store's servers fail.
fn failing<S: Store>(subject: Subject<S>, proxies: Vec<Proxy>) -> Subject<S> {
    let silenced: Arc<[_]> = proxies.into_iter().map(Arc::new).collect();
    let cut = Arc::clone(&silenced);
    subject
        .silence(move |_| ready(silenced.iter().map(Proxy::silenced).collect::<Vec<_>>()))
        .cut(move |_| ready(cut.iter().map(Proxy::cut_off).collect::<Vec<_>>()))
}
