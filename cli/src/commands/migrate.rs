//! Moving all records to another store.

use std::time::Duration;

use serde::Serialize;
use silverback::store::{
    Bytes, Expiry, Migrated, MigratingStore, Read, RecordKey, RecordKind, Store as _,
};
use silverback_tower_sessions::{Former, TowerSessionStore};

use super::{
    batches::{self, Ended},
    pages::Pages,
};
use crate::{
    args::Migrate,
    ask,
    dsn::{Dsn, Place},
    failure::{Failure, chain},
    out::{self, Out},
    stores::{Kind, Opened, install_tls},
};

/// The prefix of addresses with tower-sessions' own records.
const TOWER_SESSIONS: &str = "tower-sessions+";

#[derive(Serialize)]
struct Report {
    examined: u64,
    moved: u64,
    failed: u64,
    is_complete: bool,
    is_dry_run: bool,
}

pub(crate) async fn migrate(migrate: &Migrate, out: &mut Out) -> Result<(), Failure> {
    if let Some(from) = migrate.from.strip_prefix(TOWER_SESSIONS) {
        return move_in(from, migrate, out).await;
    }
    let (from, to) = (Dsn::parse(&migrate.from)?, Dsn::parse(&migrate.to)?);
    if from == to {
        return Err(one_store());
    }
    let [from, to] = [open(from).await?, open(to).await?];
    if migrate.sure.dry_run {
        return count(&from, out).await;
    }
    let (old, new) = (&from.dsn.shown, &to.dsn.shown);
    let question = format!(
        "Move all records of {old} to {new}? Every server that uses them must have a MigratingStore."
    );
    ask::whether(&question, migrate.sure)?;
    if are_one(&from, &to).await? {
        return Err(one_store());
    }
    let store = MigratingStore::new(from, to);
    let (mut migration, batch) = (store.migration(), migrate.batch.max(1));
    let moved = batches::run(migrate.pause, async || {
        Ok(Some(migration.step(batch).await))
    })
    .await?;
    end(moved, out)
}

fn one_store() -> Failure {
    Failure::Refused("FROM and TO are one store".to_owned())
}

/// Returns whether a record that is put into one store is found in the other. Addresses can differ
/// and name the same store: `localhost` and `127.0.0.1`, or a path with and without a slash.
async fn are_one(from: &Opened, to: &Opened) -> Result<bool, Failure> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Failure::failed("the system gives no random bytes", &error))?;
    let (key, now) = (RecordKey::from_bytes(key), out::now());
    let expiry = Expiry::new(now.saturating_add(Duration::from_secs(60)), now);
    let probe = Bytes::from_static(b"silverback migrate");
    let version = to.create(&key, probe, expiry).await?;
    let found = from.load(&key, Read::Current).await;
    to.delete(&key, Some(version)).await?;
    Ok(found?.is_some())
}

/// Moves the sessions of tower-sessions under the IDs in its cookies.
async fn move_in(from: &str, migrate: &Migrate, out: &mut Out) -> Result<(), Failure> {
    if migrate.sure.dry_run {
        let why = "--dry-run does not count the sessions of tower-sessions";
        return Err(Failure::Refused(why.to_owned()));
    }
    let (from, to) = (Dsn::parse(from)?, Dsn::parse(&migrate.to)?);
    let question = format!(
        "Move all sessions of tower-sessions from {} to {}? Every server that uses them must have a \
         TowerSessionStore that moves from there.",
        from.shown, to.shown
    );
    let (former, to) = (former(from).await?, Opened::open(to).await?);
    ask::whether(&question, migrate.sure)?;
    let store = TowerSessionStore::new(to.shared()).moving_from(former);
    let (mut migration, batch) = (store.migration(), migrate.batch);
    let moved = batches::run(migrate.pause, async || match &mut migration {
        Some(migration) => Ok(Some(migration.step(batch).await)),
        None => Ok(None),
    });
    let moved = moved.await?;
    end(moved, out)
}

