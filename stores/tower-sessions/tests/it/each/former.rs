//! Visitors who were logged in with tower-sessions stay logged in.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ::tower_sessions::cookie;
use axum::{
    Router,
    http::{HeaderMap, Request, StatusCode, header},
    routing::{get, post},
};
use silverback::{
    Clock, CookieStore, Key, MemoryStore, Session, SessionConfig, SessionLayer,
    store::IntoBackend,
    testing::{Body, Browser},
};
use silverback_tower_sessions::{FormerSessions, TowerSessionStore};

use time::OffsetDateTime;

use super::{
    former, layer,
    tower_sessions::{
        self, SessionManagerLayer, SessionStore,
        session::{Id, Record},
        session_store::{Error, Result},
    },
};
use crate::log::recorded;

type Old = tower_sessions::MemoryStore;

/// The application with tower-sessions.
fn before() -> Router {
    async fn log_in(session: tower_sessions::Session) {
        session.insert("user", 7).await.unwrap();
        session.insert("cart", [1, 2]).await.unwrap();
    }
    Router::new().route("/login", post(log_in))
}

/// The application with silverback.
fn after(former: FormerSessions, store: impl IntoBackend) -> Router {
    let config = SessionConfig::new("account", store, Key::generate().unwrap());
    after_with(former, config)
}

fn after_with(former: FormerSessions, config: SessionConfig) -> Router {
    async fn user(session: Session) -> String {
        format!("{:?}", session.get::<u32>("user").unwrap())
    }
    async fn log_out(session: Session) {
        session.destroy().await.unwrap();
    }
    async fn fail(session: Session) -> StatusCode {
        session.insert("cart", 3).unwrap();
        StatusCode::INTERNAL_SERVER_ERROR
    }
    Router::new()
        .route("/", get(user))
        .route("/logout", post(log_out))
        .route("/fail", get(fail))
        .route("/late", get(async || StatusCode::REQUEST_TIMEOUT))
        .layer((SessionLayer::new(config), former))
}

/// A visitor who logged in before the move, and the ID of their session.
async fn visitor(old: &Old, former: FormerSessions) -> (Browser<Router>, Id) {
    let layer = SessionManagerLayer::new(old.clone());
    let browser = logged_in(before().layer(layer)).await;
    let id = browser.jar(|jar| jar.get("id").unwrap().parse().unwrap());
    (moved(&browser, after(former, MemoryStore::new())), id)
}

