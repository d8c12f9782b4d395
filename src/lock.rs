//! Locks that no thread can deadlock on by itself.

use std::sync::PoisonError;

use crate::{
    error::{Error, ErrorKind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        thread_local,
    },
};

/// A value that only a closure can reach, so that no guard of its lock outlives its line.
///
/// The closure must run only this crate's code: no closure, value or subscriber of the application,
/// which might enter here again. Debug builds panic if one monitor is entered from within another.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T>(Mutex<T>);

impl<T> Monitor<T> {
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(debug_assertions)]
        let _entered = nesting::enter();
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(debug_assertions)]
mod nesting {
    use std::cell::Cell;

    use crate::sync::thread_local;

    thread_local! {
        static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) struct Entered(());

    pub(super) fn enter() -> Entered {
        assert!(
            !IS_INSIDE.with(|is_inside| is_inside.replace(true)),
            "a monitor is entered from within another"
        );
        Entered(())
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            IS_INSIDE.with(|is_inside| is_inside.set(false));
        }
    }
}

/// A right that one thread holds at a time, while a closure runs.
///
/// The closure may run code of the application. If this code asks for the same right, it gets an
/// error.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    lock: Mutex<()>,
    holder: AtomicUsize,
}

impl Turnstile {
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if this thread already holds the right, and that of the closure.
    #[inline]
    pub(crate) fn pass<R>(&self, work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let me = thread_id();
        if self.holder.load(Ordering::Relaxed) == me {
            return Err(deadlock_error());
        }
        let _turn = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(me, Ordering::Relaxed);
        let _holder = Holder(&self.holder);
        work()
    }

    /// Returns whether nobody holds the right, as far as this thread can know. If another lock has
    /// shown it what a thread inside did, it sees that thread here too.
    pub(crate) fn is_free(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == 0
    }
}

struct Holder<'a>(&'a AtomicUsize);

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Identifies this thread among all that are running. Never zero.
pub(crate) fn thread_id() -> usize {
    thread_local! {
        static PLACE: u8 = const { 0 };
    }
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

/// The error of an operation that would have to wait for the one that asks for it.
pub(crate) fn deadlock_error() -> Error {
    let source = "code that runs while a session is loaded, saved or destroyed cannot do so itself";
    Error::with_source(ErrorKind::Conflict, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_within_a_turn_is_an_error() {
        let turnstile = Turnstile::default();
        let inner = turnstile.pass(|| turnstile.pass(|| Ok(())));
        assert_eq!(inner.unwrap_err().kind(), ErrorKind::Conflict);
        assert!(turnstile.is_free() && turnstile.pass(|| Ok(())).is_ok());
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let turnstile = Turnstile::default();
        let panicked =
            std::panic::AssertUnwindSafe(|| turnstile.pass::<()>(|| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panicked).is_err());
        assert!(turnstile.is_free() && turnstile.pass(|| Ok(())).is_ok());
    }

    #[test]
    fn one_thread_waits_for_another() {
        let turnstile = Turnstile::default();
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let add = || {
                            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                            Ok(())
                        };
                        turnstile.pass(add).unwrap();
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 4_000);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "from within another")]
    fn a_monitor_within_a_monitor_panics_in_tests() {
        let (one, other) = (Monitor::<()>::default(), Monitor::<()>::default());
        one.with(|()| other.with(|()| ()));
    }
}
