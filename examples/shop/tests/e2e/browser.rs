//! How a browser handles the cookies: with forms, in tabs, and when it is closed.

use std::sync::Arc;

use axum::{Router, routing::get};
use example_kit::{Browser, Driver, require};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;

use crate::{
    curl::{Curl, LOGGED_IN},
    shop::Shop,
};

/// The shop and the means to open browsers.
pub(crate) struct Desk {
    driver: Driver,
    shop: Arc<Shop>,
}

impl Desk {
    pub(crate) async fn start() -> Option<Self> {
        let driver = Driver::start().await?;
        let shop = Arc::new(Shop::start());
        Some(Self { driver, shop })
    }

    /// Opens a browser, with the profile of the previous one.
    pub(crate) async fn open(&self) -> Visitor<'_> {
        Visitor {
            browser: self.driver.browser().await,
            shop: &self.shop,
        }
    }
}

pub(crate) struct Visitor<'a> {
    pub(crate) browser: Browser,
    shop: &'a Shop,
}

impl Visitor<'_> {
    pub(crate) async fn visit(&self, path: &str) {
        self.browser.go(&self.shop.url(path)).await;
    }

    async fn log_in(&self, remember: bool) {
        self.visit("/login").await;
        if remember {
            self.browser.click("[name=remember]").await;
        }
        self.fill_in("Ada").await;
        assert_eq!(self.heading().await, "Hello, Ada");
    }

    /// Fills in the login form that is shown.
    pub(crate) async fn fill_in(&self, name: &str) {
        self.browser.fill("[name=name]", name).await;
        self.browser.follow("#login .button").await;
    }

    async fn heading(&self) -> String {
        self.browser.text("h1").await
    }

    /// Returns the flash messages of the page, even those that have faded.
    async fn messages(&self) -> Vec<String> {
        self.browser.texts(".toast").await
    }

    async fn quantity(&self, product: &str) -> String {
        self.visit("/cart").await;
        self.browser.text(&format!("#quantity-{product}")).await
    }

    /// Starts adding a product many times at once, and does not wait.
    async fn begin_to_add(&self, times: u32, product: &str) {
        let add = format!(
            "fetch('/cart/{product}/add', {{ method: 'POST' }}).then(answer => answer.status)"
        );
        self.browser
            .script(&format!(
                "window.added = Promise.all(Array.from({{ length: {times} }}, () => {add}))"
            ))
            .await;
    }

    async fn finish_adding(&self, times: usize) {
        let statuses = self.browser.script("return window.added").await;
        assert_eq!(statuses, serde_json::json!(vec![200; times]));
    }
}

#[tokio::test]
async fn filling_in_the_form_logs_in_and_the_greeting_is_shown_once() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    visitor.log_in(false).await;
    assert_eq!(visitor.messages().await, ["Welcome, Ada."]);
    visitor.visit("/account").await;
    assert_eq!(visitor.heading().await, "Hello, Ada");
    assert!(visitor.messages().await.is_empty());
}

#[tokio::test]
async fn twenty_adds_at_the_same_time_are_all_counted() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    visitor.visit("/").await;
    visitor.browser.follow("#mug .button").await;
    assert_eq!(visitor.messages().await, ["Stoneware mug is in your cart."]);
    visitor.begin_to_add(20, "fern").await;
    visitor.finish_adding(20).await;
    assert_eq!(visitor.quantity("fern").await, "20");
    assert_eq!(visitor.quantity("mug").await, "1");
}

#[tokio::test]
async fn two_tabs_that_fill_the_cart_at_the_same_time_lose_nothing() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    visitor.visit("/").await;
    visitor.browser.follow("#mug .button").await;
    let tabs = &visitor.browser.0;
    let first = tabs.window().await.unwrap();
    let second = tabs.new_window(true).await.unwrap().handle;
    tabs.switch_to_window(second.clone()).await.unwrap();
    visitor.visit("/").await;

    visitor.begin_to_add(10, "lamp").await;
    tabs.switch_to_window(first).await.unwrap();
    visitor.begin_to_add(10, "fern").await;
    visitor.finish_adding(10).await;
    tabs.switch_to_window(second).await.unwrap();
    visitor.finish_adding(10).await;

    assert_eq!(visitor.quantity("lamp").await, "10");
    assert_eq!(visitor.quantity("fern").await, "10");
}

#[tokio::test]
async fn with_remember_me_the_login_outlasts_the_browser() {
    let Some(heading) = heading_after_restart(true).await else {
        return;
    };
    assert_eq!(heading, "Hello, Ada");
}

#[tokio::test]
async fn without_remember_me_the_login_ends_with_the_browser() {
    let Some(heading) = heading_after_restart(false).await else {
        return;
    };
    assert_eq!(heading, "Hello, stranger");
}

