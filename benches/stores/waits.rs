//! What the promise about waiting is worth: updates on the thread that asks, while the disk is idle
//! and while another process writes to it and syncs.

use std::{
    error::Error,
    fs, io,
    path::Path,
    pin::pin,
    process::{Child, Command, Stdio},
    task::{Context, Poll, Waker},
    time::Instant,
};

use silverback::store::{Bytes, FilesystemStore, Store, StoreError, Version};
use tokio::runtime::Runtime;

use crate::{
    NEVER, Scale, key_of, table,
    time::{micros, percentile},
};

const LEN: usize = 300;
const SESSIONS: u64 = 100;
/// In microseconds.
const LONG: f64 = 1_000.0;

pub(crate) fn run(scale: &Scale, parent: &Path) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    let mut rows = vec![Run::of(scale.updates, parent, &runtime)?.row("idle")];
    let writer = Writer::start(parent)?;
    rows.push(Run::of(scale.updates, parent, &runtime)?.row("beside `dd conv=fsync`"));
    drop(writer);
    table::print(
        &format!(
            "{} updates of {SESSIONS} sessions of {LEN} B",
            scale.updates
        ),
        [
            "",
            "on the thread that asks",
            "slept there, times",
            "longer than 1 ms",
            "median",
            "99.9 %",
            "slowest",
        ],
        &rows,
    );
    Ok(())
}

struct Run {
    /// Microseconds on the clock, of those on the thread that asked.
    times: Vec<f64>,
    elsewhere: u64,
    slept: u64,
}

impl Run {
    fn of(updates: u64, parent: &Path, runtime: &Runtime) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir_in(parent)?;
        let store = FilesystemStore::open(dir.path())?;
        let data = Bytes::from(vec![7; LEN]);
        let create = |number| runtime.block_on(store.create(&key_of(number), data.clone(), NEVER));
        let mut versions = (0..SESSIONS).map(create).collect::<Result<Vec<_>, _>>()?;
        let mut run = Self {
            times: Vec::with_capacity(usize::try_from(updates)?),
            elsewhere: 0,
            slept: 0,
        };
        let mut before = switches()?;
        for _ in 0..updates.div_ceil(SESSIONS) {
            for (version, number) in versions.iter_mut().zip(0..) {
                let key = key_of(number);
                let update = store.update(&key, *version, data.clone(), NEVER);
                *version = run.update(update, runtime, &mut before)?;
            }
        }
        run.slept += switches()? - before;
        Ok(run)
    }

    /// The thread's switches since `before` are those of updates on it.
    fn update(
        &mut self,
        update: impl Future<Output = Result<Version, StoreError>>,
        runtime: &Runtime,
        before: &mut u64,
    ) -> Result<Version, Box<dyn Error>> {
        let mut update = pin!(update);
        let started = Instant::now();
        match update
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(version) => {
                self.times.push(micros(started.elapsed()));
                Ok(version?)
            }
            Poll::Pending => {
                self.slept += switches()? - *before;
                self.elsewhere += 1;
                let version = runtime.block_on(update)?;
                *before = switches()?;
                Ok(version)
            }
        }
    }

    fn row(self, name: &str) -> [String; 7] {
        let here = self.times.len();
        let share = 100.0 * here as f64 / (here as f64 + self.elsewhere as f64);
        let micros = |time: f64| format!("{time:.1} µs");
        let long = self.times.iter().filter(|time| **time > LONG).count();
        let slowest = self.times.iter().copied().fold(0.0, f64::max);
        [
            name.to_owned(),
            format!("{share:.1} %"),
            self.slept.to_string(),
            long.to_string(),
            micros(percentile(self.times.clone(), 50)),
            micros(thousandth(self.times)),
            micros(slowest),
        ]
    }
}

/// What all but a thousandth are below.
fn thousandth(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = times.len() - times.len() / 1_000;
    times
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// How often this thread has given up the processor to wait for something: `ru_nvcsw` of
/// getrusage(2).
fn switches() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::other("the kernel does not count context switches"))
}

/// A shell that has `dd` write and sync a gibibyte again and again, beside the store's directory.
struct Writer {
    child: Child,
    dir: tempfile::TempDir,
}

impl Writer {
    fn start(parent: &Path) -> io::Result<Self> {
        let dir = tempfile::tempdir_in(parent)?;
        let dd = "while test -d .; do dd if=/dev/zero of=written bs=1M count=1024 conv=fsync || exit; done";
        let child = Command::new("sh")
            .args(["-c", dd])
            .current_dir(dir.path())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, dir })
    }
}

/// The shell ends when its directory is gone, and `dd` when it has written its file.
impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.dir.path());
    }
}
