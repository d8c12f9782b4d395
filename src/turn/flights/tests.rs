//! Who drives an operation, whom it wakes, and what remains of it when nobody waits.

mod caller;
mod schedules;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::Waker,
    thread,
    time::Duration,
};

use self::caller::{Caller, Gate, done, gated, panicking, poll_caught};
use super::*;

/// Bounds a hang. Nothing depends on its length.
const HANG: Duration = Duration::from_secs(30);

#[test]
fn an_operation_that_is_ready_takes_one_poll() {
    let flights = Arc::default();
    assert_eq!(done(&flights, 7).poll(), Some(Ok(7)));
    let error = std::future::ready(Err(Error::new(ErrorKind::Gone)));
    assert_eq!(
        Caller::of(&flights, error).poll(),
        Some(Err(ErrorKind::Gone))
    );
    assert!(flights.look().is_idle);
}

#[test]
fn flights_are_idle_when_none_is_under_way() {
    let flights = Arc::default();
    let (mut first, gate, _) = gated(&flights, 1);
    assert!(flights.look().is_idle, "it has not started");
    assert_eq!(first.poll(), None);
    assert!(!flights.look().is_idle);
    gate.open();
    assert!(!flights.look().is_idle, "it has not been polled");
    assert_eq!(first.poll(), Some(Ok(1)));
    assert!(flights.look().is_idle);

    let (mut second, _, _) = gated(&flights, 2);
    assert_eq!(second.poll(), None);
    drop(second);
    assert!(flights.look().is_idle, "nobody waits");
}

#[test]
fn the_next_operation_starts_when_the_one_before_has_ended() {
    let flights = Arc::default();
    let (mut first, gate, _) = gated(&flights, 1);
    assert_eq!(first.poll(), None);
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    gate.open();
    assert!(first.is_woken() && second.is_woken());
    assert_eq!(first.poll(), Some(Ok(1)));
    assert!(
        flights.look().is_idle,
        "although the second has not heard of it"
    );
    assert_eq!(second.poll(), Some(Ok(2)));
}

/// The response must not wait for a caller that polled `save` once and then does something else.
#[test]
fn who_waits_drives_the_operation_of_another() {
    let flights = Arc::default();
    let (mut kept, gate, guard) = gated(&flights, 1);
    assert_eq!(kept.poll(), None);
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    gate.open();
    assert!(second.is_woken());
    assert_eq!(second.poll(), Some(Ok(2)), "it has driven the first");
    assert!(guard.is_dropped() && flights.look().is_idle);
    assert_eq!(kept.poll(), Some(Ok(1)), "its result is kept for it");
}

#[test]
fn an_operation_ends_with_its_caller() {
    let flights = Arc::default();
    let (mut left, _gate, guard) = gated(&flights, 1);
    assert_eq!(left.poll(), None);
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    drop(left);
    assert!(guard.is_dropped() && flights.look().is_idle);
    assert!(second.is_woken());
    assert_eq!(second.poll(), Some(Ok(2)));
}

#[test]
fn who_waits_for_another_may_leave() {
    let flights = Arc::default();
    let (mut first, _gate, guard) = gated(&flights, 1);
    assert_eq!(first.poll(), None);
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    drop(second);
    assert!(!guard.is_dropped());
    drop(first);
    assert!(guard.is_dropped());
    assert_eq!(done(&flights, 3).poll(), Some(Ok(3)));
}

#[test]
fn an_operation_that_never_started_is_dropped_with_its_caller() {
    let flights = Arc::default();
    let (mut first, gate, _) = gated(&flights, 1);
    assert_eq!(first.poll(), None);
    let (mut second, _, guard) = gated(&flights, 2);
    assert_eq!(second.poll(), None);
    drop(second);
    assert!(guard.is_dropped());
    gate.open();
    assert_eq!(first.poll(), Some(Ok(1)));
}

/// Each waiter is woken again after it was polled again, and no waker is kept twice.
#[test]
fn all_who_wait_are_woken_each_time() {
    let flights = Arc::default();
    let (mut first, gate, _) = gated(&flights, 1);
    let mut others: Vec<_> = (2..5).map(|number| done(&flights, number)).collect();
    for _ in 0..2 {
        assert_eq!(first.poll(), None);
        others
            .iter_mut()
            .for_each(|other| assert_eq!(other.poll(), None));
    }
    let waker = gate.0.lock().unwrap().1.clone().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    assert_eq!(first.bell.rings(), 1);
    assert!(others.iter().all(|other| other.bell.rings() == 1));
    assert_eq!(others[0].poll(), None);
    waker.wake();
    let rings: Vec<_> = others.iter().map(|other| other.bell.rings()).collect();
    assert_eq!((first.bell.rings(), rings), (1, vec![2, 1, 1]));
}

