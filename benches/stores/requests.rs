//! Whole requests with sessions in files, through axum's extractor, in a runtime of one thread. In
//! a runtime the store may hand work to another thread, and the request waits for it.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::Router;
use kit::{
    count::{self, Counts, Tracee},
    endpoint::{Endpoint, Web},
    page::Page,
    scenario::{Action, EXTRACTED, LARGE, MORE, Scenario},
    sessions,
    subject::Subject,
    table::{cell, markdown},
    time::fast,
};
use silverback::store::FilesystemStore;
use tokio::runtime::Builder;
use tower::layer::util::Identity;

use crate::Scale;

/// The first argument of the process that is stepped through, before the directory and the
/// scenario.
pub(crate) const CHILD: &str = "--step";

const NAMES: [&str; 8] = ["E2", "E3", "E4", "E5", "P40", "P600", "P2K", "P3K"];
/// The number of requests stepped through, of which the median counts.
const STEPPED: u32 = 3;

pub(crate) fn run(scale: &Scale, parent: &Path, page: &Page) -> Result<(), Box<dyn Error>> {
    let mut rows = vec![
        [
            "sessions in files",
            "instructions / allocations of the calling thread",
            "µs of CPU time, of all threads",
        ]
        .map(str::to_owned),
    ];
    for scenario in scenarios() {
        eprintln!("{}: {}", scenario.name, scenario.text);
        let counts = counted(&scenario, parent)?;
        let text = match scenario.name {
            "E5" => "makes a new session, without a sync",
            _ => scenario.text,
        };
        rows.push([
            format!("{}: {text}", scenario.name),
            cell(&[counts.instructions, counts.allocations]),
            format!("{:.1}", time(&scenario, scale, parent)?),
        ]);
    }
    page.put("file-requests", &markdown(&rows))
}

fn scenarios() -> impl Iterator<Item = Scenario> {
    let all = EXTRACTED.into_iter().chain(MORE).chain([LARGE]);
    all.filter(|scenario| NAMES.contains(&scenario.name))
}

/// The bare service and silverback.
fn subjects(scenario: &Scenario, folder: &Path) -> Result<[Subject; 2], Box<dyn Error>> {
    let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
    let layer = sessions::layer(FilesystemStore::open(folder)?, 1);
    let waited = |router: Router| -> Box<dyn Endpoint> {
        Box::new(Web::serve_by(router, Arc::clone(&runtime)))
    };
    let ours = |action: Action| {
        let routes = [("/", action)];
        waited(sessions::router(&layer, scenario.used, &routes))
    };
    let silverback = Subject::new(scenario, ours);
    let bare = Subject {
        endpoint: waited(sessions::bare_router(&["/"]).layer(Identity::new())),
        field: silverback.field.clone(),
    };
    Ok([bare, silverback])
}

/// Microseconds of CPU time above the bare service.
fn time(scenario: &Scenario, scale: &Scale, parent: &Path) -> Result<f64, Box<dyn Error>> {
    let folder = tempfile::tempdir_in(parent)?;
    let mut subjects = subjects(scenario, folder.path())?;
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..scale.rounds / 2 {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            times.push(subject.time(scale.calls / 5 + 1) / 1_000.0);
        }
    }
    let [bare, silverback] = times.map(fast);
    Ok(silverback - bare)
}

fn counted(scenario: &Scenario, parent: &Path) -> Result<Counts, Box<dyn Error>> {
    let folder = tempfile::tempdir_in(parent)?;
    let path = folder.path().to_string_lossy();
    let tracee = Tracee::start(&[CHILD, &path, scenario.name])?;
    let bare = tracee.median(STEPPED)?;
    let silverback = tracee.median(STEPPED)?;
    tracee.finish()?;
    Ok(silverback - bare)
}

/// Answers the requests, in the process that is stepped through.
pub(crate) fn step(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (folder, name) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("where, and what?")?;
    let scenario = scenarios()
        .find(|scenario| scenario.name == name)
        .ok_or("there is no such scenario")?;
    let mut subjects = subjects(&scenario, &PathBuf::from(folder))?;
    Ok(count::run_traced(|mark| {
        for subject in &mut subjects {
            subject.endpoint.warm_up(subject.field.as_ref(), 20);
            let field = subject.field.as_ref();
            subject.endpoint.answer(field, STEPPED, mark);
        }
    })?)
}
