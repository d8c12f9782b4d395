//! Whatever is too large is refused before it is written or read.

use http::StatusCode;
use silverback::{
    Clock, ErrorKind, MemoryStore, Session, SessionConfig, SessionLayer, store::IntoBackend,
};

use crate::support::{Jar, Kind, START, Site, keys};

/// A subject counts like a value: one that could not be saved is refused at once.
#[tokio::test]
async fn a_subject_needs_room() {
    for kind in Kind::WITH_SUBJECTS {
        let world = kind.with(|config| match kind {
            Kind::Memory | Kind::Remote => config.max_bytes(3_000),
            _ => config,
        });
        let fill = async |session: Session| {
            session.load().await.unwrap();
            session.set_subject("ada", "").unwrap();
            let fits = |len: &usize| session.insert("x", "x".repeat(*len)).is_ok();
            (2_000..3_100).rev().find(fits).unwrap();
            for longer in ["adam".to_owned(), "a".repeat(256)] {
                let error = session.set_subject(&longer, "").unwrap_err();
                let is_it = matches!(error.kind(), ErrorKind::TooLarge { .. });
                assert!(is_it, "{kind:?}: {error}");
                assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
            }
            session.set_subject("bob", "").unwrap();
        };
        let jar = &mut Jar::default();
        let (_, response) = world.visit(jar, fill).await;
        assert_eq!(response.status(), StatusCode::OK);
        let subject = async |session: Session| {
            session.load().await.unwrap();
            session.subject().unwrap()
        };
        let (subject, _) = world.visit(jar, subject).await;
        assert_eq!(subject.as_deref(), Some("bob"), "{kind:?}");
    }
}

#[tokio::test]
async fn a_session_is_bounded_by_its_store() {
    let memory = || {
        MemoryStore::new()
            .clock(Clock::manual(START))
            .max_bytes(64 * (96 + 1_000))
    };
    bounds_its_sessions(memory).await;
}

/// `insert` refuses a value that the store would refuse. A value that it accepts is saved, again
/// and again. The store takes records of at most 1,000 bytes.
pub(crate) async fn bounds_its_sessions<S: IntoBackend>(store: impl Fn() -> S) {
    for is_sealed in [false, true] {
        let config = SessionConfig::new("s", store(), keys());
        let config = if is_sealed {
            config.encrypt_records()
        } else {
            config
        };
        let site = Site::of(SessionLayer::new(config));
        let jar = &mut Jar::default();
        let fill = async |session: Session| {
            session.load().await.unwrap();
            let fits = |len: &usize| session.insert("x", "x".repeat(*len)).is_ok();
            (500..1_100).rev().find(fits).unwrap()
        };
        let (len, response) = site.visit(jar, fill).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(len > 800, "{len} of 1,000");
        for round in 0..10 {
            let change = async |session: Session| {
                session.load().await.unwrap();
                let text = ["y", "z"][round % 2].repeat(len);
                session.insert("x", text).unwrap();
                session.insert("x", "x".repeat(len + 1)).unwrap_err()
            };
            let (error, response) = site.visit(jar, change).await;
            assert_eq!(response.status(), StatusCode::OK, "{round}");
            let is_it = matches!(error.kind(), ErrorKind::TooLarge { .. });
            assert!(is_it, "{error}");
        }
    }
}
