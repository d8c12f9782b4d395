//! A service with the metrics of its sessions on `/metrics`, for Prometheus.
//!
//! ```text
//! cargo run -p example-prometheus
//! curl -b jar -c jar -X POST http://localhost:8080/login
//! curl http://localhost:9464/metrics
//! ```
//!
//! The metrics have their own port, which you do not expose to the internet. The only setting is
//! `SESSION_DIR`, the folder for logins.

use std::{env, error::Error as StdError, path::PathBuf, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use example_prometheus::{count_sessions, install};
use metrics_exporter_prometheus::PrometheusHandle;
use silverback::{
    Error, FilesystemStore, Keys, MemoryStore, Session, SessionConfig, SessionLayer, Sessions,
    store::Sweeper,
};
use tokio::net::TcpListener;

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let metrics = install()?;
    let (logins, carts) = (FilesystemStore::open(folder())?, MemoryStore::new());
    let _sweeper = Sweeper::start(logins.clone(), TEN_MINUTES)?;
    tokio::spawn(count_sessions(logins.clone(), "logins", TEN_MINUTES));
    tokio::spawn(count_sessions(carts.clone(), "carts", TEN_MINUTES));

    let keys = Keys::generate()?;
    let account = SessionConfig::new("account", logins, keys.clone()).insecure_local_http();
    let cart = SessionConfig::new("cart", carts, keys).insecure_local_http();
    let [site, scraped] = [8080, 9464].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let (site, scraped) = (site.await?, scraped.await?);
    println!("http://localhost:8080, and its metrics at http://localhost:9464/metrics");
    tokio::spawn(axum::serve(scraped, exposed(metrics)).into_future());
    axum::serve(site, app(account, cart)).await?;
    Ok(())
}

fn folder() -> PathBuf {
    let default = || env::temp_dir().join("silverback-prometheus");
    env::var_os("SESSION_DIR").map_or_else(default, PathBuf::from)
}

fn exposed(metrics: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(move || async move { metrics.render() }))
}

fn app(account: SessionConfig, cart: SessionConfig) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/add", post(add))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(account).with(cart))
}

async fn show(sessions: Sessions) -> Result<String, Error> {
    let user = sessions.get("account").await?.subject()?;
    let items: Option<u32> = sessions.get("cart").await?.get("items")?;
    let (user, items) = (user.unwrap_or_default(), items.unwrap_or_default());
    Ok(format!("{user} {items}\n"))
}

async fn add(sessions: Sessions) -> Result<(), Error> {
    let cart = sessions.get("cart").await?;
    cart.update("items", |items: &mut u32| *items += 1)
}

async fn log_in(account: Session) -> Result<(), Error> {
    account.renew();
    account.set_subject("ada", "a browser")
}

