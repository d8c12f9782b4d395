//! Whatever is too large is refused before it is written or read.

use http::StatusCode;
use silverback::{
    Clock, ErrorKind, Session, SessionConfig, SessionLayer,
    store::{
        Bytes, Durability, Expiry, FilesystemStore, IntoBackend, MemoryStore, Read, RecordKey,
        Store, StoreError,
    },
};
use tempfile::TempDir;

use crate::support::{HOUR, Jar, Kind, START, Site, keys, until};

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

/// A record above the limit is not read into memory. It is not lost either: it is back once the
/// limit is raised again.
#[tokio::test]
async fn a_lowered_limit_holds_for_old_records() {
    const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
    const END: Expiry = until(START.saturating_add(HOUR));
    let folder = TempDir::new().unwrap();
    let open = |limit| {
        FilesystemStore::options()
            .durability(Durability::None)
            .clock(Clock::manual(START))
            .max_record_bytes(limit)
            .open(folder.path())
            .unwrap()
    };
    let (wide, narrow) = (open(100_000), open(1_000));
    let data = Bytes::from(vec![7; 90_000]);
    let version = wide.create(&KEY, data.clone(), END).await.unwrap();
    let results = [
        narrow.load(&KEY, Read::Current).await.map(drop),
        narrow.touch(&KEY, version, END).await.map(drop),
        narrow
            .update(&KEY, version, Bytes::from_static(b"small"), END)
            .await
            .map(drop),
    ];
    for result in results {
        assert!(
            matches!(result, Err(StoreError::TooLarge { .. })),
            "{result:?}"
        );
    }
    assert_eq!(
        wide.load(&KEY, Read::Current)
            .await
            .unwrap()
            .unwrap()
            .data(),
        data
    );
}

/// `insert` refuses a value that the store would refuse. A value that it accepts is saved, again
/// and again.
#[tokio::test]
async fn a_session_is_bounded_by_its_store() {
    let folder = TempDir::new().unwrap();
    for is_sealed in [false, true] {
        let files = FilesystemStore::options()
            .durability(Durability::None)
            .clock(Clock::manual(START))
            .max_record_bytes(1_000)
            .open(folder.path())
            .unwrap();
        let memory = MemoryStore::new()
            .clock(Clock::manual(START))
            .max_bytes(64 * (96 + 1_000));
        let stores = [files.into_backend(), memory.into_backend()];
        for store in stores {
            let config = SessionConfig::new("s", store, keys());
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
}
