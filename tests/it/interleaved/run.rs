//! Runs a plan: polls the requests under way in the plan's order.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::Response;
use silverback::{Key, Keys, SessionConfig, SessionLayer, Subjects, store::RecordKind};

use super::{
    go::Table,
    moving::Moving,
    oracle::{Alarm, Ended, Oracle, Started},
    plan::{Act, Event, Fault, Late, Mishap, Order, Plan, Who},
    script::{ADA, Kept, Report, Reports, Script},
    watcher::Watcher,
};
use crate::support::{
    DAY, Kind, Stores, World, keys,
    scripted::{ANY, After, Before, Cut, Fail, Lose, Op},
    set_cookies,
};

/// How often everything is polled before it counts as hanging.
const PATIENCE: usize = 3_000;

/// Prints each poll.
static TRACE: LazyLock<bool> = LazyLock::new(|| env::var_os("SILVERBACK_TRACE").is_some());

#[derive(Default, Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) requests: usize,
    pub(super) renewals: usize,
    pub(super) ends: usize,
    pub(super) cut_off: usize,
    pub(super) faults: usize,
    pub(super) late: usize,
    pub(super) refused: usize,
}

/// How a request or task ended.
enum Outcome {
    Answered(Response<String>),
    Done,
}

type Running = Pin<Box<dyn Future<Output = Outcome>>>;

struct Actor {
    number: u32,
    who: Option<Who>,
    running: Running,
    polls: u8,
    mishap: Mishap,
    reports: Reports,
    is_busy: Arc<AtomicBool>,
    /// A call that may change a record has begun and is not yet applied.
    is_writing: bool,
}

/// A response on its way to a browser.
struct Letter {
    number: u32,
    who: Who,
    cookie: Option<String>,
}

pub(super) struct Runner {
    plan: Plan,
    world: World,
    keys: Keys,
    go: Table,
    subjects: Option<Subjects>,
    moving: Option<Moving>,
    oracle: Oracle,
    actors: Vec<Actor>,
    letters: Vec<Letter>,
    /// The cookies of the visitor's browser and of the other device.
    jars: [Option<String>; 2],
    kept: Kept,
    next: u32,
    pub(super) counts: Counts,
}

pub(super) fn configure(plan: &Plan, stores: &Stores, go: &Table, keys: Keys) -> SessionConfig {
    let config = settings(plan, plan.kind.config(stores, keys));
    match plan.kind {
        Kind::Go => config.write_gorilla(go.records().session_format()),
        _ => config,
    }
}

pub(super) fn settings(plan: &Plan, mut config: SessionConfig) -> SessionConfig {
    if plan.is_encrypted {
        config = config.encrypt_records();
    }
    if plan.has_max_age {
        config = config.max_age(DAY);
    }
    config
}

/// Runs a plan to its end.
pub(super) async fn run(plan: &Plan) -> (Counts, Option<Alarm>) {
    let mut runner = Runner::new(plan.clone());
    for event in &plan.events {
        if let Err(alarm) = runner.step(event).await {
            return (runner.counts, Some(alarm));
        }
    }
    let alarm = runner.finish().await.err();
    (runner.counts, alarm)
}

impl Runner {
    fn new(plan: Plan) -> Self {
        let (stores, keys) = (Stores::new(), keys());
        let go = Table::new(&stores.clock);
        let config = configure(&plan, &stores, &go, keys.clone());
        let subjects = Subjects::new(&config).ok();
        let clock = stores.clock.clone();
        let watcher = Watcher::new(&plan, &stores, &go, keys.clone());
        let moving = plan.moves.then(|| Moving::new(&plan, &stores, &keys));
        Self {
            moving,
            oracle: Oracle::new(plan.kind, watcher, clock.clone()),
            world: World::new(plan.kind, stores, config),
            subjects: subjects.map(|subjects| subjects.clock(clock)),
            keys,
            go,
            plan,
            actors: Vec::new(),
            letters: Vec::new(),
            jars: [None, None],
            kept: Arc::default(),
            next: 1,
            counts: Counts::default(),
        }
    }

