//! A session that is in a record because its cookie has become too small for it.

use silverback::Session;

use crate::support::{Jar, Kind};

/// The answer that would have told the browser of the record is late, so the login comes with the
/// cookie of before.
#[tokio::test]
async fn a_renewal_leaves_no_record_of_before() {
    for kind in [Kind::Overflow, Kind::RevocableOverflow] {
        for size in [0, 1_000] {
            let world = kind.world();
            let jar = &mut Jar::default();
            world.put(jar, "visitor", 1).await;
            let late = &mut jar.clone();
            world.put(late, "cart", "x".repeat(1_000)).await;
            let login = async |session: Session| {
                session.load().await.unwrap();
                session.insert("user", "x".repeat(size)).unwrap();
                session.renew();
            };
            world.visit(jar, login).await;
            let keys = async |session: Session| {
                session.load().await.unwrap();
                session.keys().unwrap()
            };
            let (found, _) = world.visit(jar, keys).await;
            assert!(found.contains(&"user".to_owned()), "{found:?}");
            let (found, _) = world.visit(late, keys).await;
            assert_eq!(found, [""; 0], "{kind:?}, {size} bytes");
        }
    }
}
