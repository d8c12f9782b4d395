//! The proxy counts, cuts, holds back and goes silent.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
};

use silverback_test_servers::{Proxy, Redis, Reply};

fn ask(stream: &mut TcpStream, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    answer(stream)
}

fn answer(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    while !text.ends_with("\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        text.push(char::from(byte[0]));
    }
    Ok(text.trim_end().to_owned())
}

fn is_quiet(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn round_trips_are_counted() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    for n in 1..=5 {
        assert_eq!(ask(&mut client, "INCR n").unwrap(), format!(":{n}"));
        assert_eq!(proxy.requests(), n);
    }
    client.write_all(b"INCR n\r\nINCR n\r\n").unwrap();
    assert_eq!(answer(&mut client).unwrap(), ":6");
    assert_eq!(answer(&mut client).unwrap(), ":7");
    assert_eq!((proxy.requests(), proxy.connections()), (6, 1));
}

#[test]
fn a_cut_ends_connections_and_takes_new_ones() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let mut client = connect();
    assert_eq!(ask(&mut client, "PING").unwrap(), "+PONG");
    proxy.cut();
    assert!(ask(&mut client, "PING").is_err());
    assert_eq!(ask(&mut connect(), "PING").unwrap(), "+PONG");
    proxy.refuse();
    assert!(ask(&mut connect(), "PING").is_err());
    proxy.accept();
    assert_eq!(ask(&mut connect(), "PING").unwrap(), "+PONG");
}

#[test]
fn an_answer_is_lost_after_the_server_has_done_it() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    proxy.lose_answer(1);
    assert_eq!(ask(&mut client, "INCR n").unwrap(), ":1");
    assert!(ask(&mut client, "INCR n").is_err());
    assert_eq!(redis.ask(&["GET", "n"]), Reply::Bytes("2".into()));
    assert_eq!(proxy.lost(), 1);
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    assert_eq!(ask(&mut client, "INCR n").unwrap(), ":3");
}

#[test]
fn answers_are_held_back_and_requests_are_not() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    proxy.hold_answers();
    client.write_all(b"SET a b\r\n").unwrap();
    while redis.ask(&["GET", "a"]) == Reply::Nil {
        thread::yield_now();
    }
    assert!(is_quiet(&client));
    proxy.release_answers();
    assert_eq!(answer(&mut client).unwrap(), "+OK");
    proxy.hold_answers_after(1);
    assert_eq!(ask(&mut client, "INCR n").unwrap(), ":1");
    client.write_all(b"INCR n\r\n").unwrap();
    while !proxy.is_holding() {
        thread::yield_now();
    }
    assert!(is_quiet(&client));
    assert_eq!(redis.ask(&["GET", "n"]), Reply::Bytes("2".into()));
    proxy.release_answers();
    assert_eq!(answer(&mut client).unwrap(), ":2");
}

#[test]
fn nothing_passes_in_silence() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    proxy.silence();
    client.write_all(b"SET a b\r\n").unwrap();
    let mut other = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    other.write_all(b"PING\r\n").unwrap();
    assert_eq!(redis.ask(&["GET", "a"]), Reply::Nil);
    assert!(is_quiet(&client) && is_quiet(&other));
    proxy.speak();
    assert_eq!(answer(&mut client).unwrap(), "+OK");
    assert_eq!(answer(&mut other).unwrap(), "+PONG");
}

#[test]
fn abandoned_connections_stay_silent_and_new_ones_work() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::to(redis.port());
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let mut client = connect();
    assert_eq!(ask(&mut client, "PING").unwrap(), "+PONG");
    proxy.abandon();
    client.write_all(b"PING\r\n").unwrap();
    assert_eq!(ask(&mut connect(), "PING").unwrap(), "+PONG");
    assert!(is_quiet(&client));
}
