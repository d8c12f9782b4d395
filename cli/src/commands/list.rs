//! The content of the store, and the sessions of a user.

use std::collections::BTreeMap;

use serde::Serialize;
use silverback::{
    Subjects, Timestamp,
    store::{Listed, RecordKey, RecordKind},
};

use super::pages::{Pages, kind_of, no_sessions, short};
use crate::{
    args::{Common, Kind, List},
    failure::Failure,
    out::{self, Out, Table},
    site::{self, Site},
};

/// A record as a line of JSON.
#[derive(Serialize)]
struct Line {
    key: RecordKey,
    kind: &'static str,
    size: usize,
    expires: Timestamp,
    is_expired: bool,
}

/// The totals of records of one kind.
#[derive(Default, Serialize)]
struct Sum {
    count: u64,
    bytes: u64,
    expired: u64,
    /// The first end among those that have not expired.
    first_end: Option<Timestamp>,
    last_end: Option<Timestamp>,
}

/// A user's session as a line of JSON.
#[derive(Serialize)]
struct OfUser<'a> {
    key: RecordKey,
    since: Timestamp,
    created: Timestamp,
    last_used: Timestamp,
    note: &'a str,
}

pub(crate) async fn list(common: &Common, list: &List, out: &mut Out) -> Result<(), Failure> {
    match &list.user {
        Some(user) => of_user(common, list, user, out).await,
        None if list.summary => summary(common, list, out).await,
        None => records(common, list, out).await,
    }
}

/// The records to list.
struct Filter {
    kind: Option<Kind>,
    is_expired: bool,
    within: Option<Timestamp>,
    now: Timestamp,
}

impl Filter {
    fn new(list: &List) -> Self {
        let now = out::now();
        let within = list.within.map(|within| now.saturating_add(within));
        Self {
            kind: list.kind,
            is_expired: list.expired,
            within,
            now,
        }
    }

    fn has(&self, entry: &Listed) -> bool {
        let is_over = entry.expires <= self.now;
        self.kind.is_none_or(|kind| is_of(kind, entry.kind))
            && (!self.is_expired || is_over)
            && self
                .within
                .is_none_or(|end| !is_over && entry.expires <= end)
    }
}

fn is_of(wanted: Kind, kind: Option<RecordKind>) -> bool {
    kind_of(kind)
        == match wanted {
            Kind::Session => "session",
            Kind::Mark => "mark",
            Kind::Roster => "roster",
            Kind::End => "end",
            Kind::Moved => "moved",
            Kind::Unknown => "unknown",
        }
}

async fn records(common: &Common, list: &List, out: &mut Out) -> Result<(), Failure> {
    let store = site::store(common).await?;
    let filter = Filter::new(list);
    let (mut pages, mut left) = (Pages::of(&store), list.limit.unwrap_or(usize::MAX));
    let mut table = Table::with_head(&["KEY", "KIND", "SIZE", "EXPIRES", ""], &[2]);
    let mut is_first = true;
    while left > 0
        && let Some(page) = pages.next().await?
    {
        for entry in page.iter().filter(|entry| filter.has(entry)).take(left) {
            left -= 1;
            if out.is_json {
                out.json(&Line {
                    key: entry.key,
                    kind: kind_of(entry.kind),
                    size: entry.size,
                    expires: entry.expires,
                    is_expired: entry.expires <= filter.now,
                })?;
                continue;
            }
            let key = if list.full {
                entry.key.to_string()
            } else {
                short(&entry.key)
            };
            let end = out::relative(entry.expires, filter.now);
            let size = entry.size.to_string();
            table.row([
                &*key,
                kind_of(entry.kind),
                &size,
                &entry.expires.to_string(),
                &end,
            ]);
        }
        if !table.is_empty() {
            out.table(&table)?;
            out.flush()?;
            table.next_page();
            is_first = false;
        }
    }
    if is_first && !out.is_json {
        out::say("there are no such records");
    }
    Ok(())
}

async fn summary(common: &Common, list: &List, out: &mut Out) -> Result<(), Failure> {
    let store = site::store(common).await?;
    let filter = Filter::new(list);
    let (mut pages, mut sums) = (Pages::of(&store), BTreeMap::<&str, Sum>::new());
    while let Some(page) = pages.next().await? {
        for entry in page.iter().filter(|entry| filter.has(entry)) {
            let sum = sums.entry(kind_of(entry.kind)).or_default();
            sum.count += 1;
            sum.bytes += entry.size as u64;
            if entry.expires <= filter.now {
                sum.expired += 1;
                continue;
            }
            let end = entry.expires;
            sum.first_end = Some(sum.first_end.map_or(end, |first| first.min(end)));
            sum.last_end = Some(sum.last_end.map_or(end, |last| last.max(end)));
        }
    }
    if out.is_json {
        return out.json(&sums);
    }
    let head = ["KIND", "COUNT", "BYTES", "EXPIRED", "FIRST END", "LAST END"];
    let mut table = Table::with_head(&head, &[1, 2, 3]);
    for (kind, sum) in &sums {
        let end = |end: Option<Timestamp>| end.map_or("-".to_owned(), |end| end.to_string());
        let [count, bytes, expired] = [sum.count, sum.bytes, sum.expired].map(|n| n.to_string());
        table.row([
            kind,
            &*count,
            &bytes,
            &expired,
            &end(sum.first_end),
            &end(sum.last_end),
        ]);
    }
    if table.is_empty() {
        out::say("there are no such records");
        return Ok(());
    }
    out.table(&table)
}

async fn of_user(common: &Common, list: &List, user: &str, out: &mut Out) -> Result<(), Failure> {
    let store = site::store(common).await?;
    let site = Site::with_keys(common, Some(&store))?;
    let sessions = Subjects::new(&site.config)?.list(user).await?;
    if sessions.is_empty() {
        return Err(no_sessions(user, &site.name));
    }
    let now = out::now();
    let mut table = Table::with_head(&["KEY", "LOGGED IN", "", "LAST USED", "NOTE"], &[]);
    for session in sessions.iter().take(list.limit.unwrap_or(usize::MAX)) {
        let key = session.record_key();
        if out.is_json {
            out.json(&OfUser {
                key,
                since: session.since(),
                created: session.created_at(),
                last_used: session.last_used(),
                note: session.note(),
            })?;
            continue;
        }
        let key = if list.full {
            key.to_string()
        } else {
            short(&key)
        };
        let since = out::relative(session.since(), now);
        let used = out::relative(session.last_used(), now);
        table.row([
            &*key,
            &session.since().to_string(),
            &since,
            &used,
            session.note(),
        ]);
    }
    if out.is_json {
        Ok(())
    } else {
        out.table(&table)
    }
}
