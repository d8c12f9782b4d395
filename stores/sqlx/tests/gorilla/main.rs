//! Sessions that pgstore keeps in PostgreSQL, used in Go and in Rust. pgstore is reimplemented in
//! `tests/go/postgres.go`.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "../../../../tests/go/both.rs"]
mod both;
#[path = "../../../../tests/go/on_server.rs"]
mod on_server;

use std::{sync::OnceLock, time::Duration};

use silverback::{GoRecords, gorilla::GoPayload};
use silverback_sqlx::GorillaPostgres;
use silverback_test_servers::{GoServer, Postgres};
use sqlx::{PgPool, postgres::PgPoolOptions, query_scalar, raw_sql};

use self::both::{Both, RUNTIME};

const PROGRAM: (&str, &[&str]) = ("postgres.go", &["github.com/lib/pq"]);

/// Longer than any call takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// The server of all tests. Each has its own database.
fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start).as_ref()
}

/// A database with pgstore's table.
struct Bench {
    both: Both,
    pool: PgPool,
}

impl Bench {
    fn start(database: &str) -> Option<Self> {
        let server = server()?;
        server.sql(&format!("CREATE DATABASE {database}"));
        let url = server.url_of(database);
        let options = PgPoolOptions::new().acquire_timeout(LONG);
        let pool = RUNTIME.block_on(async { options.connect_lazy(&url) });
        let pool = pool.unwrap();
        let url = format!("{url}?sslmode=disable");
        let (store, payload) = (["pgstore", &url], GoPayload::Sessions);
        let both = on_server::start(PROGRAM, &store, true, records(&pool), payload)?;
        Some(Self { both, pool })
    }

    fn records(&self) -> GorillaPostgres {
        records(&self.pool)
    }

    fn sql(&self, statements: &'static str) {
        let done = raw_sql(statements).execute(&self.pool);
        RUNTIME.block_on(done).unwrap();
    }

    fn count(&self) -> usize {
        let count = query_scalar::<_, i64>("SELECT count(*) FROM http_sessions");
        let count = RUNTIME.block_on(count.fetch_one(&self.pool)).unwrap();
        usize::try_from(count).unwrap()
    }
}

fn records(pool: &PgPool) -> GorillaPostgres {
    GorillaPostgres::new(pool.clone()).timeout(LONG)
}

#[test]
fn values_go_both_ways() {
    let Some(bench) = Bench::start("values") else {
        return;
    };
    both::values_go_both_ways(&bench.both);
}

#[test]
fn a_message_is_shown_once() {
    let Some(bench) = Bench::start("messages") else {
        return;
    };
    both::a_message_is_shown_once(&bench.both);
}

#[test]
fn a_logout_ends_the_session_for_both() {
    let Some(bench) = Bench::start("logouts") else {
        return;
    };
    both::a_logout_ends_the_session_for_both(&bench.both);
    assert_eq!(bench.count(), 0);
}

#[test]
fn an_old_cookie_revives_nothing() {
    let Some(bench) = Bench::start("old_cookies") else {
        return;
    };
    both::an_old_cookie_revives_nothing(&bench.both, || bench.count());
}

#[test]
fn a_faster_request_loses_nothing() {
    let Some(bench) = Bench::start("conflicts") else {
        return;
    };
    both::a_faster_request_loses_nothing(&bench.both, || bench.count());
}

#[test]
fn a_renewal_locks_an_old_cookie_out() {
    let Some(bench) = Bench::start("renewals") else {
        return;
    };
    both::a_renewal_locks_an_old_cookie_out(&bench.both, || bench.count());
}

#[test]
fn a_row_that_is_over_is_none() {
    let Some(bench) = Bench::start("ends") else {
        return;
    };
    assert_eq!(bench.both.go("/set?key=n&type=int&value=1"), "");
    let cookie = bench.both.cookie();
    bench.sql(
        "UPDATE http_sessions SET modified_on = now() - interval '2 hours', \
         expires_on = now() - interval '1 hour'",
    );
    // Go does not check it.
    assert_eq!(bench.both.go("/show"), "n int 1\n");
    assert_eq!(bench.both.rust("/show/n"), "null");
    assert_eq!(bench.both.rust("/insert/n/2"), "");
    assert_ne!(bench.both.cookie(), cookie);
    assert_eq!(bench.count(), 2);
    // As pgstore saves a `MaxAge` of 0.
    bench.sql("UPDATE http_sessions SET modified_on = now(), expires_on = now()");
    bench.both.plant(&cookie);
    assert_eq!(bench.both.rust("/show/n"), "1");
    let sweep = || RUNTIME.block_on(bench.records().sweep()).unwrap();
    assert_eq!(sweep(), 0);
    bench.sql(
        "UPDATE http_sessions SET modified_on = now() - interval '2 hours', \
         expires_on = now() - interval '1 hour' WHERE id = (SELECT min(id) FROM http_sessions)",
    );
    assert_eq!((sweep(), bench.count()), (1, 1));
}

