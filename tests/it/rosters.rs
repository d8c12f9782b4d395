//! The list of a subject's sessions: it has every session that lives, and none that does not.

use std::{fs, path::PathBuf, pin::pin, time::Duration};

use http::StatusCode;
use silverback::{
    Clock, ErrorKind, Session, SessionConfig, SessionLayer, SubjectSession, Subjects,
    store::{Durability, FilesystemStore, MemoryStore, RecordKey, Store},
};
use tempfile::TempDir;

use crate::support::{
    Jar, START, Site, keys,
    steps::{at_every_step, steps},
    store::Remote,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Store,
    Cookie,
    /// In a cookie until they outgrow it.
    Overflow,
}

use Kind::{Cookie, Overflow, Store as InStore};

struct World {
    site: Site,
    subjects: Subjects,
}

impl World {
    fn new(kind: Kind, store: impl Store + Clone) -> Self {
        let config = match kind {
            InStore => SessionConfig::new("s", store, keys()),
            Cookie => SessionConfig::cookie("s", keys()).revocation(store),
            Overflow => SessionConfig::cookie("s", keys())
                .revocation(store.clone())
                .overflow(store)
                .cookie_bytes(500),
        };
        let clock = Clock::manual(START);
        let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
        let layer = SessionLayer::new(config).clock(clock.clone());
        Self {
            site: Site { layer, clock },
            subjects,
        }
    }

    fn remote(kind: Kind) -> (Self, Remote) {
        let remote = Remote::new(MemoryStore::new().clock(Clock::manual(START)));
        (Self::new(kind, remote.clone()), remote)
    }

    async fn logged_in(&self, subject: &str, note: &str) -> Jar {
        let mut jar = Jar::default();
        let login = async |session: Session| log_in(session, subject, note).await;
        let (_, response) = self.site.visit(&mut jar, login).await;
        assert_eq!(response.status(), StatusCode::OK);
        jar
    }

    async fn is_alive(&self, jar: &Jar) -> bool {
        let user = async |session: Session| {
            session.load().await.unwrap();
            session.contains_key("user").unwrap()
        };
        self.site.visit(&mut jar.clone(), user).await.0
    }

    async fn notes(&self, subject: &str) -> Vec<String> {
        notes(&self.subjects.list(subject).await.unwrap())
    }
}

fn notes(sessions: &[SubjectSession]) -> Vec<String> {
    let note = |session: &SubjectSession| session.note().to_owned();
    sessions.iter().map(note).collect()
}

async fn log_in(session: Session, subject: &str, note: &str) {
    session.load().await.unwrap();
    session.renew();
    session.insert("user", subject).unwrap();
    session.set_subject(subject, note).unwrap();
}

/// Whoever is about to log in is listed first and gets a record then. All may be ended in between.
#[tokio::test]
async fn no_login_slips_past_the_end_of_all() {
    for kind in [InStore, Cookie, Overflow] {
        for size in [0, 1_000] {
            for came_before in [false, true] {
                at_every_step(2, async |step| {
                    let (world, _) = World::remote(kind);
                    let jar = &mut Jar::default();
                    if came_before {
                        let visit = async |session: Session| {
                            session.load().await.unwrap();
                            session.insert("cart", "x".repeat(size)).unwrap();
                        };
                        world.site.visit(jar, visit).await;
                    }
                    let login = async |session: Session| {
                        log_in(session.clone(), "ada", "laptop").await;
                        session.insert("cart", "y".repeat(size)).unwrap();
                    };
                    {
                        let mut login = pin!(world.site.visit(jar, login));
                        if steps(&mut login, step).await.is_some() {
                            return false;
                        }
                        world.subjects.destroy_all("ada").await.unwrap();
                        login.await;
                    }
                    let what = format!("{kind:?}, {size} bytes, step {step}");
                    let (alive, listed) = (world.is_alive(jar).await, world.notes("ada").await);
                    assert!(!alive || listed == ["laptop"], "{what}: {listed:?}");
                    world.subjects.destroy_all("ada").await.unwrap();
                    assert!(!world.is_alive(jar).await, "{what}");
                    true
                })
                .await;
            }
        }
    }
}

