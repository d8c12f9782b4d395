//! What the published stores have written, without their crates: in Redis and in PostgreSQL.

use axum::{
    Router,
    routing::{get, post},
};
use redis::aio::MultiplexedConnection;
use silverback::{
    Clock, Key, MemoryStore, Session, SessionConfig, SessionLayer, Timestamp, testing::Browser,
};
use silverback_test_servers::{Postgres, Redis};
use silverback_tower_sessions::{Former, FormerSessions};
use sqlx::PgPool;

/// The ID of the session, and its bytes as tower-sessions-redis-store 0.16 has written them. The
/// user is 7, and it ends in the year 2096: 4,000,000,000.
const ID: &str = "EA8ODQwLCgkIBwYFBAMCAQ";
const PACKED: &[u8] = b"\x93\xc4\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\
    \x0f\x10\x82\xa4cart\x92\x82\xa4item\xa2\xc3\xa4\xa5price\xcb?\xf8\x00\x00\x00\x00\x00\x00\
    \xc0\xa4user\x07\x99\xcd\x080\xcd\x01\x14\x07\x06(\xce\x07[\xcd\x15\x00\x00\x00";

/// A time that no test sees pass.
const NOW: u64 = 3_900_000_000;

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
    let ask = async |redis: &mut MultiplexedConnection, command: &str| -> i64 {
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
        // The second is one that came at the same time.
        let visitor = with_old_cookie(&nobody);
        assert_eq!(visitor.get("/").await.text(), "Some(7)");
        assert_eq!(ask(&mut redis, "EXPIRETIME").await, 3_900_000_060);
    }
    let visitor = with_old_cookie(&nobody);
    visitor.submit("/logout", &[]).await;
    assert_eq!(ask(&mut redis, "EXISTS").await, 0);
    assert_eq!(with_old_cookie(&nobody).get("/").await.text(), "None");
    server.kill();
    assert_eq!(with_old_cookie(&nobody).get("/").await.status(), 503);
}

#[tokio::test]
async fn a_session_moves_from_postgres() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let pool = PgPool::connect(&server.url()).await.unwrap();
    // As `PostgresStore::migrate` makes it.
    for statement in [
        "CREATE SCHEMA \"a \"\"shop\"",
        "CREATE TABLE \"a \"\"shop\".\"session\" (id text PRIMARY KEY NOT NULL, data bytea NOT \
         NULL, expiry_date timestamptz NOT NULL)",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let put = "INSERT INTO \"a \"\"shop\".session VALUES ($1, $2, to_timestamp(4000000000))";
    let put = sqlx::query(put).bind(ID).bind(PACKED);
    put.execute(&pool).await.unwrap();
    let left = async || -> Option<bool> {
        let sql = "SELECT expiry_date = to_timestamp(3900000060) FROM \"a \"\"shop\".session";
        sqlx::query_scalar(sql).fetch_optional(&pool).await.unwrap()
    };
    let nobody = browser(Former::postgres_table(pool.clone(), "a \"shop", "session"));
    assert_eq!(nobody.get("/").await.text(), "None");
    assert_eq!(left().await, Some(false));
    for _ in 0..2 {
        let visitor = with_old_cookie(&nobody);
        assert_eq!(visitor.get("/").await.text(), "Some(7)");
        assert_eq!(left().await, Some(true));
    }
    let visitor = with_old_cookie(&nobody);
    visitor.submit("/logout", &[]).await;
    assert_eq!(left().await, None);
    let default = browser(Former::postgres(pool));
    assert_eq!(with_old_cookie(&default).get("/").await.status(), 503); // it has no such table
}
