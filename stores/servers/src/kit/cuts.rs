//! Connections that are cut.

use std::{future::Future, sync::Arc};

use silverback::store::{Bytes, Expiry, Read, Store, StoreError};
use tokio::task::JoinSet;

use super::{
    records::{DATA, key},
    site::{count, ok, visitor},
};
use crate::Proxy;

/// A visitor's request, and the expected count after it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    before: &'static [&'static str],
    request: &'static str,
    counted: u64,
}

#[allow(missing_docs, reason = "each has a name")]
impl Case {
    pub const FIRST_WRITE: Self = Self::new("a first write", &[], "/add", 1);
    pub const WRITE: Self = Self::new("a write", &["/add"], "/add", 2);
    pub const FIRST_LOGIN: Self = Self::new("a login of a new visitor", &[], "/login", 0);
    pub const LOGIN: Self = Self::new("a login", &["/add"], "/login", 1);
    pub const LOGOUT: Self = Self::new("a logout", &["/add", "/login"], "/logout", 0);
    pub const READ: Self = Self::new("a read", &["/add"], "/n", 1);
}

impl Case {
    /// All cases above.
    pub const ALL: [Self; 6] = [
        Self::FIRST_WRITE,
        Self::WRITE,
        Self::FIRST_LOGIN,
        Self::LOGIN,
        Self::LOGOUT,
        Self::READ,
    ];

    /// Makes a case: a visitor who has been on the pages `before` makes a request, one of whose
    /// answers is lost. Afterwards their session has counted to `counted`.
    #[must_use]
    pub const fn new(
        name: &'static str,
        before: &'static [&'static str],
        request: &'static str,
        counted: u64,
    ) -> Self {
        Self {
            name,
            before,
            request,
            counted,
        }
    }
}

/// Loses each answer of the case's request, one in each run: cuts the connection after the server
/// has done what it was asked. Nobody gets an error, and nothing is done twice. Returns how many
/// answers were lost.
///
/// `connect` makes the store of a run from a port that leads to the server.
pub async fn lost_answers<S: Store, F: Future<Output = S>>(
    case: Case,
    server: u16,
    connect: impl Fn(u16) -> F,
) -> u64 {
    let mut lost = 0;
    for call in 0.. {
        let proxy = Proxy::to(server);
        let visitor = visitor(connect(proxy.port()).await);
        for path in case.before {
            ok(&visitor, path).await;
        }
        proxy.lose_answer(call);
        let page = visitor.get(case.request).await;
        let what = format!("{} cut at call {call}", case.name);
        assert_eq!(page.status(), 200, "{what}: {:?}", page.error());
        if proxy.lost() == 0 {
            assert!(call > 0, "{}: nothing was asked", case.name);
            break;
        }
        lost += proxy.lost();
        assert_eq!(count(&visitor).await, case.counted, "{what}");
    }
    lost
}

/// The same for each case, one after the other.
pub async fn lost_answers_cost_nobody_an_error<S: Store, F: Future<Output = S>>(
    cases: &[Case],
    server: u16,
    connect: impl Fn(u16) -> F,
) {
    let mut lost = 0;
    for case in cases {
        lost += lost_answers(*case, server, &connect).await;
    }
    println!("{lost} answers were lost, each at another call");
}

/// A connection that was cut while nobody used it costs nobody an error.
pub async fn an_idle_connection_may_be_cut(proxy: &Proxy, store: impl Store, rounds: u64) {
    let visitor = visitor(store);
    ok(&visitor, "/add").await;
    for expected in 1..=rounds {
        proxy.cut();
        assert_eq!(count(&visitor).await, expected);
        proxy.cut();
        ok(&visitor, "/add").await;
    }
}

/// While connections are cut, each of many tasks gets its own answer or none. `direct` creates the
/// records, and `store` goes through the proxy.
pub async fn everybody_gets_their_own_answers<S: Store>(
    proxy: Proxy,
    direct: &impl Store,
    store: S,
    expiry: Expiry,
    (tasks, rounds): (u32, u32),
) {
    let data = |number: u32| [DATA, &vec![number as u8; number as usize * 100]].concat();
    for number in 0..tasks {
        let (key, data) = (key(number), Bytes::from(data(number)));
        direct.create(&key, data, expiry).await.unwrap();
    }
    let (proxy, store) = (Arc::new(proxy), Arc::new(store));
    let mut running = JoinSet::new();
    for number in 0..tasks {
        let (store, proxy, expected) = (Arc::clone(&store), Arc::clone(&proxy), data(number));
        running.spawn(async move {
            let mut answered = 0;
            for round in 0..rounds {
                if number == 0 && round % 8 == 0 {
                    proxy.cut();
                }
                match store.load(&key(number), Read::Current).await {
                    Ok(record) => {
                        assert_eq!(record.unwrap().data(), expected);
                        answered += 1;
                    }
                    Err(error) => {
                        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                    }
                }
            }
            answered
        });
    }
    let answered: u32 = running.join_all().await.into_iter().sum();
    assert!(answered > tasks, "{answered}");
}