/// If two of Go's requests find no row, each inserts one.
#[test]
fn of_two_rows_the_next_save_leaves_one() {
    let Some(bench) = Bench::start("twins") else {
        return;
    };
    assert_eq!(bench.both.go("/set?key=n&type=int&value=1"), "");
    bench.sql(
        "INSERT INTO http_sessions (key, data, created_on, modified_on, expires_on) \
         SELECT key, data, created_on, modified_on, expires_on FROM http_sessions",
    );
    assert_eq!(bench.both.go("/set?key=n&type=int&value=2"), "");
    bench.sql(
        "UPDATE http_sessions SET data = 'torn', modified_on = modified_on - interval '1 hour' \
         WHERE id = (SELECT min(id) FROM http_sessions)",
    );
    assert_eq!(bench.both.rust("/show/n"), "2");
    assert_eq!(bench.both.rust("/insert/n/3"), "");
    assert_eq!(
        (bench.count(), bench.both.go("/show")),
        (1, "n int 3\n".into())
    );
    bench.sql(
        "INSERT INTO http_sessions (key, data, created_on, modified_on, expires_on) \
         SELECT key, data, created_on, modified_on, expires_on FROM http_sessions",
    );
    assert_eq!(bench.both.rust("/logout"), "");
    assert_eq!(bench.count(), 0);
}

#[test]
fn calls_say_what_they_did() {
    let Some(bench) = Bench::start("calls") else {
        return;
    };
    let minute = Duration::from_secs(60);
    bench.sql("CREATE SCHEMA app; CREATE TABLE app.rows (LIKE http_sessions INCLUDING ALL)");
    let records = bench.records().table("app.rows").unwrap();
    RUNTIME.block_on(async {
        assert_eq!(records.load("ID").await.unwrap(), None);
        assert!(!records.replace("ID", b"", b"x", minute).await.unwrap());
        records.create("ID", b"old", minute).await.unwrap();
        let loaded = records.load("ID").await.unwrap();
        assert_eq!(loaded, Some(silverback::GoRecord::new(*b"old")));
        assert!(!records.replace("ID", b"other", b"x", minute).await.unwrap());
        assert!(records.replace("ID", b"old", b"new", minute).await.unwrap());
        assert!(!records.remove("ID", Some(b"old")).await.unwrap());
        // Go may have inserted two rows.
        records.create("ID", b"other", minute).await.unwrap();
        assert!(records.remove("ID", Some(b"new")).await.unwrap());
        assert_eq!(records.load("ID").await.unwrap(), None);
        records.create("ID", b"new", minute).await.unwrap();
        records.create("ID", b"other", minute).await.unwrap();
        assert!(records.remove("ID", None).await.unwrap());
        assert!(!records.remove("ID", None).await.unwrap());
    });
    assert_eq!(bench.count(), 0);
}

/// Another writer has the row while this one waits to remove it.
#[test]
fn a_row_that_changes_meanwhile_is_not_removed() {
    let Some(bench) = Bench::start("meanwhile") else {
        return;
    };
    let records = bench.records();
    let minute = Duration::from_secs(60);
    RUNTIME.block_on(async {
        records.create("ID", b"old", minute).await.unwrap();
        let mut other = bench.pool.begin().await.unwrap();
        let change = raw_sql("UPDATE http_sessions SET data = 'new'");
        change.execute(&mut *other).await.unwrap();
        let remove = RUNTIME.spawn({
            let records = records.clone();
            async move { records.remove("ID", Some(b"old")).await }
        });
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while query_scalar::<_, i64>(waiting)
            .fetch_one(&bench.pool)
            .await
            .unwrap()
            == 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        other.commit().await.unwrap();
        assert!(!remove.await.unwrap().unwrap());
        let kept = records.load("ID").await.unwrap();
        assert_eq!(kept, Some(silverback::GoRecord::new(*b"new")));
    });
}

#[test]
fn a_name_that_is_none_is_refused() {
    let pool = RUNTIME.block_on(async { PgPoolOptions::new().connect_lazy("postgres://nowhere") });
    let table = records(&pool.unwrap()).table("http_sessions; DROP");
    assert!(table.is_err());
}
