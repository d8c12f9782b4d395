//! The list of a subject's sessions: it has every session that lives, and none that does not.

use std::{fs, path::PathBuf, pin::pin};

use http::StatusCode;
use silverback::{
    ErrorKind, Session, SessionConfig,
    store::{Durability, FilesystemStore, RecordKey},
};
use tempfile::TempDir;

use crate::support::{
    Jar, Kind, MINUTE, Stores, World, keys, log_in,
    schedule::cut_off,
    scripted::{ANY, Calls, Create, Delete, Load, Touch, Update},
    steps::at_every_step,
};

/// Those with stores that wait.
const KINDS: [Kind; 3] = [Kind::Remote, Kind::RemoteRevocable, Kind::RevocableOverflow];

/// Whoever is about to log in is listed first and gets a record then. All may be ended in between.
#[tokio::test]
async fn no_login_slips_past_the_end_of_all() {
    for kind in KINDS {
        for (size, came_before) in [(0, false), (0, true), (1_000, false), (1_000, true)] {
            at_every_step(2, async |step| {
                let world = kind.world();
                let jar = &mut Jar::default();
                if came_before {
                    world.put(jar, "cart", "x".repeat(size)).await;
                }
                let login = async |session: Session| {
                    log_in(session.clone(), "ada", "laptop").await;
                    session.insert("cart", "y".repeat(size)).unwrap();
                };
                {
                    let mut login = pin!(world.visit(jar, login));
                    if cut_off(step, login.as_mut()).await.is_some() {
                        return false;
                    }
                    world.destroy_all("ada").await;
                    login.await;
                }
                let what = format!("{kind:?}, {size} bytes, step {step}");
                let (alive, listed) = (world.is_alive(jar).await, world.notes("ada").await);
                assert!(!alive || listed == ["laptop"], "{what}: {listed:?}");
                world.destroy_all("ada").await;
                assert!(!world.is_alive(jar).await, "{what}");
                true
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_could_not_be_ended_is_no_success() {
    let calls: [Calls; 6] = [
        Load.into(),
        Create.into(),
        Update.into(),
        Delete.into(),
        Touch.into(),
        ANY,
    ];
    for kind in KINDS {
        for calls in calls {
            let world = kind.world();
            let jar = world.logged_in("ada", "laptop").await;
            world.fail(calls);
            let ended = world.subjects().destroy_all("ada").await;
            world.calm();
            match ended {
                Ok(_) => assert!(!world.is_alive(&jar).await, "{kind:?}, {calls:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Store, "{kind:?}, {calls:?}"),
            }
            world.destroy_all("ada").await;
            assert!(!world.is_alive(&jar).await, "{kind:?}, {calls:?}: again");
        }
    }
}

#[tokio::test]
async fn a_session_is_renewed_soon_after_login() {
    for kind in KINDS {
        for minutes in [0, 1, 10, 59, 60, 61, 119, 121] {
            let world = kind.world();
            let jar = &mut world.logged_in("ada", "laptop").await;
            let before = jar.clone();
            for round in 0..3 {
                world.clock.advance(minutes * MINUTE);
                let response = world.renew(jar).await;
                let what = format!("{kind:?}, {minutes} minutes, round {round}");
                assert_eq!(response.status(), StatusCode::OK, "{what}");
                assert!(world.is_alive(jar).await, "{what}");
                assert!(!world.is_alive(&before).await, "{what}");
                assert_eq!(world.notes("ada").await, ["laptop"], "{what}");
            }
            assert_eq!(world.destroy_all("ada").await, 1);
            assert!(!world.is_alive(jar).await);
        }
    }
}

/// A logout that is cut off may have ended the session and left it in the list.
#[tokio::test]
async fn a_session_that_is_gone_is_not_shown() {
    for kind in KINDS {
        at_every_step(2, async |step| {
            let world = kind.world();
            let jar = world.logged_in("ada", "laptop").await;
            world.logged_in("ada", "phone").await;
            let own = &mut jar.clone();
            if cut_off(step, world.destroy(own)).await.is_some() {
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
    for kind in KINDS {
        let world = kind.world();
        let laptop = world.logged_in("ada", "laptop").await;
        let phone = world.logged_in("ada", "phone").await;
        let desk = world.logged_in("bob", "desk").await;
        let id_of = async |user: &str, note: &str| {
            let sessions = world.subjects().list(user).await.unwrap();
            let found = sessions.iter().find(|session| session.note() == note);
            found.unwrap().id()
        };
        let end = async |jar: &Jar, id: RecordKey| {
            let end = async |session: Session| {
                session.load().await.unwrap();
                session.destroy_other(&id).await.unwrap()
            };
            world.visit(&mut jar.clone(), end).await.0
        };
        let (own, other) = (id_of("ada", "laptop").await, id_of("ada", "phone").await);
        let foreign = id_of("bob", "desk").await;

        assert!(!end(&laptop, foreign).await, "{kind:?}: another's");
        assert!(!end(&laptop, own).await, "{kind:?}: its own");
        assert!(!end(&Jar::default(), other).await, "{kind:?}: nobody's");
        for jar in [&laptop, &phone, &desk] {
            assert!(world.is_alive(jar).await, "{kind:?}");
        }
        let failed = async |session: Session| {
            session.load().await.unwrap();
            world.fail(ANY);
            let ended = session.destroy_other(&other).await;
            world.calm();
            ended.unwrap_err().kind()
        };
        let (failed, _) = world.visit(&mut laptop.clone(), failed).await;
        assert_eq!(failed, ErrorKind::Store);
        assert!(world.is_alive(&phone).await, "{kind:?}");

        assert!(end(&laptop, other).await, "{kind:?}");
        assert!(!world.is_alive(&phone).await, "{kind:?}");
        assert!(!end(&laptop, other).await, "{kind:?}: twice");
        assert!(world.is_alive(&laptop).await && world.is_alive(&desk).await);
        assert_eq!(world.notes("ada").await, ["laptop"], "{kind:?}");
    }
}

/// Files for the sessions of a user who has logged in, or for the ends of those in a cookie.
async fn in_files(in_cookie: bool, max_record_bytes: usize) -> (World, TempDir) {
    let (stores, folder) = (Stores::new(), TempDir::new().unwrap());
    let files = FilesystemStore::options()
        .durability(Durability::None)
        .clock(stores.clock.clone())
        .max_record_bytes(max_record_bytes)
        .open(folder.path())
        .unwrap();
    let (kind, config) = if in_cookie {
        let config = SessionConfig::cookie("s", keys());
        (Kind::RemoteRevocable, config.revocation(files))
    } else {
        (Kind::Remote, SessionConfig::new("s", files, keys()))
    };
    (World::new(kind, stores, config), folder)
}

/// A list that its store finds too long gets shorter, and whoever falls off it is logged out.
#[tokio::test]
async fn who_falls_off_a_long_list_is_ended() {
    for in_cookie in [false, true] {
        let (world, _folder) = in_files(in_cookie, 2_000).await;
        let mut jars = Vec::new();
        for logins in 1..=12 {
            world.clock.advance(MINUTE);
            jars.push(world.logged_in("ada", &"device ".repeat(30)).await);
            assert!(world.is_alive(&jars[logins - 1]).await);
            let mut alive = 0;
            for jar in &jars {
                alive += usize::from(world.is_alive(jar).await);
            }
            let listed = world.notes("ada").await.len();
            assert_eq!(alive, listed, "cookie: {in_cookie}, {logins} logins");
        }
        assert!(!world.is_alive(&jars[0]).await, "cookie: {in_cookie}");
        world.destroy_all("ada").await;
        for jar in &jars {
            assert!(!world.is_alive(jar).await, "cookie: {in_cookie}");
        }
    }
}

/// The only file that is not a session's.
async fn list_of(world: &World, folder: &TempDir) -> PathBuf {
    let session = world.subjects().list("ada").await.unwrap()[0].id();
    let shards = fs::read_dir(folder.path()).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let mut lists = files
        .map(|file| file.unwrap())
        .filter(|file| *file.file_name() != *session.to_string());
    let list = lists.next().unwrap().path();
    assert!(lists.next().is_none());
    list
}

/// Sessions in a cookie can be ended without their list. Of those in a store nobody can tell which
/// they are.
#[tokio::test]
async fn a_damaged_list_is_no_empty_one() {
    for in_cookie in [false, true] {
        for asks in [false, true] {
            let (world, folder) = in_files(in_cookie, 10_000).await;
            let jar = world.logged_in("ada", "laptop").await;
            let list = list_of(&world, &folder).await;
            fs::write(list, [1; 4_096]).unwrap();
            if asks {
                let error = world.subjects().list("ada").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Store, "cookie: {in_cookie}");
                continue;
            }
            let ended = world.subjects().destroy_all("ada").await;
            let ended = ended.map_err(|error| error.kind());
            let expected = if in_cookie {
                Ok(0)
            } else {
                Err(ErrorKind::Store)
            };
            assert_eq!(ended, expected);
            assert_eq!(world.is_alive(&jar).await, !in_cookie);
        }
    }
}

/// The file has a second name, as backups by hard links make it: the store calls it damaged for as
/// long as it is there.
#[tokio::test]
async fn a_list_that_stays_damaged_is_made_anew() {
    for in_cookie in [false, true] {
        let (world, folder) = in_files(in_cookie, 10_000).await;
        world.logged_in("ada", "laptop").await;
        let list = list_of(&world, &folder).await;
        let backup = TempDir::new_in(folder.path().parent().unwrap()).unwrap();
        fs::hard_link(&list, backup.path().join("list")).unwrap();
        for _ in 0..2 {
            let error = world.subjects().list("ada").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "cookie: {in_cookie}");
        }
        let jar = world.logged_in("ada", "phone").await;
        assert_eq!(world.notes("ada").await, ["phone"], "cookie: {in_cookie}");
        assert_eq!(world.destroy_all("ada").await, 1);
        assert!(!world.is_alive(&jar).await, "cookie: {in_cookie}");
    }
}
