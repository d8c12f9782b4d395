//! The connection is cut after the server has handled a request, at each answer of each visit.

use silverback::store::{Bytes, Read, Store as _};
use silverback_test_servers::{
    Proxy,
    kit::{
        Case, an_idle_connection_may_be_cut, create, everybody_gets_their_own_answers,
        is_unavailable, key, load, lost_answers_cost_nobody_an_error, no_increment_is_lost,
    },
};

use crate::{Project, day};

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(project) = Project::new() else {
        return;
    };
    let connect = |port| project.through(port);
    lost_answers_cost_nobody_an_error(&Case::ALL, project.emulator.port(), connect).await;
}

/// A client that repeats by itself would get `Conflict`, `Exists` or `Gone` because of its own
/// first attempt.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once_and_unavailable() {
    let Some(project) = Project::new() else {
        return;
    };
    let (proxy, direct) = (Proxy::to(project.emulator.port()), project.store().await);
    let store = project.through(proxy.port()).await;
    let version = create(&direct, 1, day()).await;
    let new = || Bytes::from_static(b"\x01new");
    let lose = || proxy.lose_answer(0);

    lose();
    let updated = store.update(&key(1), version, new(), day()).await;
    is_unavailable(&updated);
    let record = load(&direct, 1).await.unwrap();
    assert_eq!(record.data(), new());

    lose();
    let touched = store.touch(&key(1), record.version(), day()).await;
    is_unavailable(&touched);
    let version = load(&direct, 1).await.unwrap().version();

    lose();
    let created = store.create(&key(2), new(), day()).await;
    is_unavailable(&created);
    assert_eq!(load(&direct, 2).await.unwrap().data(), new());

    lose();
    let loaded = store.load(&key(1), Read::Current).await;
    is_unavailable(&loaded);

    lose();
    let deleted = store.delete(&key(1), Some(version)).await;
    is_unavailable(&deleted);
    assert_eq!(load(&direct, 1).await, None);

    lose();
    let deleted = store.delete_many(&[(key(2), None), (key(3), None)]).await;
    assert_eq!(deleted.len(), 2, "{deleted:?}");
    deleted.iter().for_each(is_unavailable);
    assert_eq!(proxy.lost(), 6);
    assert_eq!(load(&direct, 2).await, None);
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Proxy::to(project.emulator.port());
    an_idle_connection_may_be_cut(&proxy, project.through(proxy.port()).await, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(project) = Project::new() else {
        return;
    };
    let stores = [project.store().await, project.store().await];
    no_increment_is_lost(stores, 16, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_their_own_answers_through_cuts() {
    let Some(project) = Project::new() else {
        return;
    };
    let proxy = Proxy::to(project.emulator.port());
    let (direct, store) = (project.store().await, project.through(proxy.port()).await);
    everybody_gets_their_own_answers(proxy, &direct, store, day(), (16, 20)).await;
}
