//! A store that waits and follows a test's script.

use std::{
    collections::BTreeMap,
    future::pending,
    mem,
    ops::BitOr,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use silverback::{
    Timestamp,
    store::{
        Browse, Bytes, Cursor, Expiry, Limits, MemoryStore, Page, Read, Record, RecordKey,
        RecordKind, Store, StoreError, Sweep, Swept, Version,
    },
};
use tokio::sync::Semaphore;

mod tests;

pub(crate) use self::{Act::*, Op::*, When::*};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Load,
    Create,
    Update,
    Touch,
    Delete,
    LoadMany,
    DeleteMany,
    Sweep,
}

/// Before an operation is applied, or after it and before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Answers that the store did nothing, and that a retry would not help.
    Fail,
    /// Answers that the connection failed.
    Cut,
    /// Takes this long, then continues.
    Take(Duration),
    /// Never answers.
    Hang,
    /// Stops until [`Scripted::go`]. The test waits for this point with [`Scripted::reached`].
    Wait,
    /// Loses the answer to an applied write. The store's client retries, as some drivers do, and
    /// passes on the answer to the retry: a conflict with its own write. The store declares that it
    /// repeats writes.
    Lose,
    /// The record gets another version, as if it had moved to another store.
    Move,
}

/// The calls to which a rule applies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    ops: u8,
    rosters: Option<bool>,
}

pub(crate) const ANY: Calls = Calls {
    ops: u8::MAX,
    rosters: None,
};

impl Calls {
    /// Only calls for rosters.
    pub(crate) fn of_rosters(self) -> Self {
        Self {
            rosters: Some(true),
            ..self
        }
    }

    /// Only calls for sessions and for the marks of ended ones.
    pub(crate) fn of_sessions(self) -> Self {
        Self {
            rosters: Some(false),
            ..self
        }
    }

    fn include(self, op: Op, is_roster: bool) -> bool {
        self.ops & bit(op) != 0 && self.rosters.is_none_or(|rosters| rosters == is_roster)
    }
}

fn bit(op: Op) -> u8 {
    1 << op as u8
}

impl Op {
    pub(crate) fn of_rosters(self) -> Calls {
        Calls::from(self).of_rosters()
    }

    pub(crate) fn of_sessions(self) -> Calls {
        Calls::from(self).of_sessions()
    }
}

impl From<Op> for Calls {
    fn from(op: Op) -> Self {
        Self {
            ops: bit(op),
            rosters: None,
        }
    }
}

impl BitOr for Op {
    type Output = Calls;

    fn bitor(self, other: Self) -> Calls {
        Calls {
            ops: bit(self) | bit(other),
            rosters: None,
        }
    }
}

struct Rule {
    when: When,
    calls: Calls,
    act: Act,
    /// How many calls pass before the rule applies.
    skip: usize,
    once: bool,
}

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    /// The store's client has sent or will send a write twice.
    repeats: bool,
    forgotten_until: Option<Timestamp>,
    log: Vec<Op>,
    /// The keys of all records ever created, and whether each is a roster.
    created: BTreeMap<RecordKey, bool>,
}

impl Script {
    /// Returns what the first matching rule prescribes. A rule for one call is removed.
    fn act(&mut self, when: When, op: Op, is_roster: bool) -> Option<Act> {
        let mut act = None;
        self.rules.retain_mut(|rule| {
            if rule.when != when || !rule.calls.include(op, is_roster) {
                return true;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return true;
            }
            let acts = act.is_none();
            act = act.or(Some(rule.act));
            !(acts && rule.once)
        });
        act
    }
}

/// A memory store that waits like a network, unless it is [`at_once`](Scripted::at_once). It logs
/// its calls and obeys rules.
#[derive(Clone)]
pub(crate) struct Scripted {
    /// The records themselves. Access to them bypasses the script.
    pub(crate) memory: MemoryStore,
    script: Arc<Mutex<Script>>,
    waits: bool,
    limit: usize,
    reached: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self::new(MemoryStore::new())
    }
}

impl Scripted {
    pub(crate) fn new(memory: MemoryStore) -> Self {
        Self {
            memory,
            script: Arc::default(),
            waits: true,
            limit: usize::MAX,
            reached: Arc::new(Semaphore::new(0)),
            go: Arc::new(Semaphore::new(0)),
        }
    }

