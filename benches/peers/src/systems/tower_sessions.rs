//! tower-sessions: the values are in its memory store, the cookie has the ID.

use tower::Layer;
use tower_sessions::{MemoryStore, SessionManagerLayer, cookie::Key, service::CookieController};

use super::Sessions;
use crate::{
    endpoint::{Endpoint, Tower},
    scenarios::Action,
};

pub(super) fn plain() -> Box<dyn Sessions> {
    Box::new(layer())
}

pub(super) fn signed() -> Box<dyn Sessions> {
    Box::new(layer().with_signed(Key::generate()))
}

pub(super) fn private() -> Box<dyn Sessions> {
    Box::new(layer().with_private(Key::generate()))
}

fn layer() -> SessionManagerLayer<MemoryStore> {
    SessionManagerLayer::new(MemoryStore::default())
}

impl<C: CookieController> Sessions for SessionManagerLayer<MemoryStore, C> {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        Some(Box::new(Tower(self.layer(service!(tower_sessions::Session, action)))))
    }
}

/// The service for sessions of this type: of tower-sessions, or of the older core that its cookie store needs.
macro_rules! service {
    ($session:ty, $action:expr) => {{
        use $crate::scenarios::{ADA, Action, COUNT, PROFILE, Profile, key};

        async fn handle(session: &$session, action: Action) {
            const REASON: &str = "sessions in cookies and in memory do not fail";
            match action {
                Action::Nothing => {}
                Action::Read => drop(session.get::<u64>(COUNT).await.expect(REASON).expect("there is a counter")),
                Action::Count => {
                    let count: u64 = session.get(COUNT).await.expect(REASON).expect("there is a counter");
                    session.insert(COUNT, count + 1).await.expect(REASON);
                }
                Action::Create => session.insert(PROFILE, ADA).await.expect(REASON),
                Action::Prepare(profiles) => {
                    for number in 0..profiles {
                        session.insert(&key(number), ADA).await.expect(REASON);
                    }
                    session.insert(COUNT, 0).await.expect(REASON);
                }
                Action::Expect(profiles, count) => {
                    for number in 0..profiles {
                        let profile: Option<Profile> = session.get(&key(number)).await.expect(REASON);
                        assert_eq!(profile, Some(ADA.to_owned()));
                    }
                    assert!(count.is_none() || session.get(COUNT).await.expect(REASON) == count);
                }
                Action::ExpectEmpty => assert_eq!(session.get::<u64>(COUNT).await.expect(REASON), None),
            }
        }

        let action = $action;
        tower::service_fn(move |request: http::Request<()>| async move {
            handle(request.extensions().get().expect("the layer is around"), action).await;
            Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
        })
    }};
}
pub(super) use service;
