//! A test of the promise about waiting: updates on the calling thread, while the disk is idle and
//! while another process writes to it and syncs.

use std::{
    error::Error,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    pin::pin,
    process::{Child, Command, Stdio},
    task::{Context, Poll, Waker},
    time::Instant,
};

use kit::{
    page::Page,
    table::number,
    time::{micros, percentile},
};
use silverback::store::{Bytes, FilesystemStore, Store, StoreError, Version};
use tokio::runtime::Runtime;

use crate::{NEVER, Scale, goals::put, key_of};

const LEN: usize = 300;
const SESSIONS: u64 = 100;
/// In microseconds.
const LONG: f64 = 1_000.0;

pub(crate) fn run(scale: &Scale, parent: &Path, page: &Page) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    let mut rows = Run::of(scale.updates, parent, &runtime)?.rows("idle");
    let writer = Writer::start(parent)?;
    rows.extend(Run::of(scale.updates, parent, &runtime)?.rows("beside `dd conv=fsync`"));
    drop(writer);
    let title = format!(
        "{} updates of {SESSIONS} sessions of {LEN} B",
        number(scale.updates as f64)
    );
    put(
        page,
        "waits",
        [
            &title,
            "on the calling thread",
            "times slept",
            "longer than 1 ms",
            "median",
            "99.9 %",
            "slowest",
        ],
        &rows,
    )
}

/// Times in microseconds, of the updates on the calling thread.
struct Run {
    on_the_clock: Vec<f64>,
    /// The same without the time for which the thread waited for a processor.
    with_a_processor: Vec<f64>,
    statistics: File,
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
            on_the_clock: Vec::with_capacity(usize::try_from(updates)?),
            with_a_processor: Vec::with_capacity(usize::try_from(updates)?),
            statistics: File::open("/proc/thread-self/schedstat")?,
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

    /// Runs one update. `before` is the number of the thread's switches after the last update that
    /// ran elsewhere, so all switches since belong to updates on this thread.
    fn update(
        &mut self,
        update: impl Future<Output = Result<Version, StoreError>>,
        runtime: &Runtime,
        before: &mut u64,
    ) -> Result<Version, Box<dyn Error>> {
        let mut update = pin!(update);
        let queued = queued(&self.statistics)?;
        let started = Instant::now();
        let first = update
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let time = micros(started.elapsed());
        match first {
            Poll::Ready(version) => {
                let queued = self::queued(&self.statistics)? - queued;
                self.on_the_clock.push(time);
                self.with_a_processor.push((time - queued).max(0.0));
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

    fn rows(self, name: &str) -> Vec<[String; 7]> {
        let here = self.on_the_clock.len() as f64;
        let share = 100.0 * here / (here + self.elsewhere as f64);
        let rows = [
            (format!("{name}, on the clock"), self.on_the_clock),
            (format!("{name}, with a processor"), self.with_a_processor),
        ];
        let row = |(name, times): (String, Vec<f64>)| {
            let micros = |time: f64| format!("{time:.1} µs");
            let long = times.iter().filter(|time| **time > LONG).count();
            let slowest = times.iter().copied().fold(0.0, f64::max);
            [
                name,
                format!("{share:.1} %"),
                self.slept.to_string(),
                long.to_string(),
                micros(percentile(times.clone(), 50)),
                micros(thousandth(times)),
                micros(slowest),
            ]
        };
        rows.into_iter().map(row).collect()
    }
}

/// Microseconds for which this thread has waited for a processor, the second number of its
/// scheduler statistics.
fn queued(statistics: &File) -> io::Result<f64> {
    let mut buffer = [0; 64];
    let count = statistics.read_at(&mut buffer, 0)?;
    let text = str::from_utf8(buffer.get(..count).unwrap_or_default()).ok();
    let nanos = text.and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<f64>().ok());
    nanos
        .map(|nanos| nanos / 1_000.0)
        .ok_or_else(|| io::Error::other("the kernel keeps no statistics of its scheduler"))
}

/// The 99.9th percentile.
fn thousandth(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = times.len() - times.len() / 1_000;
    times
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// The number of times that this thread has given up the processor to wait for something,
/// `ru_nvcsw` of getrusage(2).
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

/// The shell ends when its directory is gone, `dd` when it has written its file.
impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.dir.path());
    }
}
