//! What a request with a session costs, beside other session crates and gorilla/sessions. See
//! README.md.

mod count;
mod cycles;
mod end_to_end;
mod endpoint;
mod gorilla;
mod scenarios;
mod server;
#[cfg(feature = "stores")]
mod stores;
mod subject;
mod systems;
mod table;
mod time;
mod versions;

use std::{env, error::Error, io, path::PathBuf};

use tokio::runtime;

use self::{
    scenarios::{SCENARIOS, Scenario},
    subject::Pair,
    systems::SYSTEMS,
    table::{Column, Cost},
    time::Effort,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["--serve", who] => return Ok(server::run(who)?),
        ["--stores"] => return print_stores(false),
        ["--stores", "--quick"] => return print_stores(true),
        _ => {}
    }
    // axum_session starts a task for each layer. Nobody runs it, nor any other task of this
    // runtime.
    let runtime = runtime::Builder::new_current_thread().build()?;
    let guard = runtime.enter();
    let (effort, parent) =
        match *arguments {
            ["--count", scenario, calls] => {
                return Ok(count::run(
                    &Scenario::find(scenario).ok_or("there is no such scenario")?,
                    calls.parse()?,
                )?);
            }
            ["--end-to-end"] => return Ok(end_to_end::print(Effort::FULL)?),
            ["--end-to-end", "--quick"] => return Ok(end_to_end::print(Effort::QUICK)?),
            [] => (Effort::FULL, env::temp_dir()),
            ["--quick"] => (Effort::QUICK, env::temp_dir()),
            [parent] if !parent.starts_with('-') => (Effort::FULL, PathBuf::from(parent)),
            ["--quick", parent] => (Effort::QUICK, PathBuf::from(parent)),
            _ => return Err(
                "the arguments are --end-to-end, --stores, --quick, and a directory for sessions in files"
                    .into(),
            ),
        };
    subject::check();
    println!(
        "Above the bare service: nanoseconds / instructions / allocations of a request; in brackets the ratio to"
    );
    println!("silverback.");
    println!();
    table::print(
        &SCENARIOS
            .iter()
            .map(|scenario| column(scenario, effort))
            .collect::<io::Result<Vec<_>>>()?,
    );
    println!();
    drop(guard);
    cycles::print(&parent, effort)?;
    println!();
    versions::print();
    Ok(())
}

#[cfg(feature = "stores")]
fn print_stores(quick: bool) -> Result<(), Box<dyn Error>> {
    let effort = if quick {
        stores::Effort::QUICK
    } else {
        stores::Effort::FULL
    };
    stores::print(effort).map_err(|error| error as Box<dyn Error>)
}

#[cfg(not(feature = "stores"))]
fn print_stores(_quick: bool) -> Result<(), Box<dyn Error>> {
    Err("the stores take `cargo run --release --features stores`".into())
}

fn column(scenario: &Scenario, effort: Effort) -> io::Result<Column> {
    let mut pairs = Pair::all(scenario);
    eprintln!("{}: {}", scenario.name, scenario.text);
    let mut column = vec![None; SYSTEMS.len()];
    let times = time::time(&mut pairs, effort);
    let counts = count::count(scenario, pairs.len(), effort)?;
    for ((pair, nanoseconds), counts) in pairs.iter().zip(times).zip(counts) {
        if let Some(cell) = column.get_mut(pair.index) {
            *cell = Some(Cost {
                nanoseconds,
                counts,
            });
        }
    }
    Ok(column)
}
