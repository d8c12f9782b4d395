//! Callers in random order, who poll, wait, leave or forget that they wait: nobody may sleep for
//! ever.

use std::{
    sync::{Condvar, Mutex},
    task::Wake,
};

use super::{caller::Running, *};

const CALLERS: u32 = 6;

/// A small generator (xorshift): a schedule is repeated by its seed.
struct Random(u64);

impl Random {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % most
    }
}

/// Wakes that an operation asked for, to be given later: as by a store's thread.
type Wakes = Arc<Mutex<Vec<Waker>>>;

/// Taken by one operation at a time.
type Runway = AtomicBool;

/// Takes the runway from its first poll until it is dropped.
struct Taken(Arc<Runway>);

impl Taken {
    fn of(runway: &Arc<Runway>) -> Self {
        let was_taken = runway.swap(true, Ordering::SeqCst);
        assert!(!was_taken, "two operations run at once");
        Self(Arc::clone(runway))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Waits so many times, and is woken now or later.
async fn operate(
    runway: Arc<Runway>,
    wakes: Wakes,
    mut random: Random,
    number: u32,
) -> Result<u32, Error> {
    let _taken = Taken::of(&runway);
    for _ in 0..random.below(4) {
        let (mut polls, at_once) = (0, random.below(3) == 0);
        std::future::poll_fn(|cx| {
            polls += 1;
            match polls {
                1 if at_once => cx.waker().wake_by_ref(),
                1 => wakes.lock().unwrap().push(cx.waker().clone()),
                _ => return Poll::Ready(()),
            }
            Poll::Pending
        })
        .await;
    }
    Ok(number)
}

#[derive(Clone, Default)]
struct Schedule {
    flights: Arc<Flights>,
    runway: Arc<Runway>,
    wakes: Wakes,
}

impl Schedule {
    fn caller(&self, number: u32, random: &mut Random) -> Caller {
        let random = Random::of(random.next());
        let (runway, wakes) = (Arc::clone(&self.runway), Arc::clone(&self.wakes));
        Caller::of(&self.flights, operate(runway, wakes, random, number))
    }

    /// Wakes what one operation waits for; `false` if none does.
    fn wake_one(&self, random: &mut Random) -> bool {
        let mut wakes = self.wakes.lock().unwrap();
        if wakes.is_empty() {
            return false;
        }
        let at = random.below(wakes.len());
        let waker = wakes.swap_remove(at);
        drop(wakes);
        waker.wake();
        true
    }
}

/// On one thread, where a caller that is not woken is never polled: after a lost wake it sleeps for
/// ever.
#[test]
fn no_wake_is_lost_among_callers() {
    for seed in 0..2_000 {
        let (schedule, mut random) = (Schedule::default(), Random::of(seed));
        // How often a caller was woken when it was last polled, and whether it still waits.
        let mut callers: Vec<_> = (0..CALLERS)
            .map(|number| (schedule.caller(number, &mut random), None, true))
            .collect();
        let mut waiting = callers.len();
        while waiting > 0 {
            let ready: Vec<_> = (0..callers.len())
                .filter(|&at| {
                    let (caller, heard, waits) = &callers[at];
                    *waits && *heard != Some(caller.bell.rings())
                })
                .collect();
            let wakes = random.below(3) == 0;
            if (wakes || ready.is_empty()) && schedule.wake_one(&mut random) {
                continue;
            }
            assert!(!ready.is_empty(), "seed {seed}: {waiting} sleep for ever");
            let at = ready[random.below(ready.len())];
            let (caller, heard, waits) = &mut callers[at];
            *heard = Some(caller.bell.rings());
            match caller.poll() {
                Some(result) => {
                    assert_eq!(result.map(|number| number as usize), Ok(at), "seed {seed}");
                    (*waits, waiting) = (false, waiting - 1);
                }
                // It leaves, or is kept and never polled again, while somebody else waits.
                None => match random.below(8) {
                    0 => {
                        caller.running = Box::pin(std::future::pending());
                        (*waits, waiting) = (false, waiting - 1);
                    }
                    1 => (*waits, waiting) = (false, waiting - 1),
                    _ => {}
                },
            }
        }
        drop(callers);
        assert!(schedule.flights.look().is_idle, "seed {seed}");
        assert!(!schedule.runway.load(Ordering::SeqCst));
    }
}

/// A caller that sleeps on its thread until it is woken.
#[derive(Default)]
struct Sleeper {
    is_woken: Mutex<bool>,
    bell: Condvar,
}

impl Sleeper {
    fn sleep(&self) {
        let is_woken = self.is_woken.lock().unwrap();
        let asleep = |is_woken: &mut bool| !*is_woken;
        let (mut is_woken, slept) = self
            .bell
            .wait_timeout_while(is_woken, HANG, asleep)
            .unwrap();
        assert!(!slept.timed_out(), "a wake was lost");
        *is_woken = false;
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

/// Waits for an operation, or leaves it at random.
fn wait(mut running: Running, random: &mut Random) -> Option<Result<u32, ErrorKind>> {
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    loop {
        match running.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return Some(result.map_err(|error| error.kind())),
            Poll::Pending if random.below(16) == 0 => return None,
            Poll::Pending => sleeper.sleep(),
        }
    }
}

/// On several threads, of which one wakes what waits, and asks now and then whether all is done.
#[test]
fn no_wake_is_lost_among_threads() {
    const THREADS: u32 = 4;
    let schedule = Schedule::default();
    let left = AtomicUsize::new(THREADS as usize);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (schedule, left) = (&schedule, &left);
            scope.spawn(move || {
                let _left = Leaving(left);
                let mut random = Random::of(number.into());
                for round in 0..20_000 {
                    let caller = schedule.caller(number, &mut random);
                    let expected = Some(Ok(number));
                    let found = wait(caller.running, &mut random);
                    assert!(
                        found.is_none() || found == expected,
                        "round {round}: {found:?}"
                    );
                }
            });
        }
        let mut random = Random::of(9);
        while left.load(Ordering::SeqCst) > 0 {
            if !schedule.wake_one(&mut random) {
                drop(schedule.flights.look());
                thread::yield_now();
            }
        }
    });
    assert!(schedule.flights.look().is_idle);
}

/// Counts a thread that has ended, also by a panic.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
