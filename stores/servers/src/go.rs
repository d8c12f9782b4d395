//! Programs in Go, built with Debian's Go packages.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::program;

/// Where Debian installs the sources of Go packages.
const PACKAGES: &str = "/usr/share/gocode";

/// A server in Go. It prints its address when it listens, and ends with its input, so also with the
/// test's process.
#[derive(Debug)]
pub struct GoServer {
    child: Child,
    address: String,
}

impl GoServer {
    /// Builds a program from `sources` in `folder` and starts it. `packages` are the packages it
    /// uses, such as `github.com/lib/pq`.
    ///
    /// # Panics
    ///
    /// If it cannot be built or does not start, or if Go or one of the packages is not installed
    /// and `CI` is set.
    #[must_use]
    pub fn start(
        folder: &Path,
        sources: &[&Path],
        packages: &[&str],
        arguments: &[&str],
    ) -> Option<Self> {
        let go = program::find("go")?;
        let is_missing = |name: &&&str| !Path::new(PACKAGES).join("src").join(name).is_dir();
        if let Some(name) = packages.iter().find(is_missing) {
            program::missing(name);
            return None;
        }
        let mut child = Command::new(built(&go, folder, sources))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{sources:?}: {error}"));
        let mut address = String::new();
        let output = child.stdout.as_mut().map(BufReader::new);
        let read = output.map(|mut output| output.read_line(&mut address));
        assert!(
            matches!(read, Some(Ok(1..))),
            "{sources:?} has printed no address"
        );
        let address = address.trim_end().to_owned();
        Some(Self { child, address })
    }

    /// Returns its address: a host and a port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for GoServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Builds a program once. After a failed build, the next test tries again and fails too.
fn built(go: &Path, folder: &Path, sources: &[&Path]) -> PathBuf {
    static BUILT: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
    let name = sources.last().and_then(|source| source.file_stem());
    let program = folder.join(name.unwrap_or_default());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if !built.contains(&program) {
        build(go, folder, &program, sources);
        built.insert(program.clone());
    }
    program
}

fn build(go: &Path, folder: &Path, to: &Path, sources: &[&Path]) {
    let output = Command::new(go)
        .args(["build", "-o"])
        .arg(to)
        .args(sources)
        .envs([
            ("GO111MODULE", "off"),
            ("GOFLAGS", ""),
            ("GOPATH", PACKAGES),
        ])
        .env("GOCACHE", folder.join("go"))
        .output();
    let printed = output.and_then(|output| program::printed(&output));
    printed.unwrap_or_else(|error| panic!("{sources:?}: {error}"));
}
