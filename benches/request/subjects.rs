//! Who answers: the bare service, the floor, and silverback around the same service.

use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use silverback::{
    Error, Key, KeyError, Keys, Session, SessionConfig, SessionLayer,
    store::{Backend, CookieStore, IntoBackend, MemoryStore},
};
use tower::{Layer, Service, service_fn};

use crate::{
    floor::Floor,
    scenarios::{ADA, Action, COUNT, Kind, NAME, PROFILE, Scenario, request},
};

pub(crate) type Call = Box<dyn FnMut(Request<()>) -> Response<()>>;

/// A service, and the cookies of the requests that it gets.
pub(crate) struct Subject {
    pub(crate) call: Call,
    field: Option<Bytes>,
}

/// The bare service, the floor and silverback, in this order.
pub(crate) const SUBJECTS: usize = 3;

/// The secret of both sides, so that each can open what the other has sealed.
const SECRET: &[u8; 32] = b"not a secret: for measuring only";

impl Subject {
    pub(crate) fn all(scenario: &Scenario, kind: Kind) -> Result<[Self; SUBJECTS], KeyError> {
        let layer = layer(kind)?;
        let floor = Arc::new(Floor::new(kind, SECRET));
        let silverback = Self::new(scenario, |action| silverback(&layer, action));
        let floor = Self::new(scenario, |action| floored(&floor, action));
        let bare = Self {
            call: bare(),
            field: silverback.field.clone(),
        };
        Ok([bare, floor, silverback])
    }

    fn new(scenario: &Scenario, make: impl Fn(Action) -> Call) -> Self {
        let cookie = scenario
            .preparation()
            .and_then(|action| set_cookie(&make(action)(request(None))));
        Self {
            call: make(scenario.action),
            field: cookie.map(|cookie| scenario.field(&pair(&cookie))),
        }
    }

    pub(crate) fn request(&self) -> Request<()> {
        request(self.field.as_ref())
    }
}

fn layer(kind: Kind) -> Result<SessionLayer, KeyError> {
    let store: Backend = match kind {
        Kind::Encrypted => CookieStore::new().into_backend(),
        Kind::Signed => CookieStore::new().signed().into_backend(),
        Kind::Memory => MemoryStore::new().into_backend(),
    };
    let keys = Keys::new(Key::from_bytes(SECRET)?);
    let config = SessionConfig::new(NAME, store, keys).cookie_name(NAME);
    Ok(SessionLayer::new(config))
}

fn service(
    handler: impl Fn(&Request<()>),
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> {
    service_fn(move |request: Request<()>| {
        handler(&request);
        ready(Ok(Response::new(())))
    })
}

fn bare() -> Call {
    let mut service = service(|_| ());
    Box::new(move |request| run(&mut service, request))
}

fn silverback(layer: &SessionLayer, action: Action) -> Call {
    let mut service = layer.layer(service(move |request| {
        let session = request
            .extensions()
            .get::<Session>()
            .expect("the layer is around");
        handle(session, action).expect("cookie and memory sessions do not fail");
    }));
    Box::new(move |request| run(&mut service, request))
}

fn handle(session: &Session, action: Action) -> Result<(), Error> {
    match action {
        Action::Nothing => {}
        Action::Read => {
            black_box(
                session
                    .get::<u64>(COUNT)?
                    .expect("the session has a counter"),
            );
        }
        Action::Count => {
            black_box(session.update(COUNT, |count: &mut u64| {
                *count += 1;
                *count
            })?);
        }
        Action::Create => session.insert(PROFILE, ADA)?,
        Action::Prepare(profiles) => {
            (0..profiles)
                .try_for_each(|number| session.insert(&format!("{PROFILE}{number}"), ADA))?;
            session.insert(COUNT, 0)?;
        }
        Action::Expect(count) => assert_eq!(session.get(COUNT)?, Some(count)),
    }
    Ok(())
}

fn floored(floor: &Arc<Floor>, action: Action) -> Call {
    let handler = {
        let floor = Arc::clone(floor);
        move |request: &Request<()>| floor.handle(request, action).expect("the cookie is valid")
    };
    let (floor, mut service) = (Arc::clone(floor), service(handler));
    Box::new(move |request| floor.around(request, |request| run(&mut service, request)))
}

fn run<S>(service: &mut S, request: Request<()>) -> Response<()>
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    match pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// `name=value` of a `Set-Cookie` field.
fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap_or_default().to_owned()
}

fn set_cookie(response: &Response<()>) -> Option<String> {
    let cookie = response
        .headers()
        .get(header::SET_COOKIE)
        .map(HeaderValue::to_str)?;
    Some(cookie.expect("cookies are visible ASCII").to_owned())
}

/// Sees to it that the floor does the same job: in a cookie, each side counts on in what the other
/// has made.
pub(crate) fn check() -> Result<(), KeyError> {
    let length = serde_json::to_vec(&ADA).map(|json| json.len()).ok();
    assert_eq!(
        length,
        Some(119),
        "with the counter it is 120 bytes of JSON"
    );
    for kind in Kind::ALL {
        let (layer, floor) = (layer(kind)?, Arc::new(Floor::new(kind, SECRET)));
        let ours = |action| silverback(&layer, action);
        let theirs = |action| floored(&floor, action);
        if kind == Kind::Memory {
            check_pair(&ours, &ours);
            check_pair(&theirs, &theirs);
        } else {
            check_pair(&ours, &theirs);
            check_pair(&theirs, &ours);
        }
    }
    Ok(())
}

fn check_pair(first: &dyn Fn(Action) -> Call, second: &dyn Fn(Action) -> Call) {
    let prepared =
        set_cookie(&first(Action::Prepare(2))(request(None))).expect("a session was made");
    let mut cookie = prepared.clone();
    for (side, action) in [
        (second, Action::Count),
        (first, Action::Count),
        (second, Action::Expect(2)),
    ] {
        let response = side(action)(request(Some(&pair(&cookie).into())));
        cookie = set_cookie(&response).unwrap_or(cookie);
        assert_eq!(cookie.len(), prepared.len());
        assert_eq!(
            cookie.split_once(';').map(|all| all.1),
            prepared.split_once(';').map(|all| all.1)
        );
    }
}
