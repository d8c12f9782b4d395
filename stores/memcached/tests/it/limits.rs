//! The server's limits on lengths, keys and times.

use silverback::store::{Bytes, Read, Store as _, StoreError};
use silverback_memcached::MemcachedStore;
use silverback_test_servers::{
    Memcached,
    kit::{create, data, key},
};

use crate::{at, connect, day, seconds, through};

#[tokio::test]
async fn the_largest_record_is_what_the_server_says() {
    for (item_size, most) in [("1m", 1_048_036), ("4m", 4_193_764)] {
        let Some(server) = Memcached::start_with(&["-I", item_size]) else {
            return;
        };
        let longest = "p".repeat(186);
        let store = connect(&server).await.prefix(&longest).unwrap();
        assert_eq!(store.limits().record_bytes, most);
        let data = Bytes::from(vec![1; most]);
        store.create(&key(1), data.clone(), day()).await.unwrap();
        let loaded = store.load(&key(1), Read::Current).await.unwrap();
        let record = loaded.unwrap();
        assert_eq!(record.data(), data);
        let more = Bytes::from(vec![1; most + 1]);
        let update = store.update(&key(1), record.version(), more, day()).await;
        assert!(matches!(update, Err(StoreError::TooLarge { .. })));
        let loaded = store.load(&key(1), Read::Current).await.unwrap();
        assert_eq!(loaded.as_ref(), Some(&record), "the old one stays");
        assert_eq!(store.record_bytes(usize::MAX).limits().record_bytes, most);
    }
}

#[tokio::test]
async fn a_server_that_takes_less_than_before_refuses() {
    let Some(large) = Memcached::start_with(&["-I", "2m"]) else {
        return;
    };
    let Some(small) = Memcached::start() else {
        return;
    };
    let proxy = silverback_test_servers::Proxy::to(large.port());
    let store = at(&format!("memcached://127.0.0.1:{}", proxy.port())).await;
    proxy.redirect(small.port());
    proxy.cut();
    let data = Bytes::from(vec![1; 1_500_000]);
    let tried = loop {
        match store.create(&key(1), data.clone(), day()).await {
            Err(StoreError::Unavailable(_)) => {}
            tried => break tried,
        }
    };
    assert!(matches!(tried, Err(StoreError::Refused(_))), "{tried:?}");
    create(&store, 2, day()).await;
}

#[tokio::test]
async fn a_server_that_has_lost_its_tokens_refuses() {
    let [Some(with), Some(without)] = [&[][..], &["-C"]].map(Memcached::start_with) else {
        return;
    };
    let proxy = silverback_test_servers::Proxy::to(with.port());
    let store = through(proxy.port()).await;
    proxy.redirect(without.port());
    proxy.cut();
    let tried = loop {
        match store.create(&key(1), Bytes::new(), day()).await {
            Err(StoreError::Unavailable(_)) => {}
            tried => break tried,
        }
    };
    assert!(matches!(tried, Err(StoreError::Refused(_))), "{tried:?}");
}

#[tokio::test]
async fn applications_share_a_server_by_their_prefixes() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    let [shop, admin] = ["shop:", "admin:"].map(|prefix| store.clone().prefix(prefix).unwrap());
    create(&shop, 1, day()).await;
    assert_eq!(data(&admin, 1).await, None);
    admin.delete(&key(1), None).await.unwrap();
    assert!(data(&shop, 1).await.is_some());
    let name = format!("mg shop:{} v\r\n", key(1));
    assert!(server.ask(name.as_bytes(), "\r\n").starts_with("VA "));
    for prefix in [
        "a b",
        "a\r\nflush_all\r\n",
        "\u{e9}",
        "\u{7f}",
        &"p".repeat(187),
    ] {
        let refused = store.clone().prefix(prefix);
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{prefix}");
    }
}

#[tokio::test]
async fn the_server_is_told_the_end() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    let left = || {
        let name = format!("mg silverback:{} t\r\n", key(1));
        let answer = server.ask(name.as_bytes(), "\r\n");
        let left = answer.strip_prefix("HD t").map(str::trim_end);
        left.map(|left| left.parse::<u64>().unwrap())
    };
    let is_about = |seconds: u64| {
        let left = left().unwrap();
        assert!((seconds - 120..=seconds + 2).contains(&left), "{left}");
    };
    let version = create(&store, 1, day()).await;
    is_about(86_400);
    // Beyond thirty days, the server expects an absolute time.
    let year = 366 * 86_400;
    let data = Bytes::from_static(b"\x01new");
    let version = store
        .update(&key(1), version, data, seconds(year))
        .await
        .unwrap();
    is_about(year);
    store.touch(&key(1), version, seconds(3_600)).await.unwrap();
    is_about(3_600);
    store
        .touch(&key(1), version, seconds(u64::MAX))
        .await
        .unwrap();
    assert!(left().unwrap() > year);
    store.touch(&key(1), version, seconds(0)).await.unwrap();
    assert_eq!(left(), None);
}

#[tokio::test]
async fn what_is_no_record_gives_way() {
    let Some(server) = Memcached::start() else {
        return;
    };
    let store = connect(&server).await;
    for value in ["a value of another program, of some length", "", "sbm1"] {
        let set = format!(
            "set silverback:{} 0 0 {}\r\n{value}\r\n",
            key(1),
            value.len()
        );
        assert_eq!(server.ask(set.as_bytes(), "\r\n"), "STORED\r\n");
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        create(&store, 1, day()).await;
        let again = store.create(&key(1), Bytes::new(), day()).await;
        assert!(matches!(again, Err(StoreError::Exists)), "{again:?}");
    }
}

#[tokio::test]
async fn a_server_without_tokens_is_refused() {
    let Some(server) = Memcached::start_with(&["-C"]) else {
        return;
    };
    let refused = MemcachedStore::connect(&server.url()).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    for url in ["", "localhost", "http://localhost"] {
        let refused = MemcachedStore::connect(url).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{url}");
    }
}
