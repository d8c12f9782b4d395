//! The programs of `tests/go`, built with Debian's packages of Go and gorilla.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::require;

/// Debian's folder of Go sources.
const PACKAGES: &str = "/usr/share/gocode";

/// The site of `tests/go/server.go`, which ends when its input does.
pub(crate) struct GoServer {
    child: Child,
    address: String,
}

impl GoServer {
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let mut child = program("server")?.args(arguments).spawn().unwrap();
        let mut address = String::new();
        let output = child.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut address).unwrap();
        let address = address.trim_end().to_owned();
        Some(Self { child, address })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for GoServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Builds a program of `tests/go`. Prints a note and returns `None` if the test has to be skipped.
pub(crate) fn program(name: &'static str) -> Option<Command> {
    static BUILT: Mutex<Option<HashMap<&str, PathBuf>>> = Mutex::new(None);
    if !require("go") || !has_gorilla() {
        return None;
    }
    // After a failed build the next test tries again, and fails as well.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    let program = built.entry(name).or_insert_with(|| build(name));
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command)
}

fn has_gorilla() -> bool {
    let packages = Path::new(PACKAGES).join("src/github.com/gorilla");
    let missing = ["securecookie", "sessions"].map(|name| (name, packages.join(name)));
    let mut missing = missing.iter().filter(|(_, path)| !path.is_dir());
    let Some((name, _)) = missing.next() else {
        return true;
    };
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "gorilla/{name} is not installed, and with CI set no test may be skipped"
    );
    println!("skipped: gorilla/{name} is not installed");
    false
}

fn build(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, cache) = (folder.join(name), folder.join("go"));
    let source = format!("tests/go/{name}.go");
    let output = Command::new("go")
        .args(["build", "-o"])
        .args([&program, Path::new(&source)])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .envs([
            ("GO111MODULE", "off"),
            ("GOFLAGS", ""),
            ("GOPATH", PACKAGES),
        ])
        .env("GOCACHE", cache)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    program
}
