//! Instructions and allocations of a request, counted one by one.
//!
//! A program starts itself again and single-steps that process from one mark to the next
//! (`ptrace`). So it counts what the real processor executes, including its instructions for
//! cryptography, which valgrind's emulated processor lacks. A string instruction that moves many
//! bytes counts once per repetition. An allocation is a call of the C library's allocator. Only the
//! thread that makes the marks is stepped through; work of other threads is not counted.

use std::{
    cell::OnceCell,
    collections::HashMap,
    env, fs,
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

use crate::time::median;

/// The counts of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub instructions: f64,
    pub allocations: f64,
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            allocations: self.allocations - other.allocations,
        }
    }
}

/// The instructions executed between two marks. A mark itself always takes the same number, which
/// cancels out when the bare service is subtracted.
#[derive(Debug, Default)]
pub struct Steps {
    pub allocations: u64,
    /// In order of execution.
    pub all: Vec<Step>,
}

/// One executed instruction.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub address: u64,
    /// The stack pointer.
    pub stack: u64,
}

impl Steps {
    /// How often the instruction at each address was executed.
    pub fn executed(&self) -> HashMap<u64, u64> {
        let mut executed = HashMap::new();
        for step in &self.all {
            *executed.entry(step.address).or_default() += 1;
        }
        executed
    }
}

/// A request of more instructions takes long to step through.
const LONG: usize = 100_000;
/// The number of the C library's functions that allocate.
const ALLOCATORS: usize = 4;

/// Lets the parent step through this process, which from now on stops at each mark that `work`
/// makes.
pub fn run_traced(work: impl FnOnce(&dyn Fn())) -> io::Result<()> {
    let allocators: [*const (); ALLOCATORS + 1] = [
        libc::malloc as _,
        libc::calloc as _,
        libc::realloc as _,
        libc::posix_memalign as _,
        libc::free as _,
    ];
    println!(
        "{}",
        allocators
            .map(|address| address.addr().to_string())
            .join(" ")
    );
    ptrace::traceme()?;
    work(&|| raise(Signal::SIGSTOP).expect("a process can stop itself"));
    Ok(())
}

/// A process that is stepped through, in the words of ptrace(2) the tracee.
pub struct Tracee {
    child: Child,
    pid: Pid,
    /// The addresses of the functions that allocate, then of the one that frees.
    allocators: Vec<u64>,
    /// The kernel's map of the process's memory, read when it first stopped. After its last mark it
    /// may have exited.
    maps: OnceCell<String>,
    /// The processors this process could use before it was pinned to one.
    processors: CpuSet,
}

impl Tracee {
    /// Starts this program with arguments that make it call [`run_traced`].
    pub fn start(arguments: &[&str]) -> io::Result<Self> {
        // On one processor a step is much faster, as it wakes no other.
        let processors = sched_getaffinity(Pid::this())?;
        let mut one = CpuSet::new();
        let first = (0..CpuSet::count()).find(|&number| processors.is_set(number).unwrap_or(false));
        one.set(first.unwrap_or_default())?;
        sched_setaffinity(Pid::this(), &one)?;
        let mut child = Command::new(env::current_exe()?)
            .args(arguments)
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
            maps: OnceCell::new(),
            processors,
        })
    }

    /// The median counts of this many requests. Of long requests only the first is counted: the
    /// differences between them are too small to show.
    pub fn median(&self, requests: u32) -> io::Result<Counts> {
        let mut steps = vec![self.next()?];
        for _ in 1..requests {
            if steps.iter().any(|steps| steps.all.len() > LONG) {
                self.skip()?;
            } else {
                steps.push(self.next()?);
            }
        }
        let of = |count: fn(&Steps) -> u64| {
            median(steps.iter().map(|steps| count(steps) as f64).collect())
        };
        Ok(Counts {
            instructions: of(|steps| steps.all.len() as u64),
            allocations: of(|steps| steps.allocations),
        })
    }

    /// Lets the process run freely from the next mark to the one after it.
    fn skip(&self) -> io::Result<()> {
        for _ in 0..2 {
            self.wait_for_mark()?;
            ptrace::cont(self.pid, None)?;
        }
        Ok(())
    }

    fn wait_for_mark(&self) -> io::Result<()> {
        match waitpid(self.pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {
                if self.maps.get().is_none() {
                    let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid))?;
                    self.maps.get_or_init(|| maps);
                }
                Ok(())
            }
            status => Err(unexpected(status)),
        }
    }

    /// Steps through the process from the next mark to the one after it.
    pub fn next(&self) -> io::Result<Steps> {
        self.wait_for_mark()?;
        let mut steps = Steps::default();
        loop {
            ptrace::step(self.pid, None)?;
            match waitpid(self.pid, None)? {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
                WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
                status => return Err(unexpected(status)),
            }
            let step = step(&ptrace::getregs(self.pid)?);
            let mut allocators = self.allocators.iter().take(ALLOCATORS);
            steps.allocations += u64::from(allocators.any(|address| *address == step.address));
            steps.all.push(step);
        }
        ptrace::cont(self.pid, None)?;
        Ok(steps)
    }

    /// Returns whether a function of the C library's allocator begins at this address.
    pub fn is_allocator(&self, address: u64) -> bool {
        self.allocators.contains(&address)
    }

    /// The kernel's map of the memory of the process, which is empty before the first mark.
    pub fn maps(&self) -> &str {
        self.maps.get().map_or("", String::as_str)
    }

    /// Waits for the process to exit.
    pub fn finish(mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{status} while counting")))
        }
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // The process may have exited, so `kill` may fail.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
const fn step(registers: &libc::user_regs_struct) -> Step {
    Step {
        address: registers.rip,
        stack: registers.rsp,
    }
}

#[cfg(target_arch = "aarch64")]
const fn step(registers: &libc::user_regs_struct) -> Step {
    Step {
        address: registers.pc,
        stack: registers.sp,
    }
}

fn unexpected(status: WaitStatus) -> io::Error {
    io::Error::other(format!("{status:?} while counting"))
}
