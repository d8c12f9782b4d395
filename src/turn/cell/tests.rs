//! What one thread sees of another's operation.

use std::{
    sync::mpsc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use super::*;

/// Bounds a hang. Nothing depends on its length.
const HANG: Duration = Duration::from_secs(30);

/// Otherwise a response committed at that moment would miss what the save has taken from the state.
#[test]
fn an_operation_that_begins_before_the_state_is_entered_is_under_way() {
    let cell = &Cell::default();
    let operation = std::future::pending::<Result<(), Error>>();
    let mut operation = pin!(cell.flights.run(operation));
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel();
    let is_idle = thread::scope(|scope| {
        scope.spawn(move || {
            cell.with(|_| {
                inside.send(()).unwrap();
                left.recv_timeout(HANG).unwrap();
            });
        });
        entered.recv_timeout(HANG).unwrap();
        let asking = scope.spawn(|| cell.with_rest(false, |_, is_idle| is_idle));
        // It waits for the state by then. If it comes later, it finds the same.
        thread::sleep(Duration::from_millis(50));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(operation.as_mut().poll(&mut cx).is_pending());
        leave.send(()).unwrap();
        asking.join().unwrap()
    });
    assert!(!is_idle);
}
