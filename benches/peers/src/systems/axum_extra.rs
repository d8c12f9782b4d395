//! axum-extra: a jar of cookies, and in one of them the values as JSON.
//!
//! Its jars are extractors: a handler that does not use its session does not take one, and nothing
//! is around it.

use std::{convert::Infallible, future::ready, hint::black_box, sync::Arc};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, IntoResponseParts, Response},
    routing::get,
};
use axum_extra::extract::{
    PrivateCookieJar, SignedCookieJar,
    cookie::{Cookie, Key},
};
use http::{HeaderMap, Request};
use serde::{Deserialize, Serialize};
use tower::service_fn;

use super::{Sessions, handlers};
use crate::{
    endpoint::{Endpoint, Tower},
    scenarios::{ADA, Action, NAME, Profile},
};

pub(super) fn private() -> Box<dyn Sessions> {
    Box::new(Jars::<PrivateCookieJar> {
        key: Key::generate(),
        open: PrivateCookieJar::from_headers,
        get: PrivateCookieJar::get,
        add: PrivateCookieJar::add,
    })
}

pub(super) fn signed() -> Box<dyn Sessions> {
    Box::new(Jars::<SignedCookieJar> {
        key: Key::generate(),
        open: SignedCookieJar::from_headers,
        get: SignedCookieJar::get,
        add: SignedCookieJar::add,
    })
}

/// The same methods of either jar.
struct Jars<J> {
    key: Key,
    open: fn(&HeaderMap, Key) -> J,
    get: fn(&J, &str) -> Option<Cookie<'static>>,
    add: fn(J, Cookie<'static>) -> J,
}

impl<J> Clone for Jars<J> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            ..*self
        }
    }
}

/// What is in the cookie.
#[derive(Default, Deserialize, Serialize)]
struct Values<S = String> {
    count: u64,
    profiles: Vec<Profile<S>>,
}

impl<J: IntoResponseParts + 'static> Sessions for Jars<J> {
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        let jars = self.clone();
        let service = service_fn(move |request: Request<()>| {
            ready(Ok::<_, Infallible>(jars.handle(&request, action)))
        });
        (action != Action::Nothing).then(|| Box::new(Tower(service)) as Box<dyn Endpoint>)
    }

    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let jars = Arc::new(self.clone());
        Some(handlers(routes, |action| {
            let jars = Arc::clone(&jars);
            get(move |request: Request<Body>| ready(jars.handle(&request, action)))
        }))
    }
}

impl<J: IntoResponseParts> Jars<J> {
    fn handle<B>(&self, request: &Request<B>, action: Action) -> Response {
        let jar = (self.open)(request.headers(), self.key.clone());
        let response = Response::new(Body::empty());
        match action {
            Action::Nothing => response,
            Action::Read => {
                black_box(self.read(&jar).expect("there is a cookie").count);
                response
            }
            Action::Count => {
                let mut values = self.read(&jar).expect("there is a cookie");
                values.count += 1;
                (self.write(jar, &values), response).into_response()
            }
            Action::Create => (
                self.write(
                    jar,
                    &Values {
                        count: 0,
                        profiles: vec![ADA],
                    },
                ),
                response,
            )
                .into_response(),
            Action::Prepare(profiles) => {
                let profiles = (0..profiles).map(|_| ADA).collect();
                (self.write(jar, &Values { count: 0, profiles }), response).into_response()
            }
            Action::Expect(profiles, count) => {
                let values = self.read(&jar).expect("there is a cookie");
                assert!(count.is_none_or(|count| values.count == count));
                assert_eq!(values.profiles.len(), profiles);
                assert!(
                    values
                        .profiles
                        .iter()
                        .all(|profile| *profile == ADA.to_owned())
                );
                response
            }
            Action::ExpectEmpty => {
                assert!(self.read(&jar).is_none());
                response
            }
        }
    }

    fn read(&self, jar: &J) -> Option<Values> {
        let cookie = (self.get)(jar, NAME)?;
        Some(serde_json::from_str(cookie.value()).expect("it has been written by this program"))
    }

    fn write(&self, jar: J, values: &Values<impl Serialize>) -> J {
        let json = serde_json::to_string(values).expect("these values are JSON");
        (self.add)(
            jar,
            Cookie::build((NAME, json))
                .path("/")
                .http_only(true)
                .secure(true)
                .build(),
        )
    }
}
