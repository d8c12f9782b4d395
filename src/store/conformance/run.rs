//! The state that the tests of `store_conformance!` share, and how each test checks its rule.

use std::{
    any::Any,
    env,
    future::Future,
    io::{self, Write},
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::runtime::{Builder, Runtime};

use super::{
    Checked, examine,
    rule::Rule,
    side_by_side,
    subject::{PATIENCE, Subject},
    verdict::{Need, Verdict},
    violation::Violation,
};
use crate::store::Store;

const THREADS: usize = 4;

/// The tests of one store in one process.
#[derive(Debug, Default)]
pub struct Run {
    name: &'static str,
    /// Locked for writing by a rule that makes the server fail.
    undisturbed: RwLock<()>,
    in_real_time: OnceLock<Vec<(Rule, Checked)>>,
    in_outages: OnceLock<Vec<(Rule, Checked)>>,
    once: Mutex<Option<Arc<Once>>>,
    has_told: AtomicBool,
}

/// One type for each kind of store, whichever test makes it, so that the rest is compiled only
/// once.
type Making<'a, S> = Pin<Box<dyn Future<Output = Subject<S>> + 'a>>;

/// A store that is made once, with its runtime.
#[derive(Debug)]
struct Once {
    runtime: Runtime,
    subject: Box<dyn Any + Send + Sync>,
}

impl Run {
    /// Makes the run of the module with this path.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            undisturbed: RwLock::new(()),
            in_real_time: OnceLock::new(),
            in_outages: OnceLock::new(),
            once: Mutex::new(None),
            has_told: AtomicBool::new(false),
        }
    }

    /// Checks the rule on its own store and runtime.
    ///
    /// # Errors
    ///
    /// If the store breaks the rule, or is missing although `CI` is set.
    pub fn check<S: Store>(
        &self,
        name: &'static str,
        make: Making<'_, S>,
    ) -> Result<(), Violation> {
        let rule = Rule::of(name);
        let runtime = runtime().map_err(|error| Violation::new(rule, error))?;
        let mut made = None;
        let checked = self.on(&runtime, rule, async {
            Ok(made.insert(patiently(rule, make).await?).clone())
        });
        if let Some(subject) = &made {
            runtime.block_on(subject.end());
        }
        drop(made);
        runtime.shutdown_background();
        checked
    }

    /// Checks the rule on a store that all rules share, with its runtime.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    pub fn check_once<S: Store>(
        &self,
        name: &'static str,
        make: Making<'_, S>,
    ) -> Result<(), Violation> {
        let rule = Rule::of(name);
        let once = self.once(rule, make)?;
        let subject = once.subject.downcast_ref::<Subject<S>>().cloned();
        let subject = subject.ok_or_else(|| Violation::new(rule, "the store is of another type"));
        self.on(&once.runtime, rule, async { subject })
    }

    fn once<S: Store>(&self, rule: Rule, make: Making<'_, S>) -> Result<Arc<Once>, Violation> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*once {
            return Ok(Arc::clone(made));
        }
        let runtime = runtime().map_err(|error| Violation::new(rule, error))?;
        let subject = Box::new(runtime.block_on(patiently(rule, make))?);
        let made = Arc::new(Once { runtime, subject });
        *once = Some(Arc::clone(&made));
        Ok(made)
    }

    fn on<S: Store>(
        &self,
        runtime: &Runtime,
        rule: Rule,
        subject: impl Future<Output = Result<Subject<S>, Violation>>,
    ) -> Result<(), Violation> {
        let must_run = env::var_os("CI").is_some();
        let subject = self.tell(rule, runtime.block_on(subject)?, must_run)?;
        let verdict = if rule.is_in_real_time() {
            let all = self.in_real_time.get_or_init(|| {
                let _beside_others = self.undisturbed.read();
                runtime.block_on(side_by_side(&subject, Rule::is_in_real_time))
            });
            of(rule, all)?
        } else if rule.needs_an_outage() && subject.makes_outages().is_some() {
            let make_all = || runtime.block_on(side_by_side(&subject, Rule::needs_an_outage));
            of(rule, self.in_outages.get_or_init(make_all))?
        } else if rule.disturbs_others() {
            let _alone = self.undisturbed.write();
            runtime.block_on(examine(rule, subject))?
        } else {
            let _beside_others = self.undisturbed.read();
            runtime.block_on(examine(rule, subject))?
        };
        if let Verdict::Skipped(skip) = verdict {
            println!("{}: `{}` is skipped: {skip}", self.name, rule.name());
        }
        Ok(())
    }

    /// Reports once what is not checked, visibly even if the output of passing tests is hidden.
    fn tell<S: Store>(
        &self,
        rule: Rule,
        subject: Subject<S>,
        must_run: bool,
    ) -> Result<Subject<S>, Violation> {
        let told = match &subject.0 {
            Err(skip) if must_run => {
                let fault = format!("{skip}; with CI set no test may be skipped");
                return Err(Violation::new(rule, fault));
            }
            Err(skip) => format!("every rule is skipped: {skip}"),
            Ok(parts) => match missing(|need| parts.has(need)) {
                None => return Ok(subject),
                Some(missing) => missing,
            },
        };
        if !self.has_told.swap(true, Ordering::Relaxed) {
            // Bypasses the capture of the test harness.
            let _ = writeln!(io::stderr(), "{}: {told}", self.name);
        }
        Ok(subject)
    }
}

