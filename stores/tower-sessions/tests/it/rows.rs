//! Rows that the published stores have written to Redis and to databases, without their crates.

use axum::{
    Router,
    routing::{get, post},
};
use redis::aio::MultiplexedConnection;
use silverback::{
    Clock, Key, MemoryStore, Session, SessionConfig, SessionLayer, Timestamp,
    store::{Migrated, StoreError},
    testing::Browser,
};
use silverback_test_servers::{MariaDb, Postgres, Redis};
use silverback_tower_sessions::{Former, FormerSessions, TowerSessionStore};
use sqlx::{MySqlPool, PgPool, SqlitePool};
use tower_sessions::{SessionStore, session::Id};

/// The ID of the session, and its bytes as tower-sessions-redis-store 0.16 has written them. The
/// user is 7, and it ends in the year 2096: 4,000,000,000.
const ID: &str = "EA8ODQwLCgkIBwYFBAMCAQ";
const PACKED: &[u8] = b"\x93\xc4\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\
    \x0f\x10\x82\xa4cart\x92\x82\xa4item\xa2\xc3\xa4\xa5price\xcb?\xf8\x00\x00\x00\x00\x00\x00\
    \xc0\xa4user\x07\x99\xcd\x080\xcd\x01\x14\x07\x06(\xce\x07[\xcd\x15\x00\x00\x00";

/// A time that no test reaches. `TIMESTAMP` of MariaDB ends in 2038.
const NOW: u64 = 2_100_000_000;

fn browser(former: Former) -> Browser<Router> {
    async fn user(session: Session) -> String {
        format!("{:?}", session.get::<u32>("user").unwrap())
    }
    async fn log_out(session: Session) {
        session.destroy().await.unwrap();
    }
    let clock = Clock::manual(Timestamp::from_secs(NOW));
    let former = FormerSessions::new(former).clock(clock);
    let config = SessionConfig::new("account", MemoryStore::new(), Key::generate().unwrap());
    let app = Router::new()
        .route("/", get(user))
        .route("/logout", post(log_out))
        .layer((SessionLayer::new(config), former));
    Browser::new(app)
}

fn with_old_cookie(browser: &Browser<Router>) -> Browser<Router> {
    let browser = browser.another();
    let uri = "https://localhost".parse().unwrap();
    browser.jar(|jar| jar.set(&uri, &format!("id={ID}")));
    browser
}

#[tokio::test]
async fn a_session_moves_from_redis() {
    let Some(server) = Redis::start() else { return };
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let ask = async |redis: &mut MultiplexedConnection, command: &str| -> u64 {
        redis::cmd(command)
            .arg(ID)
            .query_async(redis)
            .await
            .unwrap()
    };
    let mut put = redis::cmd("SET");
    put.arg(ID).arg(PACKED);
    let () = put.query_async(&mut redis).await.unwrap();
    let nobody = browser(Former::redis(redis.clone()));
    assert_eq!(nobody.get("/").await.text(), "None");
    for _ in 0..2 {
        // The second session came at the same time.
        let visitor = with_old_cookie(&nobody);
        assert_eq!(visitor.get("/").await.text(), "Some(7)");
        assert_eq!(ask(&mut redis, "EXPIRETIME").await, NOW + 60);
    }
    let visitor = with_old_cookie(&nobody);
    visitor.submit("/logout", &[]).await;
    assert_eq!(ask(&mut redis, "EXISTS").await, 0);
    assert_eq!(with_old_cookie(&nobody).get("/").await.text(), "None");
    server.kill();
    assert_eq!(with_old_cookie(&nobody).get("/").await.status(), 503);
}

/// The session with this number: its ID and its bytes.
fn packed(number: u8) -> (Id, Vec<u8>) {
    let id = Id(i128::from_be_bytes([number; 16]));
    let mut bytes = PACKED.to_vec();
    bytes[3..19].copy_from_slice(&id.0.to_be_bytes());
    (id, bytes)
}

/// Moves all sessions, a few at a time.
async fn move_all(store: &TowerSessionStore<MemoryStore>) -> Migrated {
    let (mut migration, mut all) = (store.migration().unwrap(), Migrated::default());
    while !all.is_finished() {
        all.add(migration.step(2).await);
    }
    all
}

fn counts(all: &Migrated) -> [u64; 3] {
    [all.examined(), all.moved(), all.failed()]
}

async fn has(store: &TowerSessionStore<MemoryStore>, id: Id) -> bool {
    let loaded = SessionStore::load(store, &id).await.unwrap();
    loaded.is_some_and(|record| record.data.get("user") == Some(&7.into()))
}

