//! The filesystem store with processes that are killed and system calls that fail.
//!
//! The processes run this test binary. `SILVERBACK_SOAK=1` runs many rounds and prints their
//! results.
#![cfg(all(target_os = "linux", feature = "filesystem"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    collections::HashMap,
    env, fs,
    future::Future,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    pin::pin,
    process::{Child, Command, Stdio},
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use silverback::{
    Clock, Timestamp,
    store::{
        Bytes, Durability, Expiry, FilesystemStore, Read, Record, RecordKey, Store, StoreError,
        Sweep, Version,
    },
};
use tempfile::TempDir;

const END: Expiry = until(u64::MAX);
const SOONER: Expiry = until(u64::MAX - 1);
const KEY: RecordKey = RecordKey::from_bytes([0xab; 32]);
const ROLE: &str = "SILVERBACK_TEST_ROLE";
const WRITERS: u8 = 4;
const SHARED_KEYS: u8 = 3;
const HOUR: Duration = Duration::from_secs(3_600);
/// Bounds a hang, but is far longer than a busy machine or a stopped process takes.
const HANG: Duration = Duration::from_secs(600);

const fn until(end: u64) -> Expiry {
    Expiry::new(Timestamp::from_secs(end), Timestamp::from_secs(0))
}

/// The output of the future. Outside a runtime, the store works on the calling thread.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing waits outside a runtime"),
    }
}

fn is_soak() -> bool {
    env::var_os("SILVERBACK_SOAK").is_some()
}

/// A command that runs this binary in a role, which `child` performs.
fn command(role: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    as_child(&mut command, role, dir);
    command
}

fn as_child(command: &mut Command, role: &str, dir: &Path) {
    command.args(["--exact", "child", "--nocapture", "--test-threads=1", "-q"]);
    command.env(ROLE, role).env("SILVERBACK_TEST_DIR", dir);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
}

/// Prints a line for the parent, in one write.
fn say(line: &str) {
    std::io::stdout()
        .write_all(format!("@{line}\n").as_bytes())
        .unwrap();
}

#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let dir = env::var_os("SILVERBACK_TEST_DIR").unwrap();
    let words: Vec<_> = role.split(' ').collect();
    match words[..] {
        ["count", times] => count(&open(&dir, Durability::None), times.parse().unwrap()),
        ["write", number, durability] => write(
            &open(&dir, durability_of(durability)),
            number.parse().unwrap(),
        ),
        ["once", operation, version] => once(operation, version_of(version), &dir),
        ["here", operation, version] => here(operation, version_of(version), &dir),
        ["hold"] => hold(Path::new(&dir)),
        _ => panic!("no such role: {role}"),
    }
}

fn open(dir: &std::ffi::OsStr, durability: Durability) -> FilesystemStore {
    FilesystemStore::options()
        .durability(durability)
        .lock_timeout(HANG)
        .open(dir)
        .unwrap()
}

fn durability_of(word: &str) -> Durability {
    match word {
        "None" => Durability::None,
        "Data" => Durability::Data,
        _ => Durability::Full,
    }
}

fn count(store: &FilesystemStore, times: u64) {
    for _ in 0..times {
        loop {
            let record = now(store.load(&KEY, Read::Current)).unwrap().unwrap();
            let count = u64::from_le_bytes(record.data().try_into().unwrap()) + 1;
            match now(store.update(
                &KEY,
                record.version(),
                Bytes::copy_from_slice(&count.to_le_bytes()),
                END,
            )) {
                Err(StoreError::Conflict) => {}
                done => break assert!(done.is_ok(), "{done:?}"),
            }
        }
    }
}

#[test]
fn no_increment_of_four_processes_is_lost() {
    let dir = TempDir::new().unwrap();
    let store = FilesystemStore::open(dir.path()).unwrap();
    now(store.create(&KEY, Bytes::copy_from_slice(&0_u64.to_le_bytes()), END)).unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| command("count 3200", dir.path()).spawn().unwrap())
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let record = now(store.load(&KEY, Read::Current)).unwrap().unwrap();
    assert_eq!(record.data(), 12_800_u64.to_le_bytes());
}

