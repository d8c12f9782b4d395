//! Redis and Valkey start, answer and end.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    env,
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use silverback_test_servers::{Flavour, Redis, Reply};

fn bytes(text: &str) -> Reply {
    Reply::Bytes(text.into())
}

#[test]
fn a_server_answers_until_it_is_dropped() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let Some(redis) = Redis::options().flavour(flavour).start() else {
            continue;
        };
        let (port, folder) = (redis.port(), redis.folder().to_owned());
        assert_eq!(redis.url(), format!("redis://127.0.0.1:{port}"));
        assert_eq!(redis.ask(&["SET", "a", "b"]), bytes("OK"));
        assert_eq!(redis.ask(&["GET", "a"]), bytes("b"));
        assert!(redis.is_running() && folder.exists());
        drop(redis);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!folder.exists());
    }
}

#[test]
fn a_server_ends_with_a_test_that_panics() {
    let Some(redis) = Redis::start() else { return };
    let port = redis.port();
    let test = AssertUnwindSafe(move || {
        let _redis = redis;
        panic!("on purpose");
    });
    assert!(catch_unwind(test).is_err());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_durable_server_has_its_data_after_kill_and_restart() {
    let Some(redis) = Redis::options().durable().start() else {
        return;
    };
    assert_eq!(redis.ask(&["SET", "a", "b"]), bytes("OK"));
    redis.kill();
    assert!(!redis.is_running());
    redis.restart();
    assert_eq!(redis.ask(&["GET", "a"]), bytes("b"));
}

#[test]
fn another_server_has_nothing_after_a_restart() {
    let Some(redis) = Redis::start() else { return };
    assert_eq!(redis.ask(&["SET", "a", "b"]), bytes("OK"));
    redis.restart();
    assert_eq!(redis.ask(&["GET", "a"]), Reply::Nil);
}

#[test]
fn a_paused_server_takes_connections_and_says_nothing() {
    use std::io::{Read, Write};

    let Some(redis) = Redis::start() else { return };
    redis.pause();
    let mut silent = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    silent.write_all(b"PING\r\n").unwrap();
    silent.set_nonblocking(true).unwrap();
    assert!(silent.read(&mut [0; 9]).is_err());
    silent.set_nonblocking(false).unwrap();
    redis.resume();
    let mut answer = [0; 7];
    silent.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn settings_reach_the_server() {
    let options = Redis::options().set("maxmemory-policy", "allkeys-lru");
    let Some(redis) = options.start() else { return };
    let Reply::Many(answer) = redis.ask(&["CONFIG", "GET", "maxmemory-policy"]) else {
        panic!()
    };
    assert_eq!(answer.last(), Some(&bytes("allkeys-lru")));
}

#[test]
fn servers_side_by_side_have_ports_of_their_own() {
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(Redis::start)).collect();
    let servers: Vec<_> = threads
        .into_iter()
        .filter_map(|thread| thread.join().unwrap())
        .collect();
    let mut ports: Vec<_> = servers.iter().map(|server| server.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
}

/// Run as a test by the next one only, in a process of its own that does not clean up.
const ABANDONED: &str = "a_server_is_started_and_abandoned";

#[test]
fn a_server_is_started_and_abandoned() {
    if env::var_os(ABANDONED).is_none() {
        return;
    }
    let Some(redis) = Redis::start() else { return };
    println!(
        "\nport {}\nfolder {}",
        redis.port(),
        redis.folder().display()
    );
    process::abort();
}

#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let child = Command::new(env::current_exe().unwrap())
        .args([ABANDONED, "--exact", "--nocapture"])
        .env(ABANDONED, "1")
        .output()
        .unwrap();
    let output = String::from_utf8(child.stdout).unwrap();
    let line = |name| output.lines().find_map(|line| line.strip_prefix(name));
    let (Some(port), Some(folder)) = (line("port "), line("folder ")) else {
        return;
    };
    let port: u16 = port.parse().unwrap();
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() || Path::new(folder).exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it still runs");
        thread::yield_now();
    }
}
