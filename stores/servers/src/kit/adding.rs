//! Concurrent tasks that count in one session.

use std::collections::BTreeMap;

use silverback::store::Store;
use tokio::task::JoinSet;

use super::site::{Visitor, count, ok, visitor_with};

/// The number of answers with each status.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<u16, u64>);

/// Tasks that are adding.
#[derive(Debug)]
#[must_use = "they end when this is dropped"]
pub struct Adding(JoinSet<Answers>);

impl Adding {
    /// Starts `tabs` tabs of the visitor that each add one `rounds` times.
    pub fn start(visitor: &Visitor, tabs: u64, rounds: u64) -> Self {
        let mut running = JoinSet::new();
        for _ in 0..tabs {
            let visitor = visitor.clone();
            running.spawn(async move {
                let mut answers = Answers::default();
                for _ in 0..rounds {
                    let page = visitor.get("/add").await;
                    let status = page.status().as_u16();
                    // One error of each kind is enough.
                    if answers.of(status) == 0
                        && let Some(error) = page.error()
                    {
                        println!("{status}: {error:?}");
                    }
                    *answers.0.entry(status).or_default() += 1;
                }
                answers
            });
        }
        Self(running)
    }

    /// Waits until the tasks are done.
    pub async fn answers(self) -> Answers {
        let mut all = Answers::default();
        self.0
            .join_all()
            .await
            .into_iter()
            .for_each(|answers| all.extend(answers));
        all
    }
}

impl Answers {
    /// Adds other answers.
    pub fn extend(&mut self, others: Self) {
        for (status, count) in others.0 {
            *self.0.entry(status).or_default() += count;
        }
    }

    /// The number of answers with this status.
    #[must_use]
    pub fn of(&self, status: u16) -> u64 {
        self.0.get(&status).copied().unwrap_or_default()
    }

    /// Requires every status to be one of these.
    pub fn are_among(&self, statuses: &[u16]) {
        let mut found = self.0.keys();
        assert!(found.all(|status| statuses.contains(status)), "{self:?}");
    }

    /// Requires acknowledged increments to be kept. A failed one may have happened.
    pub fn are_kept(&self, kept: u64) {
        println!("{self:?}, and {kept} are kept");
        let all = self.0.values().sum();
        assert!(
            (self.of(200)..=all).contains(&kept),
            "{self:?}, {kept} are kept"
        );
    }
}

/// Tabs of one browser count on two servers, and none is refused.
pub async fn no_increment_is_lost<S: Store>(stores: [S; 2], tabs: u64, rounds: u64) {
    let visitor = visitor_with(stores, |config| config);
    ok(&visitor, "/add").await;
    let answers = Adding::start(&visitor, tabs, rounds).answers().await;
    answers.are_among(&[200]);
    assert_eq!(count(&visitor).await, 1 + tabs * rounds);
    println!("{tabs} tabs on two servers counted to {}", tabs * rounds);
}
