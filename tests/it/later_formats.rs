//! A later release runs alongside this one, as during a rolling deploy.

use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use http::StatusCode;
use silverback::{
    ErrorKind, Keys, Rejection, Session,
    store::{Read, RecordKey, RecordKind, Store},
};

use crate::support::{Jar, Kind, failure, no_cookie, scripted::Scripted, until};

const KINDS: [Kind; 5] = [
    Kind::Cookie,
    Kind::Revocable,
    Kind::Overflow,
    Kind::Memory,
    Kind::Remote,
];

/// The cookie as a later release would make it: with the next version number and the same key.
pub(crate) fn later(jar: &Jar) -> Jar {
    let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(jar.value("s")).unwrap();
    bytes[0] += 1;
    Jar::with("s", &URL_SAFE_NO_PAD.encode_to_string(&bytes))
}

#[tokio::test]
async fn a_cookie_of_one_is_an_error_and_stays() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "user", 7).await;
        let cookies = &mut later(jar);
        let sent = cookies.value("s").to_owned();
        let read = async |session: Session| {
            let loaded = session.load().await.unwrap_err();
            let found = session.get::<u8>("user").unwrap_err();
            let changed = session.insert("user", 8).unwrap_err();
            let ended = session.destroy().await.unwrap_err();
            let kinds = [loaded, found, changed, ended].map(|error| error.kind());
            assert_eq!(session.rejection(), None);
            kinds
        };
        let (kinds, response) = world.visit(cookies, read).await;
        let later = ErrorKind::LaterFormat;
        let unloaded = if kind.never_waits() {
            later
        } else {
            ErrorKind::NotLoaded
        };
        assert_eq!(kinds, [later, unloaded, unloaded, later], "{kind:?}");
        assert!(no_cookie(&response), "{kind:?}");
        assert_eq!(cookies.value("s"), sent);
        assert_eq!(world.get(jar, "user").await, Some(7), "it is still there");
    }
}

#[tokio::test]
async fn a_change_of_one_fails_and_sets_no_cookie() {
    for kind in KINDS {
        let world = kind.world();
        let jar = &mut Jar::default();
        world.put(jar, "user", 7).await;
        let (_, response) = world
            .visit(&mut later(jar), async |session| session.renew())
            .await;
        assert_eq!(failure(&response), Some(ErrorKind::LaterFormat), "{kind:?}");
        assert_ne!(response.status(), StatusCode::OK);
        assert!(no_cookie(&response));
        assert_eq!(world.get(jar, "user").await, Some(7), "{kind:?}");
    }
}

/// Nobody can tell that it comes from a later release.
#[tokio::test]
async fn a_cookie_of_a_foreign_key_is_none() {
    for kind in KINDS {
        let (world, other) = (kind.world(), kind.with_keys(Keys::generate().unwrap()));
        let jar = &mut Jar::default();
        other.put(jar, "user", 7).await;
        let why = world.rejection(&mut later(jar)).await;
        assert_eq!(why, Some(Rejection::Malformed), "{kind:?}");
    }
}

#[tokio::test]
async fn a_roster_of_one_is_an_error_and_stays() {
    for kind in Kind::REMOTE_SUBJECTS {
        let world = kind.world();
        let jar = world.logged_in("ada", "laptop").await;
        let rosters = world.rosters();
        let [key] = rosters.roster_keys()[..] else {
            panic!("one roster")
        };
        // The format version, after the header that the store reads.
        turn(rosters, key, 6, 1).await;
        let subjects = world.subjects();
        let listed = subjects.list("ada").await.map(drop);
        let ended = subjects.destroy_all("ada").await.map(drop);
        for result in [listed, ended] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LaterFormat, "{kind:?}");
        }
        let response = world.log_in(&mut Jar::default(), "ada", "phone").await;
        assert_eq!(failure(&response), Some(ErrorKind::LaterFormat), "{kind:?}");
        turn(rosters, key, 6, -1).await;
        assert_eq!(world.notes("ada").await, ["laptop"], "nothing was lost");
        assert!(world.is_alive(&jar).await);
    }
}

/// Such a session is alive, although only the later release can open it.
#[tokio::test]
async fn a_session_of_one_is_an_error_and_counts() {
    let world = Kind::Remote.with(|config| config.sessions_per_subject(2));
    let jar = world.logged_in("ada", "laptop").await;
    let (records, key) = (world.records(), world.key(&jar).await);
    turn(records, key, 0, 4).await;
    let end = async |session: Session| session.destroy().await.unwrap_err().kind();
    let (ended, response) = world.visit(&mut jar.clone(), end).await;
    assert_eq!(ended, ErrorKind::LaterFormat);
    assert!(no_cookie(&response));
    let ended = world.session_records().destroy(&key).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::LaterFormat);
    assert_eq!(world.notes("ada").await, ["laptop"]);
    turn(records, key, 0, -4).await;
    assert!(world.is_alive(&jar).await, "nothing was lost");
    turn(records, key, 0, 4).await;
    for device in ["phone", "watch"] {
        world.clock.advance(Duration::from_secs(1));
        world.logged_in("ada", device).await;
    }
    assert_eq!(world.notes("ada").await, ["watch", "phone"]);
    let oldest = records.load(&key, Read::Current).await.unwrap();
    assert_eq!(oldest, None, "three are too many");
}

/// Nobody can tell how long ago the session was renewed, and where it lives now.
#[tokio::test]
async fn an_end_of_one_is_an_error_and_stays() {
    let world = Kind::RemoteRevocable.world();
    let jar = &mut Jar::default();
    world.put(jar, "user", 7).await;
    let old = jar.clone();
    let ((), _) = world.visit(jar, async |session| session.renew()).await;
    let [key] = world.ends().keys_of(RecordKind::End).await[..] else {
        panic!("one end")
    };
    turn(world.ends(), key, 0, 2).await;
    let change = async |session: Session| {
        let loaded = session.load().await.map_err(|error| error.kind());
        drop(session.insert("user", 8));
        loaded
    };
    let (loaded, response) = world.visit(&mut old.clone(), change).await;
    assert_eq!(loaded, Err(ErrorKind::LaterFormat));
    assert!(no_cookie(&response));
    assert_eq!(world.get(jar, "user").await, Some(7));
}

/// Adds this to a byte of a record.
async fn turn(store: &Scripted, key: RecordKey, at: usize, by: i8) {
    let record = store.load(&key, Read::Current).await.unwrap().unwrap();
    let (version, expires) = (record.version(), record.expires());
    let mut data = record.data().to_vec();
    data[at] = data[at].checked_add_signed(by).unwrap();
    let turned = store.update(&key, version, data.into(), until(expires));
    turned.await.unwrap();
}
