//! Servers that are killed and started again while visitors go on.

use std::time::Duration;

use axum::http::StatusCode;
use silverback::store::Store;
use silverback_test_servers::{Galera, MariaDb, Postgres, Server};
use tokio::{
    sync::watch,
    task::{JoinSet, block_in_place},
};

use super::of;
use crate::support::{
    servers::{mysql_store, postgres_store},
    site::{Site, Visitor},
};

/// What one visitor was told.
#[derive(Default)]
struct Told {
    tried: u64,
    acknowledged: u64,
}

/// Adds until the word comes, and keeps score. No answer is anything but "done" and "not now".
async fn add_on(
    visitor: Visitor,
    over: watch::Receiver<bool>,
    acknowledged: watch::Sender<u64>,
) -> (Visitor, Told) {
    let mut told = Told::default();
    while !*over.borrow() {
        told.tried += 1;
        let page = visitor.add("n").await;
        match page.status() {
            StatusCode::OK => {
                told.acknowledged += 1;
                acknowledged.send_modify(|count| *count += 1);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other}: {}", page.text()),
        }
    }
    (visitor, told)
}

/// Kills the server and starts it again, so often, each time after some more were acknowledged.
async fn loses_nothing<S: Store>(name: &str, nodes: Vec<S>, victim: &Server) {
    let kills = of(12, 2);
    let site = Site::of(nodes);
    let (stop, over) = watch::channel(false);
    let (count, mut acknowledged) = watch::channel(0);
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let visitor = site.visitor();
        assert_eq!(visitor.add("first").await.status(), StatusCode::OK);
        running.spawn(add_on(visitor, over.clone(), count.clone()));
    }
    for _ in 0..kills {
        let before = *acknowledged.borrow();
        acknowledged
            .wait_for(|count| *count >= before + 40)
            .await
            .unwrap();
        block_in_place(|| {
            victim.kill();
            victim.restart();
        });
    }
    let before = *acknowledged.borrow();
    acknowledged
        .wait_for(|count| *count >= before + 40)
        .await
        .unwrap();
    stop.send(true).unwrap();
    let (mut tried, mut told, mut kept) = (0, 0, 0);
    for (visitor, of_visitor) in running.join_all().await {
        let n = visitor.read("n").await;
        assert!(
            n >= of_visitor.acknowledged,
            "{n} of {}",
            of_visitor.acknowledged
        );
        assert!(n <= of_visitor.tried, "{n} of {}", of_visitor.tried);
        assert_eq!(visitor.read("first").await, 1);
        tried += of_visitor.tried;
        told += of_visitor.acknowledged;
        kept += n;
    }
    println!("{name}: {kills} kills, {tried} tried, {told} acknowledged, {kept} kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_acknowledged_survives_its_kills() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = server.url();
    let nodes = vec![postgres_store(&url).await, postgres_store(&url).await];
    loses_nothing("PostgreSQL", nodes, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mariadb_acknowledged_survives_its_kills() {
    let Some(server) = MariaDb::start() else {
        return;
    };
    let url = server.url();
    let nodes = vec![mysql_store(&url).await, mysql_store(&url).await];
    loses_nothing("MariaDB", nodes, &server).await;
}

/// The node of one application node is killed; the other goes on with another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_galera_acknowledged_survives_the_kills_of_a_node() {
    let Some(cluster) = Galera::start() else {
        return;
    };
    let urls = cluster.urls();
    let nodes = vec![mysql_store(&urls[0]).await, mysql_store(&urls[1]).await];
    loses_nothing("Galera", nodes, &cluster.nodes()[0]).await;
}
