//! The plots in docs/growth, and the tables in docs/growth.md.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use kit::{machine, page, page::Page, table::markdown};

use crate::{figure::Figure, plot};

/// Prints and writes each figure as soon as it is measured.
pub(crate) struct Report {
    plots: PathBuf,
    /// docs/growth.md, which `--quick` does not change.
    page: Page,
}

impl Report {
    pub(crate) fn new(is_full: bool, parent: &Path) -> Result<Self, Box<dyn Error>> {
        let plots = if is_full {
            page::docs().join("growth")
        } else {
            env::temp_dir().join("silverback-growth")
        };
        fs::create_dir_all(&plots)?;
        let page = Page::open("growth.md", is_full);
        let files = machine::filesystem(parent).map(|kind| format!("files on {kind}"));
        page.put("machine", &machine::sentence(&[files]))?;
        Ok(Self { plots, page })
    }

    pub(crate) fn add(&mut self, figure: &Figure) -> Result<(), Box<dyn Error>> {
        plot::draw(figure, &self.plots.join(figure.name).with_extension("svg"))?;
        println!("\n{}: {}", figure.title, figure.y.title);
        self.page.put(figure.name, &markdown(&figure.table()))
    }

    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        println!("\nPlots: {}", self.plots.canonicalize()?.display());
        Ok(())
    }
}
