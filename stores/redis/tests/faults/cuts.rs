//! The connection is cut after the server has run the command, at each call of each request.

use silverback_test_servers::{
    Proxy, Redis,
    kit::{
        Case, an_idle_connection_may_be_cut, count, lost_answers_cost_nobody_an_error, ok,
        visitor_with,
    },
};

use crate::site::{at, through};

#[tokio::test]
async fn a_lost_answer_costs_nobody_an_error_and_nothing_is_done_twice() {
    let Some(redis) = Redis::start() else { return };
    lost_answers_cost_nobody_an_error(&Case::ALL, redis.port(), through).await;
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_nobody_an_error() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    an_idle_connection_may_be_cut(&proxy, through(proxy.port()).await, 10).await;
}

#[tokio::test]
async fn a_cut_of_everything_is_survived_while_two_servers_write() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let stores = [through(proxy.port()).await, at(&redis.url()).await];
    let visitor = visitor_with(stores, |config| config);
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
