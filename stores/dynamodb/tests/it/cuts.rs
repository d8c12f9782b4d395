//! A connection is cut after the server has done what it was asked, at each answer of each request.

use aws_sdk_dynamodb::{Client, config::retry::RetryConfig};
use silverback::{
    Keys, SessionConfig,
    store::{Read, Store as _, StoreError},
};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::Proxy;

use crate::{
    DATA, FOR_EVER, add, client, config, data, day, key, server,
    site::{self, Visitor, count, ok, visitor},
    store,
    table::{Table, create},
    through,
};

/// What a visitor does, and what has to be so then.
struct Case {
    name: &'static str,
    before: &'static [&'static str],
    request: &'static str,
    counted: u64,
}

#[rustfmt::skip]
const CASES: [Case; 6] = [
    Case { name: "a first write", before: &[], request: "/add", counted: 1 },
    Case { name: "a write", before: &["/add"], request: "/add", counted: 2 },
    Case { name: "a first login", before: &[], request: "/login", counted: 0 },
    Case { name: "a login", before: &["/add"], request: "/login", counted: 1 },
    Case { name: "a logout", before: &["/add", "/login"], request: "/logout", counted: 0 },
    Case { name: "a read", before: &["/add"], request: "/n", counted: 1 },
];

async fn place() -> Option<Table> {
    Some(create(client(&server()?.url())).await)
}

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(table) = place().await else {
        return;
    };
    let mut lost = 0;
    for case in &CASES {
        for call in 0.. {
            let proxy = Proxy::to(server().unwrap().port());
            // Connections belong to one client: none of another round's is used.
            let store = DynamoDbStore::new(&through(&proxy), &table.name).timeout(FOR_EVER);
            let visitor = visitor(store);
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

/// The application's client repeats what got lost, as those of AWS do unless told otherwise.
fn repeating(proxy: &Proxy) -> Client {
    let config = config(&format!("http://127.0.0.1:{}", proxy.port()));
    let retries = RetryConfig::standard().with_max_attempts(5);
    Client::from_conf(config.retry_config(retries).build())
}

#[tokio::test]
async fn a_client_that_repeats_its_writes_reports_no_conflict_with_itself() {
    let Some(table) = place().await else {
        return;
    };
    let proxy = Proxy::to(server().unwrap().port());
    let (through, direct) = (
        store(&repeating(&proxy), &table.name),
        store(&table.client, &table.name),
    );
    let is_unknown = |result: &Result<_, _>| matches!(result, Err(StoreError::Unavailable(_)));
    proxy.lose_answer(0);
    let created = through.create(&key(1), DATA.into(), day()).await;
    assert!(is_unknown(&created), "{created:?}");
    assert_eq!(data(&direct, 1).await.as_deref(), Some(DATA));

    let version = add(&direct, 2).await;
    proxy.lose_answer(0);
    let updated = through.update(&key(2), version, "new".into(), day()).await;
    assert!(is_unknown(&updated), "{updated:?}");
    assert_eq!(data(&direct, 2).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(proxy.lost(), 2);
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(table) = place().await else {
        return;
    };
    let proxy = Proxy::to(server().unwrap().port());
    let visitor = visitor(store(&through(&proxy), &table.name).clock(silverback::Clock::system()));
    ok(&visitor, "/add").await;
    for expected in 1..=10 {
        proxy.cut();
        assert_eq!(count(&visitor).await, expected);
        proxy.cut();
        ok(&visitor, "/add").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(table) = place().await else {
        return;
    };
    let keys = Keys::generate().unwrap();
    let nodes = [(); 2].map(|()| {
        let store = DynamoDbStore::new(&client(&server().unwrap().url()), &table.name);
        let config = SessionConfig::new("session", store.timeout(FOR_EVER), keys.clone());
        Visitor::new(site::app(config.store_timeout(FOR_EVER)))
    });
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

/// A call that is dropped, as at a request's deadline, leaves a client that works.
#[tokio::test]
async fn a_dropped_call_takes_nobodys_answer() {
    let Some(table) = place().await else {
        return;
    };
    let proxy = Proxy::to(server().unwrap().port());
    let store = store(&through(&proxy), &table.name);
    add(&store, 1).await;
    let other = store.create(&key(2), "other".into(), day()).await;
    other.unwrap();
    for _ in 0..5 {
        proxy.hold_answers();
        let asked = proxy.requests();
        let first = key(1);
        let mut load = Box::pin(store.load(&first, Read::Current));
        while proxy.requests() == asked {
            let pending = tokio::time::timeout(std::time::Duration::ZERO, &mut load).await;
            assert!(pending.is_err(), "{pending:?}");
            tokio::task::yield_now().await;
        }
        drop(load);
        proxy.release_answers();
        assert_eq!(data(&store, 2).await.as_deref(), Some(&b"other"[..]));
    }
}
