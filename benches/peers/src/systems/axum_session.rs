//! axum_session: the values are in memory, as its pool of no database has it; the cookie has the
//! ID.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use axum::{Router, body::Body, routing::get};
use axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use http::{Request, Response};
use tower::{Layer, service_fn};

use super::{Sessions, handlers};
use crate::{
    endpoint::{Endpoint, Tower, now},
    scenarios::{ADA, Action, COUNT, PROFILE, Profile, key},
};

pub(super) fn plain() -> Box<dyn Sessions> {
    let store = now(SessionStore::new(None, SessionConfig::default()))
        .expect("there is no database to fail");
    Box::new(SessionLayer::<SessionNullPool>::new(store))
}

impl Sessions for SessionLayer<SessionNullPool> {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        Some(Box::new(Tower(self.layer(service_fn(
            move |request: Request<()>| answer(&request, action),
        )))))
    }

    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |action| get(move |request: Request<Body>| answer(&request, action));
        Some(handlers(routes, handler).layer(self.clone()))
    }
}

fn answer<B>(request: &Request<B>, action: Action) -> Ready<Result<Response<Body>, Infallible>> {
    handle(
        request.extensions().get().expect("the layer is around"),
        action,
    );
    ready(Ok(Response::new(Body::empty())))
}

fn handle(session: &Session<SessionNullPool>, action: Action) {
    match action {
        Action::Nothing => {}
        Action::Read => drop(session.get::<u64>(COUNT).expect("there is a counter")),
        Action::Count => {
            let count: u64 = session.get(COUNT).expect("there is a counter");
            session.set(COUNT, count + 1);
        }
        Action::Create => session.set(PROFILE, ADA),
        Action::Prepare(profiles) => {
            (0..profiles).for_each(|number| session.set(&key(number), ADA));
            session.set(COUNT, 0);
        }
        Action::Expect(profiles, count) => {
            for number in 0..profiles {
                assert_eq!(session.get::<Profile>(&key(number)), Some(ADA.to_owned()));
            }
            assert!(count.is_none() || session.get(COUNT) == count);
        }
        Action::ExpectEmpty => assert_eq!(session.get::<u64>(COUNT), None),
    }
}
