//! The measured services, which are called in process with nothing in between.

use std::{convert::Infallible, hint::black_box, io, path::Path, sync::Arc};

use http::{Request, Response};
use kit::endpoint::{Drive, Endpoint, NoRuntime, Plain};
use silverback::{
    Error, KeyError, Keys, Session, SessionConfig, SessionLayer, Sessions,
    store::{Backend, CookieStore, FilesystemStore, IntoBackend, MemoryStore},
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, service_fn};

/// Where the sessions are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Encrypted,
    Signed,
    Memory,
    Files,
}

/// The values of each session, apart from the counter, which comes last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    pub(crate) values: usize,
    /// The length of each value's JSON.
    pub(crate) bytes: usize,
}

/// The sessions of a layer, and how a handler gets them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// One session, from the request's extensions.
    One,
    /// This many sessions, each by its name.
    Named(usize),
}

/// What the handler does with each session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Nothing,
    /// Reads the counter.
    Read,
    /// Increments the counter.
    Update,
    /// Makes the session.
    Prepare,
    /// Asserts that all values are there and the counter has this value.
    Expect(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    pub(crate) kind: Kind,
    pub(crate) count: Count,
    pub(crate) content: Content,
    pub(crate) action: Action,
}

pub(crate) type Call = Box<dyn Endpoint + Send>;

const COUNT: &str = "count";
const NAMES: [&str; 8] = [
    "session", "account", "cart", "locale", "tour", "consent", "draft", "admin",
];
/// Enough for a value of 1 MiB and the rest of its session.
const MAX_BYTES: usize = 2 << 20;

impl Kind {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted cookie",
            Self::Signed => "signed cookie",
            Self::Memory => "memory store",
            Self::Files => "filesystem store",
        }
    }
}

/// The stores of sessions.
#[derive(Debug)]
pub(crate) struct Stores {
    files: FilesystemStore,
}

impl Stores {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            files: FilesystemStore::options()
                .max_record_bytes(MAX_BYTES)
                .open(folder.join("sessions"))?,
        })
    }

    fn backend(&self, kind: Kind) -> Backend {
        match kind {
            Kind::Encrypted => CookieStore::new().into_backend(),
            Kind::Signed => CookieStore::new().signed().into_backend(),
            Kind::Memory => MemoryStore::new().into_backend(),
            Kind::Files => self.files.clone().into_backend(),
        }
    }

    pub(crate) fn layer(&self, kind: Kind, count: Count) -> Result<SessionLayer, KeyError> {
        let one = SessionConfig::new("session", self.backend(kind), Keys::generate()?);
        let one = match kind {
            Kind::Encrypted | Kind::Signed => one,
            Kind::Memory | Kind::Files => one.max_bytes(MAX_BYTES),
        };
        let names = NAMES.iter().take(count.number()).skip(1);
        Ok(names.fold(SessionLayer::new(one.clone()), |layer, name| {
            layer.with(one.clone().named(*name))
        }))
    }
}

impl Count {
    const fn number(self) -> usize {
        match self {
            Self::One => 1,
            Self::Named(number) => number,
        }
    }
}

impl Handler {
    pub(crate) const fn doing(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// A clone for each thread of the service, inside the layer if there is one.
    pub(crate) fn calls(self, layer: Option<&SessionLayer>, threads: usize) -> Vec<Call> {
        let service = service_fn(move |request: Request<()>| async move {
            self.handle(&request)
                .await
                .expect("sessions in memory and on a sound disk do not fail");
            Ok::<_, Infallible>(Response::new(()))
        });
        match layer {
            Some(layer) => {
                let service = layer.layer(service);
                let one = |_| match self.kind {
                    Kind::Files => call(service.clone(), runtime()),
                    _ => call(service.clone(), NoRuntime),
                };
                (0..threads).map(one).collect()
            }
            None => (0..threads).map(|_| call(service, NoRuntime)).collect(),
        }
    }

    pub(crate) fn call(self, layer: Option<&SessionLayer>) -> Call {
        self.calls(layer, 1).swap_remove(0)
    }

    async fn handle(self, request: &Request<()>) -> Result<(), Error> {
        match (self.action, self.count) {
            (Action::Nothing, _) => {}
            (_, Count::One) => {
                let session = request
                    .extensions()
                    .get::<Session>()
                    .expect("the layer is around");
                if self.kind == Kind::Files {
                    session.load().await?;
                }
                self.act(session)?;
            }
            (_, Count::Named(number)) => {
                let sessions =
                    Sessions::from_extensions(request.extensions()).expect("the layer is around");
                for name in NAMES.iter().take(number) {
                    self.act(&sessions.get(*name).await?)?;
                }
            }
        }
        Ok(())
    }

    fn act(self, session: &Session) -> Result<(), Error> {
        let mut keys = (0..self.content.values).map(|number| format!("value{number}"));
        let text = self.content.bytes - 2;
        match self.action {
            Action::Nothing => {}
            Action::Read => {
                black_box(session.get::<u64>(COUNT)?.expect("there is a counter"));
            }
            Action::Update => {
                black_box(session.update(COUNT, |count: &mut u64| {
                    *count += 1;
                    *count
                })?);
            }
            Action::Prepare => {
                keys.try_for_each(|key| session.insert(&key, "x".repeat(text)))?;
                session.insert(COUNT, 0)?;
            }
            Action::Expect(count) => {
                for key in keys {
                    assert_eq!(
                        session.get::<String>(&key)?.map(|value| value.len()),
                        Some(text)
                    );
                }
                assert_eq!(session.get(COUNT)?, Some(count));
            }
        }
        Ok(())
    }
}

fn call<S>(service: S, drive: impl Drive + Send + 'static) -> Call
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible> + Send + 'static,
{
    Box::new(Plain(service, drive))
}

/// A store that may wait needs a runtime. Each thread has its own.
fn runtime() -> Arc<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    Arc::new(runtime.expect("the system has resources for a runtime"))
}
