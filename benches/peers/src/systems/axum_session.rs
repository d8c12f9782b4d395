//! axum_session: the values are in memory, with its pool for no database. The cookie holds the ID.

use axum::{Router, body::Body, response::Response, routing::get};
use axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use kit::{
    endpoint::poll_once,
    for_action,
    scenario::{ADA, Action, COUNT, PROFILES, Profile, profile_key, text_key},
};

use super::{Sessions, handlers};

pub(super) fn plain() -> Box<dyn Sessions> {
    let store = poll_once(SessionStore::new(None, SessionConfig::default()))
        .expect("there is no database to fail");
    Box::new(SessionLayer::<SessionNullPool>::new(store))
}

impl Sessions for SessionLayer<SessionNullPool> {
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |action| {
            for_action!(action, ACTION => get(async move |session: Session<SessionNullPool>| {
                handle(&session, ACTION);
                Response::new(Body::empty())
            }))
        };
        Some(handlers(routes, handler).layer(self.clone()))
    }
}

fn handle(session: &Session<SessionNullPool>, action: Action) {
    match action {
        Action::Nothing => {}
        Action::Read => drop(session.get::<u64>(COUNT).expect("there is a counter")),
        Action::Count => {
            let count: u64 = session.get(COUNT).expect("there is a counter");
            session.set(COUNT, count + 1);
        }
        Action::Create(profiles) => {
            for key in PROFILES.iter().take(profiles) {
                session.set(key, ADA);
            }
        }
        Action::Prepare(content) => {
            for number in 0..content.profiles {
                session.set(&profile_key(number), ADA);
            }
            for number in 0..content.texts {
                session.set(&text_key(number), content.text());
            }
            session.set(COUNT, 0);
        }
        Action::Expect(content, count) => {
            for number in 0..content.profiles {
                let profile: Option<Profile> = session.get(&profile_key(number));
                assert_eq!(profile, Some(ADA.to_owned()));
            }
            for number in 0..content.texts {
                let text: Option<String> = session.get(&text_key(number));
                assert_eq!(text, Some(content.text()));
            }
            assert!(count.is_none() || session.get(COUNT) == count);
        }
        Action::ExpectEmpty => assert_eq!(session.get::<u64>(COUNT), None),
    }
}