/// This process keeps the record's file open. After the file was replaced or removed, it is neither
/// read nor written.
#[test]
fn a_file_that_another_process_deletes_or_replaces_is_not_used() {
    for (operation, left) in [
        ("delete", None),
        ("grow", Some(vec![5; 9_000])),
        ("update", Some(b"new".to_vec())),
    ] {
        let dir = TempDir::new().unwrap();
        let version = prepare(dir.path(), operation);
        let store = FilesystemStore::open(dir.path()).unwrap();
        let data = |store| state(store).map(|(data, _)| data);
        assert_eq!(data(&store), Some(b"old".to_vec()));
        let role = format!("once {operation} {}", word_of(version));
        assert!(command(&role, dir.path()).status().unwrap().success());
        let late = Bytes::from_static(b"late");
        let late = now(store.update(&KEY, version, late, END));
        match &left {
            None => assert!(matches!(late, Err(StoreError::Gone)), "{late:?}"),
            Some(_) => assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}"),
        }
        assert_eq!(data(&store), left, "{operation}");
        let other = FilesystemStore::open(dir.path()).unwrap();
        assert_eq!(data(&other), left, "{operation}");
    }
}

fn shared_key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn own_key(writer: u8) -> RecordKey {
    RecordKey::from_bytes([0x80 + writer; 32])
}

/// The data of a writer's state of this number under a shared key. It differs from every other
/// state in all of its parts.
fn shared_data(number: u64, writer: u8) -> Vec<u8> {
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(writer);
    let len = 16 + (seed >> 40) as usize % 1_800 + if seed.is_multiple_of(64) { 6_000 } else { 0 };
    let mut data = [&[writer], &number.to_le_bytes()[..]].concat();
    data.extend((0..len as u64).map(|at| (seed.rotate_left((at % 64) as u32) ^ at) as u8));
    data
}

/// Checks that the state is whole, and returns its number.
fn check_shared(record: &Record) -> u64 {
    let (writer, rest) = record.data().split_first().unwrap();
    let number = u64::from_le_bytes(*rest.first_chunk().unwrap());
    assert_eq!(
        record.data(),
        shared_data(number, *writer),
        "torn: {record:?}"
    );
    number
}

/// The state of a writer's own record after this step: created, changed, outgrown or deleted.
fn own_state(step: u64) -> Option<Vec<u8>> {
    let len = [300, 1_500, 3_000 + step as usize % 20_000]
        .get(step as usize % 4)
        .copied();
    len.map(|len| (0..len).map(|at| (step as usize ^ at) as u8).collect())
}

fn write(store: &FilesystemStore, writer: u8) {
    let own = own_key(writer);
    now(store.delete(&own, None)).unwrap();
    let mut own_version = None;
    for step in 0_u64.. {
        let key = shared_key((step % u64::from(SHARED_KEYS)) as u8);
        let record = now(store.load(&key, Read::Current)).unwrap().unwrap();
        let number = check_shared(&record) + 1;
        match now(store.update(
            &key,
            record.version(),
            shared_data(number, writer).into(),
            END,
        )) {
            Ok(_) => say(&format!(
                "shared {} {number}",
                step % u64::from(SHARED_KEYS)
            )),
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error:?}"),
        }
        match own_state(step) {
            Some(data) if step % 4 == 0 => {
                own_version = now(store.create(&own, data.into(), END)).ok();
            }
            Some(data) => {
                let version = own_version.unwrap();
                own_version = now(store.update(&own, version, data.into(), END)).ok();
            }
            None => now(store.delete(&own, None)).unwrap(),
        }
        say(&format!("own {step}"));
    }
}

/// The changes that the writers reported as done.
#[derive(Default)]
struct Said {
    /// The highest number under each key, and its writer.
    shared: HashMap<u8, (u64, u8)>,
    own: HashMap<u8, u64>,
    count: u64,
}

impl Said {
    fn hear(&mut self, writer: u8, line: &str) {
        let Some((_, line)) = line.split_once('@') else {
            return;
        };
        self.count += 1;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["shared", key, number] => {
                let said = self.shared.entry(key.parse().unwrap()).or_default();
                *said = (*said).max((number.parse().unwrap(), writer));
            }
            ["own", step] => drop(self.own.insert(writer, step.parse().unwrap())),
            _ => panic!("{line}"),
        }
    }

    fn check(&self, store: &FilesystemStore) {
        for (key, (number, writer)) in &self.shared {
            let record = now(store.load(&shared_key(*key), Read::Current))
                .unwrap()
                .expect("nobody deletes it");
            let found = check_shared(&record);
            assert!(found >= *number, "lost: {number} of {key}, found {found}");
            assert!(
                found > *number || record.data()[0] == *writer,
                "another's {number}"
            );
        }
        for (writer, step) in &self.own {
            let found = now(store.load(&own_key(*writer), Read::Current))
                .unwrap()
                .map(|record| record.data().to_vec());
            assert!(
                found == own_state(*step) || found == own_state(step + 1),
                "writer {writer} lost step {step}"
            );
        }
    }
}

