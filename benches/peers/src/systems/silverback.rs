//! silverback: the session's values are in the cookie, or in memory under an ID that is sealed.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer,
    store::{CookieStore, IntoBackend, MemoryStore},
};
use tower::{Layer, service_fn};

use super::{Sessions, handlers};
use crate::{
    endpoint::{Endpoint, Tower},
    scenarios::{ADA, Action, COUNT, NAME, PROFILE, Profile, key},
};

pub(super) fn encrypted() -> Box<dyn Sessions> {
    layer(CookieStore::new())
}

pub(super) fn signed() -> Box<dyn Sessions> {
    layer(CookieStore::new().signed())
}

pub(super) fn memory() -> Box<dyn Sessions> {
    layer(MemoryStore::new())
}

fn layer(store: impl IntoBackend) -> Box<dyn Sessions> {
    let keys = Keys::generate().expect("the system has randomness");
    Box::new(SessionLayer::new(
        SessionConfig::new(NAME, store, keys).cookie_name(NAME),
    ))
}

impl Sessions for SessionLayer {
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
    let session = request
        .extensions()
        .get::<Session>()
        .expect("the layer is around");
    handle(session, action).expect("sessions in cookies and in memory do not fail");
    ready(Ok(Response::new(Body::empty())))
}

fn handle(session: &Session, action: Action) -> Result<(), Error> {
    match action {
        Action::Nothing => {}
        Action::Read => drop(session.get::<u64>(COUNT)?.expect("there is a counter")),
        Action::Count => session.update(COUNT, |count: &mut u64| *count += 1)?,
        Action::Create => session.insert(PROFILE, ADA)?,
        Action::Prepare(profiles) => {
            (0..profiles).try_for_each(|number| session.insert(&key(number), ADA))?;
            session.insert(COUNT, 0)?;
        }
        Action::Expect(profiles, count) => {
            for number in 0..profiles {
                assert_eq!(session.get::<Profile>(&key(number))?, Some(ADA.to_owned()));
            }
            assert!(count.is_none() || session.get(COUNT)? == count);
        }
        Action::ExpectEmpty => assert!(session.is_empty()?),
    }
    Ok(())
}
