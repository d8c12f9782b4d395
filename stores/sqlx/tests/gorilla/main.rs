//! Sessions that pgstore keeps in PostgreSQL, used in Go and in Rust. The store is written anew in
//! `tests/go/postgres.go`.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "../../../../tests/go/both.rs"]
mod both;

use std::time::Duration;

use silverback::{GoRecords, gorilla::GoPayload};
use silverback_sqlx::GorillaPostgres;
use silverback_test_servers::Postgres;
use sqlx::postgres::PgPoolOptions;

use self::both::{Both, RUNTIME};

const PROGRAM: (&str, &[&str]) = ("postgres.go", &["github.com/lib/pq"]);

/// Longer than a busy machine keeps a call waiting.
const LONG: Duration = Duration::from_secs(120);

/// A database with pgstore's table.
struct Bench {
    postgres: Postgres,
    both: Both,
}

impl Bench {
    fn start() -> Option<Self> {
        let postgres = Postgres::start()?;
        let url = format!("{}?sslmode=disable", postgres.url());
        let store = ["pgstore", &url];
        let records = records(&postgres);
        let both = Both::start(PROGRAM, &store, true, records, GoPayload::Sessions)?;
        Some(Self { postgres, both })
    }

    fn sql(&self, statement: &str) -> String {
        self.postgres.sql(statement).trim_end().to_owned()
    }

    fn count(&self) -> usize {
        self.sql("SELECT count(*) FROM http_sessions")
            .parse()
            .unwrap()
    }
}

fn records(postgres: &Postgres) -> GorillaPostgres {
    let pool = PgPoolOptions::new().acquire_timeout(LONG);
    let pool = RUNTIME.block_on(async { pool.connect_lazy(&postgres.url()) });
    GorillaPostgres::new(pool.unwrap()).timeout(LONG)
}

#[test]
fn values_go_to_and_fro() {
    let Some(bench) = Bench::start() else { return };
    both::values_go_to_and_fro(&bench.both);
}

#[test]
fn a_message_is_shown_once() {
    let Some(bench) = Bench::start() else { return };
    both::a_message_is_shown_once(&bench.both);
}

#[test]
fn a_logout_ends_the_session_for_both() {
    let Some(bench) = Bench::start() else { return };
    both::a_logout_ends_the_session_for_both(&bench.both, || bench.count());
}

#[test]
fn nothing_of_a_faster_request_is_lost() {
    let Some(bench) = Bench::start() else { return };
    both::nothing_of_a_faster_request_is_lost(&bench.both, || bench.count());
}

#[test]
fn a_renewal_locks_an_old_cookie_out() {
    let Some(bench) = Bench::start() else { return };
    both::a_renewal_locks_an_old_cookie_out(&bench.both, || bench.count());
}

#[test]
fn a_row_that_is_over_is_none() {
    let Some(bench) = Bench::start() else { return };
    assert_eq!(bench.both.go("/set?key=n&type=int&value=1"), "");
    let cookie = bench.both.cookie();
    bench.sql(
        "UPDATE http_sessions SET modified_on = now() - interval '2 hours', \
         expires_on = now() - interval '1 hour'",
    );
    // Go does not look.
    assert_eq!(bench.both.go("/show"), "n int 1\n");
    assert_eq!(bench.both.rust("/show/n"), "null");
    assert_eq!(bench.both.rust("/insert/n/2"), "");
    assert_ne!(bench.both.cookie(), cookie);
    assert_eq!(bench.count(), 2);
    // As a `MaxAge` of 0 leaves it.
    bench.sql("UPDATE http_sessions SET modified_on = now(), expires_on = now()");
    bench.both.plant(&cookie);
    assert_eq!(bench.both.rust("/show/n"), "1");
    let sweep = || RUNTIME.block_on(records(&bench.postgres).sweep()).unwrap();
    assert_eq!(sweep(), 0);
    bench.sql(
        "UPDATE http_sessions SET modified_on = now() - interval '2 hours', \
         expires_on = now() - interval '1 hour' WHERE id = (SELECT min(id) FROM http_sessions)",
    );
    assert_eq!((sweep(), bench.count()), (1, 1));
}

/// Two requests of Go's that find no row make one each.
#[test]
fn of_two_rows_the_next_save_leaves_one() {
    let Some(bench) = Bench::start() else { return };
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
    let Some(bench) = Bench::start() else { return };
    let minute = Duration::from_secs(60);
    bench.sql("CREATE SCHEMA app; CREATE TABLE app.rows (LIKE http_sessions INCLUDING ALL)");
    let records = records(&bench.postgres).table("app.rows").unwrap();
    RUNTIME.block_on(async {
        assert_eq!(records.load("ID").await.unwrap(), None);
        assert!(!records.replace("ID", b"", b"x", minute).await.unwrap());
        records.create("ID", b"old", minute).await.unwrap();
        let loaded = records.load("ID").await.unwrap();
        assert_eq!(loaded, Some(silverback::GoRecord::new(*b"old")));
        assert!(!records.replace("ID", b"other", b"x", minute).await.unwrap());
        assert!(records.replace("ID", b"old", b"new", minute).await.unwrap());
        assert!(records.remove("ID").await.unwrap());
        assert!(!records.remove("ID").await.unwrap());
    });
    assert_eq!(bench.count(), 0);
}

#[test]
fn a_name_that_is_none_is_refused() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let table = records(&postgres).table("http_sessions; DROP");
    assert!(table.is_err());
}
