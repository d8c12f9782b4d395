//! The cost of a request above the bare service, beside a floor that does the same job with the
//! least code.
//!
//! ```text
//! cargo bench -p silverback-benches --bench request
//! ```
//!
//! prints the tables of docs/performance.md: native instructions, allocations, and nanoseconds of
//! CPU time. After `--` it takes
//!
//! ```text
//! --write                write the tables into docs/performance.md
//! --counts               only instructions and allocations, which a busy machine does not change
//! --footprint            the lines of code and data that a request touches, beside the floor's
//! --profile              the purpose of the instructions, and the aims that are out of reach
//! --functions E4 memory  instructions and lines of code by function
//! --check                compare instructions and allocations, by callgrind, with the baseline in
//!                        benches/baseline.tsv
//! --accept               write a new baseline
//! ```
//!
//! The service is called directly, in process, with nothing in between. `--check`, `--accept` and
//! `--footprint` need valgrind; `--functions` and the profile need binutils.

mod baseline;
mod callgrind;
mod cost;
mod floor;
mod footprint;
mod profile;
mod subjects;
mod symbols;
mod table;

use std::{env, error::Error, process::ExitCode};

use kit::{
    count, machine,
    page::Page,
    scenario::{EXTRACTED, LARGE, MORE, SEVEN, Scenario},
    sessions::Kind,
};

use self::table::OfKind;

type Failure = Box<dyn Error>;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => tables(false, true)?,
        ["--write"] => tables(true, true)?,
        ["--counts"] => tables(false, false)?,
        ["--write", "--counts"] | ["--counts", "--write"] => tables(true, false)?,
        ["--footprint"] => println!("{}", footprint::table()?),
        ["--profile"] => put_profile(&page(false))?,
        ["--profile", "--write"] => put_profile(&page(true))?,
        ["--functions", scenario, kind] => {
            println!(
                "{}",
                footprint::functions(&subjects::find(scenario)?, find(kind)?)?
            );
        }
        ["--check"] if baseline::check(&counted()?)? => {}
        ["--check"] => return Ok(ExitCode::FAILURE),
        ["--accept"] => baseline::accept(&counted()?)?,
        ["--subjects", mode, scenario, kind] => run_subjects(mode, scenario, find(kind)?)?,
        _ => return Err("the arguments are --write, --counts, --footprint, --profile, --functions, --check, --accept or none".into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn find(kind: &str) -> Result<Kind, Failure> {
    Ok(Kind::find(kind).ok_or("the kinds are encrypted, signed and memory")?)
}

/// Answers requests, in a process that this program has started.
fn run_subjects(mode: &str, scenario: &str, kind: Kind) -> Result<(), Failure> {
    if mode == "callgrind" {
        callgrind::run(kind);
        return Ok(());
    }
    let scenario = &subjects::find(scenario)?;
    match mode {
        "step" => count::run_traced(|mark| cost::run_counted(scenario, kind, mark))?,
        "once" => count::run_traced(|mark| cost::run(scenario, kind, 1, mark))?,
        "profile" => count::run_traced(|mark| profile::run(scenario, kind, mark))?,
        "trace" => footprint::run_traced(scenario, kind)?,
        _ => return Err("there is no such mode".into()),
    }
    Ok(())
}

fn counted() -> Result<Vec<OfKind>, Failure> {
    subjects::check();
    let of_kind = |kind| Ok((kind, callgrind::count(kind)?));
    Kind::ALL.into_iter().map(of_kind).collect()
}

fn tables(writes: bool, times: bool) -> Result<(), Failure> {
    subjects::check();
    let page = page(writes);
    page.put("machine", &machine::sentence(&[machine::valgrind()]))?;
    for of_kind in measure(&SEVEN, times)? {
        page.put(of_kind.0.name(), &table::beside_floor(&of_kind))?;
    }
    page.put(
        "extractor",
        &table::side_by_side(&measure(&EXTRACTED, times)?),
    )?;
    let mut more = measure(&MORE, times)?;
    if let Some((kind, rows)) = more.last_mut() {
        rows.push((LARGE, measure_one(&LARGE, *kind, times)?));
    }
    page.put("more", &table::side_by_side(&more))?;
    if machine::valgrind().is_some() {
        page.put("footprint", &footprint::table()?)?;
    } else {
        eprintln!("Valgrind is not installed: no footprint.");
    }
    put_profile(&page)
}

fn put_profile(page: &Page) -> Result<(), Failure> {
    page.put("profile", &profile::tables()?)
}

fn page(writes: bool) -> Page {
    Page::open("performance.md", writes)
}

fn measure(scenarios: &[Scenario], times: bool) -> Result<Vec<OfKind>, Failure> {
    let of_kind = |kind| {
        let one = |scenario: &Scenario| Ok((*scenario, measure_one(scenario, kind, times)?));
        let all = scenarios.iter().map(one).collect::<Result<_, Failure>>()?;
        Ok((kind, all))
    };
    Kind::ALL.into_iter().map(of_kind).collect()
}

fn measure_one(scenario: &Scenario, kind: Kind, times: bool) -> Result<cost::Costs, Failure> {
    let mut costs = cost::count(scenario, kind)?;
    if times {
        cost::time(scenario, kind, &mut costs);
    }
    Ok(costs)
}
