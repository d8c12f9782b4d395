//! axum-login in Chromium, with its sessions in Redis.
//!
//! A script in a page requests the other pages, so the browser itself handles the cookies, and no
//! driver is needed. Without `chromium` the test is skipped with a note. With `CI` set it fails.

use std::{env, process::Stdio};

use axum::{Router, response::Html, routing::get};
use silverback::{Keys, SessionConfig};
use silverback_redis::RedisStore;
use silverback_test_servers::Redis;
use tokio::{net::TcpListener, process::Command};

use crate::axum_login::{on, over};

/// The steps of a visitor. Each line is where a step led and what was there.
const VISIT: &str = r#"<body><script>
const lines = [];
async function go(path, form) {
    const body = form && new URLSearchParams(form);
    const page = await fetch(path, body && { method: "POST", body });
    lines.push(new URL(page.url).pathname + " " + (await page.text()).split(">")[0]);
}
(async () => {
    await go("/");
    await go("/login", { username: "ferris", password: "bogus" });
    await go("/login", { username: "ferris", password: "hunter42" });
    await Promise.all(Array.from({ length: 8 }, () => fetch("/")));
    await go("/restricted");
    await go("/logout");
    await go("/");
    document.body.textContent = lines.join("; ");
})();
</script>"#;

const SEEN: &str = "/login &lt;form method=post; /login &lt;form method=post; / Hello, ferris; \
    /login &lt;form method=post; /login &lt;form method=post; /login &lt;form method=post";

fn has_chromium() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join("chromium").is_file());
    let ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(
        found || !ci,
        "`chromium` is not installed, and with CI set no test may be skipped"
    );
    if !found {
        println!("skipped: `chromium` is not installed");
    }
    found
}

async fn seen_at(app: Router) -> String {
    let app = app.route("/visit", get(|| async { Html(VISIT) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page = format!("http://{}/visit", listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let profile = tempfile::tempdir().unwrap();
    let chromium = Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        // Time that the browser waits for answers does not count.
        .args(["--virtual-time-budget=60000", "--dump-dom", &page])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let shown = chromium.await.unwrap().stdout;
    server.abort();
    String::from_utf8(shown).unwrap()
}

#[tokio::test]
async fn a_visitor_logs_in_and_out() {
    let Some(redis) = Redis::start().filter(|_| has_chromium()) else {
        return;
    };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let config = SessionConfig::new("account", store.clone(), Keys::generate().unwrap());
    for app in [on(store), over(config)] {
        let shown = seen_at(app).await;
        assert!(shown.contains(SEEN), "{shown}");
    }
}