async fn log_out(account: Session) -> Result<(), Error> {
    account.destroy().await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::{Request, header::COOKIE};
    use example_prometheus::{dashboard::panels, describe, exporter};
    use silverback::{
        Clock, store,
        testing::{Body, Browser, Calls, FlakyStore},
    };

    use super::*;

    /// Does everything that a metric counts, and returns what Prometheus would then read.
    async fn scraped() -> String {
        let recorder = exporter().unwrap().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        describe();
        let (logins, keys) = (MemoryStore::new(), Keys::generate().unwrap());
        let flaky = FlakyStore::new(logins.clone());
        let account =
            SessionConfig::new("account", flaky.clone(), keys.clone()).insecure_local_http();
        let small = MemoryStore::new().max_bytes(64 << 10);
        let cart = SessionConfig::new("cart", small, keys).insecure_local_http();
        let ada = Browser::new(app(account.clone(), cart.clone()));

        ada.post("/add", "", "").await;
        ada.post("/login", "", "").await;
        ada.get("/").await;
        let forged = Request::get("/").header(COOKIE, "account=forged");
        ada.another()
            .visit(forged.body(Body::empty()).unwrap())
            .await;
        // Two requests change the session at the same time.
        let [one, two] = [ada.session(&account), ada.session(&account)];
        for session in [one.await.unwrap(), two.await.unwrap()] {
            session.insert("page", 1).unwrap();
            session.insert("at", session.is_new().unwrap()).unwrap();
            session.save().await.unwrap();
        }
        flaky.lose_next_answer();
        ada.post("/login", "", "").await;
        flaky.fail_next(Calls::Writes);
        ada.post("/login", "", "").await;
        ada.post("/logout", "", "").await;
        // More visitors than the store has room for.
        for _ in 0..1_000 {
            ada.another().post("/add", "", "").await;
        }
        store::count_sessions(&logins, "logins", Clock::system().now())
            .await
            .unwrap();
        recorder.handle().render()
    }

    /// Returns whether there is such a time series with these labels.
    fn has(scraped: &str, name: &str, labels: &[&str]) -> bool {
        let series = scraped.lines().filter_map(|line| line.strip_prefix(name));
        let mut series = series.filter(|rest| rest.starts_with(['{', ' ']));
        series.any(|rest| {
            let has = |label: &&str| rest.contains(&format!("{label}=\""));
            labels.iter().all(has)
        })
    }

    /// Returns the names of time series in a query.
    fn names(query: &str) -> BTreeSet<&str> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = query.split(|letter| !is_part(letter));
        words
            .filter(|word| word.starts_with("silverback_"))
            .collect()
    }

    /// Returns the labels by which a query aggregates.
    fn labels(query: &str) -> Vec<&str> {
        let lists = query.split("by (").skip(1);
        lists
            .filter_map(|rest| rest.split(')').next())
            .flat_map(|list| list.split(", "))
            .collect()
    }

    #[tokio::test]
    async fn every_metric_in_the_dashboard_is_exported() {
        let scraped = scraped().await;
        let mut asked = 0;
        for panel in panels().unwrap() {
            for query in panel.targets {
                asked += 1;
                let (names, labels) = (names(&query.expr), labels(&query.expr));
                assert_eq!(names.len(), 1, "{}", query.expr);
                for name in names {
                    let is_there = has(&scraped, name, &labels);
                    assert!(is_there, "{}: {name} {labels:?}\n{scraped}", panel.title);
                }
            }
        }
        assert!(asked >= panels().unwrap().len() && asked > 10);
    }

    /// Returns the metrics of `docs/events.md` by their names in Prometheus, without suffixes.
    fn documented() -> Vec<String> {
        let page = include_str!("../../../docs/events.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter(|row| row.starts_with("silverback."))
            .filter_map(|row| row.split('`').next())
            .map(|name| name.replace('.', "_"))
            .collect()
    }

    #[test]
    fn every_documented_metric_is_in_the_dashboard() {
        let documented = documented();
        assert!(documented.len() > 10, "{documented:?}");
        let shown: String = panels()
            .unwrap()
            .into_iter()
            .flat_map(|panel| panel.targets)
            .map(|query| query.expr)
            .collect();
        for name in documented {
            assert!(shown.contains(&name), "no panel shows {name}");
        }
    }

    #[tokio::test]
    async fn every_exported_metric_is_documented() {
        let (scraped, documented) = (scraped().await, documented());
        let types = scraped
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        for name in types.filter_map(|line| line.split(' ').next()) {
            let is_documented = |known: &String| name.starts_with(known.as_str());
            assert!(documented.iter().any(is_documented), "{name}");
        }
    }

    /// The alerts name the same metrics as the panels.
    #[tokio::test]
    async fn every_metric_in_an_alert_is_exported() {
        let (scraped, asked) = (scraped().await, names(include_str!("../alerts.yml")));
        assert!(asked.len() > 3, "{asked:?}");
        for name in asked {
            assert!(has(&scraped, name, &[]), "{name}\n{scraped}");
        }
    }

    #[tokio::test]
    async fn the_metrics_are_served() {
        let handle = exporter().unwrap().build_recorder().handle();
        let page = Browser::new(exposed(handle)).get("/metrics").await;
        assert_eq!(page.status(), 200);
    }
}
