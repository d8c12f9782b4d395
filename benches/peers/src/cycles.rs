//! Full cycles beside gorilla/sessions: read the cookie, get the session, change the counter, save,
//! set the cookie.
//!
//! The CPU time is that of the whole process, so it includes the work of other threads: Go's
//! garbage collector on one side, the threads for blocking work on the other.

use std::{convert::Infallible, io, path::Path};

use http::{HeaderValue, Request, Response, header};
use kit::{
    calls::Calls,
    machine,
    scenario::{ADA, COUNT, NAME, PROFILES, Profile},
    table::markdown,
    time::{median, process_time},
};
use silverback::{
    Error, Keys, Session, SessionConfig, SessionLayer, Timestamp,
    store::{Backend, Bytes, CookieStore, Expiry, FilesystemStore, IntoBackend, RecordKey, Store},
};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};

use crate::{effort::Effort, gorilla::Gorilla};

const ROUNDS: usize = 21;
/// About as long as the record of the session.
const LEN: usize = 200;

/// The table of cycles on both sides. Sessions in files are below `parent`.
pub(crate) fn table(parent: &Path, effort: Effort) -> io::Result<String> {
    let runtime = Runtime::new()?;
    let (ours, theirs) = (tempfile::tempdir_in(parent)?, tempfile::tempdir_in(parent)?);
    let stores: [(&str, Backend); 3] = [
        ("signed", CookieStore::new().signed().into_backend()),
        ("encrypted", CookieStore::new().into_backend()),
        (
            "filesystem",
            FilesystemStore::open(ours.path())?.into_backend(),
        ),
    ];
    let mut visitors =
        stores.map(|(name, store)| (Visitor::new(name, store), Vec::new(), Vec::new()));
    let alone = tempfile::tempdir_in(parent)?;
    let (mut calls, mut floor) = (SystemCalls::new(alone.path(), &runtime)?, Vec::new());
    let mut gorilla = Gorilla::start(theirs.path());
    for _ in 0..ROUNDS {
        for (visitor, ours, theirs) in &mut visitors {
            ours.push(visitor.cycles(&runtime, effort.cycles));
            if visitor.store == "filesystem" {
                floor.push(calls.cycles(effort.cycles)?);
            }
            if let Ok(gorilla) = &mut gorilla {
                theirs.push(gorilla.cycles(visitor.store, effort.cycles)? / 1000.0);
            }
        }
    }
    let head = [
        "µs of CPU time in a full cycle",
        "silverback",
        "gorilla/sessions",
        "ratio",
        "silverback's system calls alone",
        "ratio of these",
    ]
    .map(str::to_owned);
    let floor = median(floor);
    let rows = visitors.map(|(visitor, ours, theirs)| {
        let (ours, theirs) = (median(ours), median(theirs));
        let floor = (visitor.store == "filesystem").then_some(floor);
        let alone = floor.map_or_else(none, |floor| format!("{floor:.1}"));
        let most = floor.filter(|_| gorilla.is_ok());
        let most = most.map_or_else(none, |floor| format!("{:.1}x", theirs / floor));
        let (theirs, ratio) = match &gorilla {
            Ok(_) => (format!("{theirs:.1}"), format!("{:.1}x", theirs / ours)),
            Err(reason) => (format!("skipped: {reason}"), none()),
        };
        let ours = format!("{ours:.1}");
        [visitor.title(parent), ours, theirs, ratio, alone, most]
    });
    Ok(markdown(
        &[head].into_iter().chain(rows).collect::<Vec<_>>(),
    ))
}

fn none() -> String {
    "–".to_owned()
}

/// The filesystem store's system calls in a cycle, on a separate record.
struct SystemCalls {
    calls: Calls,
    key: RecordKey,
}

impl SystemCalls {
    fn new(folder: &Path, runtime: &Runtime) -> io::Result<Self> {
        let store = FilesystemStore::open(folder)?;
        let key = RecordKey::from_bytes([7; 32]);
        let never = Expiry::new(Timestamp::from_secs(u64::MAX), Timestamp::from_secs(0));
        let create = store.create(&key, Bytes::from(vec![7; LEN]), never);
        runtime.block_on(create).map_err(io::Error::other)?;
        let calls = Calls::open(folder, LEN)?;
        Ok(Self { calls, key })
    }

