//! A world whose records move to another store while servers with one configuration after another
//! use them.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use silverback::{
    Keys, SessionConfig, SessionLayer, Subjects,
    store::{
        Bytes, Expiry, Limits, MemoryStore, MigratingStore, Read, Record, RecordKey, RecordKind,
        Store, StoreError, Version,
    },
};

use super::{oracle::Alarm, plan::Plan, run::settings};
use crate::support::{
    HOUR, Stores,
    scripted::{ANY, After, Before, Cut, Lose, Scripted},
};

/// A server of one configuration.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) layer: SessionLayer,
    pub(super) subjects: Subjects,
}

/// The stages of a move: the configurations that run side by side at each.
const STAGES: [[Setup; 2]; 5] = [
    [Setup::Old, Setup::Prepared],
    [Setup::Prepared, Setup::Moving],
    [Setup::Moving, Setup::Moving],
    [Setup::Moving, Setup::New],
    [Setup::New, Setup::New],
];

/// From this stage on, the records can move completely.
const ALL_MOVING: usize = 2;

#[derive(Clone, Copy)]
enum Setup {
    Old,
    Prepared,
    Moving,
    New,
}

pub(super) struct Moving {
    stores: Stores,
    nodes: Vec<[Node; 2]>,
    stage: usize,
    mover: Option<Mover>,
    is_complete: bool,
}

/// A running migration, and the stage at which it began.
struct Mover {
    since: usize,
    running: Pin<Box<dyn Future<Output = bool>>>,
}

impl Moving {
    pub(super) fn new(plan: &Plan, stores: &Stores, keys: &Keys) -> Self {
        let node = |setup| {
            let config = config(plan, setup, &stores.records, &stores.ends, stores, keys);
            let (layer, subjects) = (SessionLayer::new(config.clone()), Subjects::new(&config));
            Node {
                layer: layer.clock(stores.clock.clone()),
                subjects: subjects.unwrap().clock(stores.clock.clone()),
            }
        };
        Self {
            stores: stores.clone(),
            nodes: STAGES.iter().map(|setups| setups.map(node)).collect(),
            stage: 0,
            mover: None,
            is_complete: false,
        }
    }

    /// The server that gets this request.
    pub(super) fn node(&self, number: u32) -> &Node {
        &self.nodes[self.stage][number as usize % 2]
    }

    /// Restarts the servers with the next configurations, if the move has come that far.
    pub(super) fn deploy(&mut self) {
        let may_go_on = self.stage < ALL_MOVING || self.is_complete;
        if may_go_on && self.stage + 1 < STAGES.len() {
            self.stage += 1;
        }
    }

    /// Polls a migration, or kills it.
    pub(super) fn step(&mut self, number: u8) {
        if self.stage == 0 {
            return;
        }
        if number.is_multiple_of(16) {
            self.mover = None;
            return;
        }
        let fault = match number % 16 {
            1 => Some((Before, Cut)),
            2 => Some((After, Cut)),
            3 => Some((After, Lose)),
            _ => None,
        };
        for store in [&self.stores.records, &self.stores.ends] {
            if let Some((when, act)) = fault {
                store.at(when, ANY, act);
            }
        }
        self.poll();
        for store in [&self.stores.records, &self.stores.ends] {
            store.calm();
        }
    }

    fn poll(&mut self) {
        let (stage, stores) = (self.stage, &self.stores);
        let mover = self.mover.get_or_insert_with(|| {
            let store = MigratingStore::new(stores.records.clone(), stores.ends.clone());
            let store = store.clock(stores.clock.clone());
            let running = Box::pin(async move {
                let mut migration = store.migration();
                loop {
                    let step = migration.step(2).await;
                    if step.is_finished() {
                        return step.is_complete();
                    }
                }
            });
            Mover {
                since: stage,
                running,
            }
        });
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(is_complete) = mover.running.as_mut().poll(&mut cx) {
            self.is_complete |= is_complete && mover.since >= ALL_MOVING;
            self.mover = None;
        }
    }

