//! The program in `go/`, which runs the cycles that each line asks for and answers with their time.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/go");
/// Debian's folder of Go sources.
const PACKAGES: &str = "/usr/share/gocode";

pub(crate) struct Gorilla {
    child: Child,
    /// Closed to end the program.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Gorilla {
    /// Builds and starts the program with a directory for its files. Returns the reason if that
    /// fails.
    pub(crate) fn start(dir: &Path) -> Result<Self, String> {
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program = place.path().join("gorilla");
        build(&program)?;
        let start = || {
            let piped = Stdio::piped;
            let mut child = Command::new(&program)
                .arg(dir)
                .stdin(piped())
                .stdout(piped())
                .spawn()?;
            let output = child.stdout.take().map(BufReader::new).ok_or_else(ended)?;
            Ok(Self {
                input: child.stdin.take(),
                output,
                child,
            })
        };
        start().map_err(|error: io::Error| error.to_string())
    }

    /// Nanoseconds of CPU time for each of the cycles.
    pub(crate) fn cycles(&mut self, store: &str, cycles: u32) -> io::Result<f64> {
        writeln!(self.input.as_mut().ok_or_else(ended)?, "{store} {cycles}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let total: f64 = line.trim().parse().map_err(|_| ended())?;
        Ok(total / f64::from(cycles))
    }
}

impl Drop for Gorilla {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn build(program: &Path) -> Result<(), String> {
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(program)
        .arg("main.go")
        .current_dir(FOLDER);
    go.envs([
        ("GO111MODULE", "off"),
        ("GOPATH", PACKAGES),
        ("GOFLAGS", ""),
    ]);
    let output = go.output().map_err(|_| "go is not installed".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "go build: {}",
        text.lines().last().unwrap_or_default().trim()
    ))
}

fn ended() -> io::Error {
    io::Error::other("gorilla's program has ended")
}
