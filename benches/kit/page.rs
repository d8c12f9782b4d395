//! A page of the documentation, with tables that the benches write.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// Prints each text at once and, if asked for, writes it into the page.
pub struct Page {
    path: PathBuf,
    writes: bool,
}

impl Page {
    /// The page of this name in `docs`, which changes only if `writes` is true.
    pub fn open(name: &str, writes: bool) -> Self {
        Self {
            path: docs().join(name),
            writes,
        }
    }

    /// Prints the text and puts it between the two comments with this name.
    pub fn put(&self, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
        println!("\n{text}");
        if !self.writes {
            return Ok(());
        }
        let page = fs::read_to_string(&self.path)?;
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
        let lacks = |comment: &str| format!("{} lacks {comment}", self.path.display());
        let (before, rest) = page.split_once(&begin).ok_or_else(|| lacks(&begin))?;
        let (_, after) = rest.split_once(&end).ok_or_else(|| lacks(&end))?;
        let page = [before, &begin, "\n", text, "\n\n", &end, after].concat();
        Ok(fs::write(&self.path, page)?)
    }
}

/// The folder of the documentation.
pub fn docs() -> &'static Path {
    Path::new(DOCS)
}