/// The data of tower-sessions' published stores in this place.
async fn former(from: Dsn) -> Result<Former, Failure> {
    let usual = match &from.place {
        Place::Redis(url) if from.prefix.is_none() => return former_redis(url, &from.shown).await,
        Place::Postgres(_) | Place::MySql(_) => "tower_sessions.session",
        Place::Sqlite(_) => "tower_sessions",
        _ => return Err(not_theirs(&from.shown)),
    };
    let table = from.table.clone().unwrap_or_else(|| usual.to_owned());
    let table: Vec<_> = table.split('.').collect();
    let opened = Opened::open(from).await?;
    match opened.kind {
        Kind::Postgres(_, pool) => Ok(Former::sqlx(pool, &table)),
        Kind::MySql(_, pool) => Ok(Former::sqlx(pool, &table)),
        Kind::Sqlite(_, pool) => Ok(Former::sqlx(pool, &table)),
        _ => Err(not_theirs(&opened.dsn.shown)),
    }
}

async fn former_redis(url: &str, shown: &str) -> Result<Former, Failure> {
    install_tls();
    let failed = |error| Failure::failed(shown, &error);
    let client = redis::Client::open(url).map_err(failed)?;
    let connection = client.get_multiplexed_async_connection().await;
    connection.map(Former::redis).map_err(failed)
}

fn not_theirs(shown: &str) -> Failure {
    let why = "the published stores of tower-sessions keep nothing there";
    Failure::Refused(format!("{shown}: {why}"))
}

fn end(moved: Option<Ended<Migrated>>, out: &mut Out) -> Result<(), Failure> {
    let moved = match moved {
        None => return Ok(()),
        Some(Ended::Done(moved)) => moved,
        Some(Ended::Interrupted(moved)) => {
            report(&moved, out)?;
            let far = out::counted(moved.moved(), "record");
            return Err(Failure::Interrupted(format!(
                "interrupted after {far} had been moved; the next migration continues"
            )));
        }
    };
    report(&moved, out)?;
    let error = moved.error().filter(|_| !moved.is_complete());
    match error {
        Some(error) => Err(Failure::Failed(format!(
            "not every record could be moved; the first error: {}",
            chain(error)
        ))),
        None => Ok(()),
    }
}

async fn open(dsn: Dsn) -> Result<Opened, Failure> {
    let store = Opened::open(dsn).await?;
    if matches!(store.kind, Kind::Memcached(_)) {
        let shown = &store.dsn.shown;
        let why = "memcached cannot list its keys";
        return Err(Failure::Refused(format!("{shown}: {why}")));
    }
    Ok(store)
}

/// Counts the records that would be moved.
async fn count(from: &Opened, out: &mut Out) -> Result<(), Failure> {
    let (mut pages, mut examined, mut left) = (Pages::of(from), 0, 0);
    while let Some(page) = pages.next().await? {
        examined += page.len() as u64;
        let is_left = |kind: Option<RecordKind>| kind != Some(RecordKind::Moved);
        left += page.iter().filter(|entry| is_left(entry.kind)).count() as u64;
    }
    let report = Report {
        examined,
        moved: left,
        failed: 0,
        is_complete: false,
        is_dry_run: true,
    };
    print(&report, out)
}

fn report(moved: &Migrated, out: &mut Out) -> Result<(), Failure> {
    let report = Report {
        examined: moved.examined(),
        moved: moved.moved(),
        failed: moved.failed(),
        is_complete: moved.is_complete(),
        is_dry_run: false,
    };
    print(&report, out)
}

fn print(report: &Report, out: &mut Out) -> Result<(), Failure> {
    if out.is_json {
        return out.json(report);
    }
    let done = if report.is_dry_run {
        "would move"
    } else {
        "moved"
    };
    let moved = out::counted(report.moved, "record");
    out.line(format!("{done} {moved}, {} looked at", report.examined))
}
