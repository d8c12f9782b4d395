//! The store dies, and comes back.

use std::{sync::Arc, time::Duration};

use silverback::{Clock, store::DynStore};
use silverback_redis::RedisStore;
use silverback_test_servers::Redis;
use tokio::task::spawn_blocking;

use super::{Faults, Log, Node, Site, Traffic, operator, played};
use crate::support::{At, World};

#[test]
fn nothing_is_lost_with_a_store_that_keeps_its_writes() {
    played(async |log| {
        if let Some(redis) = Redis::options().durable().start() {
            outage(redis, &log, true).await;
        }
    });
}

#[test]
fn nobody_is_somebody_else_after_a_store_has_lost_everything() {
    played(async |log| {
        if let Some(redis) = Redis::start() {
            outage(redis, &log, false).await;
        }
    });
}

async fn outage(redis: Redis, log: &Log, is_durable: bool) {
    let mut world = World::new(At::Files).await.unwrap();
    let redis = Arc::new(redis);
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let store = RedisStore::connect(&redis.url()).await.unwrap();
        world.use_store(&redis.url(), DynStore::new(store));
        nodes.push(Node::with(
            &world,
            world.store.clone(),
            &Clock::system(),
            |config| config.store_timeout(Duration::from_secs(2)),
        ));
    }
    let site = Site::new(nodes);
    let traffic = Traffic::start(&site, 3 + u64::from(is_durable));
    traffic.goes_on(20).await;

    traffic.may_be_out(!is_durable);
    let server = Arc::clone(&redis);
    spawn_blocking(move || server.kill()).await.unwrap();
    while traffic
        .tally()
        .statuses
        .get(&503)
        .is_none_or(|count| *count < 12)
    {
        traffic.steps(1).await;
    }
    assert!(log.has(&["ERROR", "store_unavailable"]));
    operator(&world.tool, &["doctor"])
        .await
        .says(4, "start the server");

    let server = Arc::clone(&redis);
    spawn_blocking(move || server.restart()).await.unwrap();
    // Until no call has failed for a second.
    while !log.has(&["WARN", "store_available"]) {
        traffic.steps(1).await;
    }
    traffic.goes_on(20).await;
    let doctor = operator(&world.tool, &["doctor"]).await;
    if is_durable {
        doctor.says(0, "0 things to change");
    } else {
        doctor.says(4, "appendonly yes");
    }
    let (tally, people) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");
    let expected = [200, 503];
    assert!(
        tally
            .statuses
            .keys()
            .all(|status| expected.contains(status)),
        "{tally:?}"
    );
    assert_eq!(tally.excused > 0, !is_durable, "{tally:?}");
    assert!(people.iter().any(|person| person.is_in()));
}
