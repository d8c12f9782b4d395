//! Sessions that a site in Go and one in Rust share, in cookies and in files.

use std::{fs, io::Read as _, path::Path, thread};

use axum::Router;
use silverback::{
    GorillaFiles, GorillaRecords, Keys, MemoryStore, SessionConfig, SessionLayer,
    gorilla::{Gorilla, KeyPair, SecureCookie},
};
use tempfile::TempDir;

use crate::{
    GoServer,
    both::{self, Both, Site, curl},
    require,
};

/// A hash key and a block key of these bytes, for Rust. [`texts`] has the same for Go.
fn pair(byte: u8) -> KeyPair {
    KeyPair::encrypting([byte; 32], [byte; 16]).unwrap()
}

fn texts(byte: u8) -> [String; 2] {
    let hex = format!("{byte:02x}");
    [hex.repeat(32), hex.repeat(16)]
}

/// How a site in Rust treats the sessions of Go.
type Way = fn(SessionConfig, Gorilla) -> SessionConfig;

/// The site shares them with Go.
const SHARES: Way = SessionConfig::write_gorilla;

/// The site takes them over into its own cookies.
const TAKES: Way = SessionConfig::read_gorilla;

/// The site takes them over into a store.
fn stores(_: SessionConfig, format: Gorilla) -> SessionConfig {
    let keys = Keys::generate().unwrap();
    SessionConfig::new("account", MemoryStore::new(), keys).read_gorilla(format)
}

/// Both sites and, if sessions are in files, the folder of gorilla's files.
struct Shared {
    both: Both,
    files: Option<TempDir>,
}

impl Shared {
    fn start(in_files: bool, way: Way) -> Option<Self> {
        if !require("curl") {
            return None;
        }
        let files = in_files.then(|| tempfile::tempdir().unwrap());
        let path = files.as_ref().map(TempDir::path);
        let both = Both::of(go(&[1], path)?, |pages| layers(pages, &[1], path, way));
        Some(Self { both, files })
    }

    fn each(way: Way) -> impl Iterator<Item = Self> {
        let each = [false, true].into_iter();
        each.filter_map(move |in_files| Self::start(in_files, way))
    }

    fn in_files() -> Option<Self> {
        Self::start(true, SHARES)
    }

    /// Restarts the sites with other keys.
    fn keys(&mut self, in_go: &[u8], in_rust: &[u8]) {
        let path = self.files.as_ref().map(TempDir::path);
        self.both.go = go(in_go, path).unwrap();
        let meanwhile = &self.both.meanwhile;
        self.both.rust = Site::start(meanwhile, |pages| layers(pages, in_rust, path, SHARES));
    }