#[tokio::test]
async fn what_could_not_be_ended_is_no_success() {
    for kind in [InStore, Cookie, Overflow] {
        for operation in ["load", "create", "update", "delete", "touch", "all"] {
            let (world, remote) = World::remote(kind);
            let jar = world.logged_in("ada", "laptop").await;
            remote.fail(operation);
            let ended = world.subjects.destroy_all("ada").await;
            remote.fail("");
            match ended {
                Ok(_) => assert!(!world.is_alive(&jar).await, "{kind:?}, {operation}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Store, "{kind:?}, {operation}"),
            }
            world.subjects.destroy_all("ada").await.unwrap();
            assert!(!world.is_alive(&jar).await, "{kind:?}, {operation}: again");
        }
    }
}

/// A list that its store finds too long gets shorter, and whoever falls off it is logged out.
#[tokio::test]
async fn who_falls_off_a_long_list_is_ended() {
    for kind in [InStore, Cookie] {
        let folder = TempDir::new().unwrap();
        let store = FilesystemStore::options()
            .durability(Durability::None)
            .clock(Clock::manual(START))
            .max_record_bytes(2_000)
            .open(folder.path())
            .unwrap();
        let world = World::new(kind, store);
        let mut jars = Vec::new();
        for _ in 0..12 {
            world.site.clock.advance(MINUTE);
            jars.push(world.logged_in("ada", &"device ".repeat(30)).await);
            let mut alive = 0;
            for jar in &jars {
                alive += usize::from(world.is_alive(jar).await);
            }
            let (last, listed) = (jars.last().unwrap(), world.notes("ada").await.len());
            assert!(world.is_alive(last).await, "{kind:?}");
            assert_eq!(alive, listed, "{kind:?}, after {} logins", jars.len());
        }
        assert!(!world.is_alive(&jars[0]).await, "{kind:?}");
        world.subjects.destroy_all("ada").await.unwrap();
        for jar in &jars {
            assert!(!world.is_alive(jar).await, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_session_is_renewed_soon_after_login() {
    for kind in [InStore, Cookie, Overflow] {
        for minutes in [0, 1, 10, 59, 60, 61, 119, 121] {
            let (world, _) = World::remote(kind);
            let jar = &mut world.logged_in("ada", "laptop").await;
            let before = jar.clone();
            for round in 0..3 {
                world.site.clock.advance(minutes * MINUTE);
                let renew = async |session: Session| session.renew();
                let (_, response) = world.site.visit(jar, renew).await;
                let what = format!("{kind:?}, {minutes} minutes, round {round}");
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                assert!(world.is_alive(jar).await, "{what}");
                assert!(!world.is_alive(&before).await, "{what}");
                assert_eq!(world.notes("ada").await, ["laptop"], "{what}");
            }
            assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 1);
            assert!(!world.is_alive(jar).await);
        }
    }
}

/// A logout that is cut off may have ended the session and left it in the list.
#[tokio::test]
async fn a_session_that_is_gone_is_not_shown() {
    for kind in [InStore, Cookie, Overflow] {
        at_every_step(2, async |step| {
            let (world, _) = World::remote(kind);
            let jar = world.logged_in("ada", "laptop").await;
            world.logged_in("ada", "phone").await;
            let own = &mut jar.clone();
            let logout = async |session: Session| session.destroy().await.unwrap();
            if steps(&mut pin!(world.site.visit(own, logout)), step)
                .await
                .is_some()
            {
                return false;
            }
            let mut listed = world.notes("ada").await;
            listed.sort();
            let there: &[&str] = if world.is_alive(&jar).await {
                &["laptop", "phone"]
            } else {
                &["phone"]
            };
            assert_eq!(listed, there, "{kind:?}, step {step}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn one_other_session_of_ones_own_is_ended() {
    for kind in [InStore, Cookie, Overflow] {
        let (world, remote) = World::remote(kind);
        let (laptop, phone) = (
            world.logged_in("ada", "laptop").await,
            world.logged_in("ada", "phone").await,
        );
        let desk = world.logged_in("bob", "desk").await;
        let id_of = async |subject: &str, note: &str| {
            let sessions = world.subjects.list(subject).await.unwrap();
            let found = sessions.iter().find(|session| session.note() == note);
            found.unwrap().id()
        };
        let end = async |jar: &Jar, id: RecordKey| {
            let end = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_other(&id).await
            };
            world.site.visit(&mut jar.clone(), end).await.0
        };
        let (one, other) = (id_of("ada", "laptop").await, id_of("ada", "phone").await);
        let foreign = id_of("bob", "desk").await;

        assert!(!end(&laptop, foreign).await.unwrap(), "{kind:?}");
        assert!(!end(&laptop, one).await.unwrap(), "{kind:?}: its own");
        assert!(!end(&Jar::default(), other).await.unwrap(), "{kind:?}");
        for jar in [&laptop, &phone, &desk] {
            assert!(world.is_alive(jar).await, "{kind:?}");
        }
        remote.fail("all");
        let failed = async |session: Session| session.destroy_other(&other).await.map(drop);
        assert!(
            world
                .site
                .visit(&mut laptop.clone(), failed)
                .await
                .0
                .is_err()
        );
        remote.fail("");
        assert!(world.is_alive(&phone).await, "{kind:?}");

        assert!(end(&laptop, other).await.unwrap(), "{kind:?}");
        assert!(!world.is_alive(&phone).await, "{kind:?}");
        assert!(!end(&laptop, other).await.unwrap(), "{kind:?}: twice");
        assert!(world.is_alive(&laptop).await && world.is_alive(&desk).await);
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
    }
}

/// Sessions in files of a folder, one of them ada's, and the file of her list.
async fn in_files(kind: Kind) -> (World, Jar, PathBuf, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = FilesystemStore::options()
        .durability(Durability::None)
        .clock(Clock::manual(START))
        .open(folder.path())
        .unwrap();
    let world = World::new(kind, store);
    let jar = world.logged_in("ada", "laptop").await;
    let session = world.subjects.list("ada").await.unwrap()[0]
        .id()
        .to_string();
    let shards = fs::read_dir(folder.path()).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let mut lists = files
        .map(|file| file.unwrap())
        .filter(|file| *file.file_name() != *session);
    let list = lists.next().unwrap().path();
    assert!(lists.next().is_none());
    (world, jar, list, folder)
}

/// A damaged list is an error to whoever asks what is in it, and no empty list. Sessions in a
/// cookie can be ended without it.
async fn is_damaged(world: &World, kind: Kind) {
    let listed = world.subjects.list("ada").await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Store, "{kind:?}");
}

#[tokio::test]
async fn a_damaged_list_is_no_empty_one() {
    for kind in [InStore, Cookie] {
        let (world, _, list, _folder) = in_files(kind).await;
        fs::write(&list, [1; 4_096]).unwrap();
        is_damaged(&world, kind).await;

        let (world, jar, list, _folder) = in_files(kind).await;
        fs::write(&list, [1; 4_096]).unwrap();
        let ended = world.subjects.destroy_all("ada").await;
        let ended = ended.map_err(|error| error.kind());
        match kind {
            Cookie => assert_eq!(ended, Ok(0)),
            _ => assert_eq!(ended, Err(ErrorKind::Store)),
        }
        assert_eq!(world.is_alive(&jar).await, kind != Cookie);
    }
}

/// The file has a second name, as backups by hard links make it: the store calls it damaged for as
/// long as it is there.
#[tokio::test]
async fn a_list_that_stays_damaged_is_made_anew() {
    for kind in [InStore, Cookie] {
        let (world, _, list, folder) = in_files(kind).await;
        let backup = TempDir::new_in(folder.path().parent().unwrap()).unwrap();
        fs::hard_link(&list, backup.path().join("list")).unwrap();
        is_damaged(&world, kind).await;
        is_damaged(&world, kind).await;
        let jar = world.logged_in("ada", "phone").await;
        assert_eq!(world.notes("ada").await, ["phone"], "{kind:?}");
        assert_eq!(world.subjects.destroy_all("ada").await.unwrap(), 1);
        assert!(!world.is_alive(&jar).await, "{kind:?}");
    }
}
