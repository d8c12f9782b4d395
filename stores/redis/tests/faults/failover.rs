//! A cluster's master dies: confirmed writes survive, and ended sessions stay ended.

use std::time::Duration;

use silverback_redis::RedisStore;
use silverback_test_servers::{
    Cluster,
    kit::{Visitor, count_at_last, visitor_with},
};

use crate::site::scaled;

async fn status(visitor: &Visitor, path: &str) -> u16 {
    visitor.get(path).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_and_no_session_comes_back() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let connect = || async {
        let store = RedisStore::connect_cluster(cluster.urls()).await.unwrap();
        let store = store.timeout(Duration::from_secs(30));
        store.wait_replicas(1, Duration::from_secs(20))
    };
    let first = visitor_with([connect().await, connect().await], |config| config);
    let (rounds, each) = scaled((1, 30), (6, 150));
    let (mut lost, mut back, mut kept) = (0, 0, 0);
    for _ in 0..rounds {
        let mut alive = Vec::new();
        let mut ended = Vec::new();
        for number in 0..each {
            let one = first.another();
            assert_eq!(status(&one, "/add").await, 200);
            if number % 2 == 0 {
                alive.push(one);
                continue;
            }
            let stolen = one.jar(|jar| jar.clone());
            assert_eq!(status(&one, "/logout").await, 200);
            let thief = first.another();
            thief.jar(|jar| *jar = stolen);
            ended.push(thief);
        }
        let masters = cluster.masters();
        masters[0].kill();
        cluster.settle();
        for one in &alive {
            let n = count_at_last(one).await;
            lost += u32::from(n == 0);
            kept += u32::from(n == 1);
        }
        for thief in &ended {
            back += u32::from(count_at_last(thief).await > 0);
        }
        masters[0].restart();
        cluster.settle();
    }
    println!("{rounds} masters killed: {kept} sessions kept, {lost} lost, {back} came back");
    assert_eq!((lost, back), (0, 0));
}
