//! A small application on several nodes, and browsers in front of a load balancer.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer,
    store::{DynStore, Store},
    testing::{Browser, Page},
};
use silverback_test_servers::kit;
use tokio::sync::Semaphore;

/// The nodes of an application, with a store and a pool each. Each request goes to the next one.
pub(crate) struct Site {
    nodes: kit::Site,
    pub(crate) gate: Arc<Gate>,
}

/// Where a request of `/slow` waits, between reading its session and saving it.
pub(crate) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// Waits until a request is here.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one go on.
    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

impl Site {
    pub(crate) fn new(stores: impl IntoIterator<Item = DynStore>) -> Self {
        let keys = Keys::generate().unwrap();
        let gate = Arc::new(Gate {
            arrived: Semaphore::new(0),
            open: Semaphore::new(0),
        });
        let nodes = stores.into_iter().map(|store| {
            // A busy machine may need longer than the default.
            let config = SessionConfig::new("session", store, keys.clone())
                .store_timeout(Duration::from_secs(60));
            app(Arc::clone(&gate)).layer(SessionLayer::new(config))
        });
        Self {
            nodes: kit::Site::of(nodes),
            gate,
        }
    }

    /// Makes a site of one store a node.
    pub(crate) fn of<S: Store>(stores: impl IntoIterator<Item = S>) -> Self {
        Self::new(stores.into_iter().map(DynStore::new))
    }

    pub(crate) fn visitor(&self) -> Visitor {
        Visitor(Browser::new(self.nodes.clone()))
    }
}

fn app(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/", get(async || "up"))
        .route("/add/{name}", post(add))
        .route("/read/{name}", get(read))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route(
            "/slow",
            post(async move |session: Session| slow(session, &gate).await),
        )
}

async fn add(Path(name): Path<String>, session: Session) -> Result<String, Error> {
    let n = session.update(&name, |n: &mut u64| {
        *n += 1;
        *n
    })?;
    Ok(n.to_string())
}

async fn read(Path(name): Path<String>, session: Session) -> Result<String, Error> {
    let n: u64 = session.get_or_default(&name)?;
    Ok(n.to_string())
}

async fn log_in(session: Session) -> Result<&'static str, Error> {
    session.renew();
    session.set_subject("ada", "a browser")?;
    Ok("in")
}

async fn log_out(session: Session) -> Result<&'static str, Error> {
    session.destroy().await?;
    Ok("out")
}

async fn slow(session: Session, gate: &Gate) -> Result<&'static str, Error> {
    let n: u64 = session.get_or_default("n")?;
    gate.pass().await;
    session.insert("slow", n)?;
    Ok("done")
}

/// A visitor with a browser. A clone is another tab of it.
#[derive(Clone)]
pub(crate) struct Visitor(Browser<kit::Site>);

impl Visitor {
    /// Adds one to a number of the session.
    pub(crate) async fn add(&self, name: &str) -> Page {
        self.post(&format!("/add/{name}")).await
    }

    pub(crate) async fn read(&self, name: &str) -> u64 {
        let page = self.get(&format!("/read/{name}")).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text());
        page.text().parse().unwrap()
    }

    pub(crate) async fn post(&self, path: &str) -> Page {
        self.0.submit(path, &[]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.0.get(path).await
    }

    pub(crate) fn has_cookie(&self) -> bool {
        self.0.jar(|jar| !jar.is_empty())
    }
}
