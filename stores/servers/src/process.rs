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

/// A program, and how to run it.
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

    /// Sets a signal for dropping it that means "leave everything, and end your children". After a
    /// kill, its children would be left to a process 1 that may not wait for them.
    pub(crate) fn end_at_once(mut self, signal: Signal) -> Self {
        self.end_at_once = signal;
        self
    }

    /// Runs a program to its end, for example one that prepares a folder.
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
    /// Starts a program in its own group. Its output is appended to the log.
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

    /// Returns whether it has ended on its own.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to it and to its children.
    fn signal(&mut self, signal: Signal) {
        // After it has been waited for, its number may be another process's.
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

    /// Asks it to end, and kills it if it does not.
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

    /// Kills it and its children. When this returns, they have released shared resources such as
    /// PostgreSQL's memory, which would keep the next server from starting.
    pub(crate) fn kill(&mut self) {
        let Some(mut guard) = self.guard.take() else {
            return;
        };
        // Stopped, so that it makes no more children during the search.
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
        // Tells the guard that nothing is left to end.
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

    /// The process and all its descendants, as far as the system reveals them. PostgreSQL gives
    /// each of its processes its own group.
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

/// Starts a shell that waits until this process is gone, however it ended, and then kills the
/// group. Only this process has the other end of the shell's input, so it closes with the process.
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

/// Each process and its parent. Empty where the system does not reveal them.
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

/// Returns whether the process still has memory and files. An ended process stays a zombie until it
/// is waited for.
fn is_running(pid: Pid) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn state_and_parent(pid: Pid) -> Option<(String, Pid)> {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name before it may contain spaces and parentheses.
    let (_, rest) = status.rsplit_once(')')?;
    let mut rest = rest.split_whitespace();
    let (state, parent) = (rest.next()?, rest.next()?.parse().ok()?);
    Some((state.to_owned(), Pid::from_raw(parent)?))
}
