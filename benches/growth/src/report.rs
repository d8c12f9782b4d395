//! The plots in docs/growth, and the tables in docs/growth.md.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{figure::Figure, plot};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// Shows each figure as soon as it is measured.
pub(crate) struct Report {
    plots: PathBuf,
    /// docs/growth.md, with the new tables so far; `--quick` leaves it alone.
    page: Option<String>,
}

impl Report {
    pub(crate) fn new(is_full: bool, parent: &Path) -> Result<Self, Box<dyn Error>> {
        let docs = Path::new(DOCS);
        let plots = if is_full {
            docs.join("growth")
        } else {
            env::temp_dir().join("silverback-growth")
        };
        fs::create_dir_all(&plots)?;
        let page = is_full
            .then(|| fs::read_to_string(docs.join("growth.md")))
            .transpose()?;
        let mut report = Self { plots, page };
        report.put("machine", &machine(parent))?;
        Ok(report)
    }

    pub(crate) fn add(&mut self, figure: &Figure) -> Result<(), Box<dyn Error>> {
        plot::draw(figure, &self.plots.join(figure.name).with_extension("svg"))?;
        println!("\n{}: {}\n", figure.title, figure.y.title);
        self.put(figure.name, &markdown(&figure.table()))
    }

    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        if let Some(page) = self.page {
            fs::write(Path::new(DOCS).join("growth.md"), page)?;
        }
        println!("\nPlots: {}", self.plots.canonicalize()?.display());
        Ok(())
    }

    /// Prints the text, and puts it between the two comments of this name.
    fn put(&mut self, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
        println!("{text}");
        let Some(page) = &mut self.page else {
            return Ok(());
        };
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
        let (before, rest) = page
            .split_once(&begin)
            .ok_or_else(|| format!("docs/growth.md lacks {begin}"))?;
        let (_, after) = rest
            .split_once(&end)
            .ok_or_else(|| format!("docs/growth.md lacks {end}"))?;
        *page = [before, &begin, "\n", text, "\n\n", &end, after].concat();
        Ok(())
    }
}

fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or_default())
        .collect();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| {
                    if column == 0 {
                        format!(" {cell:<width$} |")
                    } else {
                        format!(" {cell:>width$} |")
                    }
                });
            format!("|{}", cells.collect::<String>())
        })
        .collect();
    let rule = widths.iter().enumerate().map(|(column, width)| {
        if column == 0 {
            "-".repeat(width + 2) + "|"
        } else {
            "-".repeat(width + 1) + ":|"
        }
    });
    lines.insert(1, format!("|{}", rule.collect::<String>()));
    lines.join("\n")
}

/// With what it was measured.
fn machine(parent: &Path) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let threads = thread::available_parallelism().map_or(0, usize::from);
    let folder = parent.to_string_lossy();
    let facts = [
        run("git", &["-C", DOCS, "describe", "--always", "--dirty"])
            .map(|commit| format!("silverback {commit}")),
        run("rustc", &["--version"]),
        run("uname", &["-sr"]).and_then(|system| Some(system.split('-').next()?.to_owned())),
        run(
            "findmnt",
            &["--noheadings", "--output=FSTYPE", "--target", &folder],
        )
        .map(|kind| format!("files on {kind}")),
        Some(format!(
            "{threads} threads of {}",
            model.map_or("an unknown processor", |model| model.1)
        )),
    ];
    format!(
        "Measured with {}.",
        facts.into_iter().flatten().collect::<Vec<_>>().join(",\n")
    )
}

/// The first line that a program prints, if it is installed and content.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .next()?
            .trim()
            .to_owned(),
    )
}
