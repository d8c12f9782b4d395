//! How fast the store answers, and whether its clock is right.

use std::time::{Duration, Instant};

use silverback::{
    Timestamp,
    store::{Read, RecordKey, Store as _},
};

use super::Report;
use crate::{failure::chain, stores::Opened};

/// A page waits for the store about once, and its visitor should not notice.
const SLOW: Duration = Duration::from_millis(100);

/// Reads missing keys, which costs a round trip like any other read.
pub(super) async fn reads(store: &Opened, count: usize, report: &mut Report) {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let mut key = [0; 32];
        // Asking for a key twice does no harm.
        let _ = getrandom::fill(&mut key);
        let start = Instant::now();
        let read = store
            .shared()
            .load(&RecordKey::from_bytes(key), Read::Current)
            .await;
        if let Err(error) = read {
            let found = store.dsn.hide(&chain(&error));
            report.broken(
                "reads",
                found,
                "make the store readable: see its log, table and user",
            );
            return;
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let (median, most) = (percentile(&times, 50), percentile(&times, 99));
    report.either(
        most < SLOW,
        "latency",
        format!("{} reads: median {median:.1?}, 99 % below {most:.1?}", times.len()),
        "move the store closer to your servers, or find out what keeps it busy: requests wait for it",
    );
}

/// The time that this percentage of the sorted times do not exceed.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or_default()
}

/// Compares a server's clock, in seconds since 1970, with this machine's, whose whole seconds were
/// read before and after the question.
pub(super) fn skew(server: f64, before: Timestamp, after: Timestamp, report: &mut Report) {
    let seconds = |time: Timestamp| Duration::from_secs(time.as_secs()).as_secs_f64();
    let (earliest, latest) = (seconds(before), seconds(after) + 1.0);
    // The server read its clock at some time in between.
    let off = if server < earliest {
        server - earliest
    } else {
        (server - latest).max(0.0)
    };
    report.either(
        off.abs() < 1.0,
        "clock",
        format!("the server's clock is {off:+.1} s off from this one"),
        "synchronize the clocks of all machines by NTP: they decide when sessions end",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_rank() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn a_clock_is_off_if_it_is_outside_the_round_trip() {
        let (before, after) = (Timestamp::from_secs(1_000), Timestamp::from_secs(1_001));
        for (server, is_good) in [
            (1_000.5, true),
            (1_001.9, true),
            (1_002.5, true),
            (1_003.5, false),
            (998.0, false),
        ] {
            let mut report = Report::default();
            skew(server, before, after, &mut report);
            assert_eq!(report.has_findings(), !is_good, "{server}");
        }
    }
}
