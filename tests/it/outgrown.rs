//! A session that is in a record because its cookie has become too small for it.

use silverback::{Clock, Session, SessionConfig, SessionLayer, store::MemoryStore};

use crate::support::{Jar, START, Site, keys, store::Remote};

/// The answer that would have told the browser of the record is late, so the login comes with the
/// cookie of before.
#[tokio::test]
async fn a_renewal_leaves_no_record_of_before() {
    for size in [0, 1_000] {
        for revokes in [false, true] {
            let clock = Clock::manual(START);
            let remote = Remote::new(MemoryStore::new().clock(clock.clone()));
            let config = SessionConfig::cookie("s", keys())
                .overflow(remote.clone())
                .cookie_bytes(500);
            let config = if revokes {
                config.revocation(remote)
            } else {
                config
            };
            let layer = SessionLayer::new(config).clock(clock.clone());
            let site = Site { layer, clock };
            let insert = async |session: Session, key: &str, len: usize| {
                session.load().await.unwrap();
                session.insert(key, "x".repeat(len)).unwrap();
            };
            let jar = &mut Jar::default();
            site.visit(jar, async |session| insert(session, "visitor", 10).await)
                .await;
            let late = &mut jar.clone();
            site.visit(late, async |session| insert(session, "cart", 1_000).await)
                .await;
            site.visit(jar, async |session| {
                insert(session.clone(), "user", size).await;
                session.renew();
            })
            .await;
            let keys = async |session: Session| {
                session.load().await.unwrap();
                session.keys().unwrap()
            };
            let what = format!("{size} bytes, revokes: {revokes}");
            assert!(site.visit(jar, keys).await.0.contains(&"user".to_owned()));
            assert_eq!(site.visit(late, keys).await.0, [""; 0], "{what}");
        }
    }
}