/// The outcome of a rule that was checked with others.
fn of(rule: Rule, all: &[(Rule, Checked)]) -> Checked {
    let mine = all.iter().find(|(checked, _)| *checked == rule);
    let mine = mine.ok_or_else(|| Violation::new(rule, "it was not checked"))?;
    mine.1.clone()
}

fn missing(has: impl Fn(Need) -> bool) -> Option<String> {
    let missing: Vec<_> = Need::GIVEN
        .into_iter()
        .filter(|(need, _)| !has(*need))
        .map(|(_, name)| name)
        .collect();
    let are_missing = !missing.is_empty();
    are_missing.then(|| {
        let missing = missing.join("`, `");
        format!("rules that need `{missing}` of its `Subject` are skipped")
    })
}

fn runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    runtime.map_err(|error| format!("no runtime: {error}"))
}

async fn patiently<S>(
    rule: Rule,
    subject: impl Future<Output = Subject<S>>,
) -> Result<Subject<S>, Violation> {
    let made = tokio::time::timeout(PATIENCE, subject).await;
    made.map_err(|_| Violation::new(rule, format!("the store is not made after {PATIENCE:?}")))
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::atomic::AtomicUsize, time::Duration};

    use super::{
        super::{rule::rules, verdict::Skip},
        *,
    };
    use crate::store::MemoryStore;

    const RULE: Rule = Rule::of("a_create_never_overwrites");

    fn absent() -> Subject<MemoryStore> {
        Err::<MemoryStore, _>(Skip::new("no server here")).into()
    }

    #[test]
    fn a_missing_store_is_skipped_unless_its_tests_must_run() {
        let run = Run::new("tests");
        assert!(run.tell(RULE, absent(), false).is_ok());
        let violation = run.tell(RULE, absent(), true).unwrap_err();
        let told = violation.to_string();
        assert!(told.contains("no server here; with CI set"), "{told}");
        let there = Subject::new(MemoryStore::new());
        assert!(run.tell(RULE, there, true).is_ok());
    }

    #[test]
    fn missing_means_are_named_by_their_methods() {
        assert_eq!(missing(|_| true), None);
        let but_peers = missing(|need| need != Need::Peer);
        let told = "rules that need `peer` of its `Subject` are skipped";
        assert_eq!(but_peers.as_deref(), Some(told));
    }

    #[test]
    fn tests_share_a_store_made_once() {
        let (run, made) = (Run::new("tests"), std::cell::Cell::new(0));
        for name in ["a_create_never_overwrites", "a_record_ends_at_its_second"] {
            let making = || async {
                made.set(made.get() + 1);
                Subject::new(MemoryStore::new())
            };
            run.check_once(name, Box::pin(making())).unwrap();
        }
        assert_eq!(made.get(), 1);
    }

    #[test]
    fn each_rule_about_outages_has_its_own_store() {
        let made = Arc::new(AtomicUsize::new(0));
        let making = Arc::clone(&made);
        let subject = Subject::new(MemoryStore::new()).outages(move || {
            making.fetch_add(1, Ordering::SeqCst);
            // Nothing fails, and each of these rules notices that.
            let store = Subject::new(MemoryStore::new()).deadline(Duration::ZERO);
            ready(store.silence(|_| ready(())).cut(|_| ready(())))
        });
        let run = Run::new("tests");
        let names = [
            "silence_is_an_error_and_never_no_record",
            "a_cut_is_an_error_and_never_no_record",
        ];
        for name in names {
            let subject = subject.clone();
            let checked = run.check(name, Box::pin(async { subject }));
            assert_eq!(checked.unwrap_err().rule().name(), name);
        }
        let rules = rules().iter().filter(|rule| rule.needs_an_outage());
        assert_eq!(made.load(Ordering::SeqCst), rules.count());
    }

    #[test]
    fn a_store_is_closed_when_its_rule_is_checked() {
        let closed = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&closed);
        let subject = Subject::new(MemoryStore::new()).close(move |_| {
            closing.store(true, Ordering::SeqCst);
            std::future::ready(())
        });
        let run = Run::new("tests");
        run.check(RULE.name(), Box::pin(async { subject })).unwrap();
        assert!(closed.load(Ordering::SeqCst));
    }
}
