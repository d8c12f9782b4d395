//! A server that accepts everything and answers nothing.

use super::{
    bench::{Bench, Outcome},
    outage,
};
use crate::store::Store;

pub(super) async fn silence_is_an_error_and_never_no_record<S: Store>(bench: &Bench<S>) -> Outcome {
    outage::is_unavailable(bench, bench.with.silence.as_ref()).await
}

pub(super) async fn silence_ends_at_the_deadline<S: Store>(bench: &Bench<S>) -> Outcome {
    outage::is_answered_in_time(bench, bench.with.silence.as_ref()).await
}