    /// The names of gorilla's files.
    fn names(&self) -> Vec<String> {
        let folder = fs::read_dir(self.files.as_ref().unwrap().path()).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn go(keys: &[u8], folder: Option<&Path>) -> Option<GoServer> {
    let store = match folder {
        Some(folder) => vec!["files", folder.to_str().unwrap()],
        None => vec!["cookie"],
    };
    let keys: Vec<_> = keys.iter().copied().flat_map(texts).collect();
    let keys = keys.iter().map(String::as_str);
    GoServer::start(&store.into_iter().chain(keys).collect::<Vec<_>>())
}

fn layers(pages: Router, keys: &[u8], folder: Option<&Path>, way: Way) -> Router {
    let cookies = SecureCookie::new(keys.iter().copied().map(pair)).unwrap();
    let format = Gorilla::new(cookies);
    let records = folder
        .map(|folder| GorillaRecords::new(GorillaFiles::new(folder), "account", format.clone()));
    let format = records
        .as_ref()
        .map_or(format, GorillaRecords::session_format);
    let config = SessionConfig::cookie("account", Keys::generate().unwrap());
    let config = way(config, format).insecure_local_http();
    let site = pages.layer(SessionLayer::new(config));
    match records {
        Some(records) => site.layer(records),
        None => site,
    }
}

#[test]
fn values_go_both_ways() {
    for shared in Shared::each(SHARES) {
        both::values_go_both_ways(&shared.both);
    }
}

#[test]
fn a_message_is_shown_once() {
    for shared in Shared::each(SHARES) {
        both::a_message_is_shown_once(&shared.both);
    }
}

#[test]
fn a_logout_ends_the_session_for_both() {
    for shared in Shared::each(SHARES) {
        both::a_logout_ends_the_session_for_both(&shared.both);
    }
}

#[test]
fn an_old_cookie_revives_nothing() {
    if let Some(shared) = Shared::in_files() {
        both::an_old_cookie_revives_nothing(&shared.both, || shared.names().len());
    }
}

#[test]
fn a_faster_request_loses_nothing() {
    if let Some(shared) = Shared::in_files() {
        both::a_faster_request_loses_nothing(&shared.both, || shared.names().len());
    }
}

#[test]
fn a_renewal_locks_an_old_cookie_out() {
    if let Some(shared) = Shared::in_files() {
        both::a_renewal_locks_an_old_cookie_out(&shared.both, || shared.names().len());
    }
}

#[test]
fn keys_are_rotated_on_both_sides() {
    for mut shared in Shared::each(SHARES) {
        assert_eq!(shared.both.go("/set?key=n&type=int&value=1"), "");
        // Both sites read with the new keys before either writes with them.
        shared.keys(&[1, 2], &[2, 1]);
        assert_eq!(shared.both.rust("/insert/n/2"), "");
        assert_eq!(shared.both.go("/show"), "n int 2\n");
        shared.keys(&[2, 1], &[2]);
        assert_eq!(shared.both.rust("/insert/n/3"), "");
        assert_eq!(shared.both.go("/show"), "n int 3\n");
        shared.keys(&[1], &[3]);
        assert_eq!(shared.both.rust("/show/n"), "null");
        assert!(
            shared
                .both
                .go("/show")
                .starts_with("refused: securecookie: ")
        );
    }
}

#[test]
fn sessions_are_taken_over() {
    for shared in Shared::each(TAKES) {
        assert_eq!(shared.both.go("/set?key=n&type=int64&value=1"), "");
        assert_eq!(shared.both.go("/flash?text=from+Go"), "");
        assert_eq!(shared.both.rust("/show/n"), "1");
        assert_eq!(shared.both.rust("/insert/n/2"), "");
        assert_eq!(shared.both.rust("/show/n"), "2");
        assert_eq!(shared.both.rust("/flashes"), r#"["from Go"]"#);
        assert_eq!(shared.both.rust("/flashes"), "[]");
        // Go can no longer read the cookie.
        assert!(
            shared
                .both
                .go("/show")
                .starts_with("refused: securecookie: ")
        );
        assert_eq!(shared.both.rust("/logout"), "");
        assert_eq!(shared.both.rust("/show/n"), "null");
    }
}

#[test]
fn sessions_are_taken_over_into_a_store() {
    for shared in Shared::each(stores) {
        assert_eq!(shared.both.go("/set?key=n&type=int64&value=1"), "");
        assert_eq!(shared.both.go("/flash?text=from+Go"), "");
        let of_go = shared.both.cookie();
        assert_eq!(shared.both.rust("/insert/n/2"), "");
        assert!(
            shared
                .both
                .go("/show")
                .starts_with("refused: securecookie: ")
        );
        // Another tab still has Go's cookie.
        let ours = shared.both.cookie();
        shared.both.plant(&of_go);
        assert_eq!(shared.both.rust("/show/n"), "2");
        assert_eq!(shared.both.rust("/flashes"), r#"["from Go"]"#);
        shared.both.plant(&ours);
        assert_eq!(shared.both.rust("/flashes"), "[]");
        assert_eq!(shared.both.rust("/logout"), "");
        shared.both.plant(&of_go);
        assert_eq!(shared.both.rust("/show/n"), "null");
    }
}

#[test]
fn go_never_finds_half_of_a_file() {
    let Some(shared) = Shared::in_files() else {
        return;
    };
    assert_eq!(shared.both.rust("/insert/n/0"), "");
    // A reader that has begun can read to the end.
    let name = shared.names().remove(0);
    let file = shared.files.as_ref().unwrap().path().join(name);
    let text = fs::read(&file).unwrap();
    let mut reading = fs::File::open(&file).unwrap();
    assert_eq!(shared.both.rust("/insert/n/-1"), "");
    let mut read = Vec::new();
    reading.read_to_end(&mut read).unwrap();
    assert_eq!(read, text);
    let jar = shared.both.jar.to_str().unwrap();
    let writer = shared.both.rust.address;
    let url = format!("http://{}/show", shared.both.go.address());
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 1..=40 {
                let url = format!("http://{writer}/insert/n/{n}");
                assert_eq!(curl(&["-b", jar], &url), "");
            }
        });
        while !writing.is_finished() {
            let page = curl(&["-b", jar], &url);
            assert!(page.starts_with("n int "), "{page}");
        }
    });
    assert_eq!(curl(&["-b", jar], &url), "n int 40\n");
}

#[test]
fn files_have_gos_names() {
    let Some(shared) = Shared::in_files() else {
        return;
    };
    assert_eq!(shared.both.rust("/insert/n/1"), "");
    let ours = shared.names();
    assert_eq!(ours[0].len(), "session_".len() + 52);
    assert_eq!(shared.both.go("/set?key=n&type=int&value=2"), "");
    assert_eq!(shared.both.rust("/insert/n/3"), "");
    assert_eq!(shared.names(), ours);
}

#[test]
fn a_file_that_cannot_be_opened_is_a_new_session() {
    let Some(shared) = Shared::in_files() else {
        return;
    };
    assert_eq!(shared.both.rust("/insert/n/1"), "");
    let name = shared.names().remove(0);
    let file = shared.files.as_ref().unwrap().path().join(name);
    let text = fs::read(&file).unwrap();
    let before = shared.both.cookie();
    for damaged in [&b""[..], &text[..text.len() - 1], b"no text of gorilla's"] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(shared.both.rust("/show/n"), "null");
        // The session gets a new ID, so that it does not overwrite a file that Go may be writing.
        assert_eq!(shared.both.rust("/insert/n/2"), "");
        assert_eq!(shared.both.rust("/show/n"), "2");
        assert_eq!(fs::read(&file).unwrap(), damaged);
        shared.both.plant(&before);
    }
    // The file's text is not a valid cookie.
    shared.both.plant(std::str::from_utf8(&text).unwrap());
    assert_eq!(shared.both.rust("/show/n"), "null");
}

#[test]
fn a_failing_disk_is_not_an_empty_session() {
    let Some(shared) = Shared::in_files() else {
        return;
    };
    assert_eq!(shared.both.rust("/insert/n/1"), "");
    let name = shared.names().remove(0);
    let file = shared.files.as_ref().unwrap().path().join(name);
    fs::remove_file(&file).unwrap();
    // Reading a folder fails even for root.
    fs::create_dir(&file).unwrap();
    assert_eq!(shared.both.status("/show/n"), "503");
}
