//! The connection is cut after the server has handled a request, at each answer of each visit.

use silverback_test_servers::{
    Memcached, Proxy,
    kit::{
        Case, an_idle_connection_may_be_cut, everybody_gets_their_own_answers,
        lost_answers_cost_nobody_an_error, no_increment_is_lost,
    },
};

use crate::{connect, day, through};

/// A store that may forget is refused for logins.
const CASES: [Case; 6] = [
    Case::FIRST_WRITE,
    Case::WRITE,
    Case::new("a renewal of nothing", &[], "/renew", 0),
    Case::new("a renewal", &["/add"], "/renew", 1),
    Case::new("a logout", &["/add", "/renew"], "/logout", 0),
    Case::READ,
];

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(server) = Memcached::start() else {
        return;
    };
    lost_answers_cost_nobody_an_error(&CASES, server.port(), through).await;
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    an_idle_connection_may_be_cut(&proxy, through(proxy.port()).await, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_share_a_connection_get_their_own_answers_through_cuts() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let proxy = Proxy::to(server.port());
    let (direct, store) = (connect(&server).await, through(proxy.port()).await);
    everybody_gets_their_own_answers(proxy, &direct, store, day(), (64, 40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let stores = [connect(&server).await, connect(&server).await];
    no_increment_is_lost(stores, 16, 10).await;
}
