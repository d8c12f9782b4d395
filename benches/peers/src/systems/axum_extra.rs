//! axum-extra: a cookie jar, with the values as JSON in one cookie.
//!
//! Its jars are extractors. A handler that does not use its session takes no jar, and no layer is
//! around it.

use std::{hint::black_box, marker::PhantomData};

use axum::{
    Router,
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, IntoResponseParts, Response},
    routing::get,
};
use axum_extra::extract::{
    PrivateCookieJar, SignedCookieJar,
    cookie::{Cookie, Key},
};
use kit::{
    endpoint::{Endpoint, Web},
    for_action,
    scenario::{ADA, Action, Content, NAME, Profile},
};
use serde::{Deserialize, Serialize};

use super::Sessions;

pub(super) fn private() -> Box<dyn Sessions> {
    Box::new(Jars::<PrivateCookieJar>(Key::generate(), PhantomData))
}

pub(super) fn signed() -> Box<dyn Sessions> {
    Box::new(Jars::<SignedCookieJar>(Key::generate(), PhantomData))
}

struct Jars<J>(Key, PhantomData<J>);

/// The methods that both jars share.
trait Jar: FromRequestParts<Key> + IntoResponseParts + Send + 'static {
    fn get(&self, name: &str) -> Option<Cookie<'static>>;
    fn add(self, cookie: Cookie<'static>) -> Self;
}

impl Jar for PrivateCookieJar {
    fn get(&self, name: &str) -> Option<Cookie<'static>> {
        Self::get(self, name)
    }

    fn add(self, cookie: Cookie<'static>) -> Self {
        Self::add(self, cookie)
    }
}

impl Jar for SignedCookieJar {
    fn get(&self, name: &str) -> Option<Cookie<'static>> {
        Self::get(self, name)
    }

    fn add(self, cookie: Cookie<'static>) -> Self {
        Self::add(self, cookie)
    }
}

/// The content of the cookie.
#[derive(Default, Deserialize, Serialize)]
struct Values<S = String> {
    count: u64,
    profiles: Vec<Profile<S>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    texts: Vec<String>,
}

impl<J: Jar> Sessions for Jars<J> {
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let router = routes
            .iter()
            .fold(Router::new(), |router, &(path, action)| {
                let handler = match action {
                    Action::Nothing => get(async || Response::new(Body::empty())),
                    _ => {
                        for_action!(action, ACTION => get(async move |jar: J| handle(jar, ACTION)))
                    }
                };
                router.route(path, handler)
            });
        Some(router.with_state(self.0.clone()))
    }

    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        let router = self.router(&[("/", action)])?;
        (action != Action::Nothing).then(|| Box::new(Web::serve(router)) as Box<dyn Endpoint>)
    }
}

impl Values<&str> {
    fn of(content: Content) -> Self {
        Self {
            count: 0,
            profiles: (0..content.profiles).map(|_| ADA).collect(),
            texts: (0..content.texts).map(|_| content.text()).collect(),
        }
    }
}

fn handle(jar: impl Jar, action: Action) -> Response {
    let response = Response::new(Body::empty());
    match action {
        Action::Nothing => response,
        Action::Read => {
            black_box(read(&jar).expect("there is a cookie").count);
            response
        }
        Action::Count => {
            let mut values = read(&jar).expect("there is a cookie");
            values.count += 1;
            (write(jar, &values), response).into_response()
        }
        Action::Create(profiles) => {
            let values = Values::of(Content::profiles(profiles));
            (write(jar, &values), response).into_response()
        }
        Action::Prepare(content) => (write(jar, &Values::of(content)), response).into_response(),
        Action::Expect(content, count) => {
            let values = read(&jar).expect("there is a cookie");
            assert!(count.is_none_or(|count| values.count == count));
            let profiles = vec![ADA.to_owned(); content.profiles];
            assert_eq!(values.profiles, profiles);
            assert_eq!(values.texts, Values::of(content).texts);
            response
        }
        Action::ExpectEmpty => {
            assert!(read(&jar).is_none());
            response
        }
    }
}

fn read(jar: &impl Jar) -> Option<Values> {
    let cookie = jar.get(NAME)?;
    Some(serde_json::from_str(cookie.value()).expect("it has been written by this program"))
}

fn write<J: Jar>(jar: J, values: &Values<impl Serialize>) -> J {
    let json = serde_json::to_string(values).expect("these values are JSON");
    jar.add(
        Cookie::build((NAME, json))
            .path("/")
            .http_only(true)
            .secure(true)
            .build(),
    )
}
