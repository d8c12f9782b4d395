//! A later release runs alongside this one, as during a rolling deploy.

use base64_simd::URL_SAFE_NO_PAD;
use http::StatusCode;
use silverback::{
    ErrorKind, Keys, Rejection, Session,
    store::{Read, Store},
};

use crate::support::{Jar, Kind, failure, no_cookie, until};

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
        let turn = async |by: i8| {
            let record = rosters.load(&key, Read::Current).await.unwrap().unwrap();
            let (version, expires) = (record.version(), record.expires());
            let mut data = record.data().to_vec();
            // The format version, after the header that the store reads.
            data[6] = data[6].checked_add_signed(by).unwrap();
            let turned = rosters
                .update(&key, version, data.into(), until(expires))
                .await;
            turned.unwrap();
        };
        turn(1).await;
        let subjects = world.subjects();
        let listed = subjects.list("ada").await.map(drop);
        let ended = subjects.destroy_all("ada").await.map(drop);
        for result in [listed, ended] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LaterFormat, "{kind:?}");
        }
        let response = world.log_in(&mut Jar::default(), "ada", "phone").await;
        assert_eq!(failure(&response), Some(ErrorKind::LaterFormat), "{kind:?}");
        turn(-1).await;
        assert_eq!(world.notes("ada").await, ["laptop"], "nothing was lost");
        assert!(world.is_alive(&jar).await);
    }
}
