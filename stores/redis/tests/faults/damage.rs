//! Records that vanish, and values that are not records.

use std::sync::Arc;

use silverback_test_servers::{
    Redis, Reply,
    kit::{self, count_at_last, visitor},
};

use crate::site::at;

#[tokio::test]
async fn a_flush_between_load_and_save_is_a_conflict() {
    let Some(redis) = Redis::start() else { return };
    let (store, redis) = (at(&redis.url()).await, Arc::new(redis));
    let flush = move || assert_eq!(redis.ask(&["FLUSHALL"]).text(), "OK");
    kit::a_flush_between_load_and_save_is_a_conflict(store, flush).await;
}

#[tokio::test]
async fn a_value_that_is_no_record_is_a_new_session() {
    let Some(redis) = Redis::start() else { return };
    let visitor = visitor(at(&redis.url()).await);
    for command in ["SET", "RPUSH", "SADD"] {
        assert_eq!(visitor.get("/add").await.status(), 200);
        assert!(count_at_last(&visitor).await > 0);
        let names = redis.ask(&["KEYS", "silverback:*"]);
        let Reply::Many(names) = names else { panic!() };
        for name in &names {
            let _ = redis.ask(&["DEL", &name.text()]);
            let _ = redis.ask(&[
                command,
                &name.text(),
                "not a record of anybody, at any length",
            ]);
        }
        assert_eq!(count_at_last(&visitor).await, 0, "{command}");
        assert_eq!(visitor.get("/add").await.text(), "1", "{command}");
        assert_eq!(visitor.get("/add").await.text(), "2", "{command}");
    }
}
