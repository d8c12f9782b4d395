//! How the cost of a session grows: with its size, with the rest of the request, and with the
//! number of sessions.
//!
//! ```text
//! cargo run --release --manifest-path benches/growth/Cargo.toml
//! ```
//!
//! measures everything, writes the plots to docs/growth and the tables into docs/growth.md.
//! `-- --quick` does less of everything and writes the plots to a temporary directory. If the last
//! argument is a directory, it holds the sessions in files.

mod effort;
mod figure;
mod memory;
mod plot;
mod report;
mod requests;
mod service;
mod stored;
mod subject;
mod threads;

use std::{env, error::Error, path::Path};

use self::{effort::Effort, report::Report, service::Stores};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [memory::CHILD, sessions] => memory::print(sessions.parse()?),
        [] => measure(Effort::FULL, &env::temp_dir()),
        ["--quick"] => measure(Effort::QUICK, &env::temp_dir()),
        [parent] if !parent.starts_with('-') => measure(Effort::FULL, Path::new(parent)),
        ["--quick", parent] => measure(Effort::QUICK, Path::new(parent)),
        _ => Err("the arguments are --quick, and a directory for sessions in files".into()),
    }
}

fn measure(effort: Effort, parent: &Path) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(parent)?;
    let stores = Stores::open(folder.path())?;
    let mut report = Report::new(effort.is_full, parent)?;
    for figure in requests::FIGURES {
        report.add(&figure(&stores, effort)?)?;
    }
    report.add(&threads::figure(&stores, effort)?)?;
    report.add(&memory::figure(effort)?)?;
    report.add(&stored::figure(folder.path(), effort)?)?;
    report.finish()
}
