//! Sessions over TLS, on real servers whose certificates only the test trusts.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::{env, error::Error as _, fs, process::Command, time::Duration};

use redis::{Client, ClientTlsConfig, TlsCertificates};
use silverback::{
    Timestamp,
    store::{Bytes, Expiry, Read, RecordKey, Store, StoreError},
};
use silverback_redis::RedisStore;
use silverback_test_servers::{Certificates, Cluster, Redis, Sentinel};

fn install_provider() {
    // Another test of the process may have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Saves and loads records under some keys.
async fn keeps_records(store: &RedisStore) {
    let now = Timestamp::from_secs(1_800_000_000);
    let hour = Expiry::new(now.saturating_add(Duration::from_secs(3_600)), now);
    for number in 0..20 {
        let key = RecordKey::from_bytes([number; 32]);
        let create = store.create(&key, Bytes::from_static(b"\x01old"), hour);
        let version = create.await.unwrap();
        let update = store.update(&key, version, Bytes::from_static(b"\x01new"), hour);
        update.await.unwrap();
        let loaded = store.load(&key, Read::Current).await.unwrap().unwrap();
        assert_eq!(loaded.data(), b"\x01new");
    }
}

/// An error with its causes.
fn told(error: &StoreError) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told += &format!(": {error}");
        cause = error.source();
    }
    told
}

/// Checks that the error tells why the server was not reached, without its password.
async fn refused(url: &str) -> String {
    let url = url.replace("://", "://:a-password@");
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let said = told(&error) + &format!("{error:?}");
    assert!(!said.contains("a-password"), "{said}");
    said
}

/// Runs only in a process started by [`process`], which trusts the test's authority as the
/// system's.
const CLIENT: &str = "a_client_that_trusts_the_authority";

#[tokio::test]
async fn a_client_that_trusts_the_authority() {
    let Ok(servers) = env::var(CLIENT) else {
        return;
    };
    install_provider();
    let (kind, urls) = servers.split_once(' ').unwrap();
    let store = match kind {
        "one" => RedisStore::connect(urls).await,
        "sentinel" => {
            let master = format!("rediss://{}", Sentinel::NAME);
            RedisStore::connect_sentinel([urls], &master).await
        }
        "cluster" => RedisStore::connect_cluster(urls.split(' ')).await,
        "elsewhere" => {
            let said = refused(urls).await;
            return assert!(said.contains("not valid for name"), "{said}");
        }
        _ => panic!("{kind}"),
    };
    keeps_records(&store.unwrap()).await;
}

/// Runs a client in a process that trusts an authority instead of the system's.
fn process(certificates: &Certificates, servers: &str) {
    let child = Command::new(env::current_exe().unwrap())
        .args([CLIENT, "--exact", "--nocapture"])
        .env(CLIENT, servers)
        .env("SSL_CERT_FILE", certificates.authority())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{printed}");
}

#[test]
fn one_server_speaks_tls() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let Some(redis) = Redis::options().tls(&certificates).start() else {
        return;
    };
    process(&certificates, &format!("one {}", redis.tls_url()));
}

#[test]
fn sentinel_and_master_speak_tls() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let Some(redis) = Redis::options().tls(&certificates).start() else {
        return;
    };
    let Some(sentinel) = Sentinel::of_tls(&redis, &certificates) else {
        return;
    };
    process(&certificates, &format!("sentinel {}", sentinel.tls_url()));
}

#[test]
fn a_cluster_speaks_tls() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let options = Cluster::options().replicas(0).tls(&certificates);
    let Some(cluster) = options.start() else {
        return;
    };
    let urls = cluster.tls_urls().join(" ");
    process(&certificates, &format!("cluster {urls}"));
}

#[tokio::test]
async fn the_applications_connection_has_its_own_certificates() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let options = Redis::options().tls(&certificates);
    let Some(redis) = options.set("tls-auth-clients", "yes").start() else {
        return;
    };
    install_provider();
    let read = |path| fs::read(path).unwrap();
    let own = TlsCertificates {
        client_tls: Some(ClientTlsConfig {
            client_cert: read(certificates.certificate()),
            client_key: read(certificates.key()),
        }),
        root_cert: Some(read(certificates.authority())),
    };
    let client = Client::build_with_tls(redis.tls_url(), own).unwrap();
    let manager = client.get_connection_manager().await.unwrap();
    keeps_records(&RedisStore::from_connection(manager).await.unwrap()).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_left() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let Some(redis) = Redis::options().tls(&certificates).start() else {
        return;
    };
    install_provider();
    let (plain, tls) = (redis.url(), redis.tls_url());
    let no_tls = plain.replace("redis:", "rediss:");
    let (stranger, no_tls) = tokio::join!(refused(&tls), refused(&no_tls));
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    assert!(no_tls.contains("timed out"), "{no_tls}");
    assert_eq!(redis.ask(&["DBSIZE"]).text(), "0");
}

#[test]
fn a_server_of_another_name_is_left() {
    let Some(certificates) = Certificates::make_for("DNS:elsewhere.example") else {
        return;
    };
    let Some(redis) = Redis::options().tls(&certificates).start() else {
        return;
    };
    process(&certificates, &format!("elsewhere {}", redis.tls_url()));
}
