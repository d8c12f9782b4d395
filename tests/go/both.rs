//! A site in Go and one in Rust with the same sessions, and a browser that visits both. The tests
//! of each package that shares sessions with Go include this module, beside their `GoServer`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    extract::{Path as Parts, State},
    routing::get,
};
use silverback::{Error, Session};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    task::{AbortHandle, spawn_blocking},
};

use crate::GoServer;

/// Both sites, and the browser's cookie jar.
pub(crate) struct Both {
    pub(crate) go: GoServer,
    pub(crate) rust: Site,
    pub(crate) meanwhile: Meanwhile,
    pub(crate) jar: PathBuf,
}

/// The page to visit, with the browser's cookie jar, while another page has the session loaded.
pub(crate) type Meanwhile = Arc<Mutex<Option<(String, PathBuf)>>>;

impl Both {
    /// A browser for a site in Go and for one in Rust with these layers.
    pub(crate) fn of(go: GoServer, layers: impl FnOnce(Router) -> Router) -> Self {
        static JARS: AtomicU32 = AtomicU32::new(0);
        let jar = JARS.fetch_add(1, Ordering::SeqCst);
        let jar = format!("jar-{}-{jar}", std::process::id());
        let meanwhile = Meanwhile::default();
        Self {
            go,
            rust: Site::start(&meanwhile, layers),
            meanwhile,
            jar: Path::new(env!("CARGO_TARGET_TMPDIR")).join(jar),
        }
    }

    pub(crate) fn go(&self, path: &str) -> String {
        self.visit(self.go.address(), path)
    }

    pub(crate) fn rust(&self, path: &str) -> String {
        self.visit(&self.rust.address.to_string(), path)
    }

    fn visit(&self, address: &str, path: &str) -> String {
        let jar = self.jar.to_str().unwrap();
        let url = format!("http://{address}{path}");
        curl(&["-b", jar, "-c", jar], &url)
    }

    /// The status of a page in Rust. The browser keeps no cookie of it.
    pub(crate) fn status(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.rust.address);
        let jar = self.jar.to_str().unwrap();
        curl(&["-b", jar, "-o", "/dev/null", "-w", "%{http_code}"], &url)
    }

    /// The value of the session's cookie.
    pub(crate) fn cookie(&self) -> String {
        let jar = std::fs::read_to_string(&self.jar).unwrap();
        let line = jar.lines().find(|line| line.contains("\taccount\t"));
        let value = line.and_then(|line| line.split('\t').next_back());
        value.unwrap_or_default().to_owned()
    }

    /// Replaces the browser's cookie with this one.
    pub(crate) fn plant(&self, cookie: &str) {
        let line = format!("127.0.0.1\tFALSE\t/\tFALSE\t0\taccount\t{cookie}\n");
        std::fs::write(&self.jar, line).unwrap();
    }

    /// The status of a page in Rust that visits this page in Go after it has loaded the session.
    pub(crate) fn slow(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.go.address());
        *self.meanwhile.lock().unwrap() = Some((url, self.jar.clone()));
        self.status("/slow")
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.jar));
    }
}

pub(crate) fn curl(options: &[&str], url: &str) -> String {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60"])
        .args(options)
        .arg(url)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the sites in Rust and the connections of their stores.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The site in Rust, which ends on drop.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    server: AbortHandle,
}