/// Starts the writers, and kills them with SIGKILL after they have printed this many lines.
fn kill_round(dir: &Path, durability: Durability, lines: u64, said: &mut Said) {
    let (sender, receiver) = mpsc::channel();
    let mut children = Vec::new();
    for writer in 0..WRITERS {
        let mut child = command(&format!("write {writer} {durability:?}"), dir)
            .spawn()
            .unwrap();
        let (sender, stdout) = (sender.clone(), BufReader::new(child.stdout.take().unwrap()));
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send((writer, line))));
        });
        children.push(child);
    }
    drop(sender);
    let heard = receiver
        .iter()
        .take(lines as usize)
        .for_each_count(|(writer, line)| said.hear(writer, &line));
    assert!(
        heard == lines,
        "a writer ended by itself: {}",
        errors_of(children)
    );
    children.iter_mut().for_each(|child| child.kill().unwrap());
    receiver
        .iter()
        .for_each(|(writer, line)| said.hear(writer, &line));
    for child in &mut children {
        assert_eq!(
            child.wait().unwrap().signal(),
            Some(9),
            "a writer ended by itself"
        );
    }
}

trait ForEachCount: Iterator + Sized {
    fn for_each_count(self, mut work: impl FnMut(Self::Item)) -> u64 {
        self.fold(0, |count, item| {
            work(item);
            count + 1
        })
    }
}

impl<I: Iterator> ForEachCount for I {}

fn errors_of(children: Vec<Child>) -> String {
    let outputs = children.into_iter().map(|mut child| {
        let _ = child.kill();
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned()
    });
    outputs.collect()
}

#[test]
fn four_killed_writers_lose_nothing() {
    let dir = TempDir::new().unwrap();
    // Every stray is old enough to be swept, however long this takes.
    let in_a_day = Clock::system().now().saturating_add(24 * HOUR);
    let later = Clock::manual(in_a_day);
    let store = FilesystemStore::options()
        .clock(later)
        .open(dir.path())
        .unwrap();
    for key in 0..SHARED_KEYS {
        now(store.create(&shared_key(key), shared_data(1, 0).into(), END)).unwrap();
    }
    let (rounds, started) = (if is_soak() { 2_000 } else { 40 }, Instant::now());
    let (mut said, mut strays) = (Said::default(), 0);
    for round in 0..rounds {
        said.own.clear();
        let durability = if round % 4 == 3 {
            Durability::Data
        } else {
            Durability::None
        };
        kill_round(dir.path(), durability, 1 + (round * 7_919) % 400, &mut said);
        said.check(&store);
        let swept = now(store.sweep());
        assert!(swept.failed() == 0, "{swept:?}");
        strays += swept.removed();
    }
    assert!(!dir.path().join("quarantine").exists());
    let left = fs::read_dir(dir.path())
        .unwrap()
        .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    assert!(
        left.map(|file| file.unwrap().file_name())
            .all(|name| !name.to_string_lossy().ends_with(".tmp"))
    );
    println!(
        "{rounds} rounds of {WRITERS} killed writers, {} changes, {strays} strays swept, nothing lost or torn, {:?}",
        said.count,
        started.elapsed()
    );
}

/// Takes a record's lock like a writer, and holds it.
fn hold(dir: &Path) {
    let file = fs::File::open(dir.join("ab").join(KEY.to_string())).unwrap();
    file.lock().unwrap();
    say("locked");
    thread::park();
}