#[tokio::test]
async fn all_sessions_move_from_redis() {
    let Some(server) = Redis::start() else { return };
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut put = async |key: &str, bytes: &[u8]| {
        let mut put = redis::cmd("SET");
        put.arg(key).arg(bytes);
        let () = put.query_async(&mut redis).await.unwrap();
    };
    for number in 1..=9 {
        let (id, bytes) = packed(number);
        put(&id.to_string(), &bytes).await;
    }
    // Values of other programs. The key of one of these could be an ID.
    put("shop:cart", b"1").await;
    put("aaaaaaaaaaaaaaaaaaaaaA", b"1").await;
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let store = TowerSessionStore::new(MemoryStore::new()).moving_from(Former::redis(connection));
    assert!(has(&store, packed(4).0).await); // a visitor was faster
    let all = move_all(&store).await;
    assert_eq!(counts(&all), [9, 8, 1]);
    assert!(!all.is_complete() && matches!(all.error(), Some(StoreError::Corrupt(_))));
    let left: u64 = redis::cmd("DBSIZE").query_async(&mut redis).await.unwrap();
    assert_eq!(left, 2);
    for number in 1..=9 {
        assert!(has(&store, packed(number).0).await);
    }
    server.kill();
    let step = store.migration().unwrap().step(2).await;
    assert!(!step.is_finished());
    assert_eq!(counts(&step), [0, 0, 1]);
}

/// A database with the table that the store's `migrate` makes.
macro_rules! moves_from {
    ($pool:expr, $table:expr, $name:literal, $setup:expr, $places:literal, $end:literal) => {{
        let (pool, name) = ($pool, $name);
        for statement in $setup {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        let insert = || sqlx::query(concat!("INSERT INTO ", $name, " VALUES ", $places));
        insert().bind(ID).bind(PACKED).execute(&pool).await.unwrap();
        let left = async || -> Option<i64> {
            let sql = concat!("SELECT ", $end, " FROM ", $name);
            sqlx::query_scalar(sql).fetch_optional(&pool).await.unwrap()
        };
        let nobody = browser(Former::sqlx(pool.clone(), $table));
        assert_eq!(nobody.get("/").await.text(), "None");
        assert_eq!(left().await, Some(2_145_916_800), "{name}");
        for _ in 0..2 {
            let visitor = with_old_cookie(&nobody);
            assert_eq!(visitor.get("/").await.text(), "Some(7)");
            assert_eq!(left().await, Some(NOW as i64 + 60), "{name}");
        }
        let visitor = with_old_cookie(&nobody);
        visitor.submit("/logout", &[]).await;
        assert_eq!(left().await, None);
        let wrong = browser(Former::sqlx(pool.clone(), &["elsewhere"]));
        assert_eq!(with_old_cookie(&wrong).get("/").await.status(), 503);

        for number in 1..=9 {
            let (id, bytes) = packed(number);
            insert()
                .bind(id.to_string())
                .bind(bytes)
                .execute(&pool)
                .await
                .unwrap();
        }
        // This session expired in the year 2000.
        let (over, mut bytes) = packed(10);
        bytes.splice(bytes.len() - 16..bytes.len() - 14, [0x07, 0xd0]);
        insert()
            .bind(over.to_string())
            .bind(bytes)
            .execute(&pool)
            .await
            .unwrap();
        let former = Former::sqlx(pool.clone(), $table);
        let store = TowerSessionStore::new(MemoryStore::new()).moving_from(former);
        assert!(has(&store, packed(4).0).await); // a visitor was faster
        let all = move_all(&store).await;
        assert_eq!(counts(&all), [9, 8, 0], "{name}");
        assert!(all.is_complete());
        let texts: Vec<String> = sqlx::query_scalar(concat!("SELECT id FROM ", $name))
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!(texts, [over.to_string()]);
        for number in 1..=9 {
            assert!(has(&store, packed(number).0).await);
        }
        assert!(!has(&store, over).await);
    }};
}

#[tokio::test]
async fn sessions_move_from_postgres() {
    let Some(server) = Postgres::start() else {
        return;
    };
    moves_from!(
        PgPool::connect(&server.url()).await.unwrap(),
        &["a \"shop", "session"],
        "\"a \"\"shop\".session",
        [
            "CREATE SCHEMA \"a \"\"shop\"",
            "CREATE TABLE \"a \"\"shop\".\"session\" (id text PRIMARY KEY NOT NULL, data bytea NOT \
             NULL, expiry_date timestamptz NOT NULL)",
        ],
        "($1, $2, to_timestamp(2145916800))",
        "extract(epoch FROM expiry_date)::bigint"
    );
}

#[tokio::test]
async fn sessions_move_from_mariadb() {
    let Some(server) = MariaDb::start() else {
        return;
    };
    moves_from!(
        MySqlPool::connect(&server.url()).await.unwrap(),
        &["a `shop", "session"],
        "`a ``shop`.session",
        [
            "CREATE SCHEMA `a ``shop`",
            "CREATE TABLE `a ``shop`.session (id char(22) PRIMARY KEY NOT NULL, data blob NOT NULL, \
             expiry_date timestamp(6) NOT NULL)",
        ],
        "(?, ?, FROM_UNIXTIME(2145916800))",
        "CAST(UNIX_TIMESTAMP(expiry_date) AS SIGNED)"
    );
}

#[tokio::test]
async fn sessions_move_from_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    moves_from!(
        SqlitePool::connect(&format!("sqlite:{}?mode=rwc", file.display()))
            .await
            .unwrap(),
        &["tower_sessions"],
        "tower_sessions",
        [
            "CREATE TABLE tower_sessions (id text PRIMARY KEY NOT NULL, data blob NOT NULL, \
          expiry_date integer NOT NULL)"
        ],
        "(?, ?, '2038-01-01T00:00:00Z')",
        "CAST(strftime('%s', expiry_date) AS INTEGER)"
    );
}
