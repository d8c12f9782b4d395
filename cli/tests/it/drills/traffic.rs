//! Visitors who log in, buy, look and log out during a drill, and who track what they may see.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use http::header;
use silverback::testing::{Jar, Page};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    chance::Chance,
    site::{ALONE, FOLDER, Seen, Site, Visitor},
};

const VISITORS: usize = 8;

/// What no drill may cause.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Faults {
    /// Visitors who became somebody else.
    pub(super) strangers: u64,
    /// Visitors who lost their session without an excuse.
    pub(super) logged_out: u64,
    /// Confirmed items that are gone.
    pub(super) lost: u64,
    /// Items that nobody has added.
    pub(super) too_many: u64,
    /// Cookies that still log in after a confirmed logout.
    pub(super) resurrected: u64,
    /// Error responses that set or removed a cookie.
    pub(super) cookies_with_errors: u64,
    /// Failed loads without `Retry-After`.
    pub(super) without_retry_after: u64,
}

/// The results.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) faults: Faults,
    /// The number of answers with each status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Visitors who had to log in again, with an excuse.
    pub(super) excused: u64,
}

/// The visitors of a drill.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    visitors: Vec<JoinHandle<Person>>,
}

struct Shared {
    ends: AtomicBool,
    may_be_out: AtomicBool,
    /// Whether copies of a cookie are worthless after a logout.
    logouts_are_final: bool,
    moved: Notify,
    steps: Vec<AtomicU64>,
    tally: Mutex<Tally>,
}

/// A visitor, and what they expect.
pub(super) struct Person {
    pub(super) browser: Visitor,
    name: String,
    chance: Chance,
    state: Status,
    /// What must be in the cart, and what may be.
    least: u64,
    most: u64,
    /// The cookies of logged-out sessions.
    old: Vec<Jar>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    Out,
    In,
    /// A logout got no answer.
    Leaving,
}

impl Traffic {
    /// Sends visitors to a site whose logouts are final.
    pub(super) fn start(site: &Site, seed: u64) -> Self {
        Self::with(site, seed, true)
    }

    pub(super) fn with(site: &Site, seed: u64, logouts_are_final: bool) -> Self {
        let shared = Arc::new(Shared {
            ends: AtomicBool::new(false),
            may_be_out: AtomicBool::new(false),
            logouts_are_final,
            moved: Notify::new(),
            steps: (0..VISITORS).map(|_| AtomicU64::new(0)).collect(),
            tally: Mutex::default(),
        });
        let visitors = (0..VISITORS).map(|number| {
            let seed = seed * 1_000 + number as u64;
            let person = Person::new(site, number, seed);
            tokio::spawn(person.come(number, Arc::clone(&shared)))
        });
        let visitors = visitors.collect();
        Self { shared, visitors }
    }

    /// Waits until each visitor has made this many more visits, or a hundred times as many in the
    /// long form.
    pub(super) async fn goes_on(&self, steps: u64) {
        self.steps(match env::var_os("SILVERBACK_SOAK") {
            Some(_) => steps * 100,
            None => steps,
        })
        .await;
    }

    /// As [`goes_on`](Self::goes_on), in the long form too.
    pub(super) async fn steps(&self, steps: u64) {
        let steps_of = || {
            self.shared
                .steps
                .iter()
                .map(|done| done.load(Ordering::SeqCst))
        };
        // Visits that are running began before this.
        let goals: Vec<_> = steps_of().map(|done| done + steps + 1).collect();
        loop {
            let moved = self.shared.moved.notified();
            if steps_of().zip(&goals).all(|(done, goal)| done >= *goal) {
                return;
            }
            let has_failed = self.visitors.iter().any(JoinHandle::is_finished);
            assert!(!has_failed, "a visitor has given up");
            moved.await;
        }
    }

    /// From now on, visitors may find themselves logged out.
    pub(super) fn may_be_out(&self, may: bool) {
        self.shared.may_be_out.store(may, Ordering::SeqCst);
    }

    pub(super) fn tally(&self) -> Tally {
        self.shared.tally.lock().unwrap().clone()
    }

    /// Lets every visitor look once more, and returns the results.
    pub(super) async fn end(self) -> (Tally, Vec<Person>) {
        self.shared.ends.store(true, Ordering::SeqCst);
        let mut people = Vec::new();
        for visitor in self.visitors {
            let mut person = visitor.await.unwrap();
            if person.state == Status::In {
                person.look(&self.shared).await;
            }
            people.push(person);
        }
        let tally = self.shared.tally.lock().unwrap().clone();
        (tally, people)
    }
}

impl Shared {
    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().unwrap());
    }
}

impl Person {
    fn new(site: &Site, number: usize, seed: u64) -> Self {
        Self {
            browser: site.visitor(seed),
            name: format!("user-{number}"),
            chance: Chance::new(!seed),
            state: Status::Out,
            least: 0,
            most: 0,
            old: Vec::new(),
        }
    }

