//! How many attempts there are, and who waits for whom. No test waits for a pause: a future that
//! asks for one is polled once.

use std::{pin::pin, time::Duration};

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::store::{self, Budget, DynStore, MemoryStore, Meter, Reserve};

const KEY: RecordKey = RecordKey::from_bytes([7; 32]);
/// A key of another queue.
const OTHER: RecordKey = RecordKey::from_bytes([8; 32]);

const QUEUES: [Queue; 3] = [Queue::Never, Queue::AfterLoss, Queue::FromStart];

/// A request that waits for a turn needs a timer.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn policy(queue: Queue, rounds: u32) -> Policy {
    Policy {
        swap: Swap::Save,
        rounds,
        queue,
    }
}

/// `None` if it waits.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    store::poll_once(pin!(future))
}

/// A store, and the budget for it.
struct World(Reserve, Meter);

impl World {
    fn at_once() -> Self {
        let store = DynStore::new(MemoryStore::new());
        Self(Reserve::new(store), Meter::default())
    }

    fn waiting() -> Self {
        let Self(reserve, meter) = Self::at_once();
        Self(reserve.waiting(), meter)
    }

    fn calls(&self) -> Calls<'_> {
        let limit = Duration::from_secs(5);
        let meter = &self.1;
        self.0.within(Budget { meter, limit })
    }
}

fn start<'a>(world: &'a World, key: &'a RecordKey, queue: Queue) -> Option<Rounds<'a>> {
    begin(world, key, policy(queue, 9))
}

fn begin<'a>(world: &'a World, key: &'a RecordKey, policy: Policy) -> Option<Rounds<'a>> {
    now(Rounds::start(world.calls(), key, policy)).map(Result::unwrap)
}

#[test]
fn losing_the_last_round_is_a_conflict() {
    let store = World::at_once();
    for queue in QUEUES {
        for count in [1, 2, 7] {
            let mut rounds = begin(&store, &KEY, policy(queue, count)).unwrap();
            for round in 1..count {
                let lost = now(rounds.lost()).unwrap();
                assert!(lost.is_ok(), "{queue:?}, {round} of {count}");
            }
            let error = now(rounds.lost()).unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{queue:?} {count}");
        }
    }
}

#[test]
fn a_policy_has_many_rounds() {
    for queue in QUEUES {
        let policy = Policy::new(Swap::Save, queue);
        assert_eq!(
            (policy.swap, policy.rounds, policy.queue),
            (Swap::Save, 128, queue)
        );
    }
}

/// In a store that never waits, nobody can be faster meanwhile.
#[test]
fn a_store_that_never_waits_has_no_queue() {
    let store = World::at_once();
    for queue in QUEUES {
        let mut first = start(&store, &KEY, queue).unwrap();
        now(first.lost()).unwrap().unwrap();
        let mut second = start(&store, &KEY, queue).unwrap();
        now(second.lost()).unwrap().unwrap();
        assert!(first.lead.is_none() && second.lead.is_none());
    }
}

#[test]
fn a_queue_from_the_start_is_left_at_the_end() {
    let (store, runtime) = (World::waiting(), runtime());
    let _entered = runtime.enter();
    let first = start(&store, &KEY, Queue::FromStart).unwrap();
    assert!(start(&store, &KEY, Queue::FromStart).is_none(), "it waits");
    assert!(start(&store, &OTHER, Queue::FromStart).is_some());
    assert!(start(&store, &KEY, Queue::AfterLoss).is_some());
    assert!(start(&store, &KEY, Queue::Never).is_some());
    drop(first);
    assert!(start(&store, &KEY, Queue::FromStart).is_some());
}

#[test]
fn a_loser_waits_for_a_turn() {
    let (store, runtime) = (World::waiting(), runtime());
    let _entered = runtime.enter();
    let mut first = start(&store, &KEY, Queue::AfterLoss).unwrap();
    let mut second = start(&store, &KEY, Queue::AfterLoss).unwrap();
    let mut other = start(&store, &OTHER, Queue::AfterLoss).unwrap();
    assert!(first.lead.is_none() && second.lead.is_none());
    assert!(now(first.lost()).unwrap().is_ok());
    assert!(now(second.lost()).is_none(), "it waits");
    assert!(now(other.lost()).unwrap().is_ok());
    drop(first);
    assert!(now(second.lost()).unwrap().is_ok());
    assert!(second.lead.is_some());
}

/// Other processes have no turns here: a request that loses again, or takes no turn, pauses.
#[tokio::test]
async fn a_request_without_a_turn_pauses() {
    let store = World::waiting();
    let mut never = start(&store, &KEY, Queue::Never).unwrap();
    let _: Option<Result<(), Error>> = now(never.lost());
    assert!(never.lead.is_none());
    let mut from_start = start(&store, &KEY, Queue::FromStart).unwrap();
    let _: Option<Result<(), Error>> = now(from_start.lost());
    assert!(from_start.lead.is_some());
    drop(from_start);
    let mut after_loss = start(&store, &KEY, Queue::AfterLoss).unwrap();
    now(after_loss.lost()).unwrap().unwrap();
    let _: Option<Result<(), Error>> = now(after_loss.lost());
    assert!(after_loss.lead.is_some());
    assert_eq!((never.round, after_loss.round), (1, 2));
}
