//! Connections that are cut after the server has done what it was asked to, at each answer of each
//! request.

use axum::http::StatusCode;
use silverback::store::Store;

use crate::support::{
    servers::{Proxy, mariadb, mysql_store, postgres, postgres_store, through},
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
