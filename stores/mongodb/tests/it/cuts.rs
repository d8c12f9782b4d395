//! The connection is cut after the server has handled a request, at each answer of each visit.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use silverback_test_servers::{
    SecantusDb,
    kit::{Case, lost_answers, no_increment_is_lost},
};
use tokio::task::JoinSet;

use crate::{connect, server, through, through_repeating};

const CASES: [Case; 6] = [
    Case::FIRST_WRITE,
    Case::WRITE,
    Case::LOGIN,
    Case::LOGOUT,
    Case::new("a logout everywhere", &["/add", "/login"], "/everywhere", 0),
    Case::READ,
];

/// Cuts the answers of a case, one in each run, and counts them.
async fn cut_each(server: Arc<SecantusDb>, repeats: bool, case: Case) -> u64 {
    // All runs are of the same user, each with its own keys.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let connect = |port| async move {
        let store = match repeats {
            true => through_repeating(port, "shop").await,
            false => through(port, "shop").await,
        };
        store.collection(&format!("run {}", RUNS.fetch_add(1, Ordering::Relaxed)))
    };
    lost_answers(case, server.port(), connect).await
}

/// The client waits up to half a second before it retries a server that has cut it off. All runs
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

/// The client itself repeats a write, and the server recognises it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_a_replica_set_cost_nobody_an_error() {
    cost_nobody_an_error(&[], true).await;
}

/// The client repeats no write. The session reads once more and finds its own write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_a_single_server_cost_nobody_an_error() {
    cost_nobody_an_error(&["--standalone"], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_two_servers_is_lost() {
    let Some(server) = server() else {
        return;
    };
    let stores = [
        connect(server, "increments").await,
        connect(server, "increments").await,
    ];
    no_increment_is_lost(stores, 16, 10).await;
}
