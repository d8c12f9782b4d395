//! silverback and its peers, each with the settings with which its documentation begins.

mod actix_session;
mod axum_extra;
mod axum_session;
mod floor;
mod silverback;
mod tower_sessions;
mod tower_sessions_cookie_store;

use axum::{
    Router,
    body::Body,
    http::Method,
    response::Response,
    routing::{MethodRouter, get},
};
use kit::{
    endpoint::{Endpoint, Web},
    scenario::Action,
    sessions::bare_router,
};
use tower::layer::util::Identity;

/// Where a session is kept. Only systems of one kind are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// There is no session.
    Nothing,
    Encrypted,
    Signed,
    Memory,
}

impl Kind {
    /// The kinds with sessions.
    pub(crate) const KEPT: [Self; 3] = [Self::Encrypted, Self::Signed, Self::Memory];
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::Encrypted, Self::Signed, Self::Memory];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Nothing => "no session",
            Self::Encrypted => "encrypted cookie",
            Self::Signed => "signed cookie",
            Self::Memory => "memory",
        }
    }
}

/// A store or a key, and the sessions made with it.
pub(crate) trait Sessions {
    /// An axum router with an `async fn` at each of these paths, which gets the session from an
    /// extractor.
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router>;

    /// A handler that does this action, called directly. `None` if it does not use its session and
    /// so has nothing around it.
    fn endpoint(&self, action: Action) -> Option<Box<dyn Endpoint>> {
        Some(Box::new(Web::serve(self.router(&[("/", action)])?)))
    }
}

/// axum with a layer and an extractor that do nothing. Every system with both has this cost.
struct Nothing;

impl Sessions for Nothing {
    fn router(&self, routes: &[(&str, Action)]) -> Option<Router> {
        let handler = |_| get(async |_: Method| Response::new(Body::empty()));
        Some(handlers(routes, handler).layer(Identity::new()))
    }
}

/// axum alone.
fn bare() -> Box<dyn Endpoint> {
    Box::new(Web::serve(bare_router(&["/"])))
}

/// A handler at each of these paths.
pub(crate) fn handlers(
    routes: &[(&str, Action)],
    handler: impl Fn(Action) -> MethodRouter,
) -> Router {
    routes
        .iter()
        .fold(Router::new(), |router, &(path, action)| {
            router.route(path, handler(action))
        })
}

pub(crate) use self::floor::check as check_floors;

pub(crate) struct System {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    /// The package whose version is printed.
    pub(crate) package: &'static str,
    pub(crate) new: fn() -> Box<dyn Sessions>,
    /// The same service without sessions.
    pub(crate) bare: fn() -> Box<dyn Endpoint>,
}

const COOKIE_STORE: &str = "tower-sessions-cookie-store";

/// All systems by kind, silverback first in each kind.
pub(crate) const SYSTEMS: &[System] = &[
    tower(
        Kind::Nothing,
        "a layer and an extractor that do nothing",
        "axum",
        || Box::new(Nothing),
    ),
    tower(
        Kind::Encrypted,
        "silverback",
        "silverback",
        silverback::encrypted,
    ),
    tower(
        Kind::Encrypted,
        "tower-sessions-cookie-store, private",
        COOKIE_STORE,
        tower_sessions_cookie_store::private,
    ),
    tower(
        Kind::Encrypted,
        "axum-extra, `PrivateCookieJar`",
        "axum-extra",
        axum_extra::private,
    ),
    actix(
        Kind::Encrypted,
        "actix-session, private",
        actix_session::private,
    ),
    tower(Kind::Signed, "silverback", "silverback", silverback::signed),
    tower(
        Kind::Signed,
        "tower-sessions-cookie-store, signed",
        COOKIE_STORE,
        tower_sessions_cookie_store::signed,
    ),
    tower(
        Kind::Signed,
        "axum-extra, `SignedCookieJar`",
        "axum-extra",
        axum_extra::signed,
    ),
    actix(Kind::Signed, "actix-session, signed", actix_session::signed),
    tower(Kind::Memory, "silverback", "silverback", silverback::memory),
    tower(
        Kind::Memory,
        "tower-sessions, plain",
        "tower-sessions",
        tower_sessions::plain,
    ),
    tower(
        Kind::Memory,
        "tower-sessions, signed",
        "tower-sessions",
        tower_sessions::signed,
    ),
    tower(
        Kind::Memory,
        "tower-sessions, private",
        "tower-sessions",
        tower_sessions::private,
    ),
    tower(
        Kind::Memory,
        "axum_session, plain",
        "axum_session",
        axum_session::plain,
    ),
];

/// The floor of each kind, which is measured end to end.
pub(crate) const FLOORS: &[System] = &[
    tower(Kind::Encrypted, FLOOR, "ring", floor::encrypted),
    tower(Kind::Signed, FLOOR, "ring", floor::signed),
    tower(Kind::Memory, FLOOR, "ring", floor::memory),
];

const FLOOR: &str = "the least code";

const fn tower(
    kind: Kind,
    name: &'static str,
    package: &'static str,
    new: fn() -> Box<dyn Sessions>,
) -> System {
    System {
        kind,
        name,
        package,
        new,
        bare,
    }
}

const fn actix(kind: Kind, name: &'static str, new: fn() -> Box<dyn Sessions>) -> System {
    System {
        kind,
        name,
        package: "actix-session",
        new,
        bare: actix_session::bare,
    }
}
