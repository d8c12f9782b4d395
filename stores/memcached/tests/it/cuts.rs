//! A connection is cut after the server has done what it was asked, at each answer of each request.

use silverback_test_servers::{Memcached, Proxy};

use crate::{
    at, connect,
    site::{Visitor, count, ok, visitor},
};

/// What a visitor does, and what has to be so then.
struct Case {
    name: &'static str,
    before: &'static [&'static str],
    request: &'static str,
    counted: u64,
}

const CASES: [Case; 6] = [
    Case {
        name: "a first write",
        before: &[],
        request: "/add",
        counted: 1,
    },
    Case {
        name: "a write",
        before: &["/add"],
        request: "/add",
        counted: 2,
    },
    Case {
        name: "a renewal of nothing",
        before: &[],
        request: "/renew",
        counted: 0,
    },
    Case {
        name: "a renewal",
        before: &["/add"],
        request: "/renew",
        counted: 1,
    },
    Case {
        name: "a logout",
        before: &["/add", "/renew"],
        request: "/logout",
        counted: 0,
    },
    Case {
        name: "a read",
        before: &["/add"],
        request: "/n",
        counted: 1,
    },
];

async fn through(proxy: &Proxy) -> Visitor {
    visitor(at(&format!("memcached://127.0.0.1:{}", proxy.port())).await)
}

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let mut lost = 0;
    for case in &CASES {
        for call in 0.. {
            let proxy = Proxy::to(server.port());
            let visitor = through(&proxy).await;
            for path in case.before {
                ok(&visitor, path).await;
            }
            proxy.lose_answer(call);
            ok(&visitor, case.request).await;
            if proxy.lost() == 0 {
                assert!(call > 0, "{}: nothing was asked", case.name);
                break;
            }
            lost += proxy.lost();
            let counted = count(&visitor).await;
            assert_eq!(counted, case.counted, "{} cut at call {call}", case.name);
        }
    }
    println!("{lost} answers were lost, each at another call");
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let visitor = through(&proxy).await;
    ok(&visitor, "/add").await;
    for expected in 1..=10 {
        proxy.cut();
        assert_eq!(count(&visitor).await, expected);
        proxy.cut();
        ok(&visitor, "/add").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_share_a_connection_get_their_own_answers_through_cuts() {
    use silverback::store::{Bytes, Read, Store as _, StoreError};

    use crate::{day, key};

    let Some(server) = Memcached::start() else {
        return;
    };
    let proxy = std::sync::Arc::new(Proxy::to(server.port()));
    let direct = connect(&server).await;
    for number in 0..64_u32 {
        let data = Bytes::from(vec![number as u8; 1 + number as usize * 100]);
        direct.create(&key(number), data, day()).await.unwrap();
    }
    let store = at(&format!("memcached://127.0.0.1:{}", proxy.port())).await;
    let tasks: Vec<_> = (0..64_u32)
        .map(|number| {
            let (store, proxy) = (store.clone(), proxy.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                for round in 0..40 {
                    if number == 0 && round % 8 == 0 {
                        proxy.cut();
                    }
                    match store.load(&key(number), Read::Current).await {
                        Ok(record) => {
                            let expected = vec![number as u8; 1 + number as usize * 100];
                            assert_eq!(record.unwrap().data(), expected);
                            answered += 1;
                        }
                        Err(error) => assert!(matches!(error, StoreError::Unavailable(_))),
                    }
                }
                answered
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += task.await.unwrap();
    }
    assert!(answered > 64, "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let keys = silverback::Keys::generate().unwrap();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let store = connect(&server).await;
        let config = silverback::SessionConfig::new("session", store, keys.clone());
        let config = config.store_timeout(std::time::Duration::from_secs(120));
        nodes.push(Visitor::new(crate::site::app(config)));
    }
    ok(&nodes[0], "/add").await;
    let jar = nodes[0].jar(|jar| jar.clone());
    nodes[1].jar(|other| *other = jar);
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let visitor = nodes[task % 2].clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    ok(&visitor, "/add").await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(count(&nodes[0]).await, 161);
}
