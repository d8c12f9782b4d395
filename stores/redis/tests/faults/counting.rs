//! Many tasks of two servers count in one session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use silverback_redis::RedisStore;
use silverback_test_servers::{
    Redis,
    kit::{Adding, Answers, count_at_last, no_increment_is_lost, ok, visitor_with},
};

use crate::site::{at, scaled};

async fn two(redis: &Redis) -> [RedisStore; 2] {
    [at(&redis.url()).await, at(&redis.url()).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_refused() {
    let Some(redis) = Redis::start() else { return };
    let (tasks, rounds) = scaled((16, 10), (64, 200));
    no_increment_is_lost(two(&redis).await, tasks, rounds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_kills() {
    let Some(redis) = Redis::options().durable().start() else {
        return;
    };
    let visitor = visitor_with(two(&redis).await, |config| config);
    ok(&visitor, "/add").await;
    let redis = Arc::new(redis);
    let is_over = Arc::new(AtomicBool::new(false));
    let kills = scaled(2, 30);
    let killer = tokio::task::spawn_blocking({
        let (redis, is_over) = (Arc::clone(&redis), Arc::clone(&is_over));
        move || {
            for _ in 0..kills {
                std::thread::sleep(Duration::from_millis(scaled(300, 700)));
                redis.kill();
                redis.restart();
            }
            is_over.store(true, Ordering::Relaxed);
        }
    });
    let mut answers = Answers::default();
    while !is_over.load(Ordering::Relaxed) {
        answers.extend(Adding::start(&visitor, 8, 5).answers().await);
    }
    killer.await.unwrap();
    println!("{kills} kills");
    // Never 500. A write that others overtake too often while it waits is a conflict.
    answers.are_among(&[200, 409, 503]);
    answers.are_kept(count_at_last(&visitor).await - 1);
}
