//! Tabs of one browser, on two nodes, that all count in one session.

use std::time::Instant;

use axum::http::StatusCode;
use silverback::store::Store;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::of;
use crate::support::{
    servers::{Galera, file_store, mariadb, mysql_store, postgres, postgres_store},
    site::Site,
};

async fn loses_none<S: Store>(name: &str, nodes: Vec<S>) {
    let (tabs, each) = (of(64, 8), of(200, 15));
    let (site, begun) = (Site::of(nodes), Instant::now());
    let visitor = site.visitor();
    assert_eq!(visitor.add("first").await.status(), StatusCode::OK);
    let mut running = JoinSet::new();
    for _ in 0..tabs {
        let tab = visitor.clone();
        running.spawn(async move {
            for _ in 0..each {
                let page = tab.add("n").await;
                assert_eq!(page.status(), StatusCode::OK, "{:?}", page.error());
            }
        });
    }
    running.join_all().await;
    assert_eq!(visitor.read("n").await, tabs * each);
    assert_eq!(visitor.read("first").await, 1);
    println!(
        "{name}: {tabs} tabs x {each} increments on two nodes, none refused, none lost, in {:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost_in_sqlite() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.db");
    let nodes = vec![file_store(&path).await, file_store(&path).await];
    loses_none("SQLite", nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost_in_postgres() {
    let Some(server) = postgres() else { return };
    let url = server.url();
    let nodes = vec![postgres_store(&url).await, postgres_store(&url).await];
    loses_none("PostgreSQL", nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost_in_mariadb() {
    let Some(server) = mariadb() else { return };
    let url = server.url();
    let nodes = vec![mysql_store(&url).await, mysql_store(&url).await];
    loses_none("MariaDB", nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost_in_galera() {
    let Some(cluster) = Galera::start() else {
        return;
    };
    let urls = cluster.urls();
    let nodes = vec![mysql_store(&urls[0]).await, mysql_store(&urls[1]).await];
    loses_none("Galera", nodes).await;
}
