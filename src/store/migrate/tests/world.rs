//! Processes that use a record while others move it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use super::{
    at_once,
    oracle::{Answer, Asked, Call, is_linearizable},
    wires::{Lie, Mode, Net, Side, Wire},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{
        Bytes, Expiry, MemoryStore, MigratingStore, Read, Record, RecordKey, Store as _,
        StoreError, Version, migrate::wire::Form,
    },
};

#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

const NOW: u64 = 1_800_000_000;
const KEY: RecordKey = RecordKey::from_bytes([7; 32]);

type Migrating = MigratingStore<Wire, Wire>;

/// The history and knowledge of the processes of a world.
struct World {
    net: Arc<Net>,
    clock: Clock,
    calls: Mutex<Vec<Call>>,
    /// Known versions, and the data of each.
    known: Mutex<Vec<(Version, u64)>>,
    time: AtomicU64,
}

impl World {
    fn new(seed: u64, lie: Lie) -> Self {
        let clock = Clock::manual(Timestamp::from_secs(NOW));
        let stores = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
        Self {
            net: Net::new(seed, lie, stores),
            clock,
            calls: Mutex::default(),
            known: Mutex::default(),
            time: AtomicU64::new(1),
        }
    }

    fn tick(&self) -> u64 {
        self.time.fetch_add(1, Ordering::Relaxed)
    }

    fn store(&self, is_prepared: bool) -> Migrating {
        let [from, to] = [Side::From, Side::To].map(|side| Wire::new(side, &self.net));
        let store = match is_prepared {
            true => MigratingStore::prepared(from, to),
            false => MigratingStore::new(from, to),
        };
        store.clock(self.clock.clone())
    }

    /// One of the latest known versions, and its data.
    fn some_version(&self) -> Option<(Version, u64)> {
        let known = self.known.lock().unwrap();
        let last = (known.len() as u64).min(3);
        let back = if last > 0 { self.net.below(last) } else { 0 };
        known.iter().rev().nth(back as usize).copied()
    }

    fn begin(&self, asked: Asked) -> usize {
        let begun = self.tick();
        let mut calls = self.calls.lock().unwrap();
        calls.push(Call {
            asked,
            begun,
            answer: None,
        });
        calls.len() - 1
    }

    fn end(&self, call: usize, answer: Answer) {
        let end = self.tick();
        self.calls.lock().unwrap()[call].answer = Some((end, answer));
    }

    fn know(&self, version: Version, data: u64) {
        self.known.lock().unwrap().push((version, data));
    }

    /// Runs a process that performs `count` operations, one after the other.
    async fn live(&self, store: Migrating, count: u64) {
        for _ in 0..count {
            match (self.net.below(10), self.some_version()) {
                (0..3, _) => self.load(&store).await,
                (3 | 4, _) | (_, None) => self.create(&store).await,
                (5 | 6, Some(version)) => self.update(&store, version).await,
                (7, Some(version)) => self.touch(&store, version).await,
                (8, Some(version)) => self.delete(&store, Some(version)).await,
                _ => self.delete(&store, None).await,
            }
        }
    }

    async fn load(&self, store: &Migrating) {
        let call = self.begin(Asked::Load);
        let loaded = match self.net.below(2) {
            0 => store.load(&KEY, Read::Current).await,
            _ => store.load_many(&[KEY], Read::Current).await.remove(0),
        };
        let Ok(loaded) = loaded else { return };
        if let Some(record) = &loaded {
            self.know(record.version(), number(record.data()));
        }
        self.end(call, Answer::Loaded(loaded.as_ref().map(state)));
    }

    async fn create(&self, store: &Migrating) {
        let data = self.tick();
        let (bytes, expiry) = (bytes(data), expiry(data));
        let end = expiry.at.as_secs();
        let call = self.begin(Asked::Create { data, end });
        let created = store.create(&KEY, bytes, expiry).await;
        self.written(call, data, &created);
    }

    async fn update(&self, store: &Migrating, (version, over): (Version, u64)) {
        let data = self.tick();
        let (bytes, expiry) = (bytes(data), expiry(data));
        let end = expiry.at.as_secs();
        let call = self.begin(Asked::Update { over, data, end });
        let updated = store.update(&KEY, version, bytes, expiry).await;
        self.written(call, data, &updated);
    }

    async fn touch(&self, store: &Migrating, (version, over): (Version, u64)) {
        let expiry = expiry(self.tick());
        let end = expiry.at.as_secs();
        let call = self.begin(Asked::Touch { over, end });
        let touched = store.touch(&KEY, version, expiry).await;
        self.written(call, over, &touched);
    }

