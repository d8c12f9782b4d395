//! One browser, and sessions that a site in Go and one in Rust have in common.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Child, Command},
    thread,
};

use axum::{Form, Router, routing::get};
use serde::Deserialize;
use serde_json::Value;
use silverback::{
    Error, GorillaFiles, GorillaRecords, Keys, MemoryStore, Session, SessionConfig, SessionLayer,
    gorilla::{Gorilla, KeyPair, SecureCookie},
};
use tempfile::TempDir;

use crate::{go, require, site::Site};

/// A hash key and a block key of these bytes, for Rust and for Go.
fn pair(byte: u8) -> KeyPair {
    KeyPair::encrypting([byte; 32], [byte; 16]).unwrap()
}

fn texts(byte: u8) -> [String; 2] {
    let hex = format!("{byte:02x}");
    [hex.repeat(32), hex.repeat(16)]
}

#[derive(Deserialize)]
struct Given {
    key: Option<String>,
    json: Option<String>,
    text: Option<String>,
}

async fn show(session: Session, Form(given): Form<Given>) -> Result<String, Error> {
    let value: Option<Value> = session.get(&given.key.unwrap())?;
    Ok(value.unwrap_or_default().to_string())
}

async fn insert(session: Session, Form(given): Form<Given>) -> Result<(), Error> {
    let value: Value = serde_json::from_str(&given.json.unwrap()).unwrap();
    session.insert(&given.key.unwrap(), value)
}

async fn flash(session: Session, Form(given): Form<Given>) -> Result<(), Error> {
    session.flash(given.text.unwrap())
}

async fn flashes(session: Session) -> Result<String, Error> {
    Ok(format!("{:?}", session.flashes::<String>()?))
}

async fn logout(session: Session) -> Result<(), Error> {
    session.destroy().await
}

/// Another request logs out in Go while this one is under way.
async fn slow(session: Session, Form(given): Form<Given>) -> Result<(), Error> {
    session.insert("late", true)?;
    let url = given.text.unwrap();
    let cookies = given.key.unwrap();
    let page = thread::spawn(move || curl(&["-b", &cookies], &url));
    assert_eq!(page.join().unwrap(), "");
    Ok(())
}

/// Shares sessions with Go.
fn app(bytes: &[u8], folder: Option<&Path>) -> Router {
    app_of(bytes, folder, SessionConfig::write_gorilla)
}

/// Takes sessions over from Go, into cookies.
fn heir(bytes: &[u8], folder: Option<&Path>) -> Router {
    app_of(bytes, folder, SessionConfig::read_gorilla)
}

/// The same, into a store.
fn heir_with_store(bytes: &[u8], folder: Option<&Path>) -> Router {
    let take = |_, format| {
        let keys = Keys::generate().unwrap();
        let config = SessionConfig::new("account", MemoryStore::new(), keys);
        config.read_gorilla(format)
    };
    app_of(bytes, folder, take)
}

fn app_of(
    bytes: &[u8],
    folder: Option<&Path>,
    with: impl Fn(SessionConfig, Gorilla) -> SessionConfig,
) -> Router {
    let cookies = SecureCookie::new(bytes.iter().copied().map(pair)).unwrap();
    let format = Gorilla::new(cookies);
    let records = folder
        .map(|folder| GorillaRecords::new(GorillaFiles::new(folder), "account", format.clone()));
    let format = records
        .as_ref()
        .map_or(format, GorillaRecords::session_format);
    let config = SessionConfig::cookie("account", Keys::generate().unwrap());
    let config = with(config, format).insecure_local_http();
    let app = Router::new()
        .route("/show", get(show))
        .route("/insert", get(insert))
        .route("/flash", get(flash))
        .route("/flashes", get(flashes))
        .route("/logout", get(logout))
        .route("/slow", get(slow))
        .layer(SessionLayer::new(config));
    match records {
        Some(records) => app.layer(records),
        None => app,
    }
}

/// The site in Go. It ends with its input.
struct GoSite {
    child: Child,
    address: String,
}

