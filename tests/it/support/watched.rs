//! Threads with a watchdog, and handles that outlive their requests.

use std::{fmt::Debug, sync::mpsc, thread, time::Duration};

use silverback::{Error, Session};
use tokio::runtime;

use super::{Jar, Kind, Site, World};

/// Only a hang takes this long.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Runs `f` on its own thread, so that a deadlock fails the test.
#[track_caller]
pub(crate) fn in_time<T: Send + 'static>(
    name: impl Debug,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(run()));
    result
        .recv_timeout(LONG)
        .unwrap_or_else(|error| panic!("{name:?}: {error}"))
}

#[track_caller]
pub(crate) fn block_in_time<T: Send + 'static, F: Future<Output = T>>(
    name: impl Debug,
    run: impl FnOnce() -> F + Send + 'static,
) -> T {
    let on_runtime = move || {
        runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(run())
    };
    in_time(name, on_runtime)
}

pub(crate) const KINDS: [Kind; 5] = [
    Kind::Cookie,
    Kind::RemoteRevocable,
    Kind::Overflow,
    Kind::Memory,
    Kind::Remote,
];
/// Kinds that merge their changes into what other requests have saved.
pub(crate) const MERGED: [Kind; 2] = [Kind::Memory, Kind::Remote];

/// A world whose sessions soon outgrow their cookie, if they can.
pub(crate) fn world(kind: Kind) -> World {
    match kind {
        Kind::Overflow | Kind::RevocableOverflow => kind.with_cookies(|cookies| cookies.up_to(40)),
        _ => kind.world(),
    }
}

/// The handle, beyond its request, of a visitor's session with `x` in it.
pub(crate) async fn kept(site: &Site, jar: &mut Jar) -> Session {
    let start = async |session: Session| {
        session.load().await.unwrap();
        session.insert("x", 1).unwrap();
    };
    site.visit(jar, start).await;
    let keep = async |session: Session| {
        session.load().await.unwrap();
        session
    };
    site.visit(jar, keep).await.0
}

/// An update whose closure reads the session.
pub(crate) fn update(session: &Session) -> Result<u32, Error> {
    let same = session.clone();
    session.update("n", move |n: &mut u32| {
        *n += same.get("x").unwrap().unwrap_or(0);
        *n
    })
}
