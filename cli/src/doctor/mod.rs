//! Whether settings, keys and the store are in order, and what to change.

mod dynamodb;
mod files;
mod mongodb;
mod redis;
mod setup;
mod sql;
mod timing;

use serde::Serialize;

use crate::{
    args::{Common, Doctor},
    commands::Pages,
    failure::Failure,
    out::{self, Out, Table},
    site,
    stores::{Kind, Opened},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Good,
    /// It was not checked.
    Skipped,
    /// It works, but should be changed.
    Change,
    /// It does not work.
    Broken,
}

/// A finding about one topic, and what to change.
#[derive(Debug, Serialize)]
struct Item {
    level: Level,
    topic: &'static str,
    found: String,
    change: Option<String>,
}

/// All findings.
#[derive(Debug, Default, Serialize)]
struct Report {
    items: Vec<Item>,
}

impl Report {
    fn good(&mut self, topic: &'static str, found: impl Into<String>) {
        self.add(Level::Good, topic, found.into(), None);
    }

    fn skipped(&mut self, topic: &'static str, found: impl Into<String>) {
        self.add(Level::Skipped, topic, found.into(), None);
    }

    fn change(&mut self, topic: &'static str, found: impl Into<String>, change: impl Into<String>) {
        self.add(Level::Change, topic, found.into(), Some(change.into()));
    }

    fn broken(&mut self, topic: &'static str, found: impl Into<String>, change: impl Into<String>) {
        self.add(Level::Broken, topic, found.into(), Some(change.into()));
    }

    /// Adds a finding that is good, or has to be changed.
    fn either(
        &mut self,
        is_good: bool,
        topic: &'static str,
        found: impl Into<String>,
        change: impl Into<String>,
    ) {
        if is_good {
            self.good(topic, found);
        } else {
            self.change(topic, found, change);
        }
    }

    fn add(&mut self, level: Level, topic: &'static str, found: String, change: Option<String>) {
        self.items.push(Item {
            level,
            topic,
            found,
            change,
        });
    }

    fn is_broken(&self) -> bool {
        self.items.iter().any(|item| item.level == Level::Broken)
    }

    fn has_findings(&self) -> bool {
        let is_finding = |item: &Item| matches!(item.level, Level::Change | Level::Broken);
        self.items.iter().any(is_finding)
    }
}

pub(crate) async fn run(common: &Common, doctor: &Doctor, out: &mut Out) -> Result<(), Failure> {
    let mut report = Report::default();
    setup::settings(common, &mut report);
    setup::keys(common, &mut report);
    match site::open(common).await {
        Ok(None) => report.skipped("store", "name one by --store"),
        Ok(Some(store)) => {
            setup::session(common, &store, &mut report);
            examine(&store, doctor, &mut report).await;
        }
        Err(failure) => {
            let found = failure.message().unwrap_or_default();
            report.broken("store", found, "correct --store, or start the server");
        }
    }
    if out.is_json {
        out.json(&report)?;
    } else {
        print(&report, out)?;
    }
    if report.has_findings() {
        Err(Failure::Findings)
    } else {
        Ok(())
    }
}

async fn examine(store: &Opened, doctor: &Doctor, report: &mut Report) {
    report.good("store", format!("{} is open", store.dsn.shown));
    timing::reads(store, doctor.reads, report).await;
    match &store.kind {
        Kind::File(_, path) => files::directory(path, report),
        Kind::Redis(_) => redis::examine(&store.dsn, report).await,
        Kind::Postgres(_, pool) => sql::postgres(pool, &store.dsn, report).await,
        Kind::MySql(_, pool) => sql::mysql(pool, &store.dsn, report).await,
        Kind::Sqlite(_, pool) => sql::sqlite(pool, &store.dsn, report).await,
        Kind::Redb(_, path) => files::file(path, report),
        Kind::DynamoDb(store) => dynamodb::examine(store, report).await,
        Kind::MongoDb(store) => mongodb::examine(store, report).await,
        Kind::Memcached(_) => report.skipped("eviction", "memcached does not say what it forgets"),
        Kind::Firestore(_) => {
            report.skipped("policy", "whether Firestore removes what has expired")
        }
    }
    if !matches!(
        store.kind,
        Kind::Redis(_) | Kind::Memcached(_) | Kind::DynamoDb(_)
    ) {
        backlog(store, report).await;
    }
}

/// A day after its end, a record should have been swept.
const DAY: u64 = 86_400;

/// This many pages are enough for a verdict.
const PAGES: usize = 100;

/// Looks for expired records that nobody has swept.
async fn backlog(store: &Opened, report: &mut Report) {
    let (mut pages, now) = (Pages::of(store), out::now().as_secs());
    let (mut looked_at, mut over) = (0_u64, 0_u64);
    for _ in 0..PAGES {
        match pages.next().await {
            Ok(None) => break,
            Ok(Some(page)) => {
                let is_old = |expires: u64| expires.saturating_add(DAY) < now;
                looked_at += page.len() as u64;
                let old = page.iter().filter(|entry| is_old(entry.expires.as_secs()));
                over += old.count() as u64;
            }
            Err(failure) => {
                let found = failure.message().unwrap_or_default();
                report.broken("records", found, "see what the store's log says");
                return;
            }
        }
    }
    let records = out::counted(looked_at, "record");
    report.either(
        over == 0,
        "sweeping",
        format!("{over} of {records} expired more than a day ago"),
        "start a Sweeper in your servers, or run `silverback sweep` every hour",
    );
}

fn print(report: &Report, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::plain();
    for item in &report.items {
        let level = match item.level {
            Level::Good => "good",
            Level::Skipped => "skipped",
            Level::Change => "change",
            Level::Broken => "broken",
        };
        table.row([level, item.topic, &item.found]);
        if let Some(change) = &item.change {
            table.row(["", "", &format!("-> {change}")]);
        }
    }
    out.table(&table)?;
    let is_finding = |item: &&Item| item.change.is_some();
    let count = report.items.iter().filter(is_finding).count();
    out.line("")?;
    let found = format!("{} to change", out::counted(count as u64, "thing"));
    out.line(if count == 0 {
        out.green(&found)
    } else {
        out.yellow(&found)
    })
}