    /// Returns whether this visitor counts as logged in.
    pub(super) fn is_in(&self) -> bool {
        self.state == Status::In
    }

    async fn come(mut self, number: usize, shared: Arc<Shared>) -> Self {
        while !shared.ends.load(Ordering::SeqCst) {
            self.step(&shared).await;
            shared.steps[number].fetch_add(1, Ordering::SeqCst);
            shared.moved.notify_waiters();
            // Everything is in this process, so nothing may ever wait.
            tokio::task::yield_now().await;
        }
        self
    }

    async fn step(&mut self, shared: &Shared) {
        match (self.state, self.chance.below(16)) {
            (Status::Out, _) => self.log_in(shared).await,
            (Status::Leaving, _) | (Status::In, 0) => self.log_out(shared).await,
            (Status::In, 1) if shared.logouts_are_final => self.try_old(shared).await,
            (Status::In, 2..8) => self.add(shared).await,
            (Status::In, _) => self.look(shared).await,
        }
    }

    async fn log_in(&mut self, shared: &Shared) {
        let device = if shared.logouts_are_final {
            "browser"
        } else {
            ALONE
        };
        let path = format!("login/{}/{device}", self.name);
        let page = self.post(shared, &path).await;
        if page.status() == 200 {
            self.state = Status::In;
            self.check(&Seen::of(page.text()), shared);
        }
    }

    async fn add(&mut self, shared: &Shared) {
        let page = self.post(shared, "add").await;
        if page.status() != 200 {
            // The outcome is unknown.
            self.most += 1;
            return;
        }
        let seen = Seen::of(page.text());
        if seen.user.is_empty() {
            return self.is_out(shared);
        }
        (self.least, self.most) = (self.least + 1, self.most + 1);
        self.check(&seen, shared);
    }

    async fn look(&mut self, shared: &Shared) {
        let page = self.browser.get(&format!("{FOLDER}/")).await;
        note(shared, &page);
        if page.status() != 200 {
            let says_when = page.headers().contains_key(header::RETRY_AFTER);
            return shared.count(|tally| tally.faults.without_retry_after += u64::from(!says_when));
        }
        let seen = Seen::of(page.text());
        if seen.user.is_empty() {
            return self.is_out(shared);
        }
        self.check(&seen, shared);
    }

    async fn log_out(&mut self, shared: &Shared) {
        let cookies = self.browser.jar(|jar| jar.clone());
        let page = self.post(shared, "logout").await;
        self.state = Status::Leaving;
        // A conflict means that an earlier try has succeeded.
        if page.status() == 200 || page.status() == 409 {
            (self.state, self.least, self.most) = (Status::Out, 0, 0);
            self.old.push(cookies);
        }
    }

    /// Visits with the cookies of a logged-out session.
    async fn try_old(&mut self, shared: &Shared) {
        let Some(old) = self.old.get(self.chance.below(self.old.len().max(1))) else {
            return;
        };
        let thief = self.browser.another();
        thief.jar(|jar| *jar = old.clone());
        let page = thief.get(&format!("{FOLDER}/")).await;
        note(shared, &page);
        let is_somebody = page.status() == 200 && !Seen::of(page.text()).user.is_empty();
        shared.count(|tally| tally.faults.resurrected += u64::from(is_somebody));
    }

    fn check(&mut self, seen: &Seen, shared: &Shared) {
        shared.count(|tally| {
            let faults = &mut tally.faults;
            faults.strangers += u64::from(seen.user != self.name);
            faults.lost += self.least.saturating_sub(seen.items);
            faults.too_many += seen.items.saturating_sub(self.most);
        });
        (self.least, self.most) = (seen.items, seen.items);
    }

    fn is_out(&mut self, shared: &Shared) {
        // Another server may know the session and its cart.
        (self.state, self.least) = (Status::Out, 0);
        let is_excused = shared.may_be_out.load(Ordering::SeqCst);
        shared.count(|tally| {
            tally.excused += u64::from(is_excused);
            tally.faults.logged_out += u64::from(!is_excused);
        });
    }

    async fn post(&self, shared: &Shared, path: &str) -> Page {
        let path = format!("{FOLDER}/{path}");
        let page = self.browser.post(&path, "text/plain", "").await;
        note(shared, &page);
        page
    }
}

fn note(shared: &Shared, page: &Page) {
    let is_error = page.status().is_server_error();
    let sets_cookie = page.headers().contains_key(header::SET_COOKIE);
    shared.count(|tally| {
        *tally.statuses.entry(page.status().as_u16()).or_default() += 1;
        tally.faults.cookies_with_errors += u64::from(is_error && sets_cookie);
    });
}
