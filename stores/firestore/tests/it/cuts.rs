//! A connection is cut after the server has done what it was asked, at each answer of each request.

use std::sync::Arc;

use silverback::store::{Bytes, Read, Store as _, StoreError};
use silverback_test_servers::Proxy;

use crate::{
    DATA, Project, create, day, key, load,
    site::{Visitor, count, ok, visitor, visitors},
};

/// What a visitor does, and what has to be so then.
struct Case {
    name: &'static str,
    before: &'static [&'static str],
    request: &'static str,
    counted: u64,
}

const fn case(
    name: &'static str,
    before: &'static [&'static str],
    request: &'static str,
    counted: u64,
) -> Case {
    Case {
        name,
        before,
        request,
        counted,
    }
}

const CASES: [Case; 6] = [
    case("a first write", &[], "/add", 1),
    case("a write", &["/add"], "/add", 2),
    case("a login of a new visitor", &[], "/login", 0),
    case("a login", &["/add"], "/login", 1),
    case("a logout", &["/add", "/login"], "/logout", 0),
    case("a read", &["/add"], "/n", 1),
];

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(project) = Project::new() else {
        return;
    };
    let mut lost = 0;
    for case in &CASES {
        for call in 0.. {
            let proxy = Proxy::to(project.emulator.port());
            let visitor = visitor(project.through(proxy.port()).await);
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

/// A client that asked again by itself would be told `Conflict`, `Exists` or `Gone` because of what
/// it did the first time.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once_and_unavailable() {
    let Some(project) = Project::new() else {
        return;
    };
    let (proxy, direct) = (Proxy::to(project.emulator.port()), project.store().await);
    let store = project.through(proxy.port()).await;
    let version = create(&direct, 1).await;
    let new = || Bytes::from_static(b"\x01new");
    let lose = || proxy.lose_answer(0);

    lose();
    let updated = store.update(&key(1), version, new(), day()).await;
    assert!(
        matches!(updated, Err(StoreError::Unavailable(_))),
        "{updated:?}"
    );
    let record = load(&direct, 1).await.unwrap();
    assert_eq!(record.data(), new());

    lose();
    let touched = store.touch(&key(1), record.version(), day()).await;
    assert!(
        matches!(touched, Err(StoreError::Unavailable(_))),
        "{touched:?}"
    );
    let version = load(&direct, 1).await.unwrap().version();

    lose();
    let created = store.create(&key(2), new(), day()).await;
    assert!(
        matches!(created, Err(StoreError::Unavailable(_))),
        "{created:?}"
    );
    assert_eq!(load(&direct, 2).await.unwrap().data(), new());

    lose();
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );

    lose();
    let deleted = store.delete(&key(1), Some(version)).await;
    assert!(
        matches!(deleted, Err(StoreError::Unavailable(_))),
        "{deleted:?}"
    );
    assert_eq!(load(&direct, 1).await, None);

    lose();
    let deleted = store.delete_many(&[(key(2), None), (key(3), None)]).await;
    let is_lost = |result| matches!(result, &Err(StoreError::Unavailable(_)));
    assert!(
        deleted.len() == 2 && deleted.iter().all(is_lost),
        "{deleted:?}"
    );
    assert_eq!(proxy.lost(), 6);
    assert_eq!(load(&direct, 2).await, None);
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Proxy::to(project.emulator.port());
    let visitor = visitor(project.through(proxy.port()).await);
    ok(&visitor, "/add").await;
    for expected in 1..=5 {
        proxy.cut();
        assert_eq!(count(&visitor).await, expected);
        proxy.cut();
        ok(&visitor, "/add").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(project) = Project::new() else {
        return;
    };
    let nodes = visitors([project.store().await, project.store().await]);
    ok(&nodes[0], "/add").await;
    let jar = nodes[0].jar(|jar| jar.clone());
    nodes[1].jar(|other| *other = jar);
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let visitor: Visitor = nodes[task % 2].clone();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_their_own_answers_through_cuts() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Arc::new(Proxy::to(project.emulator.port()));
    let direct = project.store().await;
    for number in 0..16_u32 {
        let data = Bytes::from([DATA, &vec![number as u8; number as usize * 100]].concat());
        direct.create(&key(number), data, day()).await.unwrap();
    }
    let store = project.through(proxy.port()).await;
    let tasks: Vec<_> = (0..16_u32)
        .map(|number| {
            let (store, proxy) = (store.clone(), Arc::clone(&proxy));
            tokio::spawn(async move {
                let mut answered = 0;
                for round in 0..20 {
                    if number == 0 && round % 8 == 0 {
                        proxy.cut();
                    }
                    match store.load(&key(number), Read::Current).await {
                        Ok(record) => {
                            let filling = vec![number as u8; number as usize * 100];
                            assert_eq!(record.unwrap().data(), [DATA, &filling].concat());
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
    assert!(answered > 16, "{answered}");
}
