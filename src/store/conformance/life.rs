//! Many operations in a random order that is the same in every run, checked against a model.

use std::{collections::HashSet, time::Duration};

use super::{
    bench::{Bench, NO_VERSION, Outcome, Refusal, granted, refused, require, sample},
    schedule::Numbers,
};
use crate::{
    clock::Timestamp,
    store::{Bytes, RecordKey, Store, StoreError, Version},
};

const STEPS: u64 = 2_000;
const KEYS: usize = 3;

pub(super) async fn a_long_random_life_follows_the_contract<S: Store>(bench: &Bench<S>) -> Outcome {
    let mut numbers = Numbers::from_seed(7);
    let mut models: Vec<_> = (0..KEYS).map(|_| Model::of(bench.key())).collect();
    for step in 0..bench.rounds(STEPS) {
        let chosen = numbers.below(KEYS);
        let Some(model) = models.get_mut(chosen) else {
            continue;
        };
        let done = model.step(bench, &mut numbers).await;
        done.map_err(|fault| format!("step {step} of a random life: {fault}"))?;
        if bench.has_clock() && numbers.below(4) == 0 {
            bench.set_time(
                bench
                    .now()
                    .saturating_add(Duration::from_secs(1 + numbers.next() % 5)),
            )?;
        }
        if numbers.below(50) == 0 {
            bench.sweep().await;
        }
    }
    Ok(())
}

/// The expected state of a record.
struct Model {
    key: RecordKey,
    record: Option<State>,
    /// A version that the record once had, in any life.
    outdated: Option<Version>,
    seen: HashSet<Version>,
}

struct State {
    data: Vec<u8>,
    version: Version,
    end: Timestamp,
}

impl Model {
    fn of(key: RecordKey) -> Self {
        Self {
            key,
            record: None,
            outdated: None,
            seen: HashSet::new(),
        }
    }

    async fn step<S: Store>(&mut self, bench: &Bench<S>, numbers: &mut Numbers) -> Outcome {
        let now = bench.now();
        let over = self.record.take_if(|state| state.end <= now);
        self.outdated = over.map(|state| state.version).or(self.outdated);
        match numbers.below(8) {
            0 | 1 => self.create(bench, numbers).await?,
            2..=4 => self.update(bench, numbers).await?,
            5 | 6 => self.touch(bench, numbers).await?,
            _ => self.delete(bench, numbers).await?,
        }
        match &self.record {
            Some(State { data, version, end }) => {
                bench.holds("it", &self.key, data, *version, *end).await
            }
            None => bench.is_gone("it", &self.key).await,
        }
    }

    async fn create<S: Store>(&mut self, bench: &Bench<S>, numbers: &mut Numbers) -> Outcome {
        let (data, end) = drawn(bench, numbers);
        let created = bench
            .store
            .create(&self.key, Bytes::from(data.clone()), bench.expiry(end))
            .await;
        if self.record.is_some() {
            return refused("create", &created, Refusal::Exists);
        }
        self.record = Some(State {
            data,
            version: self.new_version("create", created)?,
            end,
        });
        Ok(())
    }

    async fn update<S: Store>(&mut self, bench: &Bench<S>, numbers: &mut Numbers) -> Outcome {
        let ((data, end), expected) = (drawn(bench, numbers), self.expected(numbers));
        let updated = bench
            .store
            .update(
                &self.key,
                expected,
                Bytes::from(data.clone()),
                bench.expiry(end),
            )
            .await;
        match &self.record {
            None => refused("update", &updated, Refusal::Gone),
            Some(state) if state.version != expected => {
                refused("update", &updated, Refusal::Conflict)
            }
            Some(_) => {
                self.outdated = Some(expected);
                self.record = Some(State {
                    data,
                    version: self.new_version("update", updated)?,
                    end,
                });
                Ok(())
            }
        }
    }

    fn new_version(&mut self, what: &str, answer: Result<Version, StoreError>) -> Outcome<Version> {
        let version = granted(what, answer)?;
        require(self.seen.insert(version), || {
            format!("{what} returned {version:?}, which the key had before")
        })?;
        Ok(version)
    }

    async fn touch<S: Store>(&mut self, bench: &Bench<S>, numbers: &mut Numbers) -> Outcome {
        let ((_, end), expected) = (drawn(bench, numbers), self.expected(numbers));
        let touched = bench
            .store
            .touch(&self.key, expected, bench.expiry(end))
            .await;
        match &mut self.record {
            None => refused("touch", &touched, Refusal::Gone),
            Some(state) if state.version != expected => {
                refused("touch", &touched, Refusal::Conflict)
            }
            Some(state) => {
                state.version = granted("touch", touched)?;
                state.end = end;
                Ok(())
            }
        }
    }

    async fn delete<S: Store>(&mut self, bench: &Bench<S>, numbers: &mut Numbers) -> Outcome {
        let expected = (numbers.below(2) == 0).then(|| self.expected(numbers));
        let deleted = bench.store.delete(&self.key, expected).await;
        match (&self.record, expected) {
            (Some(state), Some(expected)) if state.version != expected => {
                refused("delete", &deleted, Refusal::Conflict)
            }
            _ => {
                let deleted_at = self.record.take().map(|state| state.version);
                self.outdated = deleted_at.or(self.outdated);
                granted("delete", deleted)
            }
        }
    }

    /// Mostly the current version.
    fn expected(&self, numbers: &mut Numbers) -> Version {
        let current = self.record.as_ref().map(|state| state.version);
        let outdated = self.outdated.filter(|_| numbers.below(3) == 0);
        outdated.or(current).or(self.outdated).unwrap_or(NO_VERSION)
    }
}

fn drawn<S: Store>(bench: &Bench<S>, numbers: &mut Numbers) -> (Vec<u8>, Timestamp) {
    let largest = 1 << numbers.below(14);
    let len = numbers.below(largest);
    // Only a rule that sets the time knows which record has expired.
    let soonest = if bench.has_clock() {
        bench.now()
    } else {
        bench.alive()
    };
    let life = Duration::from_secs(1 + numbers.next() % 30);
    (sample(numbers.next(), len), soonest.saturating_add(life))
}
