//! Instructions and allocations of a request, counted one by one.
//!
//! This program runs itself and steps through that process from one [`mark`] to the next. So it
//! counts what the processor does, its cryptography included, which the emulated one of valgrind
//! has not. An allocation is a call of the C library's allocator.

use std::{
    env,
    io::{self, BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use nix::{
    libc,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{
    scenarios::{Action, Scenario},
    subject::{Pair, Subject},
    time::{Effort, median},
};

/// After these calls the heap is as it stays.
const WARM_UP: u32 = 20;
/// After these a store is that gets a new session with each: silverback's tables grow later again.
const WARM_UP_STORE: u32 = 64 * 168;

/// Of one request, above the bare service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

/// Counts a scenario; in the order of [`Pair::all`].
pub(crate) fn count(scenario: &Scenario, pairs: usize, effort: Effort) -> io::Result<Vec<Counts>> {
    let calls = effort.counted_calls;
    let stepped = Stepped::start(scenario, calls)?;
    let mut counts = Vec::new();
    for _ in 0..pairs {
        let bare = stepped.median(calls)?;
        let subject = stepped.median(calls)?;
        counts.push(Counts {
            instructions: subject.instructions - bare.instructions,
            allocations: subject.allocations - bare.allocations,
        });
    }
    stepped.finish()?;
    Ok(counts)
}

/// What is stepped through.
pub(crate) fn run(scenario: &Scenario, calls: u32) -> io::Result<()> {
    let allocators: [*const (); 4] = [
        libc::malloc as _,
        libc::calloc as _,
        libc::realloc as _,
        libc::posix_memalign as _,
    ];
    let mut pairs = Pair::all(scenario);
    println!(
        "{}",
        allocators
            .map(|address| address.addr().to_string())
            .join(" ")
    );
    ptrace::traceme()?;
    let warm_up = if scenario.action == Action::Create {
        WARM_UP_STORE
    } else {
        WARM_UP
    };
    for pair in &mut pairs {
        let call = |subject: &mut Subject, warm_up| {
            subject.endpoint.time(subject.field.as_ref(), warm_up);
            subject.endpoint.count(subject.field.as_ref(), calls);
        };
        call(&mut pair.bare, WARM_UP);
        call(&mut pair.subject, warm_up);
    }
    Ok(())
}

/// The beginning or the end of what is counted.
pub(crate) fn mark() {
    raise(Signal::SIGSTOP).expect("a process can stop itself");
}

/// A process that is stepped through.
struct Stepped {
    child: Child,
    pid: Pid,
    allocators: Vec<u64>,
    /// The processors of this process, before it shared one with that.
    processors: CpuSet,
}

impl Stepped {
    fn start(scenario: &Scenario, calls: u32) -> io::Result<Self> {
        // A step is much faster if nobody has to wake another processor.
        let processors = sched_getaffinity(Pid::this())?;
        let mut one = CpuSet::new();
        let first = (0..CpuSet::count()).find(|&number| processors.is_set(number).unwrap_or(false));
        one.set(first.unwrap_or_default())?;
        sched_setaffinity(Pid::this(), &one)?;
        let mut child = Command::new(env::current_exe()?)
            .args(["--count", scenario.name, &calls.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = Pid::from_raw(child.id().try_into().map_err(io::Error::other)?);
        let allocators = child
            .stdout
            .take()
            .map(read_addresses)
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            child,
            pid,
            allocators,
            processors,
        })
    }

    /// Counts so many calls.
    fn median(&self, calls: u32) -> io::Result<Counts> {
        let counts = (0..calls)
            .map(|_| self.count())
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Counts {
            instructions: median(counts.iter().map(|counts| counts.instructions).collect()),
            allocations: median(counts.iter().map(|counts| counts.allocations).collect()),
        })
    }

    /// Counts from the next mark to the one after it. What a mark itself takes is the same for all.
    fn count(&self) -> io::Result<Counts> {
        let status = waitpid(self.pid, None)?;
        if !matches!(status, WaitStatus::Stopped(_, Signal::SIGSTOP)) {
            return Err(unexpected(status));
        }
        let mut counts = Counts::default();
        loop {
            ptrace::step(self.pid, None)?;
            match waitpid(self.pid, None)? {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
                WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
                status => return Err(unexpected(status)),
            }
            counts.instructions += 1.0;
            if self
                .allocators
                .contains(&instruction(&ptrace::getregs(self.pid)?))
            {
                counts.allocations += 1.0;
            }
        }
        ptrace::cont(self.pid, None)?;
        Ok(counts)
    }

    fn finish(mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{status} while counting")))
        }
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        // If it is over already, there is nothing to kill.
        let _ = self.child.kill();
        let _ = sched_setaffinity(Pid::this(), &self.processors);
    }
}

fn read_addresses(stdout: ChildStdout) -> io::Result<Vec<u64>> {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    line.split_whitespace()
        .map(|address| address.parse().map_err(io::Error::other))
        .collect()
}

#[cfg(target_arch = "x86_64")]
const fn instruction(registers: &libc::user_regs_struct) -> u64 {
    registers.rip
}

#[cfg(target_arch = "aarch64")]
const fn instruction(registers: &libc::user_regs_struct) -> u64 {
    registers.pc
}

fn unexpected(status: WaitStatus) -> io::Error {
    io::Error::other(format!("{status:?} while counting"))
}
