//! A process that is killed while it writes.
//!
//! The test binary runs itself as that process. `SILVERBACK_SOAK=1` runs many more rounds.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

use silverback::store::{Bytes, Read, Store, StoreError, Version};
use silverback_redb::{Durability, RedbStore};
use tempfile::TempDir;

use crate::{END, key, path};

const ROLE: &str = "SILVERBACK_TEST_ROLE";
const DIR: &str = "SILVERBACK_TEST_DIR";

/// Tasks that write. Each has its own two records, and all of them count in a shared one.
const TASKS: u8 = 8;
const SHARED: u8 = 255;

fn kept(task: u8) -> u8 {
    task
}

fn ended(task: u8) -> u8 {
    100 + task
}

/// A line for the parent, in one write.
fn say(line: &str) {
    let line = format!("@{line}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let durability = match &*role {
        "None" => Durability::None,
        _ => Durability::Full,
    };
    let path = env::var_os(DIR).unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let options = RedbStore::options().durability(durability);
        let store = options.open(path).await.unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(write(store.clone(), task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// A state of a record. No part of it fits another state.
fn state(task: u8, step: u64) -> Bytes {
    let len = 20 + (step * 7_919 % 9_000) as usize;
    let mut data = step.to_be_bytes().to_vec();
    data.extend((0..len).map(|at| (at as u64 ^ step ^ u64::from(task)) as u8));
    data.into()
}

fn step_of(data: &[u8]) -> u64 {
    u64::from_be_bytes(*data.first_chunk().unwrap())
}

/// Reports an acknowledged write: a state of the task's record, the shared count, or an end.
async fn write(store: RedbStore, task: u8) {
    let (mut version, mut step) = match found(&store, kept(task)).await {
        Some((data, version)) => (version, step_of(&data)),
        None => {
            let first = store.create(&key(kept(task)), state(task, 0), END).await;
            (first.unwrap(), 0)
        }
    };
    loop {
        step += 1;
        let (own, data) = (key(kept(task)), state(task, step));
        version = store.update(&own, version, data, END).await.unwrap();
        say(&format!("kept {task} {step}"));
        say(&format!("count {}", count(&store).await));
        drop(
            store
                .create(&key(ended(task)), state(task, step), END)
                .await,
        );
        store.delete(&key(ended(task)), None).await.unwrap();
        say(&format!("ended {task} {step}"));
    }
}

async fn found(store: &RedbStore, number: u8) -> Option<(Bytes, Version)> {
    let record = store.load(&key(number), Read::Current).await.unwrap()?;
    let version = record.version();
    Some((record.into_data(), version))
}

async fn count(store: &RedbStore) -> u64 {
    loop {
        let (data, version) = found(store, SHARED).await.unwrap();
        let count = step_of(&data) + 1;
        let data = Bytes::copy_from_slice(&count.to_be_bytes());
        match store.update(&key(SHARED), version, data, END).await {
            Err(StoreError::Conflict) => {}
            counted => {
                counted.unwrap();
                return count;
            }
        }
    }
}

/// The acknowledged writes: the last step of each task's record and of its ended one, and the
/// highest count.
#[derive(Default)]
struct Said {
    kept: HashMap<u8, u64>,
    ended: HashMap<u8, u64>,
    count: u64,
    lines: u64,
}

impl Said {
    fn hear(&mut self, line: &str) -> bool {
        let Some((_, line)) = line.split_once('@') else {
            return false;
        };
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["kept", task, step] => {
                self.kept
                    .insert(task.parse().unwrap(), step.parse().unwrap());
            }
            ["ended", task, step] => {
                self.ended
                    .insert(task.parse().unwrap(), step.parse().unwrap());
            }
            ["count", count] => self.count = self.count.max(count.parse().unwrap()),
            _ => panic!("{line}"),
        }
        self.lines += 1;
        true
    }

    async fn check(&self, store: &RedbStore) {
        for task in 0..TASKS {
            let said = self.kept.get(&task).copied().unwrap_or_default();
            if let Some((data, _)) = found(store, kept(task)).await {
                let step = step_of(&data);
                assert!(
                    step == said || step == said + 1,
                    "{task}: {said} said, {step} kept"
                );
                assert_eq!(data, state(task, step), "torn");
            } else {
                assert_eq!(said, 0, "{task} is lost");
            }
            // The next round may have made the record after it.
            if let Some((data, _)) = found(store, ended(task)).await {
                let said = self.ended.get(&task).copied().unwrap_or_default();
                assert!(step_of(&data) > said, "{task}: what had ended is back");
            }
        }
        let (data, _) = found(store, SHARED).await.unwrap();
        let count = step_of(&data);
        let most = self.count + u64::from(TASKS);
        assert!(
            (self.count..=most).contains(&count),
            "{} said, {count} kept",
            self.count
        );
    }
}

/// Kills a process after it has printed this many lines.
fn kill_after(lines: u64, path: &Path, durability: Durability, said: &mut Said) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child",
            "--nocapture",
            "--test-threads=1",
            "-q",
        ])
        .env(ROLE, format!("{durability:?}"))
        .env(DIR, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut heard = 0;
    for line in output.lines().map_while(Result::ok) {
        heard += u64::from(said.hear(&line));
        if heard == lines {
            child.kill().unwrap();
        }
    }
    let ended = child.wait().unwrap();
    assert_eq!(ended.signal(), Some(9), "it ended by itself");
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_that_it_was_answered() {
    let (dir, mut said) = (TempDir::new().unwrap(), Said::default());
    let store = RedbStore::open(path(&dir)).await.unwrap();
    let zero = Bytes::copy_from_slice(&0_u64.to_be_bytes());
    store.create(&key(SHARED), zero, END).await.unwrap();
    store.close().await;
    let is_soak = env::var_os("SILVERBACK_SOAK").is_some();
    let rounds = if is_soak { 1_000 } else { 12 };
    for round in 0..rounds {
        let durability = if round % 2 == 0 {
            Durability::Full
        } else {
            Durability::None
        };
        kill_after(1 + round * 7_919 % 400, &path(&dir), durability, &mut said);
        let store = RedbStore::open(path(&dir)).await.unwrap();
        said.check(&store).await;
        // Without a report of the last round, this one's write may be done.
        for task in 0..TASKS {
            if let Some((data, _)) = found(&store, kept(task)).await {
                said.kept.insert(task, step_of(&data));
            }
        }
        store.close().await;
    }
    println!(
        "{rounds} kills, {} answers, nothing lost or torn or back",
        said.lines
    );
}
