//! A store's records are copied into another store, as in `docs/guides/stores.md`, and nobody is
//! logged out.

use axum::{
    Router,
    routing::{get, post},
};
use silverback::{
    Clock, Error, FilesystemStore, Keys, MemoryStore, Session, SessionConfig, SessionLayer,
    Subjects,
    store::{Browse, Cursor, Expiry, IntoBackend, Read, Store, StoreError},
    testing::Browser,
};

/// As in the guide.
async fn copy(from: &impl Browse, to: &impl Store) -> Result<u64, StoreError> {
    let (mut cursor, mut copied) = (Some(Cursor::default()), 0);
    while let Some(at) = cursor {
        let page = from.browse(&at, 1_000).await?;
        for listed in &page.entries {
            let Some(record) = from.load(&listed.key, Read::Current).await? else {
                continue;
            };
            let expiry = Expiry::new(record.expires(), Clock::system().now());
            match to.create(&listed.key, record.into_data(), expiry).await {
                Ok(_) => copied += 1,
                Err(StoreError::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        cursor = page.next;
    }
    Ok(copied)
}

fn shop(config: SessionConfig) -> Router {
    let log_in = async |session: Session| -> Result<(), Error> {
        session.insert("user", "ada")?;
        session.set_subject("ada", "a browser")
    };
    let page = async |session: Session| -> Result<String, Error> {
        Ok(session.get("user")?.unwrap_or_default())
    };
    Router::new()
        .route("/", get(page))
        .route("/login", post(log_in))
        .layer(SessionLayer::new(config))
}

#[tokio::test]
async fn nobody_is_logged_out() {
    for is_encrypted in [false, true] {
        let keys = Keys::generate().unwrap();
        let config = |store: &dyn Fn() -> silverback::store::Backend| {
            let config = SessionConfig::new("account", store(), keys.clone());
            if is_encrypted {
                config.encrypt_records()
            } else {
                config
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let old = std::sync::Arc::new(MemoryStore::new());
        let new = FilesystemStore::open(folder.path()).unwrap();

        let before = config(&|| std::sync::Arc::clone(&old).into_backend());
        let browser = Browser::new(shop(before));
        browser.post("/login", "text/plain", "").await;
        let jar = browser.jar(|jar| jar.clone());

        assert_eq!(
            copy(&old, &new).await.unwrap(),
            2,
            "the session and the list"
        );
        assert_eq!(copy(&old, &new).await.unwrap(), 0, "both are already there");

        let after = config(&|| new.clone().into_backend());
        let subjects = Subjects::new(&after).unwrap();
        let browser = Browser::new(shop(after));
        browser.jar(|inside| *inside = jar);
        assert_eq!(browser.get("/").await.text(), "ada");
        assert_eq!(subjects.list("ada").await.unwrap().len(), 1);
        subjects.destroy_all("ada").await.unwrap();
        assert_eq!(browser.get("/").await.text(), "");
    }
}
