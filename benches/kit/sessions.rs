//! silverback in a scenario: its layer and its handlers.

use std::{convert::Infallible, future::ready, hint::black_box};

use axum::{Router, body::Body, response::Response, routing::get};
use http::Request;
use silverback::{
    Error, Key, Keys, Session, SessionConfig, SessionLayer, SessionName, SessionOf,
    store::{Backend, CookieStore, IntoBackend, MemoryStore},
};
use tower::{Layer, layer::util::Identity, service_fn};

use crate::{
    endpoint::{Endpoint, NoRuntime, Plain, Web},
    for_action,
    scenario::{ADA, Action, COUNT, NAME, PROFILES, Profile, Used, Way, profile_key, text_key},
};

/// Where a session is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Encrypted,
    Signed,
    Memory,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Encrypted, Self::Signed, Self::Memory];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Signed => "signed",
            Self::Memory => "memory",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::Encrypted => "Encrypted cookie",
            Self::Signed => "Signed cookie",
            Self::Memory => "Memory store",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn backend(self) -> Backend {
        match self {
            Self::Encrypted => CookieStore::new().into_backend(),
            Self::Signed => CookieStore::new().signed().into_backend(),
            Self::Memory => MemoryStore::new().into_backend(),
        }
    }
}

/// A fixed secret, so that the floor can open silverback's tokens.
pub const SECRET: &[u8; 32] = b"not a secret: for measuring only";

const NAMES: [&str; 4] = [NAME, "account", "cart", "locale"];

/// The second session.
#[derive(Clone, Copy)]
struct Second;

impl SessionName for Second {
    const NAME: &'static str = "account";
}

/// The third session.
#[derive(Clone, Copy)]
struct Third;

impl SessionName for Third {
    const NAME: &'static str = "cart";
}

/// A layer with this many sessions, all kept in one backend.
pub fn layer(backend: impl IntoBackend, configured: usize) -> SessionLayer {
    let keys = Keys::new(Key::from_bytes(SECRET).expect("it is long enough"));
    let config = SessionConfig::new(NAME, backend, keys);
    let of = |name: &str| config.clone().named(name).cookie_name(name);
    let rest = NAMES.iter().take(configured).skip(1);
    rest.fold(SessionLayer::new(of(NAME)), |layer, name| {
        layer.with(of(name))
    })
}

/// A service inside the layer, with a handler that does this action.
pub fn endpoint(layer: &SessionLayer, way: Way, used: Used, action: Action) -> Box<dyn Endpoint> {
    match way {
        Way::Extensions => {
            let service = service_fn(move |request: Request<()>| {
                let session = request.extensions().get::<Session>();
                act(session.expect("the layer is around"), action);
                ready(Ok::<_, Infallible>(http::Response::new(())))
            });
            Box::new(Plain(layer.layer(service), NoRuntime))
        }
        Way::Extractor => Box::new(Web::serve(router(layer, used, &[("/", action)]))),
    }
}

/// The bare service, whose cost is subtracted. For the extractor it has a layer that does nothing,
/// since axum boxes every service inside a layer.
pub fn bare(way: Way) -> Box<dyn Endpoint> {
    match way {
        Way::Extensions => {
            let service = service_fn(|request: Request<()>| {
                black_box(&request);
                ready(Ok::<_, Infallible>(http::Response::new(())))
            });
            Box::new(Plain(service, NoRuntime))
        }
        Way::Extractor => Box::new(Web::serve(bare_router(&["/"]).layer(Identity::new()))),
    }
}

/// An axum router without sessions and layers.
pub fn bare_router(paths: &[&str]) -> Router {
    paths.iter().fold(Router::new(), |router, path| {
        router.route(path, get(async || Response::new(Body::empty())))
    })
}

/// An axum router with sessions, and a handler at each of these paths.
pub fn router(layer: &SessionLayer, used: Used, routes: &[(&str, Action)]) -> Router {
    let method = |action| match used {
        Used::None => get(async || Response::new(Body::empty())),
        Used::First => for_action!(action, ACTION => get(async move |session: Session| {
            act(&session, ACTION);
            Response::new(Body::empty())
        })),
        Used::Third => for_action!(action, ACTION => get(async move |session: SessionOf<Third>| {
            act(&session, ACTION);
            Response::new(Body::empty())
        })),
        Used::Two => {
            for_action!(action, ACTION => get(async move |one: Session, two: SessionOf<Second>| {
                act(&one, ACTION);
                act(&two, ACTION);
                Response::new(Body::empty())
            }))
        }
    };
    routes
        .iter()
        .fold(Router::new(), |router, &(path, action)| {
            router.route(path, method(action))
        })
        .layer(layer.clone())
}

fn act(session: &Session, action: Action) {
    try_act(session, action)
        .expect("sessions in cookies, in memory and on a sound disk do not fail");
}

fn try_act(session: &Session, action: Action) -> Result<(), Error> {
    match action {
        Action::Nothing => {}
        Action::Read => {
            black_box(session.get::<u64>(COUNT)?.expect("there is a counter"));
        }
        Action::Count => {
            black_box(session.update(COUNT, |count: &mut u64| {
                *count += 1;
                *count
            })?);
        }
        Action::Create(profiles) => {
            for key in PROFILES.iter().take(profiles) {
                session.insert(key, ADA)?;
            }
        }
        Action::Prepare(content) => {
            for number in 0..content.profiles {
                session.insert(&profile_key(number), ADA)?;
            }
            for number in 0..content.texts {
                session.insert(&text_key(number), content.text())?;
            }
            session.insert(COUNT, 0)?;
        }
        Action::Expect(content, count) => {
            for number in 0..content.profiles {
                let profile: Option<Profile> = session.get(&profile_key(number))?;
                assert_eq!(profile, Some(ADA.to_owned()));
            }
            for number in 0..content.texts {
                let text: Option<String> = session.get(&text_key(number))?;
                assert_eq!(text, Some(content.text()));
            }
            assert!(count.is_none() || session.get(COUNT)? == count);
        }
        Action::ExpectEmpty => assert!(session.is_empty()?),
    }
    Ok(())
}
