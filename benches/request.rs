//! What a request costs above the bare service, in nanoseconds and as a ratio to the floor: the service
//! called directly, in process, with nothing in between.
//!
//! ```text
//! cargo bench --bench request
//! ```
//!
//! Medians of many rounds; on a busy machine compare the columns with each other and not with other runs.

use std::{convert::Infallible, hint::black_box, pin::pin, task, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use silverback::{
    Keys, Session, SessionConfig, SessionLayer,
    store::{Backend, CookieStore, MemoryStore},
};
use tower::{Layer, Service, service_fn};

const ROUNDS: usize = 41;
const CALLS: u32 = 2_000;

type Handler = fn(&Session);

const CASES: &[(&str, bool, Handler)] = &[
    ("S1 no cookie, untouched", false, |_| ()),
    ("S2 valid cookie, untouched", true, |_| ()),
    ("S3 read one value", true, |session| drop(black_box(session.get::<u64>("count")))),
    ("S4 read and write a counter", true, |session| drop(black_box(session.update("count", |n: &mut u64| *n += 1)))),
    ("S5 new session", false, |session| drop(black_box(session.insert("user", "Ada Lovelace")))),
];

fn request(cookie: Option<&Bytes>) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert("as every real request has");
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_maybe_shared(cookie.clone()).ok()) {
        request.headers_mut().append(header::COOKIE, cookie);
    }
    request
}

fn call<S: Service<Request<()>, Response = Response<()>>>(service: &mut S, request: Request<()>) -> Response<()> {
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut task::Context::from_waker(task::Waker::noop())) {
        task::Poll::Ready(Ok(response)) => response,
        _ => Response::new(()),
    }
}

/// Median nanoseconds of a call.
fn measure<S: Service<Request<()>, Response = Response<()>>>(service: &mut S, cookie: Option<&Bytes>) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let requests: Vec<_> = (0..CALLS).map(|_| request(cookie)).collect();
            let start = Instant::now();
            for request in requests {
                black_box(call(service, request));
            }
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().unwrap_or_default()
}

fn with_handler(layer: &SessionLayer, handler: Handler) -> impl Service<Request<()>, Response = Response<()>> {
    layer.layer(service_fn(move |request: Request<()>| async move {
        if let Some(session) = request.extensions().get::<Session>() {
            handler(session);
        }
        Ok::<_, Infallible>(Response::new(()))
    }))
}

/// A cookie of a session of a counter and 120 bytes of JSON.
fn cookie(layer: &SessionLayer) -> Bytes {
    let mut write = with_handler(layer, |session| {
        let _ = session.insert("count", 0_u64);
        let _ = session.insert("profile", "x".repeat(100));
    });
    let response = call(&mut write, request(None));
    let cookie = response.headers().get(header::SET_COOKIE).map(HeaderValue::as_bytes).unwrap_or_default();
    let pair = cookie.split(|byte| *byte == b';').next().unwrap_or_default();
    Bytes::from([b"theme=dark; _ga=GA1.1.1; ".as_slice(), pair, b"; lang=en"].concat())
}

fn main() -> Result<(), silverback::KeyError> {
    let keys = Keys::generate()?;
    let stores: [(&str, Backend); 3] = [
        ("encrypted", CookieStore::new().into()),
        ("signed", CookieStore::new().signed().into()),
        ("memory", MemoryStore::new().into()),
    ];
    println!("{:<30}{:>10}{:>22}{:>22}{:>22}", "ns above the bare service", "bare", "encrypted", "signed", "memory");
    for (name, with_cookie, handler) in CASES {
        let mut row = String::new();
        let mut bare = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
        let mut floor = 0.0;
        for (_, store) in &stores {
            let layer = SessionLayer::new(SessionConfig::new("session", store.clone(), keys.clone()));
            let cookie = with_cookie.then(|| cookie(&layer));
            floor = measure(&mut bare, cookie.as_ref());
            let all = measure(&mut with_handler(&layer, *handler), cookie.as_ref());
            row.push_str(&format!("{:>12.0} ({:>5.1}x)", all - floor, all / floor));
        }
        println!("{name:<30}{floor:>10.0}{row}");
    }
    Ok(())
}
