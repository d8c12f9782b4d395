//! A question to DynamoDB, within the time limit of a call.
//!
//! The AWS client would repeat a question whose answer was lost, and then report a conflict with
//! its own first attempt. So [`client`] turns that off. Only this file repeats questions: those
//! that DynamoDB has not begun to answer.

use std::{error::Error, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{http::HttpResponse, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use futures_util::{StreamExt as _, stream};
use silverback::store::Version;
use tokio::time::{self, Instant};

use crate::failure::Failure;

/// Makes a client that repeats nothing on its own, and is the same otherwise.
pub(crate) fn client(theirs: &Client) -> Client {
    let config = theirs.config().to_builder();
    Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
}

/// Asks the questions of one call, and returns their answers in the same order.
pub(crate) async fn all<F: Future>(questions: Vec<F>) -> Vec<F::Output> {
    let answers = stream::iter(questions).buffered(AT_ONCE);
    answers.collect().await
}

/// How many questions of one call are under way at the same time. Each takes a connection, and a
/// process has a limited number of them.
const AT_ONCE: usize = 50;

/// The end of the time that a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    given: Duration,
    end: Instant,
}

impl Deadline {
    pub(crate) fn after(given: Duration) -> Self {
        let now = Instant::now();
        // Longer than anybody waits, without an overflow.
        let end = now.checked_add(given).unwrap_or(now + YEAR);
        Self { given, end }
    }

    /// Asks until DynamoDB begins to answer. An answer without a request ID is not DynamoDB's: a
    /// proxy's `{}` would otherwise count as a missing record.
    pub(crate) async fn ask<T, E, F>(self, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + 'static,
        T: RequestId,
    {
        let mut pauses = Pauses::default();
        loop {
            let Ok(answer) = time::timeout_at(self.end, send()).await else {
                let given = self.given;
                let sentence = format!("DynamoDB has not answered within {given:?}");
                return Err(Failure::Unavailable(sentence));
            };
            let failure = match answer {
                Ok(done) if done.request_id().is_some() => return Ok(done),
                Ok(_) => Failure::Unavailable("the answer is not DynamoDB's".to_owned()),
                Err(error) => Failure::of(&error),
            };
            if !matches!(failure, Failure::Busy(_)) || !self.pause(&mut pauses).await {
                return Err(failure);
            }
        }
    }

    /// Waits a moment. Returns `false` if no time is left for that.
    pub(crate) async fn pause(self, pauses: &mut Pauses) -> bool {
        let until = Instant::now() + pauses.next(Version::random().ok());
        let is_in_time = until < self.end;
        if is_in_time {
            time::sleep_until(until).await;
        }
        is_in_time
    }
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Random pauses that get longer, so that conflicting calls do not meet again.
#[derive(Debug, Default)]
pub(crate) struct Pauses(u32);

impl Pauses {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_millis(640);

    /// Uses the random bytes of a version. Without them the pause is the longest.
    fn next(&mut self, random: Option<Version>) -> Duration {
        let longest = Self::LONGEST.min(Self::FIRST * (1 << self.0.min(16)));
        self.0 += 1;
        let [part, ..] = random.map_or([u8::MAX; 16], |random| *random.as_bytes());
        longest / 2 + longest / 2 * u32::from(part) / 256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short() {
        for random in [0, u8::MAX] {
            let mut pauses = Pauses::default();
            let mut next = || pauses.next(Some(Version::from_bytes([random; 16])));
            let all: Vec<_> = (0..200).map(|_| next()).collect();
            assert!(all[..6].is_sorted_by(|one, other| one < other), "{all:?}");
            assert!(all.iter().all(|pause| *pause >= Duration::from_millis(10)));
            assert!(all.iter().all(|pause| *pause <= Pauses::LONGEST));
        }
    }
}