async fn logged_in(app: Router) -> Browser<Router> {
    let browser = Browser::new(app);
    let page = browser.submit("/login", &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    browser
}

/// The same browser at another service.
fn moved(browser: &Browser<Router>, app: Router) -> Browser<Router> {
    let moved = Browser::new(app);
    moved.jar(|jar| *jar = browser.jar(|jar| jar.clone()));
    moved
}

fn names(browser: &Browser<Router>) -> Vec<String> {
    browser.jar(|jar| jar.names().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_visitor_stays_logged_in_and_gets_the_new_cookie() {
    let old = Old::default();
    // The old store uses the system's clock, by which a minute from now is an hour away.
    let now = Clock::system()
        .now()
        .saturating_add(Duration::from_secs(3_600));
    let former = FormerSessions::new(former(old.clone())).clock(Clock::manual(now));
    let (browser, id) = visitor(&old, former).await;
    assert_eq!(names(&browser), ["id"]);
    assert_eq!(browser.get("/").await.text(), "Some(7)");
    assert_eq!(names(&browser), ["__Host-account"]);
    let rest = old.load(&id).await.unwrap().unwrap();
    assert_eq!(rest.expiry_date.unix_timestamp(), now.as_secs() as i64 + 60);
    old.delete(&id).await.unwrap();
    assert_eq!(browser.get("/").await.text(), "Some(7)");
}

#[tokio::test]
async fn signed_and_encrypted_cookies_are_read_with_their_key_alone() {
    let (key, other) = (cookie::Key::generate(), cookie::Key::generate());
    let old = Old::default();
    let of = |old: &Old| FormerSessions::new(former(old.clone())).name("sid");
    let layer = SessionManagerLayer::new(old.clone()).with_name("sid");
    let signed = logged_in(before().layer(layer.clone().with_signed(key.clone()))).await;
    let private = logged_in(before().layer(layer.with_private(key.clone()))).await;
    for (browser, right, wrong) in [
        (
            &signed,
            of(&old).signed(key.clone()),
            of(&old).signed(other.clone()),
        ),
        (
            &private,
            of(&old).private(key.clone()),
            of(&old).private(other),
        ),
    ] {
        for refusing in [wrong, of(&old), FormerSessions::new(former(old.clone()))] {
            let refused = moved(browser, after(refusing, MemoryStore::new()));
            assert_eq!(refused.get("/").await.text(), "None");
            assert_eq!(names(&refused), ["sid"]);
        }
        let accepted = moved(browser, after(right, MemoryStore::new()));
        assert_eq!(accepted.get("/").await.text(), "Some(7)");
        assert_eq!(names(&accepted), ["__Host-account"]);
    }
}

#[tokio::test]
async fn a_session_moves_into_a_cookie_as_well() {
    let old = Old::default();
    let app = after(FormerSessions::new(former(old.clone())), CookieStore::new());
    let browser = moved(
        &logged_in(before().layer(SessionManagerLayer::new(old))).await,
        app,
    );
    assert_eq!(browser.get("/").await.text(), "Some(7)");
    assert_eq!(names(&browser), ["__Host-account"]);
    assert_eq!(browser.get("/").await.text(), "Some(7)");
}

#[tokio::test]
async fn the_new_cookie_may_have_the_name_of_the_old_one() {
    let old = Old::default();
    let config = SessionConfig::new("id", MemoryStore::new(), Key::generate().unwrap());
    let former = FormerSessions::new(former(old.clone()));
    let app = after_with(former, config.cookie_name("id"));
    let browser = logged_in(before().layer(SessionManagerLayer::new(old))).await;
    let browser = moved(&browser, app);
    assert_eq!(browser.get("/").await.text(), "Some(7)");
    assert!(browser.jar(|jar| jar.get("id").unwrap().len() > 22));
    assert_eq!(browser.get("/").await.text(), "Some(7)");
}

#[tokio::test]
async fn a_session_moves_from_the_first_step_to_the_second() {
    let old = TowerSessionStore::new(MemoryStore::new());
    let browser = logged_in(before().layer(SessionManagerLayer::new(old.clone()))).await;
    let former = FormerSessions::new(former(old));
    let browser = moved(&browser, after(former, MemoryStore::new()));
    assert_eq!(browser.get("/").await.text(), "Some(7)");
    assert_eq!(names(&browser), ["__Host-account"]);
}

#[tokio::test]
async fn the_handler_that_moves_a_session_may_be_one_of_tower_sessions() {
    async fn user(session: tower_sessions::Session) -> String {
        assert!(session.id().is_some());
        format!("{:?}", session.remove::<u32>("user").await.unwrap())
    }
    for store in [
        MemoryStore::new().into_backend(),
        CookieStore::new().into_backend(),
    ] {
        let old = Old::default();
        let config = SessionConfig::new("account", store, Key::generate().unwrap());
        let former = FormerSessions::new(former(old.clone()));
        let app = Router::new().route("/", get(user));
        let app = app.layer((SessionLayer::new(config), former, layer()));
        let browser = logged_in(before().layer(SessionManagerLayer::new(old))).await;
        let browser = moved(&browser, app);
        assert_eq!(browser.get("/").await.text(), "Some(7)");
        assert_eq!(browser.get("/").await.text(), "None");
    }
}

#[tokio::test]
async fn requests_at_the_same_time_are_all_logged_in() {
    let old = Old::default();
    let now = Clock::system()
        .now()
        .saturating_add(Duration::from_secs(3_600));
    let former = FormerSessions::new(former(old.clone())).clock(Clock::manual(now));
    let (browser, _) = visitor(&old, former).await;
    let slower = browser.another();
    slower.jar(|jar| *jar = browser.jar(|jar| jar.clone()));
    assert_eq!(browser.get("/").await.text(), "Some(7)");
    assert_eq!(slower.get("/").await.text(), "Some(7)");
}

#[tokio::test]
async fn a_handler_that_fails_loses_no_session() {
    let old = Old::default();
    let (browser, id) = visitor(&old, FormerSessions::new(former(old.clone()))).await;
    let page = browser.get("/fail").await;
    assert_eq!(page.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(names(&browser).contains(&"id".to_owned()));
    assert!(old.load(&id).await.unwrap().is_some());
    assert_eq!(browser.get("/").await.text(), "Some(7)");
    assert_eq!(names(&browser), ["__Host-account"]);
}

#[tokio::test]
async fn a_handler_that_is_cut_off_loses_no_session() {
    for store in [
        MemoryStore::new().into_backend(),
        CookieStore::new().into_backend(),
    ] {
        let old = Old::default();
        let config = SessionConfig::new("account", store, Key::generate().unwrap());
        let app = after_with(FormerSessions::new(former(old.clone())), config);
        let browser = logged_in(before().layer(SessionManagerLayer::new(old))).await;
        let browser = moved(&browser, app);
        let page = browser.get("/late").await;
        assert_eq!(page.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(browser.get("/").await.text(), "Some(7)");
    }
}

#[tokio::test]
async fn a_cookie_of_other_bytes_hides_no_session() {
    let old = Old::default();
    let (_, id) = visitor(&old, FormerSessions::new(former(old.clone()))).await;
    let cookies = [b"lang=\xe9; id=".as_slice(), id.to_string().as_bytes()].concat();
    let request = Request::get("https://localhost/").header(header::COOKIE, cookies);
    let app = after(FormerSessions::new(former(old)), MemoryStore::new());
    let page = Browser::new(app)
        .visit(request.body(Body::empty()).unwrap())
        .await;
    assert_eq!(page.text(), "Some(7)");
}

#[tokio::test]
async fn no_shared_cache_keeps_the_removal_of_the_old_cookie() {
    const TARGETED: [&str; 4] = [
        "cdn-cache-control",
        "surrogate-control",
        "edge-control",
        "x-accel-expires",
    ];
    async fn page() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, "public, max-age=60".parse().unwrap());
        for name in TARGETED {
            headers.insert(name, "60".parse().unwrap());
        }
        headers
    }
    let config = SessionConfig::new("account", MemoryStore::new(), Key::generate().unwrap());
    let former = FormerSessions::new(former(Old::default()));
    let app = Router::new().route("/", get(page));
    let browser = Browser::new(app.layer((SessionLayer::new(config), former)));
    let cached = |headers: &HeaderMap| {
        headers[header::CACHE_CONTROL] == "public, max-age=60"
            && TARGETED.iter().all(|name| headers.contains_key(*name))
    };
    assert!(cached(browser.get("/").await.headers()));
    let cookie = format!("id={}", Id::default());
    browser.jar(|jar| jar.set(&"https://localhost".parse().unwrap(), &cookie));
    let page = browser.get("/").await;
    assert!(names(&browser).is_empty());
    assert_eq!(page.headers()[header::CACHE_CONTROL], "private, no-store");
    for name in TARGETED {
        assert!(!page.headers().contains_key(name), "{name}");
    }
    assert!(cached(browser.get("/").await.headers()));
}

#[tokio::test]
async fn a_logout_ends_the_old_session_too() {
    let old = Old::default();
    let (browser, id) = visitor(&old, FormerSessions::new(former(old.clone()))).await;
    browser.submit("/logout", &[]).await;
    assert!(old.load(&id).await.unwrap().is_none());
    assert!(browser.jar(|jar| jar.is_empty()));

    // A browser that has both cookies.
    let (browser, id) = visitor(&old, FormerSessions::new(former(old.clone()))).await;
    browser.get("/").await;
    let uri = "https://localhost".parse().unwrap();
    browser.jar(|jar| jar.set(&uri, &format!("id={id}")));
    browser.submit("/logout", &[]).await;
    assert!(old.load(&id).await.unwrap().is_none());
    browser.jar(|jar| jar.set(&uri, &format!("id={id}")));
    assert_eq!(browser.get("/").await.text(), "None");
    assert!(browser.jar(|jar| jar.is_empty()));
}

#[derive(Clone, Debug)]
struct Down;

#[async_trait::async_trait]
impl SessionStore for Down {
    async fn save(&self, _: &Record) -> Result<()> {
        Err(Error::Backend("down".to_owned()))
    }

    async fn load(&self, _: &Id) -> Result<Option<Record>> {
        Err(Error::Backend("down".to_owned()))
    }

    async fn delete(&self, _: &Id) -> Result<()> {
        Err(Error::Backend("down".to_owned()))
    }
}

#[tokio::test]
async fn a_failing_former_store_is_no_empty_session() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    async fn count() {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let config = SessionConfig::new("account", MemoryStore::new(), Key::generate().unwrap());
    let former = FormerSessions::new(former(Down));
    let app = Router::new().route("/", get(count));
    let browser = Browser::new(app.layer((SessionLayer::new(config), former)));
    assert_eq!(browser.get("/").await.status(), StatusCode::OK);
    let cookie = format!("id={}", Id::default());
    browser.jar(|jar| jar.set(&"https://localhost".parse().unwrap(), &cookie));
    assert_eq!(
        browser.get("/").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    assert_eq!(names(&browser), ["id"]);
}

/// A session that is too large for the new store would otherwise be a blank 500.
#[tokio::test]
async fn the_log_says_why_a_session_is_not_moved() {
    let visit = async |former, store| {
        let config = SessionConfig::new("account", store, Key::generate().unwrap());
        let browser = Browser::new(after_with(FormerSessions::new(former), config));
        let cookie = format!("id={}", Id(7));
        browser.jar(|jar| jar.set(&"https://localhost".parse().unwrap(), &cookie));
        browser.get("/").await.status()
    };
    let log = recorded(async || {
        let status = visit(former(Down), MemoryStore::new().into_backend()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    });
    let log = log.await;
    assert!(log.starts_with("ERROR") && log.contains("down"), "{log}");
    let old = Old::default();
    let record = Record {
        id: Id(7),
        data: [("cart".to_owned(), "x".repeat(5_000).into())].into(),
        expiry_date: OffsetDateTime::now_utc() + Duration::from_secs(3_600),
    };
    old.save(&record).await.unwrap();
    let log = recorded(async || {
        let status = visit(former(old), CookieStore::new().into_backend()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    });
    let log = log.await;
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.starts_with("ERROR") && log.contains("4096"), "{log}");
    assert!(!log.contains("xxx"), "{log}");
}

/// As if packets were dropped.
#[derive(Clone, Debug)]
struct Silent;

#[async_trait::async_trait]
impl SessionStore for Silent {
    async fn save(&self, _: &Record) -> Result<()> {
        std::future::pending().await
    }

    async fn load(&self, _: &Id) -> Result<Option<Record>> {
        std::future::pending().await
    }

    async fn delete(&self, _: &Id) -> Result<()> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_former_store_is_not_waited_for_without_end() {
    let day = Duration::from_secs(86_400);
    let app = after(FormerSessions::new(former(Silent)), MemoryStore::new());
    let browser = Browser::new(app);
    let cookie = format!("id={}", Id::default());
    browser.jar(|jar| jar.set(&"https://localhost".parse().unwrap(), &cookie));
    let page = tokio::time::timeout(day, browser.get("/")).await.unwrap();
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(names(&browser), ["id"]);
    let store = TowerSessionStore::new(MemoryStore::new()).moving_from(former(Silent));
    let loaded = tokio::time::timeout(day, store.load(&Id::default())).await;
    assert!(matches!(loaded.unwrap(), Err(Error::Backend(_))));
}
