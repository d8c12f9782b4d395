//! Many tasks of two servers count in one session.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use silverback_redis::RedisStore;
use silverback_test_servers::Redis;

use crate::site::{Visitor, added, at, count, scaled, visitor};

/// Has so many tasks add one so often, and counts their answers.
async fn add_all(visitor: &Visitor, tasks: u64, rounds: u64) -> BTreeMap<u16, u64> {
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let visitor = visitor.clone();
            tokio::spawn(async move {
                let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
                for _ in 0..rounds {
                    *answers.entry(added(&visitor).await).or_default() += 1;
                }
                answers
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for task in running {
        for (status, count) in task.await.unwrap() {
            *all.entry(status).or_default() += count;
        }
    }
    all
}

async fn two(redis: &Redis) -> [RedisStore; 2] {
    [at(&redis.url()).await, at(&redis.url()).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_refused() {
    let Some(redis) = Redis::start() else { return };
    let visitor = visitor(two(&redis).await);
    assert_eq!(added(&visitor).await, 200);
    let (tasks, rounds) = scaled((16, 10), (64, 200));
    let answers = add_all(&visitor, tasks, rounds).await;
    assert_eq!(answers, BTreeMap::from([(200, tasks * rounds)]));
    assert_eq!(count(&visitor).await, 1 + tasks * rounds);
    println!("{tasks} tasks of two servers counted to {}", tasks * rounds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_kills() {
    let Some(redis) = Redis::options().durable().start() else {
        return;
    };
    let visitor = visitor(two(&redis).await);
    assert_eq!(added(&visitor).await, 200);
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
    let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        for (status, count) in add_all(&visitor, 8, 5).await {
            *answers.entry(status).or_default() += count;
        }
    }
    killer.await.unwrap();
    let (kept, all) = (count(&visitor).await, 1 + answers.values().sum::<u64>());
    let answered = 1 + answers.get(&200).copied().unwrap_or_default();
    println!("{kills} kills: {answers:?}, {kept} kept of {answered} answered with 200");
    // Never 500. A write that others have overtaken too often while it waited is a conflict.
    assert!(
        answers
            .keys()
            .all(|status| matches!(status, 200 | 409 | 503))
    );
    assert!((answered..=all).contains(&kept));
}
