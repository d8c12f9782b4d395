//! The cost of a store's operations by the number of its sessions.

use std::{collections::BTreeSet, error::Error, hint::black_box, path::Path};

use bytes::Bytes;
use kit::{
    endpoint::poll_once,
    time::{each, fast},
};
use silverback::{
    Timestamp,
    store::{Expiry, FilesystemStore, MemoryStore, Read, RecordKey, Store, Version},
};

use crate::{
    effort::Effort,
    figure::{Axis, Figure, Line, Scale, Unit},
};

const END: Expiry = Expiry::new(Timestamp::from_secs(u64::MAX), Timestamp::from_secs(0));
/// A record as long as that of a session with 120 bytes of JSON.
const RECORD: [u8; 150] = [7; 150];
const COUNTS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The number of sessions picked for a round.
const PICKED: usize = 200;

pub(crate) fn figure(folder: &Path, effort: Effort) -> Result<Figure, Box<dyn Error>> {
    let counts: Vec<usize> = COUNTS
        .into_iter()
        .filter(|count| *count <= effort.sessions)
        .collect();
    let in_memory = |count: &usize| Crowd::new(MemoryStore::new().max_bytes(4 << 30), *count);
    let (mut memory, mut files): (Vec<_>, _) = (counts.iter().map(in_memory).collect(), Vec::new());
    for count in counts {
        eprintln!("making {count} files");
        files.push(Crowd::new(
            FilesystemStore::open(folder.join(count.to_string()))?,
            count,
        ));
    }
    rustix::fs::sync();
    let lines = [
        lines("memory store", &mut memory, effort),
        lines("filesystem store", &mut files, effort),
    ];
    Ok(Figure {
        name: "stored-sessions",
        title: "Random sessions of a store",
        x: Axis {
            title: "sessions in the store",
            scale: Scale::Logarithmic,
            unit: Unit::Count,
        },
        y: Axis {
            title: "µs of CPU time",
            scale: Scale::Logarithmic,
            unit: Unit::Measure,
        },
        lines: lines.into_iter().flatten().collect(),
    })
}

/// A load of random sessions, a second load of the same sessions, and an update of them.
const OPERATIONS: [&str; 3] = ["load", "load again", "update"];

/// Measures stores that take turns.
fn lines<S: Store>(name: &str, crowds: &mut [Crowd<S>], effort: Effort) -> Vec<Line> {
    let mut all: Vec<[Vec<f64>; 3]> = vec![Default::default(); crowds.len()];
    for _ in 0..effort.rounds {
        for (crowd, times) in crowds.iter_mut().zip(&mut all) {
            let picked = crowd.pick();
            let round = [
                crowd.load(&picked),
                crowd.load(&picked),
                crowd.update(&picked),
            ];
            times
                .iter_mut()
                .zip(round)
                .for_each(|(times, time)| times.push(time));
        }
    }
    let counts: Vec<f64> = crowds
        .iter()
        .map(|crowd| crowd.versions.len() as f64)
        .collect();
    let all: Vec<[f64; 3]> = all
        .into_iter()
        .map(|times| times.map(|times| fast(times) / 1_000.0))
        .collect();
    let line = |(index, operation): (usize, &str)| {
        let times = all.iter().filter_map(|times| times.get(index).copied());
        Line {
            name: format!("{name}: {operation}"),
            points: counts.iter().copied().zip(times).collect(),
        }
    };
    OPERATIONS.into_iter().enumerate().map(line).collect()
}

/// A store with many sessions.
struct Crowd<S> {
    store: S,
    versions: Vec<Version>,
    random: u64,
}

impl<S: Store> Crowd<S> {
    fn new(store: S, count: usize) -> Self {
        let create =
            |number| poll_once(store.create(&key(number), Bytes::copy_from_slice(&RECORD), END));
        let versions = (0..count)
            .map(|number| create(number).expect("there is room"))
            .collect();
        Self {
            store,
            versions,
            random: 0,
        }
    }

    /// Distinct random sessions.
    fn pick(&mut self) -> Vec<(usize, RecordKey)> {
        let random = (0..PICKED).map(|_| {
            self.random += 1;
            mix(self.random) as usize % self.versions.len()
        });
        random
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|number| (number, key(number)))
            .collect()
    }

    fn load(&self, picked: &[(usize, RecordKey)]) -> f64 {
        each(picked.len() as u32, || {
            for (_, key) in picked {
                let record = poll_once(self.store.load(key, Read::Current))
                    .expect("the store is sound")
                    .expect("the session is there");
                assert_eq!(black_box(record).data().first(), RECORD.first());
            }
        })
    }

    fn update(&mut self, picked: &[(usize, RecordKey)]) -> f64 {
        each(picked.len() as u32, || {
            for (number, key) in picked {
                let version = self
                    .versions
                    .get_mut(*number)
                    .expect("the session is there");
                let update = self
                    .store
                    .update(key, *version, Bytes::copy_from_slice(&RECORD), END);
                *version = poll_once(update).expect("nobody else updates");
            }
        })
    }
}

/// A key as random as the hash of a session's ID.
fn key(number: usize) -> RecordKey {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(8).zip(1..) {
        place.copy_from_slice(&mix(number as u64 * 4 + word).to_be_bytes());
    }
    RecordKey::from_bytes(bytes)
}

/// SplitMix64.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
