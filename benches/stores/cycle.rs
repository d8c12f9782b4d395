//! Whole requests, each of which loads a session and increments a counter in it.

use std::{convert::Infallible, error::Error, path::Path};

use http::{HeaderValue, Request, Response, header};
use silverback::{
    Keys, Session, SessionConfig, SessionLayer,
    store::{Bytes, FilesystemStore, Store},
};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};

use kit::{
    calls::Calls,
    time::{fast, micros, process_time},
};

use crate::{NEVER, Scale, files::LEN, goals::goal, key_of, now};

const PROFILE: &str =
    "Ada Lovelace, Analytical Engine, London; likes numbers, notes and long walks in the park.";

/// Microseconds of CPU time of a request, on all threads of the process and its runtime, beside the
/// system calls alone.
pub(crate) fn row(scale: &Scale, parent: &Path) -> Result<[String; 5], Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let dir = tempfile::tempdir_in(parent)?;
    let store = FilesystemStore::open(dir.path())?;
    let layer = SessionLayer::new(SessionConfig::new("s", store, Keys::generate()?));
    let mut cookie = runtime.block_on(visit(&layer, None))?;
    let key = key_of(1);
    let other = FilesystemStore::open(dir.path())?;
    now(other.create(&key, Bytes::from(vec![7; LEN]), NEVER));
    let mut calls = Calls::open(dir.path(), LEN)?;
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (layer, last) = (layer.clone(), cookie.clone());
        let visits = scale.calls;
        let task = async move {
            let mut cookie = last;
            let before = process_time();
            for _ in 0..visits {
                cookie = visit(&layer, Some(&cookie)).await.expect("the store works");
            }
            (process_time() - before, cookie)
        };
        let (time, last) = runtime.block_on(runtime.spawn(task))?;
        cookie = last;
        times.push(micros(time) / f64::from(scale.calls));
        let before = process_time();
        for _ in 0..scale.calls {
            calls.cycle(&key)?;
        }
        floor.push(micros(process_time() - before) / f64::from(scale.calls));
    }
    let [time, floor] = [times, floor].map(fast);
    Ok(goal(
        "request that loads and counts, processor time",
        "≤ 12 µs",
        format!("{time:.2} µs"),
        format!("{floor:.2} µs"),
        time <= 12.0,
    ))
}

/// Makes a session, or increments the counter of the cookie's session. Returns the cookie that the
/// browser then has.
async fn visit(
    layer: &SessionLayer,
    cookie: Option<&HeaderValue>,
) -> Result<HeaderValue, &'static str> {
    let mut request = Request::new(());
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.clone());
    }
    let mut service = layer.layer(service_fn(async |request: Request<()>| {
        if let Some(session) = request.extensions().get::<Session>() {
            session.load().await.expect("the store works");
            let count = session.get::<u64>("n").expect("it is a number");
            if count.is_none() {
                session.insert("profile", PROFILE).expect("it is text");
            }
            session
                .insert("n", count.unwrap_or_default() + 1)
                .expect("it is a number");
        }
        Ok::<_, Infallible>(Response::new(()))
    }));
    let response = match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let set = response.headers().get(header::SET_COOKIE);
    let pair = set.and_then(|cookie| cookie.as_bytes().split(|byte| *byte == b';').next());
    let pair = pair.and_then(|pair| HeaderValue::from_bytes(pair).ok());
    pair.or_else(|| cookie.cloned()).ok_or("no cookie was set")
}