    async fn step(&mut self, event: &Event) -> Result<(), Alarm> {
        match event {
            Event::Visit {
                who,
                acts,
                fails,
                is_head,
                mishap,
            } => self.visit(*who, acts, (*fails, *is_head), *mishap),
            Event::Admin(order, mishap) => self.order(*order, *mishap),
            Event::Late(at, late_acts, mishap) => self.late(*at, late_acts, *mishap),
            Event::Poll(at, times) if !self.actors.is_empty() => {
                let number = self.actors[usize::from(*at) % self.actors.len()].number;
                for _ in 0..*times {
                    let at = self.actors.iter().position(|actor| actor.number == number);
                    let Some(at) = at else { break };
                    self.poll(at)?;
                    tokio::time::advance(Duration::from_millis(5)).await;
                }
            }
            Event::Deliver(at) if !self.letters.is_empty() => {
                let letter = self.letters.remove(usize::from(*at) % self.letters.len());
                self.deliver(letter)?;
            }
            Event::Lose(at) if !self.letters.is_empty() => {
                drop(self.letters.remove(usize::from(*at) % self.letters.len()));
            }
            Event::Pass(seconds) => {
                if *seconds > 5 {
                    self.settle(true).await?;
                }
                self.world
                    .clock
                    .advance(Duration::from_secs((*seconds).into()));
                self.oracle.look(None)?;
            }
            Event::Migrate(number) => {
                if let Some(moving) = &mut self.moving {
                    moving.step(*number);
                    self.oracle.look(None)?;
                }
            }
            Event::Deploy => {
                self.settle(false).await?;
                self.kept.lock().unwrap().clear();
                if let Some(moving) = &mut self.moving {
                    moving.deploy();
                }
            }
            Event::Rotate => self.keys.rotate(another_key()).unwrap(),
            Event::Go(act) => self.visit_go(*act)?,
            Event::Poll(..) | Event::Deliver(_) | Event::Lose(_) => {}
        }
        Ok(())
    }

    fn visit(&mut self, who: Who, acts: &[Act], (fails, is_head): (bool, bool), mishap: Mishap) {
        let cookie = match who {
            Who::Tab => self.jars[0].clone(),
            Who::Device => self.jars[1].clone(),
            Who::Thief(pick) => self.oracle.stolen(pick),
        };
        let mut script = self.script(acts.to_vec(), fails);
        script.is_head = is_head;
        let (reports, is_busy) = (script.reports.clone(), script.is_busy.clone());
        self.count(acts);
        self.oracle.starts(Started {
            number: script.request,
            who: Some(who),
            cookie: cookie.clone(),
            acts: acts.to_vec(),
            order: None,
            fails,
            is_head,
            of: None,
        });
        let go = (self.plan.kind == Kind::Go).then(|| self.go.records());
        let served = script.serve(self.layer(), go, cookie);
        self.add(Some(who), (reports, is_busy), mishap, async {
            Outcome::Answered(served.await)
        });
    }

    /// Go's requests take no time, as Go overwrites what others save in between.
    fn visit_go(&mut self, act: Act) -> Result<(), Alarm> {
        let Some(cookie) = self.jars[0].clone().filter(|_| self.plan.kind == Kind::Go) else {
            return Ok(());
        };
        let number = self.next;
        let mut took = Vec::new();
        let Some(set) = self.go.go(&cookie, act, number * 100, &mut took) else {
            return Ok(());
        };
        self.next += 1;
        self.count(&[act]);
        self.oracle.starts(Started {
            number,
            who: Some(Who::Tab),
            cookie: Some(cookie),
            acts: vec![act],
            order: None,
            fails: false,
            is_head: false,
            of: None,
        });
        let mut reports = vec![Report::Began(act), Report::Done(act, Ok(()))];
        if act == Act::TakeFlashes {
            reports.push(Report::Took(took));
        }
        reports.push(Report::Returned);
        self.oracle.hears(number, reports);
        self.oracle.look(Some(number))?;
        self.oracle.judge(number)?;
        let answered = Ended::Answered(http::StatusCode::OK, Some(set.clone()));
        self.oracle.ends(number, answered)?;
        let who = Who::Tab;
        let cookie = set;
        self.letters.push(Letter {
            number,
            who,
            cookie,
        });
        Ok(())
    }

    /// The layer of the server that gets the latest request.
    fn layer(&self) -> SessionLayer {
        match &self.moving {
            Some(moving) => moving.node(self.next).layer.clone(),
            None => self.world.layer.clone(),
        }
    }

    fn count(&mut self, acts: &[Act]) {
        self.counts.requests += 1;
        for act in acts {
            match act {
                Act::Renew | Act::LogIn => self.counts.renewals += 1,
                Act::Destroy | Act::DestroyOthers => self.counts.ends += 1,
                _ => {}
            }
        }
    }