#[test]
fn a_lock_dies_with_its_holder() {
    let dir = TempDir::new().unwrap();
    let options = FilesystemStore::options();
    let store = options
        .clone()
        .lock_timeout(Duration::from_millis(20))
        .open(dir.path())
        .unwrap();
    let version = now(store.create(&KEY, Bytes::from_static(b"data"), END)).unwrap();
    let mut holder = command("hold", dir.path()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("@locked")));
    assert!(matches!(
        now(store.update(&KEY, version, Bytes::new(), END)),
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(
        now(store.load(&KEY, Read::Current))
            .unwrap()
            .unwrap()
            .data(),
        b"data"
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    let version = now(store.update(&KEY, version, Bytes::from_static(b"new"), END)).unwrap();
    // A waiting writer continues before its timeout.
    let mut holder = command("hold", dir.path()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("@locked")));
    let patient = options.lock_timeout(HANG).open(dir.path()).unwrap();
    let waiting =
        thread::spawn(move || now(patient.update(&KEY, version, Bytes::from_static(b"last"), END)));
    holder.kill().unwrap();
    holder.wait().unwrap();
    waiting.join().unwrap().unwrap();
}

const OPERATIONS: [&str; 5] = ["create", "update", "grow", "touch", "delete"];

/// The version that the operation needs, if any.
fn prepare(dir: &Path, operation: &str) -> Version {
    let store = FilesystemStore::open(dir).unwrap();
    if operation == "create" {
        return Version::from_u64(0);
    }
    now(store.create(&KEY, Bytes::from_static(b"old"), END)).unwrap()
}

fn version_of(word: &str) -> Version {
    Version::from_bytes(word.parse::<u128>().unwrap().to_be_bytes())
}

fn word_of(version: Version) -> u128 {
    u128::from_be_bytes(*version.as_bytes())
}

/// A record's data and end.
type State = Option<(Vec<u8>, Timestamp)>;

fn state(store: &FilesystemStore) -> State {
    let record = now(store.load(&KEY, Read::Current)).unwrap();
    record.map(|record| (record.data().to_vec(), record.expires()))
}

fn states(operation: &str) -> [State; 2] {
    let old = || Some((b"old".to_vec(), END.at));
    match operation {
        "create" => [None, Some((b"new".to_vec(), END.at))],
        "update" => [old(), Some((b"new".to_vec(), END.at))],
        "grow" => [old(), Some((vec![5; 9_000], END.at))],
        "touch" => [old(), Some((b"old".to_vec(), SOONER.at))],
        _ => [old(), None],
    }
}

fn act(store: &FilesystemStore, operation: &str, version: Version) -> Result<(), StoreError> {
    let update = |data: Vec<u8>| now(store.update(&KEY, version, data.into(), END));
    match operation {
        "create" => now(store.create(&KEY, Bytes::from_static(b"new"), END)).map(drop),
        "update" => update(b"new".to_vec()).map(drop),
        "grow" => update(vec![5; 9_000]).map(drop),
        "touch" => now(store.touch(&KEY, version, SOONER)).map(drop),
        _ => now(store.delete(&KEY, None)),
    }
}

fn once(operation: &str, version: Version, dir: &std::ffi::OsStr) {
    let store = FilesystemStore::options()
        .durability(Durability::Full)
        .open(dir)
        .unwrap();
    try_out(&store, operation, version);
}

/// Like [`once`], without syncs and with the record's file open.
fn here(operation: &str, version: Version, dir: &std::ffi::OsStr) {
    let store = open(dir, Durability::None);
    let _ = now(store.load(&KEY, Read::Current));
    try_out(&store, operation, version);
}

fn try_out(store: &FilesystemStore, operation: &str, version: Version) {
    say("begun");
    say(if act(store, operation, version).is_ok() {
        "done"
    } else {
        "failed"
    });
}

/// The role of the child, its operations, and the system calls that a fault strikes.
struct Trial {
    role: &'static str,
    operations: &'static [&'static str],
    calls: &'static [(&'static str, &'static str)],
}

const TRIALS: [Trial; 2] = [
    Trial {
        role: "once",
        operations: &OPERATIONS,
        calls: &CALLS,
    },
    Trial {
        role: "here",
        operations: &["update", "touch", "grow"],
        calls: &CALLS_HERE,
    },
];

/// The system calls of an operation on the calling thread, and an error that each may return.
const CALLS_HERE: [(&str, &str); 6] = [
    ("openat2", "EMFILE"),
    ("flock", "ENOLCK"),
    ("fstat", "EIO"),
    ("statx", "EIO"),
    ("preadv2", "EIO"),
    ("pwrite64", "ENOSPC"),
];

