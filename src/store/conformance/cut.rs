//! A server whose connections are closed and that accepts no new ones.

use super::{
    bench::{Bench, Outcome},
    outage,
};
use crate::store::Store;

pub(super) async fn a_cut_is_an_error_and_never_no_record<S: Store>(bench: &Bench<S>) -> Outcome {
    outage::is_unavailable(bench, bench.with.cut.as_ref()).await
}

pub(super) async fn a_cut_is_noticed_by_the_deadline<S: Store>(bench: &Bench<S>) -> Outcome {
    outage::is_answered_in_time(bench, bench.with.cut.as_ref()).await
}