/// The owner unwinds, as it would without other callers.
#[test]
fn a_panic_is_its_callers() {
    let flights = Arc::default();
    let mut first = panicking(&flights);
    assert_eq!(poll_caught(&mut first), Err(()));
    assert!(flights.look().is_idle);
    assert_eq!(done(&flights, 2).poll(), Some(Ok(2)));
}

#[test]
fn a_panic_is_not_of_a_caller_who_helps() {
    let flights = Arc::default();
    let gate = Gate::default();
    let passing = gate.clone();
    let mut first = Caller::of(&flights, async move {
        passing.pass().await;
        panic!("on purpose")
    });
    assert_eq!(first.poll(), None);
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    gate.open();
    assert_eq!(second.poll(), Some(Ok(2)));
    assert_eq!(poll_caught(&mut first), Err(()));
    assert_eq!(done(&flights, 3).poll(), Some(Ok(3)));
}

/// Nobody else would wake the callers that wait.
#[test]
fn a_panic_wakes_those_who_wait() {
    let flights: Arc<Flights> = Arc::default();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let mut first = Caller::of(
        &flights,
        std::future::poll_fn(move |_| match armed.load(Ordering::SeqCst) {
            true => panic!("on purpose"),
            false => Poll::Pending,
        }),
    );
    assert_eq!(first.poll(), None);
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    is_armed.store(true, Ordering::SeqCst);
    assert!(!second.is_woken());
    assert_eq!(poll_caught(&mut first), Err(()));
    assert!(second.is_woken());
    assert_eq!(second.poll(), Some(Ok(2)));
}

#[test]
fn an_operation_that_waits_for_its_own_turn_gets_an_error() {
    let flights: Arc<Flights> = Arc::default();
    let inner = Arc::clone(&flights);
    let mut outer = Caller::of(&flights, async move {
        let nested = inner.run(std::future::ready(Ok(1))).await;
        nested.or(Ok(9))
    });
    assert_eq!(outer.poll(), Some(Ok(9)));
    assert!(flights.look().is_idle);

    let inner = Arc::clone(&flights);
    let nested = async move { inner.run(std::future::ready(Ok(1))).await };
    let mut outer = Caller::of(&flights, nested);
    assert_eq!(outer.poll(), Some(Err(ErrorKind::Conflict)));
    assert_eq!(done(&flights, 2).poll(), Some(Ok(2)));
}

/// An operation that ends in its poll `ends_in`. When poll `held_in` has begun, it reports that and
/// waits for permission to go on.
fn held(
    held_in: usize,
    ends_in: usize,
) -> (
    impl Future<Output = Result<u32, Error>> + Send,
    mpsc::Receiver<()>,
    mpsc::Sender<()>,
) {
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel();
    let mut polls = 0;
    let operation = std::future::poll_fn(move |_| {
        polls += 1;
        if polls == held_in {
            inside.send(()).unwrap();
            left.recv_timeout(HANG).unwrap();
        }
        match polls >= ends_in {
            true => Poll::Ready(Ok(1)),
            false => Poll::Pending,
        }
    });
    (operation, entered, leave)
}

/// A caller that finds the operation polled on another thread is woken after that poll, even if the
/// operation wakes nobody.
#[test]
fn who_finds_it_being_polled_is_woken_afterwards() {
    for ends in [false, true] {
        let flights: Arc<Flights> = Arc::default();
        let (operation, entered, leave) = held(2, if ends { 2 } else { usize::MAX });
        let mut first = Caller::of(&flights, operation);
        assert_eq!(first.poll(), None);
        let pilot = thread::spawn(move || (first.poll(), first));
        entered.recv_timeout(HANG).unwrap();
        let mut second = done(&flights, 2);
        assert_eq!(second.poll(), None);
        assert!(!second.is_woken() && !flights.look().is_idle);
        leave.send(()).unwrap();
        let (found, _first) = pilot.join().unwrap();
        assert_eq!(found, ends.then_some(Ok(1)));
        assert!(second.is_woken());
    }
}