/// Every system call of the store, and an error that it may return.
const CALLS: [(&str, &str); 13] = [
    ("openat", "EMFILE"),
    ("mkdirat", "ENOSPC"),
    ("flock", "ENOLCK"),
    ("fstat", "EIO"),
    ("statx", "EIO"),
    ("newfstatat", "EIO"),
    ("pread64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("fdatasync", "EIO"),
    ("fsync", "EIO"),
    ("renameat2", "EDQUOT"),
    ("renameat", "ENOSPC"),
    ("unlinkat", "EROFS"),
];

/// The lines that the child printed, and whether the fault happened.
struct Trace {
    said: Vec<String>,
    struck: bool,
    /// The record's version before.
    version: Version,
}

fn trace(role: &str, operation: &str, dir: &Path, call: &str, fault: &str) -> Trace {
    let version = prepare(dir, operation);
    let log = TempDir::new().unwrap();
    let log = log.path().join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&log);
    command
        .arg("-e")
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:{fault}"));
    command.arg(env::current_exe().unwrap());
    let role = format!("{role} {operation} {}", word_of(version));
    as_child(&mut command, &role, dir);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said
        .lines()
        .filter_map(|line| line.split_once('@'))
        .map(|(_, line)| line.to_owned())
        .collect();
    let log = fs::read_to_string(&log).unwrap_or_default();
    Trace {
        said,
        struck: log.contains("INJECTED") || log.contains("killed by SIGKILL"),
        version,
    }
}

/// Injects a fault into the first call, the second, and so on, until there are no more calls.
fn trace_all(
    mut check: impl FnMut(&str, &Trace, &FilesystemStore, &str),
    fault_of: impl Fn(&str) -> String,
) -> usize {
    let mut count = 0;
    for Trial {
        role,
        operations,
        calls,
    } in TRIALS
    {
        let struck = operations
            .iter()
            .flat_map(|operation| calls.iter().map(move |call| (*operation, *call)));
        for (operation, (call, error)) in struck {
            for when in 1.. {
                let dir = TempDir::new().unwrap();
                let fault = format!("{}:when={when}", fault_of(error));
                let trace = trace(role, operation, dir.path(), call, &fault);
                if !trace.struck {
                    assert!(
                        trace.said.ends_with(&["done".to_owned()]),
                        "{role}, {operation}, {call}: {:?}",
                        trace.said
                    );
                    break;
                }
                count += usize::from(matches!(trace.said.last(), Some(last) if last != "done"));
                let store = FilesystemStore::open(dir.path()).unwrap();
                check(
                    &format!(
                        "{role}, {operation}, {call}, {fault}, said {:?}",
                        trace.said
                    ),
                    &trace,
                    &store,
                    operation,
                );
            }
        }
    }
    count
}

/// Returns whether strace works. With `CI=true` it must.
fn has_strace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success());
    assert!(
        works || env::var_os("CI").is_none_or(|value| value != "true"),
        "strace is missing"
    );
    if !works {
        println!("skipped: strace is missing or not allowed to trace");
    }
    works
}

#[test]
fn a_kill_at_any_system_call_leaves_the_old_record_or_the_new_one() {
    if !has_strace() {
        return;
    }
    let kills = trace_all(
        |what, trace, store, operation| {
            let [old, new] = states(operation);
            let found = state(store);
            let done = trace.said.iter().any(|line| line == "done");
            assert!(found == new || (!done && found == old), "{what}: {found:?}");
            if found == old {
                act(store, operation, trace.version).unwrap();
            }
            assert_eq!(state(store), new, "{what}, then again");
        },
        |_| "signal=KILL".to_owned(),
    );
    println!("{kills} kills");
    assert!(kills > 30, "{kills}");
}

#[test]
fn an_error_of_any_system_call_leaves_the_old_record() {
    if !has_strace() {
        return;
    }
    let errors = trace_all(
        |what, trace, store, operation| {
            let [old, new] = states(operation);
            let found = state(store);
            match trace.said.last().map(String::as_str) {
                Some("done") => assert_eq!(found, new, "{what}"),
                // The store must report a removal that may not be durable, but cannot undo it.
                _ => assert!(
                    found == old || (found.is_none() && operation == "delete"),
                    "{what}: {found:?}"
                ),
            }
        },
        |error| format!("error={error}"),
    );
    println!("{errors} errors");
    assert!(errors > 30, "{errors}");
}

#[test]
fn an_interrupted_system_call_is_repeated() {
    if !has_strace() {
        return;
    }
    for operation in OPERATIONS {
        for call in ["flock", "pread64", "pwrite64", "fdatasync", "fsync"] {
            let dir = TempDir::new().unwrap();
            let trace = trace("once", operation, dir.path(), call, "error=EINTR:when=1..3");
            if trace.said.is_empty() {
                continue;
            }
            assert_eq!(trace.said, ["begun", "done"], "{operation}, {call}");
        }
    }
}
