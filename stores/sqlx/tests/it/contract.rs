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
use sqlx::{MySqlPool, PgPool, SqlitePool, query};
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

async fn sqlite(clock: Clock) -> Subject<SqliteStore> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let open = async || {
        let store = file_store(&path).await.clock(clock.clone());
        store.max_record_bytes(ROOM).timeout(TIMEOUT)
    };
    let pool = file_pool(&path);
    let subject = Subject::new(open().await).peer(open().await);
    let subject = subject
        .sweep(sweep)
        .garbage(move |_, key| damage_sqlite(pool.clone(), key));
    subject.keep(dir)
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
    let pool = postgres_pool(&server.url());
    let subject = Subject::new(store.timeout(TIMEOUT))
        .peer(peer.timeout(TIMEOUT))
        .sweep(sweep)
        .garbage(move |_, key| damage_postgres(pool.clone(), key));
    Ok(failing(subject, vec![proxy]).keep(server))
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
    let pool = mysql_pool(&server.url());
    let subject = Subject::new(store.timeout(TIMEOUT))
        .peer(peer.timeout(TIMEOUT))
        .sweep(sweep)
        .garbage(move |_, key| damage_mysql(pool.clone(), key));
    Ok(failing(subject, vec![proxy]).keep(server))
}

/// The columns for keys and versions take no other lengths, so an end before 1970 has to do.
async fn damage_mysql(pool: MySqlPool, key: RecordKey) {
    let sql = "INSERT INTO silverback_sessions \
               VALUES (?, REPEAT('x', 16), '', -1, UTC_TIMESTAMP(6) + INTERVAL 1 DAY) \
               ON DUPLICATE KEY UPDATE version = REPEAT('x', 16), app_expires = -1";
    let damage = query(sql).bind(key.as_bytes().as_slice());
    damage.execute(&pool).await.unwrap();
}

/// Each call goes to the next of three nodes, and so it does at the peer, which does not pass the
/// proxies.
async fn galera() -> Result<Subject<Nodes<MySqlStore>>, Skip> {
    let cluster = Galera::start().ok_or_else(|| Skip::new("Galera is not installed"))?;
    let (mut store, mut peer, mut proxies) = (Vec::new(), Vec::new(), Vec::new());
    for node in cluster.nodes() {
        let proxy = Proxy::to(node.port());
        let behind = mysql_store(&through(&node.url(), node.port(), &proxy)).await;
        store.push(behind.max_record_bytes(ROOM).timeout(TIMEOUT));
        let direct = mysql_store(&node.url()).await;
        peer.insert(0, direct.max_record_bytes(ROOM).timeout(TIMEOUT));
        proxies.push(proxy);
    }
    let pool = mysql_pool(&cluster.urls()[0]);
    let subject = Subject::new(Nodes::new(store)).peer(Nodes::new(peer));
    let subject = subject
        .sweep(sweep)
        .garbage(move |_, key| damage_mysql(pool.clone(), key));
    Ok(failing(subject, proxies).keep(cluster))
}

async fn sweep<S: Sweep>(store: Arc<S>) {
    drop(store.sweep().await);
}

/// Checks what becomes of a store if the proxies before its servers fail.
fn failing<S: Store>(subject: Subject<S>, proxies: Vec<Proxy>) -> Subject<S> {
    let proxies = Arc::new(proxies);
    let [silenced, cut, counted] = std::array::from_fn(|_| Arc::clone(&proxies));
    subject
        .deadline(TIMEOUT)
        .silence(move |_| ready(Outage::of(&silenced, Proxy::silence)))
        .cut(move |_| ready(Outage::of(&cut, Proxy::refuse)))
        .round_trips(move |_| ready(counted.iter().map(Proxy::requests).sum()))
}

/// Proxies that fail until this is dropped.
struct Outage(Arc<Vec<Proxy>>);

impl Outage {
    fn of(proxies: &Arc<Vec<Proxy>>, fail: impl Fn(&Proxy)) -> Self {
        proxies.iter().for_each(fail);
        Self(Arc::clone(proxies))
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        for proxy in &*self.0 {
            proxy.speak();
            proxy.accept();
        }
    }
}
