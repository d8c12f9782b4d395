//! Two servers with a cache each, in front of one store.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use silverback::{
    Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer, Subjects,
    testing::{Browser, Jar},
};
use silverback_cached::CachedStore;
use tokio::time::advance;

const STALENESS: Duration = Duration::from_millis(500);

type Node = Browser<Router>;

/// Two servers of one shop, and the lists of its users as the second server sees them.
fn nodes() -> ([Node; 2], Subjects) {
    let (store, keys) = (Arc::new(MemoryStore::new()), Keys::generate().unwrap());
    let config = || {
        let cached = CachedStore::new(Arc::clone(&store), STALENESS);
        SessionConfig::new("account", cached, keys.clone()).recent_reads()
    };
    let (first, second) = (config(), config());
    let subjects = Subjects::new(&second).unwrap();
    let shop = |config| {
        let app = Router::new()
            .route("/", get(page).post(add))
            .route("/login", post(login))
            .route("/logout", post(logout));
        Browser::new(app.layer(SessionLayer::new(config)))
    };
    ([shop(first), shop(second)], subjects)
}

async fn page(session: Session) -> Result<String, Error> {
    let user = session.get::<String>("user")?.unwrap_or_default();
    let count = session.get::<u32>("count")?.unwrap_or_default();
    Ok(format!("{user} {count}"))
}

async fn add(session: Session) -> Result<(), Error> {
    session.update("count", |count: &mut u32| *count += 1)
}

async fn login(session: Session) -> Result<(), Error> {
    session.insert("user", "ada")?;
    session.set_subject("ada", "a browser")
}

async fn logout(session: Session) -> Result<(), Error> {
    session.destroy().await
}

/// One browser whose requests go to either server.
async fn go<R>(node: &Node, jar: &mut Jar, visit: impl AsyncFnOnce(&Node) -> R) -> R {
    node.jar(|inside| *inside = jar.clone());
    let page = visit(node).await;
    *jar = node.jar(|inside| inside.clone());
    page
}

async fn read(node: &Node, jar: &mut Jar) -> String {
    go(node, jar, async |node| {
        node.get("/").await.text().to_owned()
    })
    .await
}

async fn send(node: &Node, jar: &mut Jar, path: &str) -> u16 {
    let send = async |node: &Node| node.post(path, "text/plain", "").await.status().as_u16();
    go(node, jar, send).await
}

#[tokio::test(start_paused = true)]
async fn a_page_is_behind_by_the_staleness_at_most_and_a_write_never() {
    let ([one, two], _) = nodes();
    let jar = &mut Jar::default();
    assert_eq!(send(&one, jar, "/login").await, 200);
    assert_eq!(read(&two, jar).await, "ada 0");
    for count in 1..=3 {
        assert_eq!(send(&one, jar, "/").await, 200);
        assert_eq!(read(&one, jar).await, format!("ada {count}"));
    }
    assert_eq!(read(&two, jar).await, "ada 0", "as it was");
    assert_eq!(send(&two, jar, "/").await, 200);
    assert_eq!(read(&two, jar).await, "ada 4", "nothing is lost");
    assert_eq!(read(&one, jar).await, "ada 3", "as it was");
    advance(STALENESS).await;
    assert_eq!(read(&one, jar).await, "ada 4");
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_final_at_once_for_writes_and_soon_for_pages() {
    let ([one, two], subjects) = nodes();
    for is_from_list in [false, true] {
        let jar = &mut Jar::default();
        assert_eq!(send(&one, jar, "/login").await, 200);
        let kept = &mut jar.clone();
        assert_eq!(read(&one, kept).await, "ada 0");
        if is_from_list {
            subjects.destroy_all("ada").await.unwrap();
        } else {
            assert_eq!(send(&two, jar, "/logout").await, 200);
        }
        let tried = &mut kept.clone();
        let status = send(&one, tried, "/").await;
        // Without a mark, the cookie looks like a new visitor's.
        assert_eq!(status, if is_from_list { 200 } else { 409 });
        assert!(!read(&one, tried).await.contains("ada"));
        assert_eq!(read(&two, kept).await, " 0");
        advance(STALENESS).await;
        assert_eq!(read(&one, kept).await, " 0");
        advance(Duration::from_secs(61)).await;
        assert_eq!(read(&one, kept).await, " 0");
    }
}

#[tokio::test]
async fn two_servers_lose_no_change() {
    let (nodes, _) = nodes();
    let jar = Jar::default();
    assert_eq!(send(&nodes[0], &mut jar.clone(), "/login").await, 200);
    let jar = nodes[0].jar(|inside| inside.clone());
    let tasks = (0..64).map(|n| {
        let (node, jar) = (nodes[n % 2].another(), jar.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                assert_eq!(send(&node, &mut jar.clone(), "/").await, 200);
                read(&node, &mut jar.clone()).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let [_, two] = &nodes;
    assert_eq!(send(two, &mut jar.clone(), "/").await, 200);
    assert_eq!(read(two, &mut jar.clone()).await, "ada 641");
}
