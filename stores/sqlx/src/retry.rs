//! Statements that others were in the way of.

use std::time::Duration;

use silverback::store::{StoreError, Version};

use crate::fault::Fault;

/// After these, the transaction that is still in the way does not end.
const ATTEMPTS: u32 = 12;

/// The most of the last pauses, in milliseconds.
const LONGEST: u32 = 64;

/// Runs the attempt again as long as others are in its way: deadlocks, lost certifications and full
/// queues for a lock are over in milliseconds. The pauses are random, so that two who met do not
/// meet again, and get longer.
pub(crate) async fn retry<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Fault>>,
{
    for number in 1.. {
        match attempt().await {
            Err(Fault::Passing(_)) if number < ATTEMPTS => {
                tokio::time::sleep(pause(number, Version::random()?)).await;
            }
            Err(fault) => return Err(fault.into()),
            Ok(done) => return Ok(done),
        }
    }
    Err(StoreError::unavailable("every attempt failed"))
}

/// A part of 1, 2, 4 ... ms after the first, second, third attempt. A version is as random as any
/// other bytes.
fn pause(number: u32, random: Version) -> Duration {
    let most = Duration::from_millis(u64::from((1 << number.min(16)).min(LONGEST)));
    let [part, ..] = random.as_bytes();
    most * u32::from(*part) / 256
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use sqlx::Error;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_again() {
        for failures in [0, 1, 5, ATTEMPTS - 1] {
            let attempts = Cell::new(0);
            let done = retry(async || {
                attempts.set(attempts.get() + 1);
                if attempts.get() <= failures {
                    Err(Fault::Passing(Error::PoolTimedOut))
                } else {
                    Ok(attempts.get())
                }
            });
            assert_eq!(done.await.unwrap(), failures + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_comes_to_an_end() {
        let attempts = Cell::new(0);
        let failed = retry(async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(Fault::Passing(Error::PoolTimedOut))
        });
        assert!(matches!(failed.await, Err(StoreError::Unavailable(_))));
        assert_eq!(attempts.get(), ATTEMPTS);
    }

    #[tokio::test]
    async fn what_is_final_is_tried_once() {
        let attempts = Cell::new(0);
        let failed = retry(async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(Fault::Final(StoreError::Gone))
        });
        assert!(matches!(failed.await, Err(StoreError::Gone)));
        assert_eq!(attempts.get(), 1);
    }

    #[test]
    fn pauses_grow_and_stay_short() {
        let longest = |number| pause(number, Version::from_bytes([0xff; 16]));
        assert_eq!(pause(9, Version::from_bytes([0; 16])), Duration::ZERO);
        assert!(longest(1) < longest(2) && longest(2) < longest(5));
        for number in 1..200 {
            assert!(longest(number) < Duration::from_millis(64), "{number}");
        }
    }
}
