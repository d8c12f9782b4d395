//! A process that does not outlive the test.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::user::User;

/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    user: Option<User>,
    end_at_once: Signal,
}

impl Program {
    pub(crate) fn new<A: Into<String>>(
        path: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            user: None,
            end_at_once: Signal::KILL,
        }
    }

    /// Adds arguments.
    pub(crate) fn with(mut self, more: &[&str]) -> Self {
        self.arguments.extend(more.iter().map(ToString::to_string));
        self
    }

    /// Runs it as another user.
    pub(crate) fn user(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// Ends it, when it is dropped, by a signal that it takes as "leave everything, and end your
    /// children". If it were killed, its children would be left to a process 1 that may not wait
    /// for them.
    pub(crate) fn end_at_once(mut self, signal: Signal) -> Self {
        self.end_at_once = signal;
        self
    }

    /// Runs it until it ends, as one that prepares a folder does.
    pub(crate) fn run_to_end(&self, folder: &Path) -> io::Result<()> {
        let output = self.command(folder).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(io::Error::other(
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .current_dir(folder)
            .env("LC_ALL", "C")
            .env("TMPDIR", folder);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

/// A running server. Dropping it kills it and all its children.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    guard: Option<Child>,
    end_at_once: Signal,
}

impl Process {
    /// Starts a program in a group of its own; what it prints is added to the log.
    pub(crate) fn start(program: &Program, folder: &Path, log: &Path) -> io::Result<Self> {
        let mut child = program
            .command(folder)
            .stdin(Stdio::null())
            .stdout(append(log)?)
            .stderr(append(log)?)
            .process_group(0)
            .spawn()?;
        match guard(child.id(), folder) {
            Ok(guard) => Ok(Self {
                child,
                guard: Some(guard),
                end_at_once: program.end_at_once,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Says whether it has ended of its own accord.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to it and to its children.
    fn signal(&mut self, signal: Signal) {
        // Once it has been waited for, its number may be another's.
        if !self.has_ended() {
            for pid in self.family() {
                // A child that has ended meanwhile is no error.
                let _ = kill_process(pid, signal);
            }
        }
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Asks it to end, and kills it if it has not after a while.
    pub(crate) fn terminate(&mut self) {
        self.end(Signal::TERM);
    }

    fn end(&mut self, signal: Signal) {
        self.resume();
        if let Some(pid) = self.pid().filter(|_| !self.has_ended()) {
            let _ = kill_process(pid, signal);
        }
        let begin = Instant::now();
        while !self.has_ended() && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it and its children at once. When this returns, they have let go of what they shared, such
    /// as PostgreSQL's memory: the next one would not start beside them.
    pub(crate) fn kill(&mut self) {
        let Some(mut guard) = self.guard.take() else {
            return;
        };
        // So that it makes no more children while they are looked for.
        if let Some(pid) = self.pid().filter(|_| !self.has_ended()) {
            let _ = kill_process(pid, Signal::STOP);
        }
        let family = self.family();
        self.signal(Signal::KILL);
        let _ = self.child.wait();
        let begin = Instant::now();
        while family.iter().any(|pid| is_running(*pid)) && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        // The guard is told that there is nothing left to end.
        if let Some(mut word) = guard.stdin.take() {
            let _ = word.write_all(b"ended\n");
        }
        let _ = guard.wait();
    }

    pub(crate) fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// It and all that descend from it, as far as the system tells: PostgreSQL gives each of its
    /// processes a group of its own.
    fn family(&self) -> Vec<Pid> {
        let Some(first) = self.pid() else {
            return Vec::new();
        };
        let parents = parents();
        let mut family = HashSet::from([first]);
        let mut before = 0;
        while before < family.len() {
            before = family.len();
            let children = parents.iter().filter(|(_, parent)| family.contains(parent));
            let children: Vec<_> = children.map(|(child, _)| *child).collect();
            family.extend(children);
        }
        family.into_iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.guard.is_some() && self.end_at_once != Signal::KILL {
            self.end(self.end_at_once);
        }
        self.kill();
    }
}

fn append(log: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(log)
}

/// Starts a shell that waits until this process is gone, whatever has ended it, and ends the group
/// then. The other end of its input is in this process alone, so that it is closed with it.
fn guard(group: u32, folder: &Path) -> io::Result<Child> {
    Command::new("/bin/sh")
        .arg("-c")
        .arg("read word || { kill -s KILL -- \"-$1\"; rm -rf \"$2\"; }")
        .arg("guard")
        .arg(group.to_string())
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Each process and its parent; none where the system does not tell.
fn parents() -> Vec<(Pid, Pid)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| {
            let child = Pid::from_raw(name.to_str()?.parse().ok()?)?;
            let (_, parent) = state_and_parent(child)?;
            Some((child, parent))
        })
        .collect()
}

/// Whether it still has memory and files. One that has ended stays as a zombie until it is waited
/// for.
fn is_running(pid: Pid) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn state_and_parent(pid: Pid) -> Option<(String, Pid)> {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // After the name, which may have spaces and parentheses.
    let (_, rest) = status.rsplit_once(')')?;
    let mut rest = rest.split_whitespace();
    let (state, parent) = (rest.next()?, rest.next()?.parse().ok()?);
    Some((state.to_owned(), Pid::from_raw(parent)?))
}