    /// The same store and script, without waiting.
    pub(crate) fn at_once(&self) -> Self {
        Self {
            waits: false,
            ..self.clone()
        }
    }

    /// Refuses records longer than `limit` bytes.
    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Declares that it may have forgotten ends set up to `until`.
    pub(crate) fn forgets(&self, until: Timestamp) {
        self.script().forgotten_until = Some(until);
    }

    /// Acts at the next of these calls.
    pub(crate) fn at(&self, when: When, calls: impl Into<Calls>, act: Act) {
        self.nth(1, when, calls, act);
    }

    /// Acts at the `n`th of these calls. The next one is the first.
    pub(crate) fn nth(&self, n: usize, when: When, calls: impl Into<Calls>, act: Act) {
        self.add(when, calls.into(), act, n - 1, true);
    }

    /// Acts at every such call until [`calm`](Self::calm).
    pub(crate) fn every(&self, when: When, calls: impl Into<Calls>, act: Act) {
        self.add(when, calls.into(), act, 0, false);
    }

    fn add(&self, when: When, calls: Calls, act: Act, skip: usize, once: bool) {
        assert!(
            (when, act) != (Before, Lose),
            "there is no answer to lose yet"
        );
        let mut script = self.script();
        script.repeats |= act == Lose;
        script.rules.push(Rule {
            when,
            calls,
            act,
            skip,
            once,
        });
    }

    /// Removes all rules.
    pub(crate) fn calm(&self) {
        self.script().rules.clear();
    }

    /// Returns when a call has reached a [`Wait`].
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets the waiting call continue.
    pub(crate) fn go(&self) {
        self.go.add_permits(1);
    }

    /// The calls since the last `take_log`.
    pub(crate) fn take_log(&self) -> Vec<Op> {
        mem::take(&mut self.script().log)
    }

    /// The keys of all records ever created, present or removed.
    pub(crate) fn keys(&self) -> Vec<RecordKey> {
        self.script().created.keys().copied().collect()
    }

    /// The keys of the present records of this kind.
    pub(crate) async fn keys_of(&self, kind: RecordKind) -> Vec<RecordKey> {
        let mut keys = self.keys();
        let loaded = self.memory.load_many(&keys, Read::Current).await;
        let mut loaded = loaded.into_iter().map(Result::unwrap);
        keys.retain(|_| {
            let record = loaded.next().unwrap();
            record.and_then(|record| RecordKind::of(record.data())) == Some(kind)
        });
        keys
    }

    /// The number of present records of this kind.
    pub(crate) async fn count(&self, kind: RecordKind) -> usize {
        self.keys_of(kind).await.len()
    }

    /// The number of sessions. Marks of ended sessions do not count.
    pub(crate) async fn sessions(&self) -> usize {
        self.count(RecordKind::Session).await
    }

