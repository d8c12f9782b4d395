//! A session compared with a map: keys and values of any length, saves in mid-request, other
//! threads, and other requests that save first.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, thread};

use silverback::Session;

use crate::support::{
    Jar, Kind, World, failure,
    schedule::{next, rounds},
    watched::MERGED,
};

/// This key is never removed, so that no session is emptied.
const STAYS: &str = "stays";
const QUEUES: [&str; 2] = ["", "errors"];

/// Short and long keys are stored in different ways.
fn key(number: u8) -> String {
    match number % 10 {
        0 => String::new(),
        1 => "a".to_owned(),
        2 => "é".to_owned(),
        3 => "k".repeat(21),
        4 => "k".repeat(22),
        5 => "k".repeat(23),
        6 => "é".repeat(11),
        7 => format!("k{}", "é".repeat(11)),
        8 => "k".repeat(127),
        _ => "é".repeat(150),
    }
}

/// A text of at most `most` bytes. In JSON, quotes add two.
fn text(number: u8, most: usize) -> String {
    let lens = [0, 1, 60, 125, 126, 127, 300, 2_000];
    let len = lens[usize::from(number / 8) % lens.len()].min(most);
    let letter = char::from(b'a' + number % 8);
    letter.to_string().repeat(len)
}

type Batch = Rc<RefCell<Vec<String>>>;

#[derive(Clone, Debug)]
enum Change {
    Insert(String, String),
    Remove(String),
    Append(String, String),
    Clear,
    Push(usize, String),
    /// The messages that nobody else has taken before are left in the batch.
    Take(usize, Batch),
    PutBack(usize, Batch),
    Renew,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    values: BTreeMap<String, String>,
    flashes: [Vec<String>; 2],
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert(key, text) => drop(self.values.insert(key.clone(), text.clone())),
            Change::Remove(key) => drop(self.values.remove(key)),
            Change::Append(key, text) => self.values.entry(key.clone()).or_default().push_str(text),
            Change::Clear => *self = Self::default(),
            Change::Push(queue, text) => self.flashes[*queue].push(text.clone()),
            Change::Take(queue, batch) => {
                let there = &mut self.flashes[*queue];
                let mut batch = batch.borrow_mut();
                batch.retain(|text| there.contains(text));
                there.retain(|text| !batch.contains(text));
            }
            Change::PutBack(queue, batch) => {
                let there = &mut self.flashes[*queue];
                there.splice(0..0, batch.borrow().iter().cloned());
            }
            Change::Renew => {}
        }
    }
}

/// The model of one request: its view, and its unsaved changes.
struct Request {
    content: Content,
    /// The changes, and whether each is a reason to save the session.
    log: Vec<(Change, bool)>,
    taken: Vec<(usize, Batch)>,
    /// The number of saves by others that this request has seen.
    seen: usize,
}

/// The saved state, and the number of saves.
#[derive(Default)]
struct Saved {
    content: Content,
    saves: usize,
}

impl Request {
    fn of(saved: &Saved) -> Self {
        Self {
            content: saved.content.clone(),
            log: Vec::new(),
            taken: Vec::new(),
            seen: saved.saves,
        }
    }

    fn enter(&mut self, change: Change, is_noted: bool) {
        let before = self.content.clone();
        self.content.apply(&change);
        let is_due = before != self.content || matches!(change, Change::Renew);
        if is_due || is_noted {
            self.log.push((change, is_due));
        }
    }

    fn take(&mut self, queue: usize) -> Vec<String> {
        let taken = self.content.flashes[queue].clone();
        let batch = Rc::new(RefCell::new(taken.clone()));
        self.taken.push((queue, Rc::clone(&batch)));
        self.enter(Change::Take(queue, batch), false);
        taken
    }

    /// If the take is not saved yet, putting back is no reason to save.
    fn keep(&mut self, queue: usize) {
        let all = std::mem::take(&mut self.taken).into_iter();
        let (back, others): (Vec<_>, _) = all.partition(|(other, _)| *other == queue);
        self.taken = others;
        for (_, batch) in back.into_iter().rev() {
            let is_it = |(change, _): &(Change, bool)| matches!(change, Change::Take(_, other) if Rc::ptr_eq(other, &batch));
            let put_back = Change::PutBack(queue, Rc::clone(&batch));
            if let Some(at) = self.log.iter().position(is_it) {
                self.log.remove(at);
                self.content.apply(&put_back);
            } else {
                self.enter(put_back, false);
            }
        }
    }

    fn save(&mut self, saved: &mut Saved) {
        if !self.log.iter().any(|(_, is_due)| *is_due) {
            return;
        }
        let log = std::mem::take(&mut self.log);
        if self.seen != saved.saves {
            self.content = saved.content.clone();
            log.iter()
                .for_each(|(change, _)| self.content.apply(change));
        }
        saved.saves += 1;
        self.seen = saved.saves;
        saved.content = self.content.clone();
    }

