//! A server that takes connections and does not answer.

use std::time::Duration;

use axum::http::StatusCode;
use silverback::store::Store;
use tokio::task::JoinSet;

use super::of;
use crate::support::{
    servers::{Proxy, mariadb, mysql_store, postgres, postgres_store, through},
    site::{Site, Visitor},
};

/// How long the stores wait.
const SOON: Duration = Duration::from_secs(2);

/// Pages without a session go on, those with one are told so, and all is well afterwards.
async fn is_sat_out<S: Store>(name: &str, store: S, proxy: &Proxy) {
    let site = Site::of([store]);
    let visitor = site.visitor();
    let rounds = of(10, 1);
    let (mut done, mut tried) = (0, 0);
    for _ in 0..rounds {
        // A busy machine may take longer than the store waits, and do it all the same.
        loop {
            tried += 1;
            if visitor.add("n").await.status() == StatusCode::OK {
                break;
            }
        }
        done += 1;
        proxy.silence();
        let mut waiting = JoinSet::new();
        // More than the pool has connections: those who wait for one give up as well.
        for _ in 0..30 {
            let tab = visitor.clone();
            waiting.spawn(async move { tab.get("/read/n").await.status() });
        }
        assert_eq!(visitor.get("/").await.status(), StatusCode::OK);
        let added = visitor.add("lost").await.status();
        assert_eq!(added, StatusCode::SERVICE_UNAVAILABLE);
        for status in waiting.join_all().await {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(visitor.get("/").await.status(), StatusCode::OK);
        proxy.speak();
        // Connections that were given up are closed in the background.
        value(&visitor, "n").await;
    }
    let n = value(&visitor, "n").await;
    assert!((done..=tried).contains(&n), "{n}: {done} of {tried}");
    assert!(value(&visitor, "lost").await <= rounds);
    println!("{name}: {rounds} silences, each with 31 requests under way");
}

/// Asks until there is an answer.
async fn value(visitor: &Visitor, name: &str) -> u64 {
    loop {
        let page = visitor.get(&format!("/read/{name}")).await;
        if page.status() == StatusCode::OK {
            return page.text().parse().unwrap();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_of_postgres_is_sat_out() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::to(server.port());
    let store = postgres_store(&through(&server.url(), server.port(), &proxy)).await;
    is_sat_out("PostgreSQL", store.timeout(SOON), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_of_mariadb_is_sat_out() {
    let Some(server) = mariadb() else { return };
    let proxy = Proxy::to(server.port());
    let store = mysql_store(&through(&server.url(), server.port(), &proxy)).await;
    is_sat_out("MariaDB", store.timeout(SOON), &proxy).await;
}