async fn heading_after_restart(remember: bool) -> Option<String> {
    let desk = Desk::start().await?;
    let visitor = desk.open().await;
    visitor.log_in(remember).await;
    visitor.browser.quit().await;
    let visitor = desk.open().await;
    visitor.visit("/account").await;
    Some(visitor.heading().await)
}

/// The cart ended with its file. The copied cookie still holds the account, but the server knows
/// that it has ended.
#[tokio::test]
async fn cookies_replayed_after_logout_bring_back_nothing() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let visitor = desk.open().await;
    visitor.log_in(true).await;
    visitor.visit("/").await;
    visitor.browser.follow("#fern .button").await;
    assert_eq!(visitor.quantity("fern").await, "1");
    let account = visitor.browser.cookie("account").await.unwrap();
    let cart = visitor.browser.cookie("cart").await.unwrap();

    visitor.visit("/account").await;
    visitor.browser.follow("#log-out").await;
    assert_eq!(visitor.heading().await, "You are logged out");
    assert_eq!(
        (
            visitor.browser.cookie("account").await,
            visitor.browser.cookie("cart").await
        ),
        (None, None)
    );
    visitor.visit("/account").await;
    assert_eq!(visitor.heading().await, "Hello, stranger");

    visitor.browser.set_cookie("cart", &cart).await;
    visitor.visit("/cart").await;
    assert_eq!(visitor.heading().await, "Your cart is empty");
    visitor.browser.set_cookie("account", &account).await;
    visitor.visit("/account").await;
    assert_eq!(visitor.heading().await, "Hello, stranger");
    assert_eq!(
        visitor.browser.text("#account-cookie").await,
        "refused: destroyed a moment ago"
    );
    assert_eq!(
        visitor.browser.text("#cart-cookie").await,
        "refused: destroyed a moment ago"
    );
}

#[tokio::test]
async fn a_click_logs_out_everywhere_else() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    if !require("curl") {
        return;
    }
    let (visitor, curl) = (desk.open().await, Curl::of(&desk.shop));
    visitor.log_in(false).await;
    curl.log_in("Ada", false);
    assert!(curl.get("/account").has(LOGGED_IN));
    visitor.visit("/account").await;
    assert_eq!(
        visitor.browser.texts(".logins h3").await,
        ["Chrome on Linux", "curl"]
    );
    assert_eq!(
        visitor.browser.texts(".logins .pill").await,
        ["this browser"]
    );
    assert_eq!(visitor.browser.texts(".logins button").await, ["Log out"]);

    visitor.browser.follow("#end-others").await;
    assert_eq!(visitor.heading().await, "Hello, Ada");
    assert_eq!(visitor.messages().await, ["Logged out in one other place."]);
    assert_eq!(
        visitor.browser.texts(".logins h3").await,
        ["Chrome on Linux"]
    );
    assert!(curl.get("/account").has("Hello, stranger"));
}

#[tokio::test]
async fn a_browser_that_was_logged_out_from_elsewhere_shows_it_on_its_next_page() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    if !require("curl") {
        return;
    }
    let (visitor, curl) = (desk.open().await, Curl::of(&desk.shop));
    visitor.log_in(true).await;
    visitor.visit("/").await;
    assert_eq!(visitor.browser.text(".who").await, "Ada");
    curl.log_in("Ada", false);
    curl.post("/account/sessions/end-others");
    visitor.visit("/").await;
    assert_eq!(visitor.browser.text(".who").await, "Log in");
    assert_eq!(
        visitor.browser.text(".notice").await,
        "You were logged out from another browser. Log in again"
    );
    visitor.log_in(true).await;
    assert_eq!(
        visitor.browser.texts(".logins h3").await,
        ["Chrome on Linux", "curl"]
    );
}

/// Chromium trusts localhost like HTTPS: it accepts `Secure` and the prefix `__Host-` there.
#[tokio::test]
async fn the_default_cookie_works_on_localhost() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(axum::serve(listener, strict_site()).into_future());
    let browser = desk.driver.browser().await;
    for visit in ["1", "2", "3"] {
        browser.go(&format!("http://localhost:{port}/")).await;
        assert_eq!(browser.text("pre").await, visit);
    }
}

fn strict_site() -> Router {
    let config = SessionConfig::cookie("strict", Keys::generate().unwrap());
    Router::new()
        .route("/", get(visits))
        .layer(SessionLayer::new(config))
}

async fn visits(session: Session) -> Result<String, Error> {
    let count = |n: &mut u32| {
        *n += 1;
        *n
    };
    Ok(session.update("visits", count)?.to_string())
}
