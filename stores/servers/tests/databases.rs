//! PostgreSQL and MariaDB start, answer and end.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

use std::net::TcpStream;

use silverback_test_servers::{MariaDb, Postgres};

#[test]
fn postgres_keeps_its_rows_over_a_kill() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    postgres.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)");
    postgres.kill();
    assert!(TcpStream::connect(("127.0.0.1", postgres.port())).is_err());
    postgres.restart();
    assert_eq!(
        postgres.sql("SELECT n, n + 1 FROM t ORDER BY n"),
        "1|2\n2|3\n"
    );
    postgres.restart();
    assert_eq!(postgres.sql("SELECT count(*) FROM t"), "2\n");
}

#[test]
fn postgres_takes_settings() {
    let options = Postgres::options().set("max_connections", "7");
    let Some(postgres) = options.start() else {
        return;
    };
    assert_eq!(postgres.sql("SHOW max_connections"), "7\n");
    let port = postgres.port();
    drop(postgres);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn mariadb_keeps_its_rows_over_a_kill() {
    let Some(mariadb) = MariaDb::start() else {
        return;
    };
    mariadb.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)");
    mariadb.kill();
    assert!(TcpStream::connect(("127.0.0.1", mariadb.port())).is_err());
    mariadb.restart();
    assert_eq!(
        mariadb.sql("SELECT n, n + 1 FROM t ORDER BY n"),
        "1\t2\n2\t3\n"
    );
}

#[test]
fn mariadb_takes_settings() {
    let options = MariaDb::options().set("max-connections", "17");
    let Some(mariadb) = options.start() else {
        return;
    };
    assert_eq!(mariadb.sql("SELECT @@max_connections"), "17\n");
    let port = mariadb.port();
    drop(mariadb);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
