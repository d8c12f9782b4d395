//! A backup of the store is restored.

use std::{fs, path::Path, time::Duration};

use silverback::{
    Clock, CookieStore, FilesystemStore, Rejection,
    store::{Backend, Bytes, Expiry, IntoBackend as _, Read, RecordKey, Store as _, StoreError},
};

use super::{
    Faults, Node, Site, Traffic, operator, played,
    site::{FOLDER, Visitor, log_in, look, patient},
};
use crate::support::{At, World};

#[test]
fn of_sessions_in_files() {
    played(async |_| restored(false).await);
}

/// The store remembers which sessions have ended.
#[test]
fn of_the_ends_of_sessions_in_cookies() {
    played(async |_| restored(true).await);
}

struct Drill {
    world: World,
    clock: Clock,
    in_cookies: bool,
}

impl Drill {
    fn backend(&self) -> Backend {
        let options = FilesystemStore::options().clock(self.clock.clone());
        let files = options
            .open(self.world.dir.path().join("sessions"))
            .unwrap();
        if self.in_cookies {
            return CookieStore::new().revocation(files).into_backend();
        }
        files.into_backend()
    }

    fn node(&self) -> Node {
        Node::with(&self.world, self.backend(), &self.clock, patient)
    }

    /// Stops all servers, replaces the present folder with the backup, and starts the servers.
    fn restore(&self, site: &Site, backup: &Path) {
        let sessions = self.world.dir.path().join("sessions");
        fs::remove_dir_all(&sessions).unwrap();
        copy(backup, &sessions);
        self.restart(site);
    }

    fn restart(&self, site: &Site) {
        for which in [0, 1] {
            site.deploy(which, self.node());
        }
    }

    /// The line by which an operator refuses everything from before.
    fn refuse_older(&self) {
        let path = self.world.settings_file();
        let settings = fs::read_to_string(&path).unwrap();
        let line = format!("not_before = {}\n", self.clock.now());
        fs::write(&path, settings + &line).unwrap();
    }
}

async fn restored(in_cookies: bool) {
    let mut world = World::new(At::Files).await.unwrap();
    if in_cookies {
        world.tool.env("SILVERBACK_KEPT_IN", "cookie");
        world.tool.env("SILVERBACK_REVOCATION", "true");
    }
    let clock = Clock::manual(Clock::system().now());
    let drill = Drill {
        world,
        clock,
        in_cookies,
    };
    let (tool, second) = (&drill.world.tool, Duration::from_secs(1));
    let site = Site::new([drill.node(), drill.node()]);
    let traffic = Traffic::start(&site, 8);
    let [ada, eve, bob] = [1, 2, 3].map(|seed| site.visitor(seed));
    log_in(&ada, "ada", "laptop").await;
    log_in(&eve, "eve", "phone").await;
    traffic.goes_on(24).await;
    let backup = drill.world.dir.path().join("backup");
    copy(&drill.world.dir.path().join("sessions"), &backup);

    // Since the backup, one user has logged out and another was locked out.
    drill.clock.advance(second);
    let ended = [&ada, &eve].map(|browser| browser.jar(|jar| jar.clone()));
    let page = ada
        .post(&format!("{FOLDER}/logout"), "text/plain", "")
        .await;
    assert_eq!(page.status(), 200);
    operator(tool, &["end-user", "eve", "--yes"])
        .await
        .says(0, "ended 1 session");
    log_in(&bob, "bob", "phone").await;
    let [ada, eve] = ended.map(|jar| {
        let browser = site.visitor_of(0);
        browser.jar(|own| *own = jar);
        browser
    });
    for browser in [&ada, &eve] {
        assert_eq!(look(browser).await.user, "");
    }
    let (tally, _) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");

    // The restored store does not know that.
    drill.clock.advance(second);
    drill.restore(&site, &backup);
    let users = [look(&ada).await.user, look(&eve).await.user];
    assert_eq!(users, ["ada", "eve"]);
    // The operator ends one user's sessions by name.
    operator(tool, &["end-user", "eve", "--yes"])
        .await
        .says(0, "ended 1 session");
    assert_eq!(look(&eve).await.user, "");

    // The settings end all sessions.
    drill.refuse_older();
    drill.restart(&site);
    is_refused(&ada, Rejection::Expired).await;
    let cookie = ada.jar(|jar| jar.get("__Host-account").unwrap().to_owned());
    operator(tool, &["explain", &cookie])
        .await
        .says(4, "empty session");
    let after_backup = if in_cookies {
        Rejection::Expired
    } else {
        Rejection::NotFound
    };
    is_refused(&bob, after_backup).await;
    operator(tool, &["list", "--user", "ada"])
        .await
        .says(3, "no sessions");

    // And everybody logs in again.
    let traffic = Traffic::start(&site, 9);
    log_in(&ada, "ada", "laptop").await;
    traffic.goes_on(40).await;
    assert_eq!(look(&ada).await.user, "ada");
    assert_eq!(
        operator(tool, &["list", "--user", "ada", "--json"])
            .await
            .lines()
            .len(),
        1
    );
    let (tally, _) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{tally:?}");
}

async fn is_refused(browser: &Visitor, why: Rejection) {
    let seen = look(browser).await;
    assert_eq!((&*seen.user, seen.why), ("", format!("{why:?}")));
}

/// A request that knows a version from after the backup conflicts with the restored record.
#[tokio::test]
async fn no_version_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (sessions, backup) = (dir.path().join("sessions"), dir.path().join("backup"));
    let (key, now) = (RecordKey::from_bytes([7; 32]), Clock::system().now());
    let expiry = Expiry::new(now.saturating_add(Duration::from_secs(600)), now);
    let data = |text: &'static str| Bytes::from_static(text.as_bytes());
    let store = FilesystemStore::open(&sessions).unwrap();
    let first = store.create(&key, data("first"), expiry).await.unwrap();
    copy(&sessions, &backup);
    let second = store
        .update(&key, first, data("second"), expiry)
        .await
        .unwrap();
    drop(store);
    fs::remove_dir_all(&sessions).unwrap();
    copy(&backup, &sessions);

    let store = FilesystemStore::open(&sessions).unwrap();
    let late = store.update(&key, second, data("late"), expiry).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    let third = store
        .update(&key, first, data("third"), expiry)
        .await
        .unwrap();
    assert_ne!(second, third);
    let record = store.load(&key, Read::Current).await.unwrap().unwrap();
    assert_eq!(record.data(), b"third");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match fs::metadata(&from) {
            Ok(meta) if meta.is_dir() => copy(&from, &to),
            // Sessions that are gone by now have expired.
            _ => drop(fs::copy(&from, &to)),
        }
    }
}