    /// Completes the move, and checks that nothing is left in the old store.
    pub(super) async fn finish(&mut self) -> Result<(), Alarm> {
        self.mover = None;
        (self.stage, self.is_complete) = (self.stage.max(ALL_MOVING), false);
        for _ in 0..10_000 {
            self.poll();
            if self.is_complete {
                break;
            }
        }
        for kind in [
            RecordKind::Session,
            RecordKind::Mark,
            RecordKind::Roster,
            RecordKind::End,
        ] {
            let left = self.stores.records.keys_of(kind).await;
            if !left.is_empty() || !self.is_complete {
                let story = format!("{kind:?} {left:?}, complete: {}", self.is_complete);
                return Err(Alarm::new("a move without an end", story));
            }
        }
        Ok(())
    }
}

fn config<S: Store + Clone>(
    plan: &Plan,
    setup: Setup,
    from: &S,
    to: &S,
    stores: &Stores,
    keys: &Keys,
) -> SessionConfig {
    let (from, to, clock) = (from.clone(), to.clone(), stores.clock.clone());
    let new = |store| SessionConfig::new("s", store, keys.clone());
    let config = match setup {
        Setup::Old => SessionConfig::new("s", from, keys.clone()),
        Setup::New => SessionConfig::new("s", to, keys.clone()),
        Setup::Prepared => new(MigratingStore::prepared(from, to).clock(clock)),
        Setup::Moving => new(MigratingStore::new(from, to).clock(clock)),
    };
    settings(plan, config.cookie_name("s").store_timeout(HOUR))
}

/// Two stores as they are. What is written to them is forgotten.
#[derive(Clone)]
pub(super) struct Glass([Pane; 2]);

impl Glass {
    pub(super) fn of(stores: &Stores) -> Self {
        let pane = |store: &Scripted| Pane {
            memory: store.memory.clone(),
            written: Arc::default(),
        };
        Self([pane(&stores.records), pane(&stores.ends)])
    }

    pub(super) fn config(&self, plan: &Plan, stores: &Stores, keys: &Keys) -> SessionConfig {
        let [from, to] = &self.0;
        config(plan, Setup::Moving, from, to, stores, keys)
    }

    pub(super) fn wipe(&self) {
        for pane in &self.0 {
            pane.written.lock().unwrap().clear();
        }
    }
}

#[derive(Clone)]
struct Pane {
    memory: MemoryStore,
    written: Arc<Mutex<BTreeMap<RecordKey, Option<Record>>>>,
}

impl Pane {
    fn write(&self, key: &RecordKey, data: Bytes, end: Expiry) -> Result<Version, StoreError> {
        let version = Version::random()?;
        let record = Record::new(data, version, end.at);
        self.written.lock().unwrap().insert(*key, Some(record));
        Ok(version)
    }

    async fn at(&self, key: &RecordKey, expected: Version) -> Result<Record, StoreError> {
        match self.load(key, Read::Current).await? {
            None => Err(StoreError::Gone),
            Some(record) if record.version() == expected => Ok(record),
            Some(_) => Err(StoreError::Conflict),
        }
    }
}

impl Store for Pane {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        let written = self.written.lock().unwrap().get(key).cloned();
        match written {
            Some(written) => Ok(written),
            None => self.memory.load(key, read).await,
        }
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut loaded = Vec::new();
        for key in keys {
            loaded.push(self.load(key, read).await);
        }
        loaded
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        match self.load(key, Read::Current).await? {
            Some(_) => Err(StoreError::Exists),
            None => self.write(key, data, expiry),
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.at(key, expected).await?;
        self.write(key, data, expiry)
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let record = self.at(key, expected).await?;
        self.write(key, record.into_data(), expiry)
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        if let Some(expected) = expected
            && let Err(StoreError::Conflict) = self.at(key, expected).await
        {
            return Err(StoreError::Conflict);
        }
        self.written.lock().unwrap().insert(*key, None);
        Ok(())
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let mut deleted = Vec::new();
        for (key, expected) in records {
            deleted.push(self.delete(key, *expected).await);
        }
        deleted
    }

    fn limits(&self) -> Limits {
        self.memory.limits()
    }
}
