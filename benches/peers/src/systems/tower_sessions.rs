//! tower-sessions: the values are in its memory store, the cookie holds the ID.

use axum::{Router, body::Body, response::Response, routing::get};
use kit::{for_action, scenario::Action};
use tower_sessions::{
    MemoryStore, Session, SessionManagerLayer, cookie::Key, service::CookieController,
};

use super::{Sessions, handlers};
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
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |action| {
            for_action!(action, ACTION => get(async move |session: Session| {
                handle(&session, ACTION).await;
                Response::new(Body::empty())
            }))
        };
        Some(handlers(routes, handler).layer(self.clone()))
    }
}

/// Defines the handler for a type of sessions: that of tower-sessions, or that of the older core
/// which its cookie store needs.
macro_rules! define_handle {
    ($session:ty) => {
        use kit::scenario::{ADA, COUNT, PROFILES, Profile, profile_key, text_key};

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
                Action::Create(profiles) => {
                    for key in PROFILES.iter().take(profiles) {
                        session.insert(key, ADA).await.expect(REASON);
                    }
                }
                Action::Prepare(content) => {
                    for number in 0..content.profiles {
                        let key = profile_key(number);
                        session.insert(&key, ADA).await.expect(REASON);
                    }
                    for number in 0..content.texts {
                        let (key, text) = (text_key(number), content.text());
                        session.insert(&key, text).await.expect(REASON);
                    }
                    session.insert(COUNT, 0).await.expect(REASON);
                }
                Action::Expect(content, count) => {
                    for number in 0..content.profiles {
                        let profile: Option<Profile> =
                            session.get(&profile_key(number)).await.expect(REASON);
                        assert_eq!(profile, Some(ADA.to_owned()));
                    }
                    for number in 0..content.texts {
                        let text: Option<String> =
                            session.get(&text_key(number)).await.expect(REASON);
                        assert_eq!(text, Some(content.text()));
                    }
                    assert!(count.is_none() || session.get(COUNT).await.expect(REASON) == count);
                }
                Action::ExpectEmpty => {
                    assert_eq!(session.get::<u64>(COUNT).await.expect(REASON), None)
                }
            }
        }
    };
}
pub(super) use define_handle;

define_handle!(Session);