impl GoSite {
    fn start(bytes: &[u8], folder: Option<&Path>) -> Option<Self> {
        let mut command = go::program("server")?;
        match folder {
            Some(folder) => command.arg("files").arg(folder),
            None => command.arg("cookie"),
        };
        command.args(bytes.iter().copied().flat_map(texts));
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        let output = child.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut address).unwrap();
        let address = address.trim_end().to_owned();
        Some(Self { child, address })
    }
}

impl Drop for GoSite {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

fn curl(options: &[&str], url: &str) -> String {
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

/// Both sites, and one jar of cookies.
struct Both {
    go: GoSite,
    rust: Site,
    folder: TempDir,
    files: Option<TempDir>,
}

impl Both {
    fn start(in_files: bool) -> Option<Self> {
        if !require("curl") {
            return None;
        }
        let files = in_files.then(|| tempfile::tempdir().unwrap());
        let path = files.as_ref().map(TempDir::path);
        Some(Self {
            go: GoSite::start(&[1], path)?,
            rust: Site::of(app(&[1], path)),
            folder: tempfile::tempdir().unwrap(),
            files,
        })
    }

    fn each() -> impl Iterator<Item = Self> {
        [false, true].into_iter().filter_map(Self::start)
    }

    /// Starts the sites anew with other keys.
    fn keys(&mut self, go: &[u8], rust: &[u8]) {
        let path = self.files.as_ref().map(TempDir::path);
        self.go = GoSite::start(go, path).unwrap();
        self.rust = Site::of(app(rust, path));
    }

    fn jar(&self) -> String {
        let path = self.folder.path().join("jar");
        path.to_str().unwrap().to_owned()
    }

    fn visit(&self, address: &str, path: &str) -> String {
        let jar = self.jar();
        curl(
            &["-b", &jar, "-c", &jar],
            &format!("http://{address}{path}"),
        )
    }

    fn go(&self, path: &str) -> String {
        self.visit(&self.go.address, path)
    }

    fn rust(&self, path: &str) -> String {
        self.visit(&self.rust.address.to_string(), path)
    }

    /// The names of gorilla's files.
    fn sessions(&self) -> Vec<String> {
        let folder = fs::read_dir(self.files.as_ref().unwrap().path()).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn values_of_go_are_read_and_keep_their_types() {
    for both in Both::each() {
        for (key, kind, value) in [
            ("n", "int64", "5"),
            ("small", "uint8", "200"),
            ("f", "float32", "0.5"),
            ("raw", "bytes", "ab"),
            ("t", "time", "2024-02-29T12:34:56.789Z"),
            ("p", "person", "Ann"),
            ("left", "int", "-1"),
        ] {
            let path = format!("/set?key={key}&type={kind}&value={value}");
            assert_eq!(both.go(&path), "");
        }
        assert_eq!(both.go("/set-number"), "");
        assert_eq!(both.rust("/show?key=n"), "5");
        assert_eq!(both.rust("/show?key=small"), "200");
        assert_eq!(
            both.rust("/show?key=p"),
            r#"{"Age":41,"Name":"Ann","Tags":["a","b"]}"#
        );
        for (key, json) in [
            ("n", "6"),
            ("small", "7"),
            ("new", "%22x%22"),
            ("list", "%5B1%5D"),
        ] {
            assert_eq!(both.rust(&format!("/insert?key={key}&json={json}")), "");
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
        assert_eq!(both.rust("/show?key=n"), "8");
    }
}

#[test]
fn a_message_is_shown_once_wherever_it_comes_from() {
    for both in Both::each() {
        assert_eq!(both.rust("/flash?text=from+Rust"), "");
        assert_eq!(both.go("/flashes"), "string from Rust\n");
        assert_eq!(both.go("/flashes"), "");
        assert_eq!(both.rust("/flashes"), "[]");
        assert_eq!(both.go("/flash?text=from+Go"), "");
        assert_eq!(both.rust("/flash?text=and+Rust"), "");
        assert_eq!(both.rust("/flashes"), r#"["from Go", "and Rust"]"#);
        assert_eq!(both.rust("/flashes"), "[]");
        assert_eq!(both.go("/flashes"), "");
    }
}

#[test]
fn keys_are_rotated_on_both_sides() {
    for mut both in Both::each() {
        assert_eq!(both.go("/set?key=n&type=int&value=1"), "");
        // Both read the new keys before one of them writes with them.
        both.keys(&[1, 2], &[2, 1]);
        assert_eq!(both.rust("/insert?key=n&json=2"), "");
        assert_eq!(both.go("/show"), "n int 2\n");
        both.keys(&[2, 1], &[2]);
        assert_eq!(both.rust("/insert?key=n&json=3"), "");
        assert_eq!(both.go("/show"), "n int 3\n");
        both.keys(&[1], &[3]);
        assert_eq!(both.rust("/show?key=n"), "null");
        assert!(both.go("/show").starts_with("refused: securecookie: "));
    }
}

#[test]
fn a_logout_on_either_side_ends_the_session_for_both() {
    for both in Both::each() {
        assert_eq!(both.go("/set?key=n&type=int&value=1"), "");
        assert_eq!(both.rust("/logout"), "");
        assert_eq!(both.go("/show"), "");
        assert_eq!(both.rust("/insert?key=n&json=2"), "");
        assert_eq!(both.go("/show"), "n int 2\n");
        assert_eq!(both.go("/logout"), "");
        assert_eq!(both.rust("/show?key=n"), "null");
        if both.files.is_some() {
            assert_eq!(both.sessions(), [""; 0]);
        }
    }
}

#[test]
fn sessions_are_taken_over() {
    for mut both in Both::each() {
        let path = both.files.as_ref().map(TempDir::path);
        both.rust = Site::of(heir(&[1], path));
        assert_eq!(both.go("/set?key=n&type=int64&value=1"), "");
        assert_eq!(both.go("/flash?text=from+Go"), "");
        assert_eq!(both.rust("/show?key=n"), "1");
        assert_eq!(both.rust("/insert?key=n&json=2"), "");
        assert_eq!(both.rust("/show?key=n"), "2");
        assert_eq!(both.rust("/flashes"), r#"["from Go"]"#);
        assert_eq!(both.rust("/flashes"), "[]");
        // Go cannot read the cookie any more.
        assert!(both.go("/show").starts_with("refused: securecookie: "));
        assert_eq!(both.rust("/logout"), "");
        assert_eq!(both.rust("/show?key=n"), "null");
    }
}

#[test]
fn sessions_are_taken_over_into_a_store() {
    for mut both in Both::each() {
        let path = both.files.as_ref().map(TempDir::path);
        both.rust = Site::of(heir_with_store(&[1], path));
        assert_eq!(both.go("/set?key=n&type=int64&value=1"), "");
        assert_eq!(both.go("/flash?text=from+Go"), "");
        let of_go = fs::read(both.jar()).unwrap();
        assert_eq!(both.rust("/insert?key=n&json=2"), "");
        assert!(both.go("/show").starts_with("refused: securecookie: "));
        // Another tab has Go's cookie still.
        let ours = fs::read(both.jar()).unwrap();
        fs::write(both.jar(), &of_go).unwrap();
        assert_eq!(both.rust("/show?key=n"), "2");
        assert_eq!(both.rust("/flashes"), r#"["from Go"]"#);
        fs::write(both.jar(), ours).unwrap();
        assert_eq!(both.rust("/flashes"), "[]");
        assert_eq!(both.rust("/logout"), "");
        fs::write(both.jar(), &of_go).unwrap();
        assert_eq!(both.rust("/show?key=n"), "null");
    }
}

#[test]
fn go_never_finds_half_of_a_file() {
    let Some(both) = Both::start(true) else {
        return;
    };
    assert_eq!(both.rust("/insert?key=n&json=0"), "");
    // Who has begun to read reads to the end.
    let name = both.sessions().remove(0);
    let file = both.files.as_ref().unwrap().path().join(name);
    let text = fs::read(&file).unwrap();
    let mut reading = fs::File::open(&file).unwrap();
    assert_eq!(both.rust("/insert?key=n&json=-1"), "");
    let mut read = Vec::new();
    reading.read_to_end(&mut read).unwrap();
    assert_eq!(read, text);
    let (jar, writer) = (both.jar(), both.rust.address);
    let writing = thread::spawn(move || {
        for n in 1..=40 {
            let url = format!("http://{writer}/insert?key=n&json={n}");
            assert_eq!(curl(&["-b", &jar], &url), "");
        }
    });
    let (jar, url) = (both.jar(), format!("http://{}/show", both.go.address));
    while !writing.is_finished() {
        let page = curl(&["-b", &jar], &url);
        assert!(page.starts_with("n int "), "{page}");
    }
    writing.join().unwrap();
    assert_eq!(curl(&["-b", &jar], &url), "n int 40\n");
}

#[test]
fn files_have_the_names_of_go() {
    let Some(both) = Both::start(true) else {
        return;
    };
    assert_eq!(both.rust("/insert?key=n&json=1"), "");
    let ours = both.sessions();
    assert_eq!(ours[0].len(), "session_".len() + 52);
    assert_eq!(both.go("/set?key=n&type=int&value=2"), "");
    assert_eq!(both.rust("/insert?key=n&json=3"), "");
    assert_eq!(both.sessions(), ours);
}

#[test]
fn an_old_cookie_revives_nothing() {
    let Some(both) = Both::start(true) else {
        return;
    };
    assert_eq!(both.rust("/insert?key=n&json=1"), "");
    let old = both.sessions();
    let copy = fs::read(both.jar()).unwrap();
    assert_eq!(both.go("/logout"), "");
    fs::write(both.jar(), copy).unwrap();
    assert_eq!(both.rust("/show?key=n"), "null");
    assert_eq!(both.rust("/insert?key=n&json=2"), "");
    let new = both.sessions();
    assert!(new.len() == 1 && new != old, "{new:?}");
    assert_eq!(both.go("/show"), "n int 2\n");
}

#[test]
fn a_request_that_is_slower_than_a_logout_saves_nothing() {
    let Some(both) = Both::start(true) else {
        return;
    };
    assert_eq!(both.rust("/insert?key=n&json=1"), "");
    let jar = both.jar();
    let url = format!(
        "http://{}/slow?key={jar}&text=http://{}/logout",
        both.rust.address, both.go.address
    );
    let status = curl(&["-b", &jar, "-o", "/dev/null", "-w", "%{http_code}"], &url);
    assert_eq!((&*status, both.sessions()), ("409", vec![]));
}

#[test]
fn a_file_that_cannot_be_opened_is_a_new_session() {
    let Some(both) = Both::start(true) else {
        return;
    };
    assert_eq!(both.rust("/insert?key=n&json=1"), "");
    let name = both.sessions().remove(0);
    let file = both.files.as_ref().unwrap().path().join(name);
    let text = fs::read(&file).unwrap();
    let before = fs::read(both.jar()).unwrap();
    for damaged in [&b""[..], &text[..text.len() - 1], b"no text of gorilla's"] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(both.rust("/show?key=n"), "null");
        // It gets an ID of its own, and nothing goes over what may be half of Go's.
        assert_eq!(both.rust("/insert?key=n&json=2"), "");
        assert_eq!(both.rust("/show?key=n"), "2");
        assert_eq!(fs::read(&file).unwrap(), damaged);
        fs::write(both.jar(), &before).unwrap();
    }
    // The text is no cookie for the browser.
    let jar = fs::read_to_string(both.jar()).unwrap();
    let (cookie, text) = (jar.split('\t').next_back().unwrap().trim(), text);
    let stolen = jar.replace(cookie, std::str::from_utf8(&text).unwrap());
    fs::write(both.jar(), stolen).unwrap();
    assert_eq!(both.rust("/show?key=n"), "null");
}

#[test]
fn a_disk_that_fails_is_no_empty_session() {
    let Some(both) = Both::start(true) else {
        return;
    };
    assert_eq!(both.rust("/insert?key=n&json=1"), "");
    let name = both.sessions().remove(0);
    let file = both.files.as_ref().unwrap().path().join(name);
    fs::remove_file(&file).unwrap();
    // Reading a folder fails, whoever runs this.
    fs::create_dir(&file).unwrap();
    let jar = both.jar();
    let status = |path| {
        let url = format!("http://{}{path}", both.rust.address);
        curl(&["-b", &jar, "-o", "/dev/null", "-w", "%{http_code}"], &url)
    };
    assert_eq!(status("/show?key=n"), "503");
}