    /// Does one thing to both, and checks that they are equal.
    fn step(&mut self, session: &Session, seed: &mut u64, is_small: bool) {
        let (what, number) = (next(seed) % 24, next(seed));
        let (key, queue) = (key(number), usize::from(number % 2));
        let text = text(next(seed), if is_small { 127 } else { usize::MAX });
        match what {
            0..6 => {
                session.insert(&key, &text).unwrap();
                self.enter(Change::Insert(key, text), true);
            }
            6..9 => {
                let is_there = session.remove(&key).unwrap();
                assert_eq!(is_there, self.content.values.contains_key(&key));
                self.enter(Change::Remove(key), false);
            }
            9..15 => {
                let text = text[..text.len().min(130)].to_owned();
                let (more, seen) = (text.clone(), self.content.values.get(&key).cloned());
                let found = session.update(&key, move |text: &mut String| {
                    let found = text.clone();
                    text.push_str(&more);
                    found
                });
                assert_eq!(found.unwrap(), seen.unwrap_or_default());
                self.enter(Change::Append(key, text), true);
            }
            15 => {
                session.clear().unwrap();
                session.insert(STAYS, "").unwrap();
                self.enter(Change::Clear, false);
                self.taken.clear();
                self.enter(Change::Insert(STAYS.to_owned(), String::new()), true);
            }
            16..18 => {
                let message = format!("{seed}");
                session.flash_in(QUEUES[queue], &message).unwrap();
                self.enter(Change::Push(queue, message), false);
            }
            18..20 => {
                let taken = session.flashes_in::<String>(QUEUES[queue]).unwrap();
                assert_eq!(taken, self.take(queue));
            }
            20 => {
                session.keep_flashes_in(QUEUES[queue]).unwrap();
                self.keep(queue);
            }
            _ => assert_eq!(
                session.get(&key).unwrap(),
                self.content.values.get(&key).cloned()
            ),
        }
        self.check(session);
    }

    fn check(&self, session: &Session) {
        let keys = session.keys().unwrap();
        assert_eq!(keys.len(), self.content.values.len());
        for (key, text) in &self.content.values {
            assert_eq!(session.get(key).unwrap().as_ref(), Some(text), "{key:?}");
        }
        for (queue, messages) in QUEUES.iter().zip(&self.content.flashes) {
            assert_eq!(&session.peek_flashes_in::<String>(queue).unwrap(), messages);
        }
    }

    /// Does several things, each in this thread or another.
    fn steps(&mut self, session: &Session, seed: &mut u64, is_small: bool) {
        for _ in 0..next(seed) % 6 {
            if next(seed).is_multiple_of(4) {
                let (same, mut copy) = (session.clone(), *seed);
                let inserted = thread::spawn(move || {
                    let (key, text) = (key(next(&mut copy)), text(next(&mut copy), 127));
                    same.insert(&key, &text).unwrap();
                    (key, text)
                });
                let (key, text) = inserted.join().unwrap();
                self.enter(Change::Insert(key, text), true);
            }
            self.step(session, seed, is_small);
        }
    }
}

struct Pair {
    world: World,
    jar: Jar,
    saved: Saved,
    seed: u64,
}

impl Pair {
    async fn new(kind: Kind, seed: u64) -> Self {
        let (world, mut jar) = (kind.world(), Jar::default());
        world.put(&mut jar, STAYS, "").await;
        let mut saved = Saved::default();
        saved.content.values.insert(STAYS.to_owned(), String::new());
        Self {
            world,
            jar,
            saved,
            seed,
        }
    }

    fn is_one_of(&mut self, count: u8) -> bool {
        next(&mut self.seed).is_multiple_of(count)
    }

    fn is_small(&self) -> bool {
        self.world.kind.is_cookie()
    }

    /// Runs one request alone.
    async fn alone(&mut self) {
        let (mut request, mut seed, is_small) =
            (Request::of(&self.saved), self.seed, self.is_small());
        let (renews, saves) = (self.is_one_of(8), self.is_one_of(3) && !self.is_small());
        let saved = &mut self.saved;
        let handler = async |session: Session| {
            session.load().await.unwrap();
            request.check(&session);
            request.steps(&session, &mut seed, is_small);
            if renews {
                session.renew();
                request.enter(Change::Renew, true);
            }
            if saves {
                session.save().await.unwrap();
                request.save(saved);
            }
            request.steps(&session, &mut seed, is_small);
        };
        let (_, response) = self.world.visit(&mut self.jar, handler).await;
        assert_eq!(failure(&response), None);
        request.save(saved);
        self.seed = seed;
    }

    /// Runs a request that others overlap, which save first.
    async fn overlapped(&mut self) {
        let (mut request, mut seed) = (Request::of(&self.saved), self.seed);
        let saves = self.is_one_of(3);
        let (world, saved) = (&self.world, &mut self.saved);
        let mut other = self.jar.clone();
        let handler = async |session: Session| {
            session.load().await.unwrap();
            for is_last in [false, true] {
                request.steps(&session, &mut seed, false);
                let mut inner = Request::of(saved);
                let act = async |session: Session| {
                    session.load().await.unwrap();
                    inner.check(&session);
                    inner.steps(&session, &mut seed, false);
                };
                let (_, response) = world.visit(&mut other, act).await;
                assert_eq!(failure(&response), None);
                inner.save(saved);
                request.steps(&session, &mut seed, false);
                if saves && !is_last {
                    session.save().await.unwrap();
                    request.save(saved);
                    request.check(&session);
                }
            }
        };
        let (_, response) = world.visit(&mut self.jar, handler).await;
        assert_eq!(failure(&response), None);
        request.save(saved);
        self.seed = seed;
    }
}

#[tokio::test]
async fn a_session_is_a_map() {
    for kind in Kind::ALL {
        for seed in rounds(60) {
            let mut pair = Pair::new(kind, seed).await;
            for _ in 0..8 {
                pair.alone().await;
            }
        }
    }
}

#[tokio::test]
async fn changes_are_applied_again_to_what_others_saved() {
    for kind in MERGED {
        for seed in rounds(200) {
            let mut pair = Pair::new(kind, seed).await;
            for _ in 0..4 {
                pair.overlapped().await;
                pair.alone().await;
            }
        }
    }
}