/// Only the owner makes the first poll. Others come when it is over, and one of them may have to
/// drive the operation then.
#[test]
fn who_comes_during_the_first_poll_is_woken_afterwards() {
    for ends in [false, true] {
        let flights: Arc<Flights> = Arc::default();
        let (operation, entered, leave) = held(1, if ends { 1 } else { 2 });
        let mut first = Caller::of(&flights, operation);
        let pilot = thread::spawn(move || (first.poll(), first));
        entered.recv_timeout(HANG).unwrap();
        let mut second = done(&flights, 2);
        assert_eq!((second.poll(), second.poll()), (None, None));
        assert!(!second.is_woken() && !flights.look().is_idle);
        leave.send(()).unwrap();
        let (found, mut first) = pilot.join().unwrap();
        assert_eq!(found, ends.then_some(Ok(1)));
        assert_eq!(second.bell.rings(), 1);
        assert_eq!(second.poll(), Some(Ok(2)), "it has driven the first");
        if !ends {
            assert!(first.is_woken());
            assert_eq!(first.poll(), Some(Ok(1)));
        }
    }
}

#[test]
fn a_panic_in_the_first_poll_wakes_those_who_came_meanwhile() {
    let flights: Arc<Flights> = Arc::default();
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let mut first = Caller::of(
        &flights,
        std::future::poll_fn(move |_| {
            inside.send(()).unwrap();
            left.recv_timeout(HANG).unwrap();
            panic!("on purpose")
        }),
    );
    let pilot = thread::spawn(move || poll_caught(&mut first));
    entered.recv_timeout(HANG).unwrap();
    let mut second = done(&flights, 2);
    assert_eq!(second.poll(), None);
    leave.send(()).unwrap();
    assert_eq!(pilot.join().unwrap(), Err(()));
    assert!(second.is_woken());
    assert_eq!(second.poll(), Some(Ok(2)));
}

/// What the operation has taken goes back when it is dropped. The next operation needs it.
#[test]
fn the_next_operation_waits_for_one_that_is_dropped() {
    struct Slow(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.lock().unwrap().recv_timeout(HANG).unwrap();
        }
    }
    let flights: Arc<Flights> = Arc::default();
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel();
    let slow = Slow(inside, left.into());
    let mut first = Caller::of(&flights, async move {
        let _slow = slow;
        std::future::pending().await
    });
    assert_eq!(first.poll(), None);
    let leaver = thread::spawn(move || drop(first));
    entered.recv_timeout(HANG).unwrap();
    let mut second = done(&flights, 2);
    let found = second.poll();
    leave.send(()).unwrap();
    leaver.join().unwrap();
    assert_eq!(found, None);
    assert!(second.is_woken());
    assert_eq!(second.poll(), Some(Ok(2)));
}

/// A store sets its timers in the runtime that polls it.
#[test]
fn timers_are_of_the_runtime_that_began() {
    let own = runtime();
    let flights: Arc<Flights> = Arc::default();
    let _own = own.enter();
    let operation = async {
        tokio::task::yield_now().await;
        tokio::time::timeout(Duration::from_secs(1), tokio::task::yield_now())
            .await
            .ok();
        Ok(1)
    };
    let mut first = Caller::of(&flights, operation);
    assert_eq!(first.poll(), None);
    let mut helper = done(&flights, 2);
    let other = runtime();
    {
        let _other = other.enter();
        assert_eq!(helper.poll(), None);
    }
    drop(other);
    assert_eq!(first.poll(), Some(Ok(1)));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// What an operation owns may use the session when it is dropped.
#[test]
fn who_waits_in_the_drop_of_an_operation_gets_an_error() {
    struct Last(Arc<Flights>, Arc<Mutex<Option<ErrorKind>>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let mut next = done(&self.0, 2);
            let error = next.poll().and_then(Result::err);
            *self.1.lock().unwrap() = error;
        }
    }
    let flights: Arc<Flights> = Arc::default();
    let seen = Arc::default();
    let last = Last(Arc::clone(&flights), Arc::clone(&seen));
    let mut first = Caller::of(&flights, async move {
        let _last = last;
        std::future::pending::<Result<u32, Error>>().await
    });
    assert_eq!(first.poll(), None);
    drop(first);
    assert_eq!(*seen.lock().unwrap(), Some(ErrorKind::Conflict));
    assert!(flights.look().is_idle);
}

#[test]
fn a_drop_that_panics_hits_nobody() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            panic!("on purpose")
        }
    }
    let flights: Arc<Flights> = Arc::default();
    let mut first = Caller::of(&flights, async {
        let _last = Last;
        std::future::pending::<Result<u32, Error>>().await
    });
    assert_eq!(first.poll(), None);
    drop(first);
    assert!(flights.look().is_idle);
    assert_eq!(done(&flights, 2).poll(), Some(Ok(2)));
}
