//! The cost of a request with a session, beside other session crates and gorilla/sessions. See
//! README.md.

mod cycles;
mod effort;
mod end_to_end;
mod gorilla;
mod plot;
mod server;
#[cfg(feature = "stores")]
mod stores;
mod subject;
mod systems;
mod table;
mod versions;

use std::{env, error::Error, path::PathBuf};

use kit::{
    count::{self, Tracee},
    machine,
    page::Page,
    scenario::{EXTRACTED, MORE, Scenario},
    time::{Pair, above_bare},
};
use tokio::runtime;

use self::{
    effort::Effort,
    subject::Turn,
    systems::SYSTEMS,
    table::{Column, Cost},
};

type Failure = Box<dyn Error>;

/// The first argument of the process that is stepped through.
const CHILD: &str = "--count";

/// The arguments.
struct Options {
    mode: Mode,
    effort: Effort,
    /// Whether to write into the documentation.
    writes: bool,
    /// Only counts, which a busy machine does not change.
    counts: bool,
    /// Parts of the names of the systems to measure end to end, or empty for all systems.
    only: Vec<String>,
    /// The directory for sessions in files.
    parent: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Requests,
    Cycles,
    EndToEnd,
    Stores,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["--serve", kind, name, processor] => {
            machine::stay_on(processor.parse()?)?;
            return Ok(server::run(kind, name)?);
        }
        [CHILD, scenario, calls] => return run_counted(&find(scenario)?, calls.parse()?),
        _ => {}
    }
    let options = Options::parse(&arguments)?;
    let page = Page::open("performance.md", options.writes);
    match options.mode {
        Mode::Requests => requests(&options, &page),
        Mode::Cycles => {
            page.put("cycles", &cycles::table(&options.parent, options.effort)?)?;
            page.put("machine-peers", &versions::all())
        }
        Mode::EndToEnd => {
            let runtime = no_runtime()?;
            let _guard = runtime.enter();
            end_to_end::put(options.effort, &options.only, &page)
        }
        Mode::Stores => put_stores(options.effort.is_full, &page),
    }
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, Failure> {
        let mut options = Self {
            mode: Mode::Requests,
            effort: Effort::FULL,
            writes: false,
            counts: false,
            only: Vec::new(),
            parent: env::temp_dir(),
        };
        for argument in arguments {
            if let Some(names) = argument.strip_prefix("--only=") {
                options.only = names.split(',').map(str::to_owned).collect();
                continue;
            }
            match *argument {
                "--cycles" => options.mode = Mode::Cycles,
                "--end-to-end" => options.mode = Mode::EndToEnd,
                "--stores" => options.mode = Mode::Stores,
                "--quick" => options.effort = Effort::QUICK,
                "--write" => options.writes = true,
                "--counts" => options.counts = true,
                parent if !parent.starts_with('-') => options.parent = PathBuf::from(parent),
                _ => return Err("the arguments are --cycles, --end-to-end, --stores, --quick, --counts, --only=names, --write, and a directory for sessions in files".into()),
            }
        }
        if !options.only.is_empty() && (options.writes || options.mode != Mode::EndToEnd) {
            return Err("--only needs --end-to-end and excludes --write".into());
        }
        Ok(options)
    }
}

#[cfg(feature = "stores")]
fn put_stores(is_full: bool, page: &Page) -> Result<(), Failure> {
    let effort = if is_full {
        stores::Effort::FULL
    } else {
        stores::Effort::QUICK
    };
    stores::put(effort, page).map_err(|error| error as Failure)
}

#[cfg(not(feature = "stores"))]
fn put_stores(_is_full: bool, _page: &Page) -> Result<(), Failure> {
    Err("the stores take `cargo run --release --features stores`".into())
}

fn requests(options: &Options, page: &Page) -> Result<(), Failure> {
    let guard_of = no_runtime()?;
    let guard = guard_of.enter();
    subject::check(SYSTEMS);
    let column = |scenario: &Scenario| column(scenario, options);
    let columns = EXTRACTED
        .iter()
        .map(column)
        .collect::<Result<Vec<_>, _>>()?;
    page.put("peers", &table::table(&EXTRACTED, &columns))?;
    if !options.counts {
        let path = plot::path(options.writes);
        plot::draw(&plot::panels(&EXTRACTED, &columns), &path)?;
        eprintln!("{}", path.display());
    }
    let sized = sized();
    let columns = sized.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    page.put("peers-more", &table::table(&sized, &columns))?;
    drop(guard);
    if !options.counts {
        page.put("cycles", &cycles::table(&options.parent, options.effort)?)?;
    }
    page.put("machine-peers", &versions::all())
}

/// The scenarios of other sizes, of one session, which every system can do.
fn sized() -> Vec<Scenario> {
    let of_one = |scenario: &&Scenario| scenario.configured == 1;
    MORE.iter().filter(of_one).copied().collect()
}

fn find(name: &str) -> Result<Scenario, Failure> {
    let mut all = EXTRACTED.into_iter().chain(sized());
    let found = all.find(|scenario| scenario.name == name);
    Ok(found.ok_or("there is no such scenario")?)
}

/// axum_session spawns a task for each layer. This runtime never runs it, nor any other task.
fn no_runtime() -> Result<runtime::Runtime, Failure> {
    Ok(runtime::Builder::new_current_thread().build()?)
}

fn column(scenario: &Scenario, options: &Options) -> Result<Column, Failure> {
    eprintln!("{}: {}", scenario.name, scenario.text);
    let (indexes, mut pairs): (Vec<usize>, Vec<Pair>) = Turn::all(scenario)
        .into_iter()
        .map(|turn| (turn.index, turn.pair))
        .unzip();
    let effort = options.effort;
    let times = if options.counts {
        vec![f64::NAN; pairs.len()]
    } else {
        above_bare(&mut pairs, effort.rounds, effort.calls)
    };
    let calls = effort.counted_calls;
    let tracee = Tracee::start(&[CHILD, scenario.name, &calls.to_string()])?;
    let mut column = vec![None; SYSTEMS.len()];
    for (index, nanoseconds) in indexes.into_iter().zip(times) {
        let bare = tracee.median(calls)?;
        let counts = tracee.median(calls)? - bare;
        if let Some(cell) = column.get_mut(index) {
            *cell = Some(Cost {
                counts,
                nanoseconds,
            });
        }
    }
    tracee.finish()?;
    Ok(column)
}

/// Answers the requests, in the process that is stepped through.
fn run_counted(scenario: &Scenario, calls: u32) -> Result<(), Failure> {
    let runtime = no_runtime()?;
    let _guard = runtime.enter();
    Ok(count::run_traced(|mark| {
        for Turn { pair, .. } in Turn::all(scenario) {
            for mut subject in [pair.bare, pair.subject] {
                subject.answer(scenario, calls, mark);
            }
        }
    })?)
}
