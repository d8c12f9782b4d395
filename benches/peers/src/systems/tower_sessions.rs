//! tower-sessions: the values are in its memory store, the cookie has the ID.

use axum::{Router, body::Body, routing::get};
use http::Request;
use tower::{Layer, service_fn};
use tower_sessions::{
    MemoryStore, Session, SessionManagerLayer, cookie::Key, service::CookieController,
};

use super::{Sessions, handlers};
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

impl<C: CookieController + Sync> Sessions for SessionManagerLayer<MemoryStore, C> {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        Some(Box::new(Tower(self.layer(service_fn(
            move |request: Request<()>| answer(request, action),
        )))))
    }

    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |action| get(move |request: Request<Body>| answer(request, action));
        Some(handlers(routes, handler).layer(self.clone()))
    }
}

/// Defines what answers requests, for a type of sessions: of tower-sessions, or of the older core
/// that its cookie store needs.
macro_rules! define_answer {
    ($session:ty) => {
        use $crate::scenarios::{ADA, COUNT, PROFILE, Profile, key};

        async fn handle(session: &$session, action: Action) {
            const REASON: &str = "sessions in cookies and in memory do not fail";
            match action {
                Action::Nothing => {}
                Action::Read => drop(
                    session
                        .get::<u64>(COUNT)
                        .await
                        .expect(REASON)
                        .expect("there is a counter"),
                ),
                Action::Count => {
                    let count: u64 = session
                        .get(COUNT)
                        .await
                        .expect(REASON)
                        .expect("there is a counter");
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
                        let profile: Option<Profile> =
                            session.get(&key(number)).await.expect(REASON);
                        assert_eq!(profile, Some(ADA.to_owned()));
                    }
                    assert!(count.is_none() || session.get(COUNT).await.expect(REASON) == count);
                }
                Action::ExpectEmpty => {
                    assert_eq!(session.get::<u64>(COUNT).await.expect(REASON), None)
                }
            }
        }

        async fn answer<B>(
            request: http::Request<B>,
            action: Action,
        ) -> Result<http::Response<Body>, std::convert::Infallible> {
            let (head, _) = request.into_parts();
            handle(head.extensions.get().expect("the layer is around"), action).await;
            Ok(http::Response::new(Body::empty()))
        }
    };
}
pub(super) use define_answer;

define_answer!(Session);
