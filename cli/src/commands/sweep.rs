//! Removing expired records.

use serde::Serialize;
use silverback::store::Swept;

use super::{
    batches::{self, Ended},
    pages::Pages,
};
use crate::{
    args::{Common, Sweep},
    failure::{Failure, chain},
    out::{self, Out},
    site,
    stores::Opened,
};

#[derive(Serialize)]
struct Report {
    examined: u64,
    removed: u64,
    failed: u64,
    is_finished: bool,
    is_dry_run: bool,
}

pub(crate) async fn sweep(common: &Common, sweep: &Sweep, out: &mut Out) -> Result<(), Failure> {
    let store = site::store(common).await?;
    if sweep.dry_run {
        return count(&store, out).await;
    }
    let batch = sweep.batch.max(1);
    let swept = match batches::run(sweep.pause, async || Ok(store.sweep_some(batch).await)).await? {
        None => {
            out::say("The server removes expired records itself: there is nothing to sweep");
            return report(&Swept::default().finished(), false, out);
        }
        Some(Ended::Done(swept)) => swept,
        Some(Ended::Interrupted(swept)) => {
            report(&swept, false, out)?;
            let far = out::counted(swept.removed(), "record");
            return Err(Failure::Interrupted(format!(
                "interrupted after {far} had been removed; the next sweep continues"
            )));
        }
    };
    report(&swept, false, out)?;
    match swept.error() {
        Some(error) if swept.examined() == 0 => Err(Failure::Failed(chain(error))),
        Some(error) => Err(Failure::Failed(format!(
            "{} could not be looked at or removed; the first: {}",
            out::counted(swept.failed(), "record"),
            chain(error)
        ))),
        None => Ok(()),
    }
}

/// Counts the records that a sweep would remove.
async fn count(store: &Opened, out: &mut Out) -> Result<(), Failure> {
    let (mut pages, now) = (Pages::of(store), out::now());
    let (mut examined, mut expired) = (0, 0);
    while let Some(page) = pages.next().await? {
        examined += page.len() as u64;
        expired += page.iter().filter(|entry| entry.expires <= now).count() as u64;
    }
    report(&Swept::new(examined, expired).finished(), true, out)
}

fn report(swept: &Swept, is_dry_run: bool, out: &mut Out) -> Result<(), Failure> {
    if out.is_json {
        return out.json(&Report {
            examined: swept.examined(),
            removed: swept.removed(),
            failed: swept.failed(),
            is_finished: swept.is_finished(),
            is_dry_run,
        });
    }
    let done = if is_dry_run {
        "would remove"
    } else {
        "removed"
    };
    out.line(format!(
        "{done} {} of {} looked at",
        out::counted(swept.removed(), "record"),
        swept.examined()
    ))
}
