//! Many operations in a random order that is the same in every run, and a model that says what
//! comes of them.

use std::time::Duration;

use super::{
    bench::{Bench, NO_VERSION, Outcome, Refusal, granted, refused, sample},
    schedule::Numbers,
};
use crate::{
    clock::Timestamp,
    store::{Bytes, RecordKey, Store, Version},
};

const STEPS: u64 = 2_000;
const KEYS: usize = 3;

pub(super) async fn a_long_random_life_follows_the_contract<S: Store>(bench: &Bench<S>) -> Outcome {
    let mut numbers = Numbers::from_seed(7);
    let mut models: Vec<_> = (0..KEYS).map(|_| Model::of(bench.key())).collect();
    for step in 0..STEPS {
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

/// What a record should be.
struct Model {
    key: RecordKey,
    record: Option<State>,
    /// A version the record had before, in the same life.
    outdated: Option<Version>,
}

struct State {
    data: Vec<u8>,
    version: Version,
    end: Timestamp,
}

impl Model {
    const fn of(key: RecordKey) -> Self {
        Self {
            key,
            record: None,
            outdated: None,
        }
    }

    async fn step<S: Store>(&mut self, bench: &Bench<S>, numbers: &mut Numbers) -> Outcome {
        let now = bench.now();
        self.record.take_if(|state| state.end <= now);
        match numbers.below(8) {
            0 | 1 => self.create(bench, numbers).await?,
            2..=4 => self.update(bench, numbers).await?,
            5 | 6 => self.touch(bench, numbers).await?,
            _ => self.delete(bench).await?,
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
        self.outdated = None;
        self.record = Some(State {
            data,
            version: granted("create", created)?,
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
                    version: granted("update", updated)?,
                    end,
                });
                Ok(())
            }
        }
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

    async fn delete<S: Store>(&mut self, bench: &Bench<S>) -> Outcome {
        self.record = None;
        bench.delete(&self.key).await
    }

    /// The current version, mostly.
    fn expected(&self, numbers: &mut Numbers) -> Version {
        let current = self.record.as_ref().map(|state| state.version);
        let outdated = self.outdated.filter(|_| numbers.below(3) == 0);
        outdated.or(current).or(self.outdated).unwrap_or(NO_VERSION)
    }
}

fn drawn<S: Store>(bench: &Bench<S>, numbers: &mut Numbers) -> (Vec<u8>, Timestamp) {
    let largest = 1 << numbers.below(14);
    let len = numbers.below(largest);
    // Only a rule that sets the time knows which record is over.
    let soonest = if bench.has_clock() {
        bench.now()
    } else {
        bench.alive()
    };
    let life = Duration::from_secs(1 + numbers.next() % 30);
    (sample(numbers.next(), len), soonest.saturating_add(life))
}
