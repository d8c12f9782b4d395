//! A small site in this process, with pages that the shop lacks.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use axum::{
    Router,
    routing::{get, post},
};
use http::{HeaderName, header};
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer, store::MemoryStore};
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// A running site, which ends on drop.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::of(app())
    }

    pub(crate) fn of(app: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let server = axum::serve(listener, app).with_graceful_shutdown(async move {
                let _ = stopped.await;
            });
            runtime.block_on(async { server.await.unwrap() });
        });
        let _stop = stop;
        Self { address, _stop }
    }
}

fn app() -> Router {
    let keys = Keys::generate().unwrap();
    let config = SessionConfig::new("s", MemoryStore::new(), keys.clone());
    let full = SessionConfig::cookie("full", keys).insecure_local_http();
    Router::new()
        .route("/log-in", post(log_in))
        .route(
            "/log-out",
            post(async |session: Session| session.destroy().await),
        )
        .route("/flash", get(flash))
        .route("/page", get(page))
        .route("/visits", get(visits))
        .layer(SessionLayer::new(
            config.insecure_local_http().max_age(MONTH),
        ))
        .route("/full", get(full_cookie).layer(SessionLayer::new(full)))
        .route("/public", get(public))
}

async fn log_in(session: Session) -> Result<(), Error> {
    session.renew();
    session.insert("user", "Ada")?;
    session.flash("Welcome")
}

async fn flash(session: Session) -> Result<String, Error> {
    Ok(session.flashes::<String>()?.concat())
}

async fn page(session: Session) -> Result<String, Error> {
    Ok(session.get("user")?.unwrap_or_else(|| "nobody".to_owned()))
}

async fn visits(session: Session) -> Result<String, Error> {
    let count = |n: &mut u32| {
        *n += 1;
        *n
    };
    Ok(session.update("visits", count)?.to_string())
}

/// Fills the cookie, and answers with the length of the previous value.
async fn full_cookie(session: Session) -> Result<String, Error> {
    let before = session.get::<String>("x")?.unwrap_or_default();
    let fits = |len: &usize| session.insert("x", "x".repeat(*len)).is_ok();
    let _ = (2_800..4_000).take_while(fits).last();
    Ok(before.len().to_string())
}

/// A page that caches may keep. It counts its own requests.
async fn public() -> ([(HeaderName, &'static str); 1], String) {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let asked = ASKED.fetch_add(1, Ordering::SeqCst);
    (
        [(header::CACHE_CONTROL, "public, max-age=600")],
        asked.to_string(),
    )
}