    fn script(&mut self, acts: Vec<Act>, fails: bool) -> Script {
        let request = self.next;
        self.next += 1;
        Script {
            kind: self.plan.kind,
            request,
            acts,
            fails,
            is_head: false,
            reports: Arc::default(),
            kept: self.kept.clone(),
            is_busy: Arc::default(),
        }
    }

    fn order(&mut self, order: Order, mishap: Mishap) {
        let node = self.moving.as_ref().map(|moving| moving.node(self.next));
        let subjects = node.map(|node| node.subjects.clone());
        let Some(subjects) = subjects.or_else(|| self.subjects.clone()) else {
            return;
        };
        let key = match order {
            Order::All => None,
            Order::AllBut(pick) | Order::One(pick) => match self.oracle.living(pick) {
                None => return,
                key => key,
            },
        };
        self.counts.ends += 1;
        let script = self.script(Vec::new(), false);
        let (reports, number) = (script.reports.clone(), script.request);
        let is_busy = script.is_busy.clone();
        self.oracle.starts(Started {
            number,
            who: None,
            cookie: None,
            acts: Vec::new(),
            order: Some((order, key)),
            fails: false,
            is_head: false,
            of: None,
        });
        let end = async move {
            script.report(Report::Began(Act::DestroyOthers));
            let done = match (order, key) {
                (Order::AllBut(_), Some(key)) => subjects.destroy_all_but(ADA, &key).await.err(),
                (Order::One(_), Some(key)) => subjects.destroy(ADA, &key).await.err(),
                _ => subjects.destroy_all(ADA).await.err(),
            };
            let done = done.map_or(Ok(()), |error| Err(error.kind()));
            script.report(Report::Done(Act::DestroyOthers, done));
            Outcome::Done
        };
        self.add(None, (reports, is_busy), mishap, end);
    }

    fn late(&mut self, at: u8, late_acts: &[Late], mishap: Mishap) {
        let kept = self.kept.lock().unwrap().clone();
        if kept.is_empty() {
            return;
        }
        self.counts.late += late_acts.len();
        let (of, session) = kept[usize::from(at) % kept.len()].clone();
        let (script, late_acts) = (self.script(Vec::new(), false), late_acts.to_vec());
        let (reports, is_busy) = (script.reports.clone(), script.is_busy.clone());
        let destroys = late_acts.contains(&Late::Destroy);
        self.oracle.starts(Started {
            number: script.request,
            who: None,
            cookie: None,
            acts: if destroys {
                vec![Act::Destroy]
            } else {
                Vec::new()
            },
            order: None,
            fails: false,
            is_head: false,
            of: Some(of),
        });
        self.add(None, (reports, is_busy), mishap, async {
            script.late(session, late_acts).await;
            Outcome::Done
        });
    }

    fn add(
        &mut self,
        who: Option<Who>,
        (reports, is_busy): (Reports, Arc<AtomicBool>),
        mishap: Mishap,
        running: impl Future<Output = Outcome> + 'static,
    ) {
        self.actors.push(Actor {
            number: self.next - 1,
            who,
            running: Box::pin(running),
            polls: 0,
            mishap,
            reports,
            is_busy,
            is_writing: false,
        });
    }

