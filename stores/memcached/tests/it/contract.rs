//! The contract of a store.

use std::{future::ready, sync::Arc, time::Duration};

use silverback::{
    store::{
        RecordKey,
        conformance::{Skip, Subject},
    },
    store_conformance,
};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::{Memcached, Proxy};

use crate::{at, through};

store_conformance!(mod memcached, once behind_a_proxy().await);

/// The timeout of calls to a failing server. A call may take this long on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// The timeout elsewhere, which only ends a hang.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A server that accepts larger records than the rules try, and a proxy in front of it.
fn servers() -> Result<(Arc<Memcached>, Arc<Proxy>), Skip> {
    let server = Memcached::start_with(&["-m", "256", "-I", "12m"]);
    let server = server.ok_or_else(|| Skip::new("memcached is not installed"))?;
    let proxy = Proxy::to(server.port());
    Ok((Arc::new(server), Arc::new(proxy)))
}

/// A store behind a proxy that counts, and its peer with a direct connection.
async fn behind_a_proxy() -> Result<Subject<MemcachedStore>, Skip> {
    let (server, proxy) = servers()?;
    let put = |value: &'static [u8]| {
        let server = Arc::clone(&server);
        move |_, key: RecordKey| {
            let set = format!("set silverback:{key} 0 0 {}\r\n", value.len());
            let bytes = [set.as_bytes(), value, b"\r\n"].concat();
            assert_eq!(server.ask(&bytes, "\r\n"), "STORED\r\n");
            ready(())
        }
    };
    let (asked, counting) = (Arc::clone(&server), Arc::clone(&proxy));
    let failing = Arc::clone(&server);
    Ok(Subject::new(through(proxy.port()).await.timeout(FOR_EVER))
        .peer(at(&server.url()).await.timeout(FOR_EVER))
        .garbage(put(b"a cart of another program, and long enough"))
        .garbage(put(b""))
        .garbage(put(b"sbm1 half"))
        .time_left(move |_, key| ready(left(&asked, &key)))
        .round_trips(move |_| ready(counting.requests()))
        .outages(move || before_a_failing(Arc::clone(&failing)))
        .keep(proxy)
        .keep(server))
}

/// How long the server keeps a record, in whole seconds.
fn left(server: &Memcached, key: &RecordKey) -> Option<Duration> {
    let answer = server.ask(format!("mg silverback:{key} t\r\n").as_bytes(), "\r\n");
    let left = answer.strip_prefix("HD t")?.trim_end();
    left.parse().ok().map(Duration::from_secs)
}

async fn before_a_failing(server: Arc<Memcached>) -> Subject<MemcachedStore> {
    let proxy = Arc::new(Proxy::to(server.port()));
    let [silent, cut] = std::array::from_fn(|_| Arc::clone(&proxy));
    Subject::new(through(proxy.port()).await.timeout(DEADLINE))
        .silence(move |_| ready(silent.silenced()))
        .cut(move |_| ready(cut.cut_off()))
        .deadline(DEADLINE)
        .keep((server, proxy))
}
