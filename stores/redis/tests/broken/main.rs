//! Stores on a real Redis that break the contract in one way each, and the rules that detect it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod client;

use std::{collections::BTreeSet, future::ready, sync::Arc, time::Duration};

use silverback::store::{
    RecordKey,
    conformance::{self, Subject},
};
use silverback_test_servers::{Proxy, Redis, Reply};
use tokio::task::JoinSet;

use self::client::{Broken, DEADLINE, Fault, PREFIX};

/// The rules that each store breaks. Others may break as well, because of a race or a second
/// boundary.
const BROKEN: [(Fault, &[&str]); 12] = [
    (
        Fault::TouchLeavesTheTtl,
        &["a_touch_moves_the_end_in_real_time"],
    ),
    (
        Fault::UpdateLeavesTheTtl,
        &["an_update_moves_the_end_in_real_time"],
    ),
    (Fault::LivesAMinute, &["a_record_ends_in_real_time"]),
    (Fault::LivesForEver, &["a_record_ends_in_real_time"]),
    (
        Fault::ErrorIsNoRecord,
        &[
            "silence_is_an_error_and_never_no_record",
            "a_cut_is_an_error_and_never_no_record",
        ],
    ),
    (
        Fault::GarbageIsNoRecord,
        &["garbage_is_corrupt_and_never_a_record"],
    ),
    (
        Fault::ShortIsNotStored,
        &["a_record_of_one_second_is_kept_for_it"],
    ),
    (
        Fault::ComparesThenSets,
        &["of_two_updates_one_wins", "of_two_peers_one_updates"],
    ),
    (
        Fault::LooksThenSets,
        &["of_two_creates_one_wins", "of_two_peers_one_creates"],
    ),
    (
        Fault::EndIsOfTheTtl,
        &["an_end_is_given_back_as_it_was_told"],
    ),
    (
        Fault::CutsAtAMebibyte,
        &["records_of_every_size_come_back_whole"],
    ),
    (
        Fault::CachesInProcess,
        &["what_one_peer_writes_the_other_sees"],
    ),
];

/// Two of them are detected by waiting for the whole timeout.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store behind a proxy, and its peer with a direct connection.
fn subject(fault: Fault, server: &Arc<Redis>) -> Subject<Broken> {
    let proxy = Proxy::to(server.port());
    let [dirty, asked, failing] = [(); 3].map(|()| Arc::clone(server));
    Subject::new(Broken::new(fault, &behind(&proxy)))
        .peer(Broken::new(fault, &server.url()))
        .outages(move || ready(subject_that_fails(fault, &failing)))
        .garbage(move |_, key| {
            let _ = dirty.ask(&["SET", &client::name(&key), "a cart"]);
            ready(())
        })
        .round_trips(move |_| ready(proxy.requests()))
        .time_left(move |_, key| ready(left(&asked, &key)))
        .patience(PATIENCE)
        .scale(0.3)
}

fn subject_that_fails(fault: Fault, server: &Redis) -> Subject<Broken> {
    let silent = Arc::new(Proxy::to(server.port()));
    let cut = Arc::clone(&silent);
    Subject::new(Broken::new(fault, &behind(&silent)))
        .silence(move |_| ready(silent.silenced()))
        .cut(move |_| ready(cut.cut_off()))
        .deadline(DEADLINE * 2)
        .patience(PATIENCE)
        .scale(0.3)
}

fn behind(proxy: &Proxy) -> String {
    format!("redis://127.0.0.1:{}", proxy.port())
}

fn left(server: &Redis, key: &RecordKey) -> Option<Duration> {
    match server.ask(&["PTTL", &client::name(key)]) {
        Reply::Number(left) => left.try_into().ok().map(Duration::from_millis),
        _ => None,
    }
}

/// The names of the rules that the store breaks.
async fn broken(fault: Fault, server: Arc<Redis>) -> BTreeSet<&'static str> {
    let checked = conformance::check_all(subject(fault, &server)).await;
    let broken = checked.into_iter().filter_map(|(rule, checked)| {
        let violation = checked.err()?;
        println!("{fault:?}: {violation}");
        Some(rule.name())
    });
    broken.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_twelve_fails_by_its_rule_and_the_right_one_by_none() {
    let Some(server) = Redis::start().map(Arc::new) else {
        return println!("skipped: no redis-server");
    };
    assert_eq!(
        broken(Fault::None, Arc::clone(&server)).await,
        BTreeSet::new()
    );
    let mut checking = JoinSet::new();
    for (fault, rules) in BROKEN {
        let server = Arc::clone(&server);
        checking.spawn(async move { (fault, rules, broken(fault, server).await) });
    }
    for (fault, rules, found) in checking.join_all().await {
        let missed: Vec<_> = rules.iter().filter(|rule| !found.contains(*rule)).collect();
        assert!(
            missed.is_empty(),
            "{fault:?} keeps {missed:?} and breaks {found:?}"
        );
    }
    let Reply::Many(left) = server.ask(&["KEYS", &format!("{PREFIX}*")]) else {
        panic!("no list of keys");
    };
    // A call that was given up, usually a create, may still arrive after the rule has cleaned up.
    assert!(left.len() < 10, "{} records are left", left.len());
}
