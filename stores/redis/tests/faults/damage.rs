//! Records that vanish, and values that are none.

use std::time::Duration;

use axum::{Router, extract::State, routing::get};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, testing::Browser};
use silverback_test_servers::Redis;

use crate::site::{at, count, visitor};

#[tokio::test]
async fn a_flush_between_load_and_save_is_a_conflict() {
    let Some(redis) = Redis::start() else { return };
    let store = at(&redis.url()).await;
    let port = redis.port();
    let config = SessionConfig::new("session", store, Keys::generate().unwrap());
    let config = config.store_timeout(Duration::from_secs(60));
    let app = Router::new()
        .route("/add", get(add))
        .route("/flushed", get(flushed))
        .layer(SessionLayer::new(config))
        .with_state(port);
    let visitor = Browser::new(app);
    assert_eq!(visitor.get("/add").await.text(), "1");
    assert_eq!(visitor.get("/add").await.text(), "2");
    assert_eq!(visitor.get("/flushed").await.status(), 409);
    assert_eq!(visitor.get("/add").await.text(), "1");
    assert_eq!(visitor.get("/add").await.text(), "2");
}

async fn add(session: Session) -> Result<String, Error> {
    session.load().await?;
    let n = session.update("n", |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(n.to_string())
}

/// Loads the session, and has the server forget everything before it is saved.
async fn flushed(State(port): State<u16>, session: Session) -> Result<String, Error> {
    use std::io::{Read, Write};

    session.load().await?;
    let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.write_all(b"FLUSHALL\r\n").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    add(session).await
}

#[tokio::test]
async fn a_value_that_is_no_record_is_a_new_session() {
    let Some(redis) = Redis::start() else { return };
    let visitor = visitor([at(&redis.url()).await]);
    for command in ["SET", "RPUSH", "SADD"] {
        assert_eq!(visitor.get("/add").await.status(), 200);
        assert!(count(&visitor).await > 0);
        let names = redis.ask(&["KEYS", "silverback:*"]);
        let silverback_test_servers::Reply::Many(names) = names else {
            panic!()
        };
        for name in &names {
            let _ = redis.ask(&["DEL", &name.text()]);
            let _ = redis.ask(&[
                command,
                &name.text(),
                "not a record of anybody, at any length",
            ]);
        }
        assert_eq!(count(&visitor).await, 0, "{command}");
        assert_eq!(visitor.get("/add").await.text(), "1", "{command}");
        assert_eq!(visitor.get("/add").await.text(), "2", "{command}");
    }
}
