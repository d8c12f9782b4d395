//! Counts the cookies that were refused in the last hour, by reason.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use silverback::Clock;

/// The number of minutes for which refusals are kept.
pub(crate) const MINUTES: usize = 60;

/// Counts the cookies that were refused in each of the last 60 minutes: a recorder of the `metrics`
/// facade, which sees names and reasons but no cookies.
///
/// Install it with `metrics::set_global_recorder`. An application that exports its metrics has a
/// recorder already: `metrics_util::layers::FanoutBuilder` sends each metric to both.
#[derive(Clone, Debug)]
pub struct Refusals {
    clock: Clock,
    rings: Arc<Mutex<Rings>>,
}

/// The counts by session and reason.
type Rings = BTreeMap<(String, String), Arc<Ring>>;

impl Refusals {
    /// Makes a recorder that counts by this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            rings: Arc::default(),
        }
    }

    /// Returns the counts by session and reason, the largest first.
    pub(crate) fn list(&self) -> Vec<Refused> {
        let minute = minute(&self.clock);
        let refused = |((session, reason), ring): (&(String, String), &Arc<Ring>)| Refused {
            session: session.clone(),
            reason: reason.clone(),
            count: ring.last(minute).iter().sum(),
        };
        let mut list: Vec<_> = locked(&self.rings).iter().map(refused).collect();
        list.retain(|refused| refused.count > 0);
        list.sort_by_key(|refused| std::cmp::Reverse(refused.count));
        list
    }

    /// Returns the number of refusals in each of the last minutes, the current one last.
    pub(crate) fn per_minute(&self) -> [u64; MINUTES] {
        let minute = minute(&self.clock);
        let mut all = [0; MINUTES];
        for ring in locked(&self.rings).values() {
            for (sum, count) in all.iter_mut().zip(ring.last(minute)) {
                *sum += count;
            }
        }
        all
    }
}

/// The cookies of a session that were refused for one reason.
pub(crate) struct Refused {
    pub(crate) session: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
}

/// A ring buffer with one count for each minute.
#[derive(Debug)]
struct Ring {
    clock: Clock,
    /// Each count, with its minute.
    counts: Mutex<[(u64, u64); MINUTES]>,
}

impl Ring {
    /// Returns the counts up to this minute.
    fn last(&self, minute: u64) -> [u64; MINUTES] {
        let counts = locked(&self.counts);
        let mut last = [0; MINUTES];
        for (of, count) in *counts {
            let age = minute
                .checked_sub(of)
                .and_then(|age| usize::try_from(age).ok());
            let place = age.and_then(|age| (MINUTES - 1).checked_sub(age));
            if let Some(place) = place.and_then(|place| last.get_mut(place)) {
                *place = count;
            }
        }
        last
    }
}

impl CounterFn for Ring {
    fn increment(&self, value: u64) {
        let minute = minute(&self.clock);
        let mut counts = locked(&self.counts);
        let place = (minute % MINUTES as u64) as usize;
        if let Some((of, count)) = counts.get_mut(place) {
            *count = if *of == minute { *count + value } else { value };
            *of = minute;
        }
    }

    /// Does nothing: refusals are only ever incremented.
    fn absolute(&self, _: u64) {}
}

impl Recorder for Refusals {
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() != "silverback.cookies.refused" {
            return Counter::noop();
        }
        let label = |name| {
            let label = key.labels().find(|label| label.key() == name);
            label
                .map(|label| label.value().to_owned())
                .unwrap_or_default()
        };
        let mut rings = locked(&self.rings);
        let ring = rings.entry((label("session"), label("reason")));
        let ring = ring.or_insert_with(|| {
            Arc::new(Ring {
                clock: self.clock.clone(),
                counts: Mutex::new([(0, 0); MINUTES]),
            })
        });
        Counter::from_arc(Arc::clone(ring))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }

    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
}

fn minute(clock: &Clock) -> u64 {
    clock.now().as_secs() / 60
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
