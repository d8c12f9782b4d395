//! Pools that use TLS according to their addresses.

use silverback::store::{Read, Store, StoreError};
use silverback_sqlx::{Dialect, SqlStore};
use silverback_test_servers::Certificates;

use crate::support::{
    records::{HOUR, data, key, make, told},
    servers::{MariaDb, Postgres, mysql_pool, mysql_store, on, postgres_pool, postgres_store},
};

/// The parameters of an address that trust only one authority, for the host in the address.
fn trusting(certificates: &Certificates, [mode, authority]: [&str; 2]) -> String {
    let file = certificates.authority();
    format!("?{mode}&{authority}={}", file.display())
}

const POSTGRES: [&str; 2] = ["sslmode=verify-full", "sslrootcert"];
const MARIADB: [&str; 2] = ["ssl-mode=VERIFY_IDENTITY", "ssl-ca"];

/// The server is not used. The error tells why, without the password.
async fn refuses<DB: Dialect>(store: SqlStore<DB>, why: &str) {
    let error = store.load(&key(1), Read::Current).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let said = told(&error) + &format!("{error:?}");
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("a-password"), "{said}");
}

#[tokio::test]
async fn postgres_speaks_tls() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let Some(server) = Postgres::options().tls(&certificates).start() else {
        return;
    };
    let url = server.url() + &trusting(&certificates, POSTGRES);
    let store = postgres_store(&url).await;
    make(&store, 1, b"data", HOUR).await;
    assert_eq!(data(&store, 1).await.unwrap(), b"data");
    let encrypted = server.sql(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity \
        USING (pid) WHERE query LIKE '%silverback_sessions%' AND pid <> pg_backend_pid()",
    );
    assert_eq!(encrypted.trim(), "t");
}

#[tokio::test]
async fn mariadb_speaks_tls() {
    let Some(certificates) = Certificates::make() else {
        return;
    };
    let Some(server) = MariaDb::options().tls(&certificates).start() else {
        return;
    };
    server.sql(
        "CREATE USER app@'127.0.0.1' REQUIRE SSL; GRANT ALL ON silverback.* TO app@'127.0.0.1'",
    );
    let url = server.url().replace("root@", "app@");
    let store = mysql_store(&(url + &trusting(&certificates, MARIADB))).await;
    make(&store, 1, b"data", HOUR).await;
    assert_eq!(data(&store, 1).await.unwrap(), b"data");
}

#[tokio::test]
async fn a_postgres_that_cannot_be_trusted_is_not_used() {
    let (Some(certificates), Some(elsewhere)) = (
        Certificates::make(),
        Certificates::make_for("DNS:elsewhere.example"),
    ) else {
        return;
    };
    let (Some(plain), Some(server), Some(other)) = (
        Postgres::start(),
        Postgres::options().tls(&certificates).start(),
        Postgres::options().tls(&elsewhere).start(),
    ) else {
        return;
    };
    for (server, trusted, why) in [
        (&plain, &certificates, "does not support TLS"),
        (&server, &elsewhere, "invalid peer certificate"),
        (&other, &elsewhere, "not valid for name"),
    ] {
        let url = server.url().replace("postgres@", "postgres:a-password@");
        refuses(
            on(postgres_pool(&(url + &trusting(trusted, POSTGRES)))),
            why,
        )
        .await;
    }
}

#[tokio::test]
async fn a_mariadb_that_cannot_be_trusted_is_not_used() {
    let (Some(certificates), Some(elsewhere)) = (
        Certificates::make(),
        Certificates::make_for("DNS:elsewhere.example"),
    ) else {
        return;
    };
    let (Some(plain), Some(server), Some(other)) = (
        MariaDb::start(),
        MariaDb::options().tls(&certificates).start(),
        MariaDb::options().tls(&elsewhere).start(),
    ) else {
        return;
    };
    for (server, trusted, why) in [
        (&plain, &certificates, "does not support TLS"),
        (&server, &elsewhere, "invalid peer certificate"),
        (&other, &elsewhere, "not valid for name"),
    ] {
        let url = server.url().replace("root@", "root:a-password@");
        refuses(on(mysql_pool(&(url + &trusting(trusted, MARIADB)))), why).await;
    }
}
