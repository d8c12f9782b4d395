//! Counts and times, for a recorder of the `metrics` facade. Without the feature `metrics` each of
//! these is nothing.
#![cfg_attr(
    not(feature = "metrics"),
    allow(unused_variables, unused_macros, reason = "nothing is counted")
)]

use super::fact::{Opening, Saved};
use crate::error::{Error, ErrorKind};

macro_rules! count {
    ($count:expr, $name:literal $(, $label:literal => $value:expr)*) => {
        #[cfg(feature = "metrics")]
        metrics::counter!($name $(, $label => $value)*).increment($count);
    };
}

pub(super) fn ended(session: &str, cause: &'static str, count: usize) {
    count!(
        count as u64,
        "silverback.sessions.ended",
        "session" => session.to_owned(),
        "cause" => cause
    );
}

pub(super) fn opened(session: &str, opening: Opening) {
    let outcome = match opening {
        Opening::Found => "found",
        Opening::New => "new",
        Opening::Refused(reason) => {
            count!(
                1,
                "silverback.cookies.refused",
                "session" => session.to_owned(),
                "reason" => reason.word()
            );
            "refused"
        }
    };
    count!(
        1,
        "silverback.sessions.loaded",
        "session" => session.to_owned(),
        "outcome" => outcome
    );
}

pub(super) fn saved(session: &str, saved: Saved) {
    match saved {
        Saved::Created => {
            count!(1, "silverback.sessions.created", "session" => session.to_owned());
        }
        Saved::Renewed => {
            count!(1, "silverback.sessions.renewed", "session" => session.to_owned());
        }
        Saved::Emptied | Saved::Again => {}
    }
    save_ended(session, "saved");
}

pub(crate) fn save_failed(session: &str, error: &Error) {
    save_ended(
        session,
        match error.kind() {
            ErrorKind::Gone => "gone",
            ErrorKind::Conflict => "conflict",
            ErrorKind::TooLarge { .. } => "too_large",
            ErrorKind::UpdateRefused => "update_refused",
            ErrorKind::StoreFailed => "store_failed",
            _ => "other",
        },
    );
}

fn save_ended(session: &str, outcome: &'static str) {
    count!(
        1,
        "silverback.sessions.saved",
        "session" => session.to_owned(),
        "outcome" => outcome
    );
}

/// Another request or server was faster.
pub(crate) fn conflict(operation: &'static str) {
    count!(1, "silverback.store.conflicts", "operation" => operation);
}

/// A store was asked once more.
pub(crate) fn retry() {
    count!(1, "silverback.store.retries");
}

pub(crate) fn evicted(kind: &'static str, records: u64) {
    count!(records, "silverback.store.evictions", "kind" => kind);
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

    /// `error` is the class of what went wrong, if anything did.
    pub(crate) fn of_call(self, operation: &'static str, error: Option<&'static str>) {
        #[cfg(feature = "metrics")]
        {
            let histogram = match error {
                None => metrics::histogram!("silverback.store.duration", "operation" => operation),
                Some(error) => metrics::histogram!(
                    "silverback.store.duration",
                    "operation" => operation,
                    "error.type" => error
                ),
            };
            metrics::Histogram::record(&histogram, self.start.elapsed());
        }
    }

    /// The commit of a request that waits for stores, and how often the request has called them.
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
