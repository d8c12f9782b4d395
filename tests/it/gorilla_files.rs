//! The files of gorilla's `FilesystemStore`: shared, or moved into a store, either all at once or
//! one by one as visitors come.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Path, response::IntoResponse, routing::get};
use futures_util::future::join_all;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use silverback::{
    Clock, ConfigError, Error, GorillaFiles, GorillaImport, GorillaImported, GorillaRecords,
    Session, SessionConfig, SessionLayer,
    gorilla::{Gorilla, KeyPair, SecureCookie, gob::Gob},
    store::{CookieStore, RecordKind},
};
use tempfile::TempDir;
use tokio::sync::Barrier;
use tower::ServiceExt as _;

use crate::support::{
    DAY, HOUR, Jar, SECOND, START, keys,
    scripted::{ANY, Before, Fail, Scripted},
    set_cookies,
};

/// A folder of Go's files, and a store.
struct Place {
    folder: TempDir,
    store: Scripted,
    clock: Clock,
}

async fn show(session: Session) -> Result<String, Error> {
    Ok(format!("{:?}", session.get::<String>("user")?))
}

async fn put(session: Session, Path(user): Path<String>) -> Result<(), Error> {
    session.insert("user", user)
}

async fn renew(session: Session) {
    session.renew();
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.destroy().await
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: Scripted::default(),
            clock: Clock::manual(START),
        }
    }

    /// Without a block key: equal values have equal texts.
    fn cookies() -> SecureCookie {
        SecureCookie::new([KeyPair::signing([1; 32]).unwrap()]).unwrap()
    }

    fn files(&self) -> GorillaRecords<GorillaFiles> {
        let files = GorillaFiles::new(self.folder.path());
        let records = GorillaRecords::new(files, "s", Gorilla::new(Self::cookies()));
        records.clock(self.clock.clone())
    }

    fn app(&self, config: SessionConfig) -> Router {
        let layer = SessionLayer::new(config).clock(self.clock.clone());
        Router::new()
            .route("/", get(show))
            .route("/put/{user}", get(put))
            .route("/renew", get(renew))
            .route("/logout", get(log_out))
            .layer(layer)
            .layer(self.files())
    }

    /// The site before the move.
    fn in_go(&self) -> Router {
        let config = SessionConfig::cookie("s", keys());
        self.app(config.write_gorilla(self.files().session_format()))
    }

    fn config(&self) -> SessionConfig {
        let config = SessionConfig::new("s", self.store.clone(), keys()).store_timeout(HOUR);
        config.read_gorilla(self.files().session_format())
    }

    fn moved(&self) -> Router {
        self.app(self.config())
    }

    /// A browser with a session in a file.
    async fn visitor(&self, user: &str) -> Jar {
        let mut jar = Jar::default();
        visit(&self.in_go(), &mut jar, &format!("/put/{user}")).await;
        jar
    }

    fn paths(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    fn import(&self) -> GorillaImport {
        self.files().import(&self.config()).unwrap()
    }

    async fn sessions(&self) -> usize {
        self.store.sessions().await
    }
}

