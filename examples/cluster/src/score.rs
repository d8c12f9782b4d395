//! The counts of a run, and the report.

use std::{collections::BTreeMap, fmt, time::Duration};

use axum::http::StatusCode;

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// The number of answers by status. `None` counts requests without an answer.
    answers: BTreeMap<Option<u16>, u64>,
    slowest: Duration,
    pub(crate) logins: u64,
    pub(crate) logouts: u64,
    /// Items whose request got a 200.
    pub(crate) added: u64,
    /// Items whose request failed without showing whether it was done.
    pub(crate) unknown: u64,
    /// Items whose request got a 200, but which are not in the cart.
    pub(crate) lost: u64,
    /// Items that are in the cart more often than they were added.
    pub(crate) twice: u64,
    /// Logins that got a 200, but are gone.
    pub(crate) lost_logins: u64,
    /// How often a cookie was tried after its logout.
    pub(crate) looked: u64,
    /// How often such a cookie was still logged in.
    pub(crate) resurrected: u64,
    pub(crate) panicked: u64,
    /// Requests that hung, and retries that were given up.
    pub(crate) hung: u64,
}

impl Counts {
    pub(crate) fn answered(&mut self, status: Option<StatusCode>, after: Duration) {
        *self
            .answers
            .entry(status.map(|status| status.as_u16()))
            .or_default() += 1;
        self.slowest = self.slowest.max(after);
    }
}

/// The outcome of a run.
pub(crate) struct Score {
    counts: Counts,
    length: Duration,
    /// Whether an acknowledged write may be lost with the server that acknowledged it.
    pub(crate) replicates_late: bool,
}

impl Score {
    pub(crate) fn new(counts: Counts, length: Duration) -> Self {
        Self {
            counts,
            length,
            replicates_late: false,
        }
    }

    /// Returns whether every promise was kept.
    pub(crate) fn is_clean(&self) -> bool {
        let Counts {
            lost,
            twice,
            lost_logins,
            resurrected,
            panicked,
            hung,
            ..
        } = self.counts;
        let lost = if self.replicates_late { 0 } else { lost };
        let broken = self.counts.answers.get(&Some(500)).copied().unwrap_or(0);
        [
            lost,
            twice,
            lost_logins,
            resurrected,
            panicked,
            hung,
            broken,
        ] == [0; 7]
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        let requests: u64 = counts.answers.values().sum();
        let rate = requests as f64 / self.length.as_secs_f64();
        writeln!(f, "requests               {requests}, {rate:.0} a second")?;
        writeln!(
            f,
            "slowest answer         {:.1} s",
            counts.slowest.as_secs_f64()
        )?;
        for (status, count) in &counts.answers {
            match status {
                Some(status) => writeln!(f, "answered {status}           {count}")?,
                None => writeln!(f, "not answered           {count}")?,
            }
        }
        writeln!(
            f,
            "logins, logouts        {}, {}",
            counts.logins, counts.logouts
        )?;
        writeln!(
            f,
            "writes, unknown        {}, {}",
            counts.added, counts.unknown
        )?;
        let lost = if self.replicates_late {
            "not replicated in time "
        } else {
            "lost writes            "
        };
        writeln!(f, "{lost}{}", counts.lost)?;
        writeln!(f, "done twice             {}", counts.twice)?;
        writeln!(f, "given up on            {}", counts.hung)?;
        writeln!(f, "lost logins            {}", counts.lost_logins)?;
        writeln!(
            f,
            "resurrected sessions   {}, of {} looks",
            counts.resurrected, counts.looked
        )
    }
}
