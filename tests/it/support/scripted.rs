//! A store that waits, and does what a test's script says.

use std::{
    collections::BTreeMap,
    future::pending,
    mem,
    ops::BitOr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use silverback::{
    Timestamp,
    store::{
        Bytes, Expiry, Limits, MemoryStore, Read, Record, RecordKey, RecordKind, Store, StoreError,
        Version,
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
}

/// Before an operation is applied, or after it and before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Answers that the store did not do it, and would not if it were asked again.
    Fail,
    /// Answers that the connection failed.
    Cut,
    /// Takes so long, and goes on.
    Take(Duration),
    /// Never answers.
    Hang,
    /// Stops until [`Scripted::go`]. [`Scripted::reached`] tells the test that it has come to this.
    Wait,
    /// Loses the answer of what was applied. The store's client tries again, as some drivers do, and
    /// passes on what it hears then: a conflict with itself. The store says that it may.
    Lose,
}

/// The calls that a rule is for.
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
    /// Only calls about the record of a subject's sessions.
    pub(crate) fn of_rosters(self) -> Self {
        Self {
            rosters: Some(true),
            ..self
        }
    }

    /// Only calls about sessions, and about marks of ended ones.
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
    /// A write has been, or will be, sent again by the store's client.
    repeats: bool,
    forgotten_until: Option<Timestamp>,
    log: Vec<Op>,
    /// The keys that records were made under, and whether they are rosters.
    created: BTreeMap<RecordKey, bool>,
}

impl Script {
    /// What the first rule for this call says. A rule for one call is used up by it.
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

/// A memory store behind a wait, as a network would be, unless it is [`at_once`](Scripted::at_once).
/// It logs its calls, and obeys rules.
#[derive(Clone)]
pub(crate) struct Scripted {
    /// The records, for a look past the script.
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

    /// The same store and script, without the wait.
    pub(crate) fn at_once(&self) -> Self {
        Self {
            waits: false,
            ..self.clone()
        }
    }

    /// Refuses records of more bytes.
    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Says that it may have forgotten ends that were set until then.
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

    /// Acts at all of these calls, until it is [`calm`](Self::calm).
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

    /// Forgets all rules.
    pub(crate) fn calm(&self) {
        self.script().rules.clear();
    }

    /// Returns when a call has come to a [`Wait`].
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets a call that waits go on.
    pub(crate) fn go(&self) {
        self.go.add_permits(1);
    }

    /// The calls since this was asked last.
    pub(crate) fn take_log(&self) -> Vec<Op> {
        mem::take(&mut self.script().log)
    }

    /// The keys that records were made under, whether they are still there or not.
    pub(crate) fn keys(&self) -> Vec<RecordKey> {
        self.script().created.keys().copied().collect()
    }

    /// The keys of the records of this kind that there are.
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

    /// How many records of this kind there are.
    pub(crate) async fn count(&self, kind: RecordKind) -> usize {
        self.keys_of(kind).await.len()
    }

    /// How many sessions there are. Marks of those that were are none.
    pub(crate) async fn sessions(&self) -> usize {
        self.count(RecordKind::Session).await
    }

    /// Those of them that are rosters'.
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
        self.act(Before, op, is_roster).await?;
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

    /// One call for all of the keys; it is about rosters if that of the first key is one.
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

    /// Logs a call, and says whether it is about a roster.
    fn note(&self, op: Op, key: &RecordKey, data: &[u8]) -> bool {
        let mut script = self.script();
        script.log.push(op);
        if op == Create {
            script.created.insert(*key, is_roster(data));
        }
        script.created.get(key).copied().unwrap_or(false)
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
                self.go.acquire().await.unwrap().forget();
            }
            Some(Lose) | None => {}
        }
        Ok(act)
    }
}

/// Rosters begin with a byte of their own.
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

    /// Says nothing of its [`limit`](Self::limit): sessions learn of it when they save.
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
