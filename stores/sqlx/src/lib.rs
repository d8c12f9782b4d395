#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(
        dead_code,
        unused_imports,
        reason = "there is no database to use them with"
    )
)]
//! Sessions in PostgreSQL, MySQL, MariaDB and SQLite for [`silverback`], through your application's
//! own pool.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use silverback::{Keys, SessionConfig, SessionLayer};
//! use silverback_sqlx::SqlStore;
//! use sqlx::SqlitePool;
//!
//! let pool = SqlitePool::connect("sqlite::memory:").await?;
//! let store = SqlStore::new(pool);
//! store.create_table().await?;
//! let layer = SessionLayer::new(SessionConfig::new("session", store, Keys::generate()?));
//! # Ok(())
//! # }
//! ```
//!
//! | Feature | Adds | Tested against |
//! |---|---|---|
//! | `postgres` | [`PostgresStore`] | PostgreSQL 15 |
//! | `mysql` | [`MySqlStore`] | MariaDB 10.11, alone and as a Galera cluster of three; MySQL 9.7, where it is installed |
//! | `sqlite` | [`SqliteStore`] | the SQLite that sqlx builds |
//! | `gorilla` | `GorillaPostgres`, with `postgres`: the table of Go's pgstore | PostgreSQL 15, beside Go |
//!
//! No feature is on by default. TLS is a feature of `sqlx`: turn it on in your `Cargo.toml`, such
//! as by `sqlx = { version = "0.9", features = ["tls-rustls-ring"] }`. sqlx checks the server's
//! certificate only if the pool's address says so: `sslmode=verify-full` for PostgreSQL,
//! `ssl-mode=VERIFY_IDENTITY` for MySQL.
//!
//! # The table
//!
//! All records are in one table, by default `silverback_sessions`. [`SqlStore::create_table`] makes
//! it, and [`SqlStore::schema`] returns the statements for your own migrations.
//!
//! | Column | Holds |
//! |---|---|
//! | `id` | the record's key, 32 bytes: a hash of the session's ID, which logs nobody in |
//! | `version` | 16 random bytes, new for each write |
//! | `data` | the record, [encrypted](silverback::SessionConfig::encrypt_records) on request |
//! | `app_expires` | when the record expires by the application's clock, in seconds since 1970; SQLite has no such column |
//! | `expires` | when the record expires by the database's clock |
//! | `sweep_after` | from when on a sweep looks at the record, not after `expires`; indexed. SQLite has no such column, and an index on `expires` |
//!
//! Most writes move the end and leave `sweep_after` as it is, so they write no index: in PostgreSQL
//! they are HOT updates. A sweep that finds a living record there sets its `sweep_after` to its end.
//!
//! # Whose clock
//!
//! PostgreSQL and MySQL decide by their own clock whether a record has expired, so your servers
//! agree about it even if their clocks differ. A loaded record has the end that was written with
//! it, by the application's clock. SQLite has no clock: the store asks its
//! [`Clock`](silverback::Clock).
//!
//! # Pools
//!
//! - Sessions take a connection for one statement at a time, and hold none between calls.
//! - By default sqlx checks before each use whether a connection is alive, which doubles the round
//!   trips. [`test_before_acquire(false)`](sqlx::pool::PoolOptions::test_before_acquire) turns that
//!   off. A session then tries once more if its connection turns out to be dead.
//! - Set [`acquire_timeout`](sqlx::pool::PoolOptions::acquire_timeout) to less than the session
//!   layer's budget for stores. The default of sqlx is 30 s.
//! - Behind PgBouncer 1.21 or later, set `max_prepared_statements` there, which is on by default
//!   from 1.24. Before 1.21, use its pool mode `session`. Otherwise PgBouncer mixes up the prepared
//!   statements of its clients: calls fail, and an application may read and write the table of
//!   another one. sqlx's `statement_cache_capacity(0)` does not prevent that, and leaves each
//!   statement on the server.
//! - Give the store the pool of the primary. A standby or a replica does not show the latest updates.
//!
//! # Sweeping
//!
//! Expired records take room until you remove them. Start a [`Sweeper`](silverback::store::Sweeper)
//! on any number of your servers, or call [`Sweep::sweep`](silverback::store::Sweep::sweep) from a
//! job.

mod calls;
mod connection;
mod dialect;
mod fault;
#[cfg(all(feature = "gorilla", feature = "postgres"))]
mod gorilla;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod retry;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod table;
mod upkeep;

#[cfg(all(feature = "gorilla", feature = "postgres"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "gorilla", feature = "postgres"))))]
pub use self::gorilla::GorillaPostgres;
pub use self::{dialect::Dialect, store::SqlStore, table::InvalidTableName};

/// Keeps sessions in PostgreSQL.
#[cfg(feature = "postgres")]
pub type PostgresStore = SqlStore<sqlx::Postgres>;

/// Keeps sessions in MySQL, MariaDB or a Galera cluster of MariaDB.
#[cfg(feature = "mysql")]
pub type MySqlStore = SqlStore<sqlx::MySql>;

/// Keeps sessions in an SQLite database.
#[cfg(feature = "sqlite")]
pub type SqliteStore = SqlStore<sqlx::Sqlite>;

#[cfg(all(doctest, feature = "postgres"))]
#[doc = include_str!("../README.md")]
mod readme {}