async fn visit(app: &Router, jar: &mut Jar, path: &str) -> String {
    let (mut parts, ()) = jar.request().into_parts();
    parts.uri = path.parse().unwrap();
    let request = http::Request::from_parts(parts, Body::empty());
    let response: Response<Body> = app.clone().oneshot(request).await.into_response();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    for cookie in set_cookies(response.headers()) {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        match value {
            "" => jar.0.remove(name),
            value => jar.0.insert(name.into(), value.into()),
        };
    }
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

async fn user(app: &Router, jar: &mut Jar) -> Option<String> {
    let page = visit(app, jar, "/").await;
    let user = page.strip_prefix("Some(\"")?.strip_suffix("\")")?;
    Some(user.to_owned())
}

/// Imports everything, two files at a time.
async fn all(mut import: GorillaImport) -> GorillaImported {
    let mut all = GorillaImported::default();
    while !all.is_finished() {
        all.add(import.step(2).await.unwrap());
    }
    all
}

/// A request that puts its own value into the session, concurrently with others.
async fn put_beside(place: &Place, jar: &Jar, key: String, barrier: Arc<Barrier>) -> StatusCode {
    let handler = async move |session: Session| {
        // Every request has opened the session before any of them saves.
        session.get::<String>("user")?;
        barrier.wait().await;
        session.insert(&key, true)
    };
    // Another process, which shares only the folder.
    let records = place.files();
    let config = SessionConfig::cookie("s", keys()).write_gorilla(records.session_format());
    let app: Router = Router::new()
        .route("/", get(handler))
        .layer(SessionLayer::new(config).clock(place.clock.clone()))
        .layer(records);
    let request = jar.request().map(|()| Body::empty());
    app.oneshot(request).await.into_response().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_once_keep_all_changes() {
    const REQUESTS: usize = 6;
    let place = Place::new();
    let jar = place.visitor("ann").await;
    let barrier = Arc::new(Barrier::new(REQUESTS));
    let keys: Vec<_> = (0..REQUESTS).map(|n| format!("key{n}")).collect();
    let requests = keys
        .iter()
        .map(|key| put_beside(&place, &jar, key.clone(), barrier.clone()));
    for status in join_all(requests).await {
        assert_eq!(status, StatusCode::OK);
    }
    let text = fs::read(place.paths().remove(0)).unwrap();
    let session = Place::cookies().decode("s", &text, START).unwrap();
    let session = Gob::decode(&session.payload).unwrap();
    for key in &keys {
        assert!(session.get(key).is_some(), "{key} is lost");
    }
    assert_eq!(place.paths().len(), 1, "no other file stays");
}

#[tokio::test]
async fn half_of_a_file_is_read_again() {
    let place = Place::new();
    let mut ann = place.visitor("ann").await;
    let file = place.paths().remove(0);
    let text = fs::read(&file).unwrap();
    // On a busy machine, Go's file stays empty for tens of milliseconds.
    for (half, writes_for) in [(0, 0), (0, 40), (text.len() / 2, 0)] {
        fs::write(&file, &text[..half]).unwrap();
        let (path, text) = (file.clone(), text.clone());
        let app = place.in_go();
        let (found, ()) = tokio::join!(user(&app, &mut ann), async move {
            // Gives the request time to find the half-written file.
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(writes_for)).await;
            fs::write(path, text).unwrap();
        });
        assert_eq!(found.as_deref(), Some("ann"));
    }
    fs::write(&file, &text[..8]).unwrap();
    assert_eq!(user(&place.in_go(), &mut ann).await, None, "it ends");
}

#[tokio::test]
async fn a_visitor_brings_their_session() {
    let place = Place::new();
    let (mut ann, mut other) = (place.visitor("ann").await, place.visitor("ann").await);
    let texts: Vec<_> = place
        .paths()
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert_eq!(texts[0], texts[1], "equal texts, but two sessions");
    let (app, mut tab) = (place.moved(), ann.clone());
    assert_eq!(user(&app, &mut ann).await.as_deref(), Some("ann"));
    assert_ne!(ann.0, tab.0);
    visit(&app, &mut ann, "/put/anne").await;
    assert_eq!(
        user(&app, &mut tab).await.as_deref(),
        Some("anne"),
        "both open one session"
    );
    assert_eq!(user(&app, &mut other).await.as_deref(), Some("ann"));
    assert_eq!(place.sessions().await, 2);
    assert_eq!(place.paths().len(), 2, "files stay");
}

#[tokio::test]
async fn a_file_brings_nothing_back() {
    let place = Place::new();
    let mut ann = place.visitor("ann").await;
    let (app, replay, file) = (place.moved(), ann.clone(), place.paths().remove(0));
    let text = fs::read(&file).unwrap();
    visit(&app, &mut ann, "/logout").await;
    assert!(!file.exists(), "a logout removes it");
    fs::write(&file, text).unwrap();
    for later in [SECOND, HOUR, 29 * DAY] {
        assert_eq!(user(&app, &mut replay.clone()).await, None);
        let imported = all(place.import()).await;
        assert_eq!((imported.moved(), imported.over()), (0, 1), "{imported:?}");
        place.clock.advance(later);
    }
}

#[tokio::test]
async fn all_files_are_imported_once() {
    let place = Place::new();
    let mut jars = Vec::new();
    for user in ["ann", "bob", "cid", "dan", "eve"] {
        jars.push((user, place.visitor(user).await));
    }
    // Files that are no sessions, and files that Go would refuse.
    let file = |name: &str| place.folder.path().join(name);
    fs::write(file("notes"), "x").unwrap();
    fs::write(file("session_short"), "x").unwrap();
    fs::write(file(&format!("session_{}", "A".repeat(52))), "x").unwrap();
    // The process is killed in mid-import.
    let first = place.import().step(3).await.unwrap();
    assert!(!first.is_finished() && first.moved() >= 2, "{first:?}");
    for _ in 0..2 {
        let imported = all(place.import()).await;
        let counts = (
            imported.moved(),
            imported.over(),
            imported.refused(),
            imported.failed(),
        );
        assert_eq!(counts, (5, 0, 1, 0), "{imported:?}");
        assert_eq!(place.sessions().await, 5);
        assert_eq!(place.store.count(RecordKind::End).await, 5);
    }
    assert_eq!(place.paths().len(), 8);
    let imported = all(place.import().remove_files()).await;
    assert_eq!(imported.moved(), 5);
    assert_eq!(place.paths().len(), 3, "the files not yet moved stay");
    let app = place.moved();
    for (name, mut jar) in jars {
        let replay = jar.clone();
        assert_eq!(
            user(&app, &mut jar).await.as_deref(),
            Some(name),
            "without its file"
        );
        assert_ne!(jar.0, replay.0);
        visit(&app, &mut jar, "/logout").await;
        assert_eq!(user(&app, &mut replay.clone()).await, None);
    }
    assert_eq!(place.sessions().await, 0);
}

#[tokio::test]
async fn a_file_that_the_store_refuses_stays() {
    let place = Place::new();
    let mut ann = place.visitor("ann").await;
    place.store.every(Before, ANY, Fail);
    let imported = all(place.import().remove_files()).await;
    assert_eq!((imported.moved(), imported.failed()), (0, 1));
    assert!(imported.error().is_some());
    assert_eq!(place.paths().len(), 1);
    place.store.calm();
    let imported = all(place.import().remove_files()).await;
    assert_eq!((imported.moved(), place.paths().len()), (1, 0));
    assert_eq!(user(&place.moved(), &mut ann).await.as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_file_that_is_too_old_is_not_imported() {
    let place = Place::new();
    let mut ann = place.visitor("ann").await;
    place.clock.advance(31 * DAY);
    let imported = all(place.import().remove_files()).await;
    assert_eq!(
        (imported.refused(), place.paths().len()),
        (1, 1),
        "it is too old"
    );
    assert_eq!(user(&place.moved(), &mut ann).await, None);
    assert_eq!(place.sessions().await, 0);
}

#[tokio::test]
async fn a_session_that_is_too_old_here_keeps_its_file() {
    let place = Place::new();
    let mut ann = place.visitor("ann").await;
    place.clock.advance(2 * HOUR);
    let config = place.config().absolute_timeout(HOUR);
    let import = place.files().import(&config).unwrap();
    let imported = all(import.remove_files()).await;
    assert_eq!(
        (imported.refused(), place.paths().len()),
        (1, 1),
        "{imported:?}"
    );
    assert_eq!(user(&place.in_go(), &mut ann).await.as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_session_that_was_renewed_has_been_imported() {
    let place = Place::new();
    let mut ann = place.visitor("ann").await;
    visit(&place.moved(), &mut ann, "/renew").await;
    let imported = all(place.import().remove_files()).await;
    let counts = (imported.moved(), imported.over(), imported.refused());
    assert_eq!(counts, (0, 1, 0), "{imported:?}");
    assert_eq!(place.paths().len(), 0);
    assert_eq!(user(&place.moved(), &mut ann).await.as_deref(), Some("ann"));
}

#[test]
fn only_a_session_in_a_store_is_imported_into() {
    let place = Place::new();
    let gorilla = || place.files().session_format();
    let in_store = |name| SessionConfig::new(name, place.store.clone(), keys());
    for config in [
        in_store("s"),
        in_store("other").read_gorilla(gorilla()),
        SessionConfig::new("s", CookieStore::new(), keys()).read_gorilla(gorilla()),
        in_store("s").read_gorilla(Gorilla::new(Place::cookies())),
    ] {
        let refused = place.files().import(&config).unwrap_err();
        assert!(
            matches!(
                refused,
                ConfigError::NoEffect {
                    setting: "import",
                    ..
                }
            ),
            "{refused}"
        );
    }
    assert!(
        place
            .files()
            .import(&in_store("s").read_gorilla(gorilla()))
            .is_ok()
    );
}
