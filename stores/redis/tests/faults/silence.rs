//! The server does not answer for a while.

use std::time::{Duration, Instant};

use silverback_test_servers::{
    Proxy, Redis,
    kit::{Visitor, count_at_last, visitor_with},
};

use crate::site::{scaled, soaks, through};

async fn added(visitor: &Visitor) -> u16 {
    visitor.get("/add").await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_silence_sessions_are_away_and_other_routes_are_not() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let timeout = Duration::from_millis(scaled(200, 2_000));
    let stores = [
        through(proxy.port()).await.timeout(timeout),
        through(proxy.port()).await.timeout(timeout),
    ];
    let budget = Duration::from_secs(scaled(1, 5));
    let visitor = visitor_with(stores, |config| config.store_timeout(budget));
    // A busy machine may take longer than that and still succeed.
    while added(&visitor).await != 200 {}
    let before = count_at_last(&visitor).await;
    proxy.silence();
    let begin = Instant::now();
    let (mut away, mut slowest) = (0, Duration::ZERO);
    while away < 16 || (soaks() && begin.elapsed() < Duration::from_secs(10)) {
        let requests = (0..8).map(|_| {
            let visitor = visitor.clone();
            tokio::spawn(async move {
                let asked = Instant::now();
                (added(&visitor).await, asked.elapsed())
            })
        });
        let requests: Vec<_> = requests.collect();
        assert_eq!(visitor.get("/free").await.text(), "free");
        for request in requests {
            let (status, took) = request.await.unwrap();
            assert_eq!(status, 503);
            away += 1;
            slowest = slowest.max(took);
        }
    }
    proxy.speak();
    println!(
        "{away} requests answered 503 in silence, the slowest after {slowest:?} of {budget:?}"
    );
    // Only loads were sent, so nothing was written.
    assert_eq!(count_at_last(&visitor).await, before);
    let mut tried = 1;
    while added(&visitor).await != 200 {
        tried += 1;
    }
    let added = count_at_last(&visitor).await - before;
    assert!((1..=tried).contains(&added), "{added} of {tried}");
}
