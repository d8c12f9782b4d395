//! Groups of servers survive the loss of one.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::thread;

use silverback_test_servers::{Cluster, Galera, Redis, Reply, Sentinel};

/// Waits until a replica has what this master has. `WAIT` would not do: it is about the writes of
/// its own connection, and each question has another.
fn until_replicated(master: &Redis) {
    let info = || master.ask(&["INFO", "replication"]).text();
    let number = |info: &str, name: &str| -> Option<u64> {
        let (_, rest) = info.split_once(name)?;
        rest.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    let written = number(&info(), "master_repl_offset:").unwrap();
    while number(&info(), ",offset=").is_none_or(|offset| offset < written) {
        thread::yield_now();
    }
}

#[test]
fn a_cluster_replaces_a_master() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    assert_eq!(cluster.masters().len(), 3);
    let master = cluster.master_of("a");
    assert_eq!(master.ask(&["SET", "a", "b"]), Reply::Bytes("OK".into()));
    until_replicated(master);
    master.kill();
    while cluster.masters().len() < 3 {
        thread::yield_now();
    }
    cluster.settle();
    assert_eq!(
        cluster.master_of("a").ask(&["GET", "a"]),
        Reply::Bytes("b".into())
    );
    master.restart();
    cluster.settle();
    assert_eq!(cluster.masters().len(), 3);
}

#[test]
fn sentinels_replace_a_master() {
    let Some(sentinel) = Sentinel::start() else {
        return;
    };
    let before = sentinel.master();
    assert_eq!(before.ask(&["SET", "a", "b"]), Reply::Bytes("OK".into()));
    until_replicated(before);
    before.kill();
    while sentinel.master().port() == before.port() {
        thread::yield_now();
    }
    let after = sentinel.master();
    assert_eq!(after.ask(&["GET", "a"]), Reply::Bytes("b".into()));
    before.restart();
    sentinel.settle();
}

#[test]
fn a_galera_cluster_loses_and_regains_its_first_server() {
    let Some(galera) = Galera::start() else {
        return;
    };
    let [first, second, third] = galera.nodes() else {
        panic!()
    };
    first.sql("CREATE TABLE t (n int primary key); INSERT INTO t VALUES (1)");
    let read = "SET wsrep_sync_wait=7; SELECT count(*) FROM t";
    assert_eq!(third.sql(read), "1\n");
    first.kill();
    second.sql("SET wsrep_sync_wait=7; INSERT INTO t VALUES (2)");
    first.restart();
    assert_eq!(first.sql(read), "2\n");
}