impl Site {
    /// Starts the site, with these layers around its pages.
    pub(crate) fn start(meanwhile: &Meanwhile, layers: impl FnOnce(Router) -> Router) -> Self {
        let app = layers(app(meanwhile));
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let server = RUNTIME.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            server: server.abort_handle(),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn app(meanwhile: &Meanwhile) -> Router {
    Router::new()
        .route("/show/{key}", get(show))
        .route("/insert/{key}/{json}", get(insert))
        .route("/flash/{text}", get(flash))
        .route("/flashes", get(flashes))
        .route("/renew", get(async |session: Session| session.renew()))
        .route("/logout", get(log_out))
        .route("/slow", get(slow).with_state(Arc::clone(meanwhile)))
}

async fn show(session: Session, Parts(key): Parts<String>) -> Result<String, Error> {
    let value: Option<serde_json::Value> = session.get(&key)?;
    Ok(value.unwrap_or_default().to_string())
}

async fn insert(session: Session, Parts(given): Parts<(String, String)>) -> Result<(), Error> {
    let (key, json) = given;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    session.insert(&key, value)
}

async fn flash(session: Session, Parts(text): Parts<String>) -> Result<(), Error> {
    session.flash(text)
}

async fn flashes(session: Session) -> Result<String, Error> {
    Ok(format!("{:?}", session.flashes::<String>()?))
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.destroy().await
}

async fn slow(State(meanwhile): State<Meanwhile>, session: Session) -> Result<(), Error> {
    let (url, jar) = meanwhile.lock().unwrap().take().unwrap();
    session.insert("late", url.rsplit('/').next())?;
    let visit = move || curl(&["-b", jar.to_str().unwrap()], &url);
    assert_eq!(spawn_blocking(visit).await.unwrap(), "");
    Ok(())
}

// Tests for every place in which Go keeps sessions.

pub(crate) fn values_go_both_ways(both: &Both) {
    for (key, kind, value) in [
        ("n", "int64", "5"),
        ("small", "uint8", "200"),
        ("f", "float32", "0.5"),
        ("raw", "bytes", "ab"),
        ("left", "int", "-1"),
        ("t", "time", "2024-02-29T12:34:56.789Z"),
        ("p", "person", "Ann"),
    ] {
        let path = format!("/set?key={key}&type={kind}&value={value}");
        assert_eq!(both.go(&path), "");
    }
    assert_eq!(both.go("/set-number"), "");
    assert_eq!(both.rust("/show/n"), "5");
    assert_eq!(both.rust("/show/small"), "200");
    let person = r#"{"Age":41,"Name":"Ann","Tags":["a","b"]}"#;
    assert_eq!(both.rust("/show/p"), person);
    for (key, json) in [
        ("n", "6"),
        ("small", "7"),
        ("new", "%22x%22"),
        ("list", "%5B1%5D"),
    ] {
        assert_eq!(both.rust(&format!("/insert/{key}/{json}")), "");
    }
    assert_eq!(
        both.go("/show").lines().collect::<Vec<_>>(),
        [
            "42 int 43",
            "f float32 0.5",
            "left int -1",
            "list []interface {} [1]",
            "n int64 6",
            "new string x",
            "p main.Person {Ann 41 [a b]}",
            "raw []uint8 [97 98]",
            "small uint8 7",
            "t time.Time 2024-02-29 12:34:56.789 +0000 UTC",
        ]
    );
    assert_eq!(both.go("/set?key=n&type=int64&value=8"), "");
    assert_eq!(both.rust("/show/n"), "8");
}

pub(crate) fn a_message_is_shown_once(both: &Both) {
    assert_eq!(both.rust("/flash/from%20Rust"), "");
    assert_eq!(both.go("/flashes"), "string from Rust\n");
    assert_eq!(both.go("/flashes"), "");
    assert_eq!(both.rust("/flashes"), "[]");
    assert_eq!(both.go("/flash?text=from+Go"), "");
    assert_eq!(both.rust("/flash/and%20Rust"), "");
    assert_eq!(both.rust("/flashes"), r#"["from Go", "and Rust"]"#);
    assert_eq!(both.rust("/flashes"), "[]");
    assert_eq!(both.go("/flashes"), "");
}

pub(crate) fn a_logout_ends_the_session_for_both(both: &Both) {
    assert_eq!(both.go("/set?key=n&type=int&value=1"), "");
    assert_eq!(both.rust("/logout"), "");
    assert_eq!(both.go("/show"), "");
    assert_eq!(both.rust("/insert/n/2"), "");
    assert_eq!(both.go("/show"), "n int 2\n");
    assert_eq!(both.go("/logout"), "");
    assert_eq!(both.rust("/show/n"), "null");
}

// Tests for sessions that Go keeps on a server or in files. `count` returns their number.

pub(crate) fn an_old_cookie_revives_nothing(both: &Both, count: impl Fn() -> usize) {
    assert_eq!(both.go("/set?key=n&type=int&value=1"), "");
    assert_eq!(count(), 1);
    assert_eq!(both.rust("/logout"), "");
    assert_eq!(count(), 0);
    assert_eq!(both.rust("/insert/n/3"), "");
    let old = both.cookie();
    assert_eq!(both.go("/logout"), "");
    assert_eq!(count(), 0);
    both.plant(&old);
    assert_eq!(both.rust("/show/n"), "null");
    assert_eq!(both.rust("/insert/n/4"), "");
    assert_ne!(both.cookie(), old);
    assert_eq!(both.go("/show"), "n int 4\n");
    both.plant(&old);
    assert!(is_over_in_go(both));
}

/// A request in Rust loads the session before one in Go, and saves it after that.
pub(crate) fn a_faster_request_loses_nothing(both: &Both, count: impl Fn() -> usize) {
    assert_eq!(both.rust("/insert/n/1"), "");
    assert_eq!(both.slow("/set?key=n&type=int&value=2"), "200");
    let late = "late string set?key=n&type=int&value=2\nn int 2\n";
    assert_eq!(both.go("/show"), late);
    assert_eq!(both.slow("/flash?text=hello"), "200");
    assert_eq!(both.rust("/flashes"), r#"["hello"]"#);
    assert_eq!(both.slow("/logout"), "409");
    assert_eq!(count(), 0);
}

pub(crate) fn a_renewal_locks_an_old_cookie_out(both: &Both, count: impl Fn() -> usize) {
    assert_eq!(both.go("/set?key=n&type=int&value=1"), "");
    let old = both.cookie();
    assert_eq!(both.rust("/renew"), "");
    assert_eq!((both.go("/show"), count()), ("n int 1\n".to_owned(), 1));
    both.plant(&old);
    assert_eq!(both.rust("/show/n"), "null");
    assert!(is_over_in_go(both));
}

/// Returns whether the session is over in Go, which then shows nothing or a missing file.
fn is_over_in_go(both: &Both) -> bool {
    let page = both.go("/show");
    page.is_empty() || page.starts_with("refused: open ")
}
