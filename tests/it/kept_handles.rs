//! A handle that outlives its request.

use silverback::{ErrorKind, Session};

use crate::support::{Jar, Site};

/// Only the response can end a session that is in its cookie alone.
#[tokio::test]
async fn a_cookie_session_cannot_end_too_late() {
    let site = Site::cookie();
    let jar = &mut Jar::default();
    let (used, _) = site
        .visit(jar, async |session| {
            session.insert("user", 7).unwrap();
            session
        })
        .await;
    let (unused, _) = site.visit(&mut jar.clone(), async |session| session).await;
    for late in [used, unused] {
        for _ in 0..2 {
            let error = late.destroy().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyCommitted);
        }
    }
    let user = async |session: Session| session.get::<u32>("user").unwrap();
    assert_eq!(site.visit(jar, user).await.0, Some(7));
}
