//! A page of the documents, with tables that commands write.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// Shows each text as soon as it is there, and writes all of them into the page in the end.
pub struct Page {
    path: PathBuf,
    /// With the new texts so far; nothing if the page stays as it is.
    text: Option<String>,
}

impl Page {
    /// The page of this name in docs, which is written only if asked for.
    pub fn open(name: &str, writes: bool) -> Result<Self, Box<dyn Error>> {
        let path = docs().join(name);
        let text = writes.then(|| fs::read_to_string(&path)).transpose()?;
        Ok(Self { path, text })
    }

    /// Prints the text, and puts it between the two comments of this name.
    pub fn put(&mut self, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
        println!("\n{text}");
        let Some(page) = &mut self.text else {
            return Ok(());
        };
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
        let lacks = |comment: &str| format!("{} lacks {comment}", self.path.display());
        let (before, rest) = page.split_once(&begin).ok_or_else(|| lacks(&begin))?;
        let (_, after) = rest.split_once(&end).ok_or_else(|| lacks(&end))?;
        *page = [before, &begin, "\n", text, "\n\n", &end, after].concat();
        Ok(())
    }

    pub fn finish(self) -> Result<(), Box<dyn Error>> {
        if let Some(text) = self.text {
            fs::write(self.path, text)?;
        }
        Ok(())
    }
}

/// Where the documents are.
pub fn docs() -> &'static Path {
    Path::new(DOCS)
}
