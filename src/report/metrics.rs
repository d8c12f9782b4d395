//! Counts and times, for a recorder of the `metrics` facade. Without the feature `metrics` nothing
//! here does anything.
//!
//! Counting never allocates. If the compiler knows the labels, the key of a metric is a static. If
//! a label is a session's name, the key is made with the session's settings. The first conflict
//! makes the keys of all conflicts.
#![cfg_attr(
    not(feature = "metrics"),
    allow(unused_variables, unused_macros, reason = "nothing is counted")
)]

#[cfg(feature = "metrics")]
use std::sync::LazyLock;

#[cfg(feature = "metrics")]
use metrics::{Key, Label, Level, Metadata};

use super::fact::{Cause, Opening, Saved, Swap};
use crate::error::Error;
#[cfg(feature = "metrics")]
use crate::error::{ErrorKind, Rejection};

/// The counters of the sessions of one name.
#[derive(Debug)]
pub(crate) struct SessionMetrics {
    #[cfg(feature = "metrics")]
    keys: Keys,
}

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct Keys {
    loaded: [Key; LOADED.len()],
    refused: [Key; Rejection::ALL.len()],
    saved: [Key; SAVED.len()],
    created: Key,
    renewed: Key,
    ended: [Key; Cause::ALL.len()],
}

/// The outcomes of opening a session.
#[cfg(feature = "metrics")]
const LOADED: [&str; 3] = ["found", "new", "refused"];

/// The outcomes of a save: see [`outcome`].
#[cfg(feature = "metrics")]
const SAVED: [&str; 7] = [
    "saved",
    "gone",
    "conflict",
    "too_large",
    "update_refused",
    "store_failed",
    "other",
];

#[cfg(feature = "metrics")]
impl Keys {
    fn new(session: &str) -> Self {
        let session: std::sync::Arc<str> = session.into();
        let plain = |name| Key::from_parts(name, vec![Label::new("session", session.clone())]);
        let with =
            |name, label, value| plain(name).with_extra_labels(vec![Label::new(label, value)]);
        Self {
            loaded: LOADED.map(|outcome| with("silverback.sessions.loaded", "outcome", outcome)),
            refused: Rejection::ALL
                .map(|reason| with("silverback.cookies.refused", "reason", reason.word())),
            saved: SAVED.map(|outcome| with("silverback.sessions.saved", "outcome", outcome)),
            created: plain("silverback.sessions.created"),
            renewed: plain("silverback.sessions.renewed"),
            ended: Cause::ALL.map(|cause| with("silverback.sessions.ended", "cause", cause.word())),
        }
    }
}

#[cfg(feature = "metrics")]
fn count<'a>(key: impl Into<Option<&'a Key>>, count: u64) {
    static METADATA: Metadata<'static> =
        Metadata::new("silverback", Level::INFO, Some(module_path!()));
    if let Some(key) = key.into() {
        metrics::with_recorder(|recorder| recorder.register_counter(key, &METADATA))
            .increment(count);
    }
}

impl SessionMetrics {
    pub(crate) fn new(session: &str) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            keys: Keys::new(session),
        }
    }

    pub(crate) fn opened(&self, opening: Opening) {
        #[cfg(feature = "metrics")]
        {
            let found = match opening {
                Opening::Found => 0,
                Opening::New => 1,
                Opening::Refused(reason) => {
                    count(self.keys.refused.get(reason as usize), 1);
                    2
                }
            };
            count(self.keys.loaded.get(found), 1);
        }
    }

    pub(crate) fn saved(&self, saved: Saved) {
        #[cfg(feature = "metrics")]
        {
            match saved {
                Saved::Created => count(&self.keys.created, 1),
                Saved::Renewed => count(&self.keys.renewed, 1),
                Saved::Emptied => self.ended(Cause::Emptied, 1),
                Saved::Again => {}
            }
            count(self.keys.saved.first(), 1);
        }
    }

    pub(crate) fn save_failed(&self, error: &Error) {
        #[cfg(feature = "metrics")]
        count(self.keys.saved.get(outcome(error)), 1);
    }

    pub(crate) fn ended(&self, cause: Cause, sessions: usize) {
        #[cfg(feature = "metrics")]
        if sessions > 0 {
            count(self.keys.ended.get(cause as usize), sessions as u64);
        }
    }
}

/// Returns the index of a failed save's outcome in [`SAVED`].
#[cfg(feature = "metrics")]
fn outcome(error: &Error) -> usize {
    match error.kind() {
        ErrorKind::Gone => 1,
        ErrorKind::Conflict => 2,
        ErrorKind::TooLarge { .. } => 3,
        ErrorKind::UpdateRefused => 4,
        ErrorKind::StoreFailed => 5,
        _ => 6,
    }
}