    fn poll(&mut self, at: usize) -> Result<(), Alarm> {
        let actor = &mut self.actors[at];
        if actor.mishap.cut == Some(actor.polls) {
            let number = self.actors.remove(at).number;
            self.counts.cut_off += 1;
            return self.oracle.ends(number, Ended::CutOff);
        }
        let fault = actor.mishap.fault;
        let fault = fault.filter(|(at, _)| self.plan.kind.never_waits() || *at == actor.polls);
        for store in [&self.world.stores.records, &self.world.stores.ends] {
            let Some((at, fault)) = fault else { continue };
            let n = if self.plan.kind.never_waits() {
                usize::from(at) / 2 + 1
            } else {
                1
            };
            match fault {
                Fault::Down => store.nth(n, Before, ANY, Fail),
                Fault::Unanswered => store.nth(n, Before, ANY, Cut),
                Fault::Unheard => store.nth(n, After, ANY, Cut),
                Fault::Repeated => store.nth(n, After, ANY, Lose),
            }
        }
        self.go.fails(fault.map(|(_, fault)| fault));
        if fault.is_some() {
            self.counts.faults += 1;
            self.oracle.fails(actor.number);
        }
        actor.polls = actor.polls.saturating_add(1);
        let mut cx = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| actor.running.as_mut().poll(&mut cx)));
        self.world.calm();
        self.go.fails(None);
        let (is_written, calls) = self.note_writes(at);
        let (number, reports) = (self.actors[at].number, self.actors[at].reports.clone());
        let reports: Vec<_> = reports.lock().unwrap().drain(..).collect();
        if *TRACE {
            eprintln!(
                "poll {number}: {calls:?} {reports:?} {}",
                self.oracle.summary()
            );
        }
        self.oracle.hears(number, reports);
        let Ok(polled) = polled else {
            return Err(Alarm::new("a panic", format!("request {number}")));
        };
        if is_written {
            self.oracle.look(Some(number))?;
        }
        self.oracle.judge(number)?;
        match polled {
            Poll::Pending => Ok(()),
            Poll::Ready(outcome) => {
                let actor = self.actors.remove(at);
                self.done(&actor, outcome)
            }
        }
    }

    /// Returns whether the poll may have changed a store, and the calls it made.
    fn note_writes(&mut self, at: usize) -> (bool, Vec<Op>) {
        let mut calls = self.world.records().take_log();
        calls.extend(self.world.ends().take_log());
        let writes = calls
            .iter()
            .any(|op| !matches!(op, Op::Load | Op::LoadMany));
        let actor = &mut self.actors[at];
        let was_writing = std::mem::replace(&mut actor.is_writing, writes);
        (was_writing || writes || self.plan.kind == Kind::Go, calls)
    }

    fn done(&mut self, actor: &Actor, outcome: Outcome) -> Result<(), Alarm> {
        let Outcome::Answered(response) = outcome else {
            return self.oracle.ends(actor.number, Ended::Done);
        };
        let status = response.status();
        self.counts.refused += usize::from(status.is_client_error());
        let mut cookies = set_cookies(response.headers());
        assert!(cookies.len() < 2, "{cookies:?}");
        let cookie = cookies.pop().map(|cookie| value_of(&cookie));
        let answered = Ended::Answered(status, cookie.clone());
        self.oracle.ends(actor.number, answered)?;
        if let (Some(cookie), Some(who)) = (cookie, actor.who) {
            self.letters.push(Letter {
                number: actor.number,
                who,
                cookie,
            });
        }
        Ok(())
    }

    fn deliver(&mut self, letter: Letter) -> Result<(), Alarm> {
        let at = match letter.who {
            Who::Tab => 0,
            Who::Device => 1,
            Who::Thief(_) => return Ok(()),
        };
        self.jars[at] = letter.cookie.clone();
        self.oracle.delivered(at, letter.number, letter.cookie)
    }

    /// Polls every request to its end, or until its handler is busy.
    async fn settle(&mut self, leaves_busy: bool) -> Result<(), Alarm> {
        for _ in 0..PATIENCE {
            let (mut at, mut is_done) = (0, true);
            while at < self.actors.len() {
                if leaves_busy && self.actors[at].is_busy.load(Relaxed) {
                    at += 1;
                    continue;
                }
                let len = self.actors.len();
                self.poll(at)?;
                at += usize::from(self.actors.len() == len);
                is_done = false;
            }
            if is_done {
                return Ok(());
            }
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        let numbers: Vec<_> = self.actors.iter().map(|actor| actor.number).collect();
        Err(Alarm::new("a hang", format!("{numbers:?}")))
    }

    async fn finish(&mut self) -> Result<(), Alarm> {
        self.settle(false).await?;
        for letter in std::mem::take(&mut self.letters) {
            self.deliver(letter)?;
        }
        if let Some(moving) = &mut self.moving {
            moving.finish().await?;
        }
        self.oracle.look(None)?;
        let store = match self.moving {
            Some(_) => self.world.ends(),
            None => self.world.records(),
        };
        let records = store.keys_of(RecordKind::Session).await;
        let of_go = (self.plan.kind == Kind::Go).then(|| self.go.len());
        self.oracle.rests(&records, of_go)
    }
}

/// The cookie's value, or `None` for a removal.
fn value_of(cookie: &str) -> Option<String> {
    let pair = cookie.split(';').next().unwrap();
    let value = pair.split_once('=').unwrap().1;
    (!cookie.contains("Max-Age=0;")).then(|| value.to_owned())
}

fn another_key() -> Key {
    Key::generate().unwrap()
}

/// Returns whether a server can enforce the end of a session of this kind.
pub(super) fn can_end(kind: Kind) -> bool {
    !matches!(kind, Kind::Cookie | Kind::Overflow)
}

pub(super) fn has_subjects(kind: Kind) -> bool {
    can_end(kind) && kind != Kind::Go
}
