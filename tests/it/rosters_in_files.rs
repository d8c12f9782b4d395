//! Rosters that a file store finds too long or damaged.

use std::{fs, path::PathBuf};

use silverback::{
    ErrorKind, SessionConfig,
    store::{CookieStore, Durability, FilesystemStore},
};
use tempfile::TempDir;

use crate::support::{Jar, Kind, MINUTE, Stores, World, failure, keys, no_cookie};

/// A world with files for a user's sessions, or for the ends of sessions in a cookie.
async fn in_files(in_cookie: bool, max_record_bytes: usize) -> (World, TempDir) {
    let (stores, folder) = (Stores::new(), TempDir::new().unwrap());
    let files = FilesystemStore::options()
        .durability(Durability::None)
        .clock(stores.clock.clone())
        .max_record_bytes(max_record_bytes)
        .open(folder.path())
        .unwrap();
    let (kind, config) = if in_cookie {
        let cookies = CookieStore::new().revocation(files);
        (
            Kind::RemoteRevocable,
            SessionConfig::new("s", cookies, keys()),
        )
    } else {
        (Kind::Remote, SessionConfig::new("s", files, keys()))
    };
    (World::new(kind, stores, config), folder)
}

/// A roster too long for its store is shortened, and the sessions that fall off end.
#[tokio::test]
async fn sessions_that_fall_off_a_long_list_end() {
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

/// The path of the only file that is not a session.
async fn list_of(world: &World, folder: &TempDir) -> PathBuf {
    let session = world.subjects().list("ada").await.unwrap()[0].record_key();
    let shards = fs::read_dir(folder.path()).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let mut lists = files
        .map(|file| file.unwrap())
        .filter(|file| *file.file_name() != *session.to_string());
    let list = lists.next().unwrap().path();
    assert!(lists.next().is_none());
    list
}

/// A time ends sessions in a cookie. Sessions in a store cannot be found without their roster.
#[tokio::test]
async fn a_damaged_list_is_not_an_empty_one() {
    for in_cookie in [false, true] {
        for asks in [false, true] {
            let (world, folder) = in_files(in_cookie, 10_000).await;
            let jar = world.logged_in("ada", "laptop").await;
            let list = list_of(&world, &folder).await;
            fs::write(list, [1; 4_096]).unwrap();
            if asks {
                let error = world.subjects().list("ada").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StoreFailed, "cookie: {in_cookie}");
                continue;
            }
            let ended = world.subjects().destroy_all("ada").await;
            let ended = ended.map_err(|error| error.kind());
            let expected = if in_cookie {
                Ok(0)
            } else {
                Err(ErrorKind::StoreFailed)
            };
            assert_eq!(ended, expected);
            assert_eq!(world.is_alive(&jar).await, !in_cookie);
        }
    }
}

/// The file has a second hard link, as some backups make. The store reports it as damaged at every
/// load, and has no version of it. Without a version, a list cannot be replaced.
#[tokio::test]
async fn a_list_that_stays_damaged_is_kept() {
    for in_cookie in [false, true] {
        let (world, folder) = in_files(in_cookie, 10_000).await;
        world.logged_in("ada", "laptop").await;
        let list = list_of(&world, &folder).await;
        let backup = TempDir::new_in(folder.path().parent().unwrap()).unwrap();
        fs::hard_link(&list, backup.path().join("list")).unwrap();
        for _ in 0..2 {
            let error = world.subjects().list("ada").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreFailed, "cookie: {in_cookie}");
        }
        let jar = &mut Jar::default();
        let response = world.log_in(jar, "ada", "phone").await;
        assert!(
            failure(&response).is_some() && no_cookie(&response),
            "cookie: {in_cookie}"
        );
        drop(backup);
        world.log_in(jar, "ada", "phone").await;
        assert_eq!(world.notes("ada").await.len(), 2, "cookie: {in_cookie}");
        assert_eq!(world.destroy_all("ada").await, 2);
        assert!(!world.is_alive(jar).await, "cookie: {in_cookie}");
    }
}
