//! A connection is cut after the server has done what it was asked, at each answer of each request.

use std::sync::Arc;

use silverback::{Keys, SessionConfig};
use silverback_test_servers::{Proxy, SecantusDb};
use tokio::task::JoinSet;

use crate::{
    connect, server,
    site::{Visitor, app, count, ok, visitor},
    through, through_repeating,
};

/// What a visitor does, and what has to be so then.
#[derive(Clone, Copy)]
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
        name: "a logout everywhere",
        before: &["/add", "/login"],
        request: "/everywhere",
        counted: 0,
    },
    Case {
        name: "a read",
        before: &["/add"],
        request: "/n",
        counted: 1,
    },
];

/// Cuts the answers of a case, one in each run, and counts them.
async fn cut_each(server: Arc<SecantusDb>, repeats: bool, case: Case) -> u64 {
    let mut lost = 0;
    for call in 0.. {
        let proxy = Proxy::to(server.port());
        // All are the same user, and each has keys of its own.
        let collection = format!("{} {call}", case.name);
        let store = match repeats {
            true => through_repeating(&proxy, "shop").await,
            false => through(&proxy, "shop").await,
        };
        let visitor = visitor(store.collection(&collection));
        for path in case.before {
            ok(&visitor, path).await;
        }
        proxy.lose_answer(call);
        let page = visitor.get(case.request).await;
        let name = case.name;
        assert_eq!(
            page.status(),
            200,
            "{name} cut at {call}: {:?}",
            page.error()
        );
        if proxy.lost() == 0 {
            assert!(call > 0, "{name}: nothing was asked");
            break;
        }
        lost += proxy.lost();
        let counted = count(&visitor).await;
        assert_eq!(counted, case.counted, "{name} cut at {call}");
    }
    lost
}

/// The client waits up to half a second before it looks at a server again that has cut it off: all
/// wait at the same time.
async fn cost_nobody_an_error(arguments: &[&str], repeats: bool) {
    let Some(server) = SecantusDb::start_with(arguments) else {
        return;
    };
    let server = Arc::new(server);
    let mut cases = JoinSet::new();
    for case in CASES {
        cases.spawn(cut_each(Arc::clone(&server), repeats, case));
    }
    let lost: u64 = cases.join_all().await.iter().sum();
    println!("{lost} answers were lost, each at another call");
}

/// The client itself sends a write again, and the server knows that it has done it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_a_replica_set_cost_nobody_an_error() {
    cost_nobody_an_error(&[], true).await;
}

/// The client sends no write again. The session asks once more, and finds its own write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_a_single_server_cost_nobody_an_error() {
    cost_nobody_an_error(&["--standalone"], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(server) = server() else {
        return;
    };
    let keys = Keys::generate().unwrap();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let config =
            SessionConfig::new("session", connect(server, "increments").await, keys.clone());
        let config = config.store_timeout(std::time::Duration::from_secs(120));
        nodes.push(Visitor::new(app(config)));
    }
    ok(&nodes[0], "/add").await;
    let jar = nodes[0].jar(|jar| jar.clone());
    nodes[1].jar(|other| *other = jar);
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let visitor = nodes[task % 2].clone();
        tasks.spawn(async move {
            for _ in 0..10 {
                ok(&visitor, "/add").await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(count(&nodes[0]).await, 161);
}
