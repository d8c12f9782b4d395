//! Connections that are cut after the server has done what it was asked to, at each answer of each
//! request.

use axum::http::StatusCode;
use silverback::store::Store;
use silverback_sqlx::Dialect;
use sqlx::Pool;

use crate::support::{
    servers::{
        Proxy, mariadb, mysql_pool, mysql_store, on, postgres, postgres_pool, postgres_store,
        through,
    },
    site::{Site, Visitor},
};

/// A visitor who has been here already, or a new one, and what they do next.
const STEPS: [(bool, &str); 5] = [
    (false, "/add/n"),
    (true, "/add/n"),
    (false, "/login"),
    (true, "/login"),
    (true, "/logout"),
];

async fn are_survived<S: Store>(name: &str, store: S, proxy: &Proxy) {
    let site = Site::of([store]);
    let mut cuts = 0;
    for (has_been_here, path) in STEPS {
        for after in 0.. {
            let visitor = arrive(&site, has_been_here).await;
            let before = proxy.lost();
            proxy.lose_answer(after);
            let page = visitor.post(path).await;
            let is_cut = proxy.lost() > before;
            let what = format!("{path} without answer {after}: {}", page.text());
            assert_eq!(page.status(), StatusCode::OK, "{what}");
            // What is left of it must not meet the next step.
            proxy.lose_answer(u64::MAX);
            is_done_once(&visitor, has_been_here, path, &what).await;
            if !is_cut {
                break;
            }
            cuts += 1;
        }
    }
    println!("{name}: {cuts} cuts, every request answered, nothing done twice");
}

async fn arrive(site: &Site, has_been_here: bool) -> Visitor {
    let visitor = site.visitor();
    if has_been_here {
        assert_eq!(visitor.add("n").await.status(), StatusCode::OK);
    }
    visitor
}

async fn is_done_once(visitor: &Visitor, has_been_here: bool, path: &str, what: &str) {
    let n = visitor.read("n").await;
    match path {
        "/add/n" => assert_eq!(n, u64::from(has_been_here) + 1, "{what}"),
        "/login" => assert_eq!(n, u64::from(has_been_here), "{what}"),
        _ => {
            assert_eq!(n, 0, "{what}");
            assert!(!visitor.has_cookie(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_postgres_may_get_lost() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::to(server.port());
    let store = postgres_store(&through(&server.url(), server.port(), &proxy)).await;
    are_survived("PostgreSQL", store, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_mariadb_may_get_lost() {
    let Some(server) = mariadb() else { return };
    let proxy = Proxy::to(server.port());
    let store = mysql_store(&through(&server.url(), server.port(), &proxy)).await;
    are_survived("MariaDB", store, &proxy).await;
}

/// Each connection of the pool is cut while nobody uses it, as by a restart of the server.
async fn idle_ones_are_survived<DB: Dialect>(pool: Pool<DB>, proxy: &Proxy) {
    const CONNECTIONS: usize = 8;
    let store = on(pool.clone()).table("idle_ones").unwrap();
    store.create_table().await.unwrap();
    let visitor = Site::of([store]).visitor();
    for n in 1..=4 {
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            all.push(pool.acquire().await.unwrap());
        }
        drop(all);
        while pool.num_idle() < CONNECTIONS {
            tokio::task::yield_now().await;
        }
        proxy.cut();
        let page = visitor.add("n").await;
        assert_eq!(page.status(), StatusCode::OK, "{:?}", page.error());
        assert_eq!(page.text(), n.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_postgres_may_be_cut() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::to(server.port());
    let pool = postgres_pool(&through(&server.url(), server.port(), &proxy));
    idle_ones_are_survived(pool, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_mariadb_may_be_cut() {
    let Some(server) = mariadb() else { return };
    let proxy = Proxy::to(server.port());
    let pool = mysql_pool(&through(&server.url(), server.port(), &proxy));
    idle_ones_are_survived(pool, &proxy).await;
}