    /// The keys of all rosters ever created.
    pub(crate) fn roster_keys(&self) -> Vec<RecordKey> {
        let script = self.script();
        let rosters = script.created.iter().filter(|(_, is_roster)| **is_roster);
        rosters.map(|(key, _)| *key).collect()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    async fn call<T, F>(
        &self,
        op: Op,
        key: &RecordKey,
        data: &[u8],
        apply: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let is_roster = self.note(op, key, data);
        if self.waits {
            tokio::task::yield_now().await;
        }
        if let Some(Move) = self.act(Before, op, is_roster).await? {
            self.moves(key).await;
        }
        if data.len() > self.limit {
            return Err(StoreError::TooLarge {
                size: data.len(),
                limit: self.limit,
            });
        }
        let answer = apply().await;
        match self.act(After, op, is_roster).await? {
            Some(Lose) => apply().await,
            _ => answer,
        }
    }

    /// One call for all keys. It counts as a roster call if the first key is a roster's.
    async fn call_many<T, F>(
        &self,
        op: Op,
        keys: &[RecordKey],
        apply: impl Fn() -> F,
    ) -> Vec<Result<T, StoreError>>
    where
        F: Future<Output = Result<Vec<Result<T, StoreError>>, StoreError>>,
    {
        let Some(first) = keys.first() else {
            return Vec::new();
        };
        let answer = self.call(op, first, &[], apply).await;
        answer.unwrap_or_else(|error| {
            let failed = |_| match error {
                StoreError::Refused(_) => Err(StoreError::refused("down")),
                _ => Err(StoreError::unavailable("cut off")),
            };
            keys.iter().map(failed).collect()
        })
    }

    /// Logs a call. Returns whether it is for a roster.
    fn note(&self, op: Op, key: &RecordKey, data: &[u8]) -> bool {
        let mut script = self.script();
        script.log.push(op);
        if op == Create {
            script.created.insert(*key, is_roster(data));
        }
        script.created.get(key).copied().unwrap_or(false)
    }

    async fn moves(&self, key: &RecordKey) {
        if let Some(record) = self.memory.load(key, Read::Current).await.unwrap() {
            let (version, end) = (record.version(), record.expires());
            let expiry = Expiry::new(end, Timestamp::from_secs(0));
            let data = record.into_data();
            let moved = self.memory.update(key, version, data, expiry).await;
            moved.unwrap();
        }
    }

    async fn act(&self, when: When, op: Op, is_roster: bool) -> Result<Option<Act>, StoreError> {
        let act = self.script().act(when, op, is_roster);
        match act {
            Some(Fail) => return Err(StoreError::refused("down")),
            Some(Cut) => return Err(StoreError::unavailable("cut off")),
            Some(Take(time)) => tokio::time::sleep(time).await,
            Some(Hang) => pending().await,
            Some(Wait) => {
                self.reached.add_permits(1);
                // A store that never waits stops its thread.
                while !self.waits && self.go.available_permits() == 0 {
                    thread::yield_now();
                }
                self.go.acquire().await.unwrap().forget();
            }
            Some(Lose | Move) | None => {}
        }
        Ok(act)
    }
}

/// Returns whether the data starts with the byte that marks a roster.
fn is_roster(data: &[u8]) -> bool {
    data.first() == Some(&16)
}

impl Store for Scripted {
    async fn load(&self, key: &RecordKey, read: Read) -> Result<Option<Record>, StoreError> {
        self.call(Load, key, &[], || self.memory.load(key, read))
            .await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let apply = || async { Ok(self.memory.load_many(keys, read).await) };
        self.call_many(LoadMany, keys, apply).await
    }

    async fn create(
        &self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let apply = || self.memory.create(key, data.clone(), expiry);
        self.call(Create, key, &data, apply).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let apply = || self.memory.update(key, expected, data.clone(), expiry);
        self.call(Update, key, &data, apply).await
    }

    async fn touch(
        &self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        let apply = || self.memory.touch(key, expected, expiry);
        self.call(Touch, key, &[], apply).await
    }

    async fn delete(&self, key: &RecordKey, expected: Option<Version>) -> Result<(), StoreError> {
        let apply = || self.memory.delete(key, expected);
        self.call(Delete, key, &[], apply).await
    }

    async fn delete_many(
        &self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let keys: Vec<_> = records.iter().map(|(key, _)| *key).collect();
        let apply = || async { Ok(self.memory.delete_many(records).await) };
        self.call_many(DeleteMany, &keys, apply).await
    }

    /// Does not declare its [`limit`](Self::limit): sessions learn of it when they save.
    fn limits(&self) -> Limits {
        let (script, memory) = (self.script(), self.memory.limits());
        Limits {
            never_waits: !self.waits,
            record_bytes: usize::MAX,
            may_repeat: script.repeats,
            forgotten_until: script.forgotten_until.max(memory.forgotten_until),
            ..memory
        }
    }
}

impl Browse for Scripted {
    async fn browse(&self, from: &Cursor, limit: usize) -> Result<Page, StoreError> {
        if self.waits {
            tokio::task::yield_now().await;
        }
        self.memory.browse(from, limit).await
    }
}

impl Sweep for Scripted {
    async fn sweep_some(&self, limit: usize) -> Swept {
        let no_key = RecordKey::from_bytes([0; 32]);
        let apply = || async { Ok(self.memory.sweep_some(limit).await) };
        let swept = self.call(Op::Sweep, &no_key, &[], apply);
        swept.await.unwrap_or_else(Swept::failure)
    }

    async fn sweep(&self) -> Swept {
        self.sweep_some(usize::MAX).await
    }
}
