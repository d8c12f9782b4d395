//! A connection is cut after the server has done what it was asked, at each call of each request.

use silverback_test_servers::{Proxy, Redis};

use crate::site::{Visitor, at, count, through, visitor};

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
        name: "a login of a new visitor",
        before: &[],
        request: "/login",
        counted: 0,
    },
    Case {
        name: "a login",
        before: &["/add"],
        request: "/login",
        counted: 1,
    },
    Case {
        name: "a logout",
        before: &["/add", "/login"],
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

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(redis) = Redis::start() else { return };
    let mut lost = 0;
    for case in &CASES {
        for call in 0.. {
            let proxy = Proxy::to(redis.port());
            let visitor = visitor([through(&proxy).await]);
            // A connection that has been used: its set-up is no call.
            for path in case.before {
                ok(&visitor, path).await;
            }
            ok(&visitor, "/free").await;
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

async fn ok(visitor: &Visitor, path: &str) {
    let page = visitor.get(path).await;
    assert_eq!(page.status(), 200, "{path}: {:?}", page.error());
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let visitor = visitor([through(&proxy).await]);
    ok(&visitor, "/add").await;
    for expected in 1..=10 {
        proxy.cut();
        assert_eq!(count(&visitor).await, expected);
        proxy.cut();
        ok(&visitor, "/add").await;
    }
}

#[tokio::test]
async fn a_cut_of_everything_is_survived_while_two_servers_write() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let other = at(&redis.url()).await;
    let visitor = visitor([through(&proxy).await, other]);
    ok(&visitor, "/add").await;
    for _ in 0..20 {
        let (one, two) = (visitor.clone(), visitor.clone());
        let one = tokio::spawn(async move { ok(&one, "/add").await });
        let two = tokio::spawn(async move { ok(&two, "/add").await });
        proxy.cut();
        one.await.unwrap();
        two.await.unwrap();
    }
    assert_eq!(count(&visitor).await, 41);
}
