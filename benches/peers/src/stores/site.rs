//! An application with sessions, and its requests.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{self, Body},
    http::{Request, StatusCode, header},
};
use kit::browser::Browser;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::Result;

pub(super) const COUNT: &str = "count";
pub(super) const PROFILE: &str = "profile";
pub(super) const USER: &str = "user";
pub(super) const TEXT: &str = "text";

/// The paths, each with its own handler.
pub(super) mod path {
    /// Makes a session of a profile and a counter.
    pub(crate) const START: &str = "/start";
    /// Makes a session with this many bytes of values, including a counter.
    pub(crate) const START_WITH: &str = "/start/{bytes}";
    /// Increments the counter, and reads nothing else.
    pub(crate) const COUNT_ALONE: &str = "/count-alone";
    /// Reads both, and answers with the counter.
    pub(crate) const READ: &str = "/read";
    /// Reads both, and increments the counter.
    pub(crate) const COUNT: &str = "/count";
    /// The same by `get` and `insert`, even if the crate has a better way.
    pub(crate) const INSERT: &str = "/insert";
    /// Reads the counter, waits for the [`Gate`](super::Gate), and increments the counter.
    pub(crate) const SLOW: &str = "/slow";
    /// Writes a value under a key with this number.
    pub(crate) const PUT: &str = "/put/{number}";
    /// Answers with the number of such keys.
    pub(crate) const KEPT: &str = "/kept";
    /// Renews the ID and writes the user's number.
    pub(crate) const LOG_IN: &str = "/login";
    /// The same, and lists the session among those of its user.
    pub(crate) const LOG_IN_LISTED: &str = "/login-listed";
    pub(crate) const LOG_OUT: &str = "/logout";
}

/// A value of 200 bytes of JSON, as [`check`] verifies.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Profile {
    id: u32,
    name: String,
    mail: String,
    roles: [String; 2],
    language: String,
    address: String,
    since: String,
}

impl Profile {
    pub(super) fn ada() -> Self {
        Self {
            id: 181_512_100,
            name: "Ada Lovelace".to_owned(),
            mail: "ada.lovelace@example.com".to_owned(),
            roles: ["author", "editor"].map(str::to_owned),
            language: "en-GB".to_owned(),
            address: "12 St James's Square, London SW1Y 4JH".to_owned(),
            since: "1843-08-07T09:30:00Z".to_owned(),
        }
    }
}

/// Checks that the profile has the length that the tables name.
///
/// # Panics
///
/// If it has another.
pub(super) fn check() {
    let length = serde_json::to_vec(&Profile::ada()).map(|json| json.len());
    assert_eq!(length.ok(), Some(200), "bytes of JSON");
}

/// A gate at which a slow request waits.
#[derive(Debug, Default)]
pub(super) struct Gate {
    arrived: Notify,
    opened: Notify,
}

impl Gate {
    /// Announces the request and waits until the gate opens.
    pub(super) async fn pass(&self) {
        self.arrived.notify_one();
        self.opened.notified().await;
    }

    /// Waits until a request is at the gate.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub(super) fn open(&self) {
        self.opened.notify_one();
    }
}

/// An application on a store.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) router: Router,
    pub(super) gate: Arc<Gate>,
    /// Returns whether all connections are back in the pool.
    pub(super) is_idle: Arc<dyn Fn() -> bool + Send + Sync>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) cookies: Vec<String>,
    body: Body,
}

impl Answer {
    /// The number in the body.
    pub(super) async fn number(self) -> Result<u64> {
        let bytes = body::to_bytes(self.body, 1 << 10).await?;
        Ok(str::from_utf8(&bytes)?.parse()?)
    }
}

impl Site {
    pub(super) async fn ask(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, cookie);
        let request = request
            .body(Body::empty())
            .expect("paths and cookies are visible ASCII");
        let Ok(response) = self.router.clone().oneshot(request).await;
        let cookies = response.headers().get_all(header::SET_COOKIE);
        let cookies = cookies.iter().filter_map(|cookie| cookie.to_str().ok());
        Answer {
            status: response.status(),
            cookies: cookies.map(str::to_owned).collect(),
            body: response.into_body(),
        }
    }

    /// Sends a request that must succeed.
    pub(super) async fn visit(&self, path: &str, cookie: &str) -> Result<Answer> {
        let answer = self.ask(path, cookie).await;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(format!("{path} was answered with {}", answer.status).into())
        }
    }

    pub(super) async fn number(&self, path: &str, cookie: &str) -> Result<u64> {
        self.visit(path, cookie).await?.number().await
    }

    /// The cookie of a new session.
    pub(super) async fn start(&self) -> Result<String> {
        self.start_at(path::START).await
    }

    pub(super) async fn start_at(&self, path: &str) -> Result<String> {
        let mut browser = Browser::default();
        browser.keep(self.visit(path, "").await?.cookies);
        Ok(browser.field())
    }

    /// Waits until all connections are back in the pool, which tests each as it returns.
    pub(super) async fn settle(&self) {
        while !(self.is_idle)() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
