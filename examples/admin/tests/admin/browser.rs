//! The page in Chromium: on a phone and on a desktop, in light and in dark.

use std::future::IntoFuture as _;

use example_kit::{Browser, Driver, axe};
use silverback::{Clock, Key};
use tokio::net::TcpListener;

use crate::{PASSWORD, Stage};

const AGENTS: [&str; 3] = [
    "Firefox on Linux",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML)",
    "",
];

/// A running site, and a browser.
struct Scene {
    url: String,
    browser: Browser,
    /// Dropped last, since it ends its browsers.
    _driver: Driver,
}

impl Scene {
    async fn start() -> Option<Self> {
        let driver = Driver::start().await?;
        let stage = Stage::new(Clock::system());
        stage.keys.rotate(Key::generate().unwrap()).unwrap();
        for agent in AGENTS {
            let session = silverback::Session::detached(&stage.config).unwrap();
            session.set_subject("ada", agent).unwrap();
            session.save().await.unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(axum::serve(listener, stage.app).into_future());
        Some(Self {
            url,
            browser: driver.browser().await,
            _driver: driver,
        })
    }

    async fn visit(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.url)).await;
    }

    async fn log_in(&self) {
        self.visit("/admin").await;
        self.browser.fill("[name=password]", PASSWORD).await;
        self.browser.follow("main .button").await;
        assert_eq!(self.browser.text("h1").await, "Sessions");
    }

    /// Visits the page in each of its states, and calls `look` there.
    async fn tour(&self, mut look: impl AsyncFnMut(&str)) {
        self.visit("/admin/login").await;
        look("the login").await;
        self.browser.fill("[name=password]", "wrong").await;
        self.browser.follow("main .button").await;
        look("the login after a wrong password").await;
        self.log_in().await;
        look("the empty page").await;
        self.visit("/admin?user=ada").await;
        look("a user").await;
        self.browser.click("summary").await;
        look("a user whose sessions are about to end").await;
        let long = "Wolfeschlegelsteinhausenbergerdorffwelch".repeat(2);
        self.visit(&format!("/admin?user={long}")).await;
        look("nobody").await;
        self.browser.follow("#log-out").await;
    }
}

#[tokio::test]
async fn clicks_end_one_session_and_then_all() {
    let Some(scene) = Scene::start().await else {
        return;
    };
    let browser = &scene.browser;
    scene.log_in().await;
    browser.fill("[name=user]", "ada").await;
    browser.follow(".search .button").await;
    assert_eq!(browser.texts(".sessions li").await.len(), AGENTS.len());
    browser.follow(".sessions li:first-child button").await;
    assert_eq!(browser.text(".notice").await, "One session has ended.");
    assert_eq!(browser.texts(".sessions li").await.len(), AGENTS.len() - 1);
    browser.click("summary").await;
    browser.follow("#end-all .danger").await;
    assert_eq!(browser.text(".notice").await, "2 sessions have ended.");
    assert!(browser.texts(".sessions li").await.is_empty());
    browser.follow("#log-out").await;
    assert_eq!(browser.text("h1").await, "Log in");
    scene.visit("/admin?user=ada").await;
    assert_eq!(browser.text("h1").await, "Log in");
}

#[tokio::test]
async fn it_fits_a_phone() {
    let Some(scene) = Scene::start().await else {
        return;
    };
    scene.browser.be_a_phone().await;
    scene
        .tour(async |page| scene.browser.assert_fits_a_phone(page).await)
        .await;
}

#[tokio::test]
async fn axe_finds_nothing() {
    let Some(axe) = axe() else { return };
    let Some(scene) = Scene::start().await else {
        return;
    };
    scene.browser.be_a_phone().await;
    scene
        .tour(async |page| scene.browser.assert_accessible(&axe, page).await)
        .await;
    scene.browser.be_a_desktop().await;
    scene
        .tour(async |page| scene.browser.assert_accessible(&axe, page).await)
        .await;
}
