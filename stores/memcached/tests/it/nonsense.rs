//! A server that answers wrongly: no answer is taken for another call's.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    thread,
    time::Duration,
};

use silverback::store::{Bytes, Read, Store as _, StoreError};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::kit::key;

use crate::day;

/// Starts a server that greets like memcached and answers every command like this. It ends with the
/// test's process.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut to = client.try_clone().unwrap();
                for line in BufReader::new(client).lines().map_while(Result::ok) {
                    let facts = b"STAT item_size_max 1048576\r\nSTAT cas_enabled yes\r\nEND\r\n";
                    let is_greeting = line == "stats settings";
                    let bytes = if is_greeting { &facts[..] } else { answer };
                    if to.write_all(bytes).is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!("memcached://127.0.0.1:{port}")
}

#[tokio::test]
async fn an_answer_that_is_none_of_the_question_is_an_error() {
    for answer in [
        &b"VA 33 c1 O999\r\nsbm1aaaaaaaaaaaaaaaa\0\0\0\0\xff\xff\xff\xffstolen\r\n"[..],
        b"VA 2 c1\r\nok\r\n",
        b"HD\r\n",
        b"EN\r\n",
        b"ERROR\r\n",
        b"CLIENT_ERROR bad command line format\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\r\n",
        b"\0\0\0\0",
    ] {
        let store = MemcachedStore::connect(&server(answer)).await.unwrap();
        let store = store.timeout(Duration::from_millis(200));
        let shown = String::from_utf8_lossy(answer);
        for _ in 0..3 {
            let loaded = store.load(&key(1), Read::Current).await;
            assert!(
                matches!(loaded, Err(StoreError::Unavailable(_))),
                "{shown}: {loaded:?}"
            );
            let data = Bytes::from_static(b"\x01data");
            let created = store.create(&key(1), data, day()).await;
            assert!(
                matches!(created, Err(StoreError::Unavailable(_))),
                "{shown}: {created:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_error_is_a_refusal() {
    let store = MemcachedStore::connect(&server(b"SERVER_ERROR out of memory\r\n"))
        .await
        .unwrap();
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(matches!(loaded, Err(StoreError::Refused(_))), "{loaded:?}");
}