    /// Microseconds of CPU time for each of the cycles.
    fn cycles(&mut self, cycles: u32) -> io::Result<f64> {
        let start = process_time();
        for _ in 0..cycles {
            self.calls.cycle(&self.key)?;
        }
        Ok((process_time() - start).as_secs_f64() * 1e6 / f64::from(cycles))
    }
}

/// A browser that returns with the cookie it last received.
struct Visitor {
    store: &'static str,
    layer: SessionLayer,
    cookie: Option<HeaderValue>,
    count: u64,
}

/// A handler for the loaded session.
type Handler = fn(&Session) -> Result<u64, Error>;

impl Visitor {
    fn new(store: &'static str, backend: Backend) -> Self {
        let keys = Keys::generate().expect("the system has randomness");
        Self {
            store,
            layer: SessionLayer::new(SessionConfig::new(NAME, backend, keys).cookie_name(NAME)),
            cookie: None,
            count: 0,
        }
    }

    fn title(&self, parent: &Path) -> String {
        match self.store {
            "filesystem" => {
                let kind = machine::filesystem(parent);
                format!(
                    "filesystem store on {}",
                    kind.as_deref().unwrap_or("an unknown file system")
                )
            }
            store => format!("{store} cookie"),
        }
    }

    /// Microseconds of CPU time for each of the cycles.
    fn cycles(&mut self, runtime: &Runtime, cycles: u32) -> f64 {
        if self.cookie.is_none() {
            self.visit(runtime, prepare, 1);
        }
        let start = process_time();
        self.visit(runtime, increase, cycles);
        let time = process_time() - start;
        self.count += u64::from(cycles);
        assert_eq!(
            self.visit(runtime, check, 1),
            self.count,
            "each cycle has counted"
        );
        time.as_secs_f64() * 1e6 / f64::from(cycles)
    }

    /// Visits on a thread of the runtime, where a server's handlers run.
    fn visit(&mut self, runtime: &Runtime, handler: Handler, times: u32) -> u64 {
        let (layer, cookie) = (self.layer.clone(), self.cookie.take());
        let task = runtime.spawn(async move { visit(&layer, cookie, handler, times).await });
        let (cookie, count) = runtime
            .block_on(task)
            .expect("sessions on a sound disk do not fail");
        self.cookie = cookie;
        count
    }
}

async fn visit(
    layer: &SessionLayer,
    mut cookie: Option<HeaderValue>,
    handler: Handler,
    times: u32,
) -> (Option<HeaderValue>, u64) {
    let mut service = layer.layer(service_fn(move |request: Request<()>| async move {
        let session = request
            .extensions()
            .get::<Session>()
            .expect("the layer is around");
        session.load().await.expect("there is a session, or none");
        Ok::<_, Infallible>(Response::new(
            handler(session).expect("the session is loaded"),
        ))
    }));
    let mut count = 0;
    for _ in 0..times {
        let mut request = Request::new(());
        request
            .headers_mut()
            .extend(cookie.clone().map(|cookie| (header::COOKIE, cookie)));
        let response = service
            .call(request)
            .await
            .unwrap_or_else(|never| match never {});
        let pair = response
            .headers()
            .get(header::SET_COOKIE)
            .map(HeaderValue::as_bytes);
        let pair = pair.and_then(|cookie| {
            HeaderValue::from_bytes(cookie.split(|byte| *byte == b';').next()?).ok()
        });
        cookie = pair.or(cookie);
        count = *response.body();
    }
    (cookie, count)
}

fn prepare(session: &Session) -> Result<u64, Error> {
    session.insert(PROFILES[0], ADA)?;
    session.insert(COUNT, 0)?;
    Ok(0)
}

fn increase(session: &Session) -> Result<u64, Error> {
    session.update(COUNT, |count: &mut u64| {
        *count += 1;
        *count
    })
}

fn check(session: &Session) -> Result<u64, Error> {
    assert_eq!(session.get::<Profile>(PROFILES[0])?, Some(ADA.to_owned()));
    Ok(session.get(COUNT)?.expect("there is a counter"))
}