    async fn delete(&self, store: &Migrating, of: Option<(Version, u64)>) {
        let call = self.begin(Asked::Delete {
            over: of.map(|(_, data)| data),
        });
        let expected = of.map(|(version, _)| version);
        let deleted = match self.net.below(2) {
            0 => store.delete(&KEY, expected).await,
            _ => store.delete_many(&[(KEY, expected)]).await.remove(0),
        };
        self.answered(call, &deleted);
    }

    fn written(&self, call: usize, data: u64, written: &Result<Version, StoreError>) {
        if let Ok(version) = written {
            self.know(*version, data);
        }
        self.answered(call, written);
    }

    fn answered<T>(&self, call: usize, result: &Result<T, StoreError>) {
        let answer = match result {
            Ok(_) => Answer::Done,
            Err(StoreError::Exists) => Answer::Exists,
            Err(StoreError::Conflict) => Answer::Conflict,
            Err(StoreError::Gone) => Answer::Gone,
            Err(_) => return,
        };
        self.end(call, answer);
    }

    /// Runs a migration to its end, or for this many steps. Returns whether it is complete.
    async fn migrate(&self, steps: u64) -> bool {
        let store = self.store(self.net.below(2) == 0);
        let mut migration = store.migration();
        for _ in 0..steps {
            let step = migration.step(10).await;
            if step.is_finished() {
                return step.is_complete();
            }
        }
        false
    }

    fn check(&self) -> Result<(), Fault> {
        let calls = self.calls.lock().unwrap();
        match is_linearizable(&calls) {
            true => Ok(()),
            false => Err(Fault(format!("no order explains {calls:#?}"))),
        }
    }
}

fn number(data: &[u8]) -> u64 {
    u64::from_be_bytes(data[1..].try_into().unwrap())
}

fn bytes(number: u64) -> Bytes {
    [&[1][..], &number.to_be_bytes()].concat().into()
}

fn expiry(number: u64) -> Expiry {
    let now = Timestamp::from_secs(NOW);
    Expiry::new(Timestamp::from_secs(NOW + 100_000 + number), now)
}

fn state(record: &Record) -> (u64, u64) {
    (number(record.data()), record.expires().as_secs())
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs processes and moves in a random order, and kills some.
fn live(world: &World) {
    let net = &world.net;
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..3 {
        let store = world.store(net.below(2) == 0);
        tasks.push(Box::pin(world.live(store, 4)));
    }
    for _ in 0..2 {
        tasks.push(Box::pin(async {
            let _ = world.migrate(6).await;
        }));
    }
    let mut cx = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        let index = net.below(tasks.len() as u64) as usize;
        match net.below(80) {
            0 => drop(tasks.swap_remove(index)),
            1..4 => drop(net.deliver()),
            _ => {
                if tasks[index].as_mut().poll(&mut cx).is_ready() {
                    drop(tasks.swap_remove(index));
                }
            }
        }
    }
}

/// Runs the world of this seed. An error describes what went wrong.
pub(super) fn run(seed: u64, lie: Lie) -> Result<(), Fault> {
    let world = World::new(seed, lie);
    let net = &world.net;
    // Most worlds begin with a record in the old store.
    if net.below(4) > 0 {
        let data = world.tick();
        let end = expiry(data).at.as_secs();
        let call = world.begin(Asked::Create { data, end });
        let created = at_once(net.stores[0].create(&KEY, bytes(data), expiry(data)));
        world.answered(call, &created);
    }
    live(&world);
    while net.below(2) == 0 && net.deliver() {}
    net.set(Mode::Calm);
    at_once(world.load(&world.store(false)));
    world.check()?;
    if !at_once(world.migrate(40)) {
        return Err(Fault("the migration does not end".to_owned()));
    }
    at_once(world.load(&world.store(true)));
    world.check()?;
    is_over(net, &world)
}

/// Checks that after the move, the new store alone has the last state, in plain form.
fn is_over(net: &Net, world: &World) -> Result<(), Fault> {
    let [from, to] = net.stores.each_ref().map(|store| {
        let record = at_once(store.load(&KEY, Read::Current)).unwrap();
        record.map(|record| (Form::of(record.data()), record))
    });
    if !matches!(from, None | Some((Form::Moved(_), _))) {
        return Err(Fault(format!("left in the old store: {from:?}")));
    }
    let alone = match to {
        None => None,
        Some((Form::Plain, record)) => Some(state(&record)),
        other => return Err(Fault(format!("left in the new store: {other:?}"))),
    };
    let calls = world.calls.lock().unwrap();
    let last = calls.last().and_then(|call| call.answer);
    match last {
        Some((_, Answer::Loaded(loaded))) if loaded == alone => Ok(()),
        last => Err(Fault(format!(
            "the new store has {alone:?}, and {last:?} was read"
        ))),
    }
}
