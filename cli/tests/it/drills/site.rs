//! The servers of one application, which are deployed one by one.

use std::{
    convert::Infallible,
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header};
use silverback::{
    Clock, Error, Keys, Session, SessionConfig, SessionLayer,
    store::IntoBackend,
    testing::{Body, Browser},
};
use tower::{Layer as _, ServiceExt as _, service_fn, util::BoxCloneSyncService};

use super::chance::Chance;
use crate::support::World;

pub(super) type Service = BoxCloneSyncService<Request<Body>, Response<String>, Infallible>;
pub(super) type Visitor = Browser<Service>;

/// The site's address. All its pages are below a folder, so that its cookies may have that path.
pub(super) const ORIGIN: &str = "https://www.example.com";
pub(super) const FOLDER: &str = "/shop";

/// The device of a login whose session is in no list.
pub(super) const ALONE: &str = "-";

/// One server.
pub(super) struct Node {
    service: Service,
    keys: Keys,
}

impl Node {
    /// Starts a server with the world's keys and settings, whose sessions are in the world's store.
    pub(super) fn start(world: &World) -> Self {
        Self::with(world, world.store.clone(), &Clock::system(), patient)
    }

    /// Like [`start`](Self::start), with additional settings.
    pub(super) fn with(
        world: &World,
        store: impl IntoBackend,
        clock: &Clock,
        change: impl FnOnce(SessionConfig) -> SessionConfig,
    ) -> Self {
        let keys = Keys::from_file(world.key_file()).unwrap();
        let config = SessionConfig::new("account", store, keys.clone()).settings(world.settings());
        let layer = SessionLayer::new(change(config)).clock(clock.clone());
        Self::of(layer.layer(service_fn(answer)), keys)
    }

    pub(super) fn of<S>(service: S, keys: Keys) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<String>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        let service = BoxCloneSyncService::new(service);
        Self { service, keys }
    }

    /// Puts something in front of the server that changes its requests and responses.
    pub(super) fn behind(
        self,
        request: impl Fn(&mut Request<Body>) + Clone + Send + Sync + 'static,
        response: impl Fn(&mut Response<String>) + Clone + Send + Sync + 'static,
    ) -> Self {
        let (inner, keys) = (self.service, self.keys);
        let outer = service_fn(move |mut asked: Request<Body>| {
            let (inner, request, response) = (inner.clone(), request.clone(), response.clone());
            async move {
                request(&mut asked);
                let mut answered = inner.oneshot(asked).await?;
                response(&mut answered);
                Ok(answered)
            }
        });
        Self::of(outer, keys)
    }
}

/// Longer than the default, for busy machines.
pub(super) fn patient(config: SessionConfig) -> SessionConfig {
    config.store_timeout(Duration::from_secs(120))
}

/// All servers. Clones share the site.
#[derive(Clone)]
pub(super) struct Site(Arc<RwLock<Vec<Node>>>);

impl Site {
    pub(super) fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        Self(Arc::new(RwLock::new(nodes.into_iter().collect())))
    }

    /// Two servers with their sessions in the world's store.
    pub(super) fn start(world: &World) -> Self {
        Self::new([Node::start(world), Node::start(world)])
    }

    /// Replaces a server. The old one completes its running requests.
    pub(super) fn deploy(&self, which: usize, node: Node) {
        self.0.write().unwrap()[which] = node;
    }

    /// Has a server read its keys again, as on a signal.
    pub(super) fn reload(&self, which: usize, path: &Path) {
        let keys = Keys::from_file(path).unwrap();
        self.0.read().unwrap()[which].keys.replace(&keys);
    }

    /// A visitor whose requests go to any server.
    pub(super) fn visitor(&self, seed: u64) -> Visitor {
        let chance = Chance::new(seed);
        self.browser(move |nodes| chance.below(nodes))
    }

    /// A visitor whose requests go to one server.
    pub(super) fn visitor_of(&self, which: usize) -> Visitor {
        self.browser(move |_| which)
    }

    fn browser(&self, pick: impl Fn(usize) -> usize + Send + Sync + 'static) -> Visitor {
        let (nodes, pick) = (Arc::clone(&self.0), Arc::new(pick));
        let balancer = service_fn(move |request: Request<Body>| {
            let nodes = nodes.read().unwrap();
            let node = nodes[pick(nodes.len())].service.clone();
            drop(nodes);
            node.oneshot(request)
        });
        Browser::new(BoxCloneSyncService::new(balancer)).at(ORIGIN)
    }
}

async fn answer(request: Request<Body>) -> Result<Response<String>, Infallible> {
    let session = request.extensions().get::<Session>().cloned().unwrap();
    let path = request.uri().path().strip_prefix(FOLDER).unwrap();
    Ok(match serve(&session, path).await {
        Ok(text) => Response::new(text),
        Err(error) => refuse(&error),
    })
}

async fn serve(session: &Session, path: &str) -> Result<String, Error> {
    session.load().await?;
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    match *parts {
        // A session in a cookie alone cannot be listed.
        ["login", user, ALONE] => {
            session.renew();
            session.insert("user", user)?;
        }
        ["login", user, device] => {
            session.set_subject(user, device)?;
            session.insert("user", user)?;
        }
        ["add"] if session.contains_key("user")? => {
            session.update("items", |items: &mut u64| *items += 1)?;
        }
        ["logout"] => session.destroy().await?,
        _ => {}
    }
    let why = session.rejection().map(|reason| format!("{reason:?}"));
    let user = session.get_or_default::<String>("user")?;
    let items = session.get_or_default::<u64>("items")?;
    Ok(format!("{user},{items},{}", why.unwrap_or_default()))
}

/// Like the crate's `IntoResponse` for axum.
fn refuse(error: &Error) -> Response<String> {
    let (mut response, answer) = (Response::new(String::new()), error.answer());
    *response.status_mut() = answer.status();
    if let Some(wait) = answer.retry_after() {
        let seconds = HeaderValue::from(wait.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// What a page shows about its visitor.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) user: String,
    pub(super) items: u64,
    /// Why the cookie was refused.
    pub(super) why: String,
}

impl Seen {
    pub(super) fn of(text: &str) -> Self {
        let parts: Vec<_> = text.split(',').collect();
        Self {
            user: parts[0].to_owned(),
            items: parts[1].parse().unwrap(),
            why: parts[2].to_owned(),
        }
    }
}

/// Opens a page, which has to succeed.
pub(super) async fn look(visitor: &Visitor) -> Seen {
    let page = visitor.get(&format!("{FOLDER}/")).await;
    assert_eq!(page.status(), 200, "{page:?}");
    Seen::of(page.text())
}

/// Logs in, which has to succeed.
pub(super) async fn log_in(visitor: &Visitor, user: &str, device: &str) {
    let path = format!("{FOLDER}/login/{user}/{device}");
    let page = visitor.post(&path, "text/plain", "").await;
    assert_eq!(page.status(), 200, "{page:?}");
}
