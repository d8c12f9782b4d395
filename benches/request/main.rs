//! What a request costs above the bare service, beside a floor that does the same job with the
//! least code.
//!
//! ```text
//! cargo bench --bench request              time, instructions and allocations, as in docs/performance.md
//! cargo bench --bench request -- --check   instructions and allocations against benches/baseline.tsv
//! cargo bench --bench request -- --accept  a new baseline
//! ```
//!
//! The service is called directly, in process, with nothing in between. Counting takes valgrind.

mod baseline;
mod callgrind;
mod cost;
mod floor;
mod profile;
mod scenarios;
mod subjects;
mod table;
mod time;

use std::{env, error::Error, process::ExitCode};

use self::{
    cost::Costs,
    scenarios::{Kind, SCENARIOS, Scenario},
    table::OfKind,
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] if callgrind::is_installed() => {
            println!("Measured with {}:", baseline::tools()?);
            table::print(&measure(counts_and_times)?);
            profile::print()?;
        }
        [] => {
            eprintln!("Valgrind is not installed: times only.");
            table::print(&measure(times)?);
        }
        ["--check"] if baseline::check(&measure(counts)?)? => {}
        ["--check"] => return Ok(ExitCode::FAILURE),
        ["--accept"] => baseline::accept(&measure(counts)?)?,
        ["--subjects", scenario, kind] => {
            let found = Scenario::find(scenario).zip(Kind::find(kind));
            let (scenario, kind) = found.ok_or("there is no such scenario")?;
            callgrind::run_subjects(&scenario, kind)?;
        }
        _ => return Err("the arguments are --check, --accept or none".into()),
    }
    Ok(ExitCode::SUCCESS)
}

type Measure = fn(&Scenario, Kind) -> Result<Costs, Box<dyn Error>>;

fn measure(measure: Measure) -> Result<Vec<OfKind>, Box<dyn Error>> {
    subjects::check()?;
    let of_kind = |kind| {
        Ok((
            kind,
            SCENARIOS
                .iter()
                .map(|scenario| measure(scenario, kind))
                .collect::<Result<_, _>>()?,
        ))
    };
    Kind::ALL.into_iter().map(of_kind).collect()
}

fn counts(scenario: &Scenario, kind: Kind) -> Result<Costs, Box<dyn Error>> {
    Ok(Costs::new(Some(callgrind::count(scenario, kind)?), None))
}

fn times(scenario: &Scenario, kind: Kind) -> Result<Costs, Box<dyn Error>> {
    Ok(Costs::new(None, Some(time::time(scenario, kind)?)))
}

fn counts_and_times(scenario: &Scenario, kind: Kind) -> Result<Costs, Box<dyn Error>> {
    Ok(Costs::new(
        Some(callgrind::count(scenario, kind)?),
        Some(time::time(scenario, kind)?),
    ))
}
