//! Moving all records to another store.

use std::time::Duration;

use serde::Serialize;
use silverback::store::{Migrated, MigratingStore, RecordKind};
use tokio::{
    signal::unix::{self, SignalKind},
    time,
};

use super::{pages::Pages, progress::Progress};
use crate::{
    args::Migrate,
    ask,
    dsn::Dsn,
    failure::{Failure, chain},
    out::{self, Out},
    settings,
    stores::{Kind, Opened},
};

#[derive(Serialize)]
struct Report {
    examined: u64,
    moved: u64,
    failed: u64,
    is_complete: bool,
    is_dry_run: bool,
}

pub(crate) async fn migrate(migrate: &Migrate, out: &mut Out) -> Result<(), Failure> {
    let (from, to) = (Dsn::parse(&migrate.from)?, Dsn::parse(&migrate.to)?);
    if from == to {
        return Err(Failure::Refused("FROM and TO are one store".to_owned()));
    }
    let pause = match &migrate.pause {
        Some(text) => settings::length("--pause", text)?,
        None => Duration::ZERO,
    };
    let [from, to] = [open(from).await?, open(to).await?];
    if migrate.sure.dry_run {
        return count(&from, out).await;
    }
    let (old, new) = (&from.dsn.shown, &to.dsn.shown);
    let question = format!(
        "Move all records of {old} to {new}? Every server that uses them must have a MigratingStore."
    );
    ask::whether(&question, migrate.sure)?;
    let store = MigratingStore::new(from, to);
    let moved = run(&store, migrate.batch.max(1), pause, out).await?;
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

/// Moves until there is nothing left to do, or a store does not answer.
async fn run(
    store: &MigratingStore<Opened, Opened>,
    batch: usize,
    pause: Duration,
    out: &mut Out,
) -> Result<Migrated, Failure> {
    let (mut migration, mut moved) = (store.migration(), Migrated::default());
    let mut progress = Progress::new();
    // From here on, Ctrl-C ends it between two batches.
    let mut interrupt = unix::signal(SignalKind::interrupt())?;
    loop {
        let step = migration.step(batch).await;
        let is_stuck = step.failed() > 0 && step.examined() == 0;
        moved.add(step);
        if moved.is_finished() || is_stuck {
            break;
        }
        let (examined, count) = (moved.examined(), moved.moved());
        progress.show(&format!("{examined} looked at, {count} moved"));
        let is_interrupted = tokio::select! {
            biased;
            _ = interrupt.recv() => true,
            () = time::sleep(pause) => false,
        };
        if is_interrupted {
            progress.end();
            report(&moved, out)?;
            let far = out::counted(moved.moved(), "record");
            return Err(Failure::Interrupted(format!(
                "interrupted after {far} had been moved; the next migration goes on"
            )));
        }
    }
    progress.end();
    Ok(moved)
}

/// Counts what would be moved.
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
