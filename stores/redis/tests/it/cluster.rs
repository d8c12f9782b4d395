//! Events in a cluster other than failovers: keys move, and single connections are lost.

use silverback::store::StoreError;
use silverback_redis::RedisStore;
use silverback_test_servers::{Cluster, Proxy, Redis, Reply};

use crate::support::{LONG, SESSION, create, data, key, update};

async fn connect(urls: impl IntoIterator<Item = String>) -> RedisStore {
    let store = RedisStore::connect_cluster(urls).await;
    store.unwrap().timeout(LONG)
}

fn name(number: u8) -> String {
    format!("silverback:{}", key(number))
}

fn tell(server: &Redis, command: &[&str]) {
    assert_eq!(server.ask(command).text(), "OK", "{command:?}");
}

#[tokio::test]
async fn a_key_is_found_while_it_moves_and_after() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let store = connect(cluster.urls()).await;
    let from = cluster.master_of(&name(1));
    let masters = cluster.masters();
    let to = masters.iter().find(|to| to.port() != from.port()).unwrap();
    let Reply::Number(slot) = from.ask(&["CLUSTER", "KEYSLOT", &name(1)]) else {
        panic!()
    };
    let slot = slot.to_string();
    let [from_id, to_id] = [from, *to].map(|node| node.ask(&["CLUSTER", "MYID"]).text());
    tell(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    tell(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    // New keys go to the other server now, one redirection each.
    let version = create(&store, 1).await;
    let version = update(&store, 1, version, b"\x01new").await.unwrap();
    assert_eq!(data(&store, 1).await.unwrap(), b"\x01new");
    let count = |node: &Redis| node.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]);
    assert_eq!(
        (count(from), count(to)),
        (Reply::Number(0), Reply::Number(1))
    );
    for node in [*to, from] {
        tell(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    assert_eq!(data(&store, 1).await.unwrap(), b"\x01new");
    update(&store, 1, version, SESSION).await.unwrap();
}

/// The server has run the command. Only the session layer knows whether it may be repeated.
#[tokio::test]
async fn a_write_without_an_answer_is_sent_once() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    // Each server is reached through a proxy, even by the addresses that the servers give of each
    // other.
    let nodes = cluster.nodes().iter();
    let proxies: Vec<_> = nodes.map(|node| (node, Proxy::to(node.port()))).collect();
    for (node, proxy) in &proxies {
        let port = proxy.port().to_string();
        tell(node, &["CONFIG", "SET", "cluster-announce-port", &port]);
    }
    let tells = |node: &Redis| node.ask(&["CLUSTER", "NODES"]).text();
    let is_told = |(node, _): &(&Redis, Proxy)| {
        let told = tells(node);
        proxies
            .iter()
            .all(|(_, proxy)| told.contains(&format!(":{}@", proxy.port())))
    };
    while !proxies.iter().all(is_told) {
        tokio::task::yield_now().await;
    }
    let urls = proxies
        .iter()
        .map(|(_, proxy)| format!("redis://127.0.0.1:{}", proxy.port()));
    let store = connect(urls).await;
    let version = create(&store, 1).await;
    let version = update(&store, 1, version, SESSION).await.unwrap();
    let master = cluster.master_of(&name(1));
    let (_, proxy) = proxies
        .iter()
        .find(|(node, _)| node.port() == master.port())
        .unwrap();
    let scripts = || {
        let stats = master.ask(&["INFO", "commandstats"]).text();
        let calls = stats
            .lines()
            .filter(|line| line.starts_with("cmdstat_eval"));
        calls
            .filter_map(|line| {
                line.split_once("calls=")?
                    .1
                    .split_once(',')?
                    .0
                    .parse::<u64>()
                    .ok()
            })
            .sum::<u64>()
    };
    let before = scripts();
    proxy.lose_answer(0);
    let updated = update(&store, 1, version, b"\x01new").await;
    assert!(
        matches!(updated, Err(StoreError::Unavailable(_))),
        "{updated:?}"
    );
    assert_eq!(data(&store, 1).await.unwrap(), b"\x01new");
    assert_eq!((scripts() - before, proxy.lost()), (1, 1));
}