/// A counter or histogram with one label. Its key is a static if the label is one of these words.
macro_rules! of_word {
    ($metric:ident, $name:literal, $label:literal, $value:expr, [$($word:literal)+]) => {
        match $value {
            $($word => metrics::$metric!($name, $label => $word),)+
            other => metrics::$metric!($name, $label => other),
        }
    };
}

/// Counts a conflict: another request or server was faster.
pub(crate) fn conflict(swap: Swap) {
    #[cfg(feature = "metrics")]
    {
        static KEYS: LazyLock<[Key; Swap::ALL.len()]> = LazyLock::new(|| {
            Swap::ALL.map(|swap| {
                let label = Label::new("operation", swap.word());
                Key::from_parts("silverback.store.conflicts", vec![label])
            })
        });
        count(KEYS.get(swap as usize), 1);
    }
}

/// Counts a store call that was repeated.
pub(crate) fn retry() {
    #[cfg(feature = "metrics")]
    metrics::counter!("silverback.store.retries").increment(1);
}

pub(crate) fn evicted(kind: &'static str, records: u64) {
    #[cfg(feature = "metrics")]
    of_word!(
        counter,
        "silverback.store.evictions",
        "kind",
        kind,
        ["unused sessions" "sessions" "rosters" "ends"]
    )
    .increment(records);
}

/// Sets how many sessions are in the store that the application calls `store`.
pub(crate) fn sessions(store: &str, count: u64) {
    #[cfg(feature = "metrics")]
    {
        let gauge = metrics::gauge!("silverback.store.sessions", "store" => store.to_owned());
        // No store has more sessions than an `f64` can count.
        gauge.set(count as f64);
    }
}

/// The histogram of a store call. Its key is a static if the labels are these words.
macro_rules! of_call {
    (@ $operation:tt, $error:expr) => {
        of_call!(@ $operation, $error, [
            "exists" "conflict" "gone" "too_large" "clocks_differ" "corrupt" "unavailable" "refused"
        ])
    };
    (@ $operation:tt, $error:expr, [$($known:literal)+]) => {
        match $error {
            None => metrics::histogram!("silverback.store.duration", "operation" => $operation),
            $(Some($known) => metrics::histogram!(
                "silverback.store.duration", "operation" => $operation, "error.type" => $known
            ),)+
            Some(other) => metrics::histogram!(
                "silverback.store.duration", "operation" => $operation, "error.type" => other
            ),
        }
    };
    ($operation:expr, $error:expr, [$($known:literal)+]) => {
        match $operation {
            $($known => of_call!(@ $known, $error),)+
            other => of_call!(@ other, $error),
        }
    };
}

/// Measures how long something takes.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    start: tokio::time::Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            start: tokio::time::Instant::now(),
        }
    }

    /// Records a store call. `error` is the class of its error, if it failed.
    pub(crate) fn of_call(self, operation: &'static str, error: Option<&'static str>) {
        #[cfg(feature = "metrics")]
        {
            let histogram = of_call!(
                operation,
                error,
                ["load" "load_many" "create" "update" "touch" "delete" "delete_many"]
            );
            metrics::Histogram::record(&histogram, self.start.elapsed());
        }
    }

    /// Records a commit that waits for stores, and how many store calls the request made.
    pub(crate) fn of_commit(self, calls: u32) {
        #[cfg(feature = "metrics")]
        {
            let (time, count) = (
                metrics::histogram!("silverback.commit.duration"),
                metrics::histogram!("silverback.request.store_calls"),
            );
            metrics::Histogram::record(&time, self.start.elapsed());
            metrics::Histogram::record(&count, calls);
        }
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use std::{collections::HashSet, sync::Mutex};

    use metrics::{Counter, Gauge, Histogram, KeyName, Recorder, SharedString, Unit};

    use super::*;

    /// A variant's number is the index of its key.
    #[test]
    fn keys_are_in_the_order_of_their_enums() {
        for (number, reason) in Rejection::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, number, "{cause:?}");
        }
    }

    /// Remembers the address of each counter's key, and the value of its label.
    #[derive(Default)]
    struct Addresses(Mutex<Vec<(usize, String)>>);

    impl Recorder for Addresses {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let value = key.labels().map(|label| label.value().to_owned()).collect();
            let address = std::ptr::from_ref(key).addr();
            self.0.lock().expect("no panic").push((address, value));
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn a_conflict_is_counted_under_a_key_that_is_made_once() {
        let counted = || {
            let addresses = Addresses::default();
            metrics::with_local_recorder(&addresses, || Swap::ALL.map(conflict));
            addresses.0.into_inner().expect("no panic")
        };
        let (addresses, words): (HashSet<_>, Vec<_>) = counted().into_iter().unzip();
        assert_eq!(words, Swap::ALL.map(Swap::word));
        assert_eq!(addresses.len(), words.len());
        assert_eq!(counted(), counted());
    }
}
