//! Calls to the stores of sessions. No call waits longer than its budget.

use std::{pin::pin, sync::Arc, time::Duration};

use super::{
    Budget, Bytes, DynStore, Expiry, Limits, Read, Record, RecordKey, Store as _, StoreError,
    Version,
    budget::Timeout,
    dynamic::{Many, One},
    error::all_failed,
    followers::Followers,
    lines::{Lead, Line, Waited},
};
use crate::{
    clock::Timestamp,
    crypto,
    report::metrics::{self, Stopwatch},
};

/// A store of sessions. It is not a [`Store`](super::Store): its operations are behind
/// [`within`](Self::within), so nobody waits for it without a budget.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reserve {
    store: DynStore,
    never_waits: bool,
}

/// The calls of a store that one budget pays for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls<'a> {
    store: &'a DynStore,
    never_waits: bool,
    budget: Budget<'a>,
    /// The line whose leader makes the calls.
    line: Option<&'a Line>,
}

/// A store's answer to a write, and how often the write was sent.
pub(crate) type WriteAnswer<T> = (Result<T, StoreError>, Sent);

/// Whether a refused write may have been in its own way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    /// No answer was lost, so the refused write has not happened.
    Once,
    /// An answer may have been lost, so the write may have happened.
    Again,
}

/// The longest pause before a store is asked again. A random pause keeps all requests from hitting
/// a restarted server at once.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest part of a budget that such a pause may take: a fiftieth.
const PART: u32 = 50;

impl Reserve {
    pub(crate) fn new(store: DynStore) -> Self {
        let never_waits = store.never_waits();
        Self { store, never_waits }
    }

    /// The same, treated like a store that waits.
    #[cfg(test)]
    pub(crate) fn waiting(self) -> Self {
        let never_waits = false;
        Self {
            never_waits,
            ..self
        }
    }

    pub(crate) const fn never_waits(&self) -> bool {
        self.never_waits
    }

    pub(crate) fn limits(&self) -> Limits {
        self.store.limits()
    }

    /// Returns whether the store may have dropped a record that was made at `time`.
    pub(crate) fn may_have_forgotten(&self, time: Timestamp) -> bool {
        let forgotten = self.limits().forgotten_until;
        forgotten.is_some_and(|until| time <= until)
    }

    pub(crate) const fn within<'a>(&'a self, budget: Budget<'a>) -> Calls<'a> {
        Calls {
            store: &self.store,
            never_waits: self.never_waits,
            budget,
            line: None,
        }
    }
}

/// Calls are equal if their stores are. The budgets may differ.
impl PartialEq for Calls<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.store == other.store
    }
}

/// The operations of [`Store`](super::Store). A store that never waits is asked without a timer.
/// Another store is asked once more if it is [unavailable](StoreError::Unavailable). The first call
/// may have happened, so the second may meet its own write as a [`Conflict`](StoreError::Conflict):
/// [`Sent`] says so.
impl<'a> Calls<'a> {
    pub(crate) async fn load(
        self,
        key: &RecordKey,
        read: Read,
    ) -> Result<Option<Record>, StoreError> {
        self.twice("load", || self.store.calls().load(key, read))
            .await
            .0
    }

    pub(crate) async fn load_many(
        self,
        keys: &[RecordKey],
        read: Read,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let load = || self.store.calls().load_many(keys, read);
        self.all_twice("load_many", keys.len(), load).await
    }

    /// For a record that alone has this key. The first call may have happened: an
    /// [`Exists`](StoreError::Exists) may mean the caller's own record.
    pub(crate) async fn create(
        self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> WriteAnswer<Version> {
        let calls = self.store.calls();
        self.twice("create", || calls.create(key, data.clone(), expiry))
            .await
    }

    /// Like [`create`](Self::create), but asks only once: a late create of a session's record would
    /// revive a session that has ended since. The next attempt takes another key.
    pub(crate) async fn create_once(
        self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> WriteAnswer<Version> {
        let create = self.store.calls().create(key, data, expiry);
        let watch = Stopwatch::start();
        let answer = self.budget.wait(create).await.unwrap_or_else(Err);
        self.note_call("create", watch, answer.as_ref().err());
        self.answered_first(answer)
    }

    pub(crate) async fn update(
        self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> WriteAnswer<Version> {
        let calls = self.store.calls();
        self.twice("update", || {
            calls.update(key, expected, data.clone(), expiry)
        })
        .await
    }

    pub(crate) async fn touch(
        self,
        key: &RecordKey,
        expected: Version,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.twice("touch", || self.store.calls().touch(key, expected, expiry))
            .await
            .0
    }

    pub(crate) async fn delete(
        self,
        key: &RecordKey,
        expected: Option<Version>,
    ) -> Result<(), StoreError> {
        self.twice("delete", || self.store.calls().delete(key, expected))
            .await
            .0
    }

    pub(crate) async fn delete_many(
        self,
        records: &[(RecordKey, Option<Version>)],
    ) -> Vec<Result<(), StoreError>> {
        let delete = || self.store.calls().delete_many(records);
        self.all_twice("delete_many", records.len(), delete).await
    }

    /// Like [`load`](Self::load), for a store that never waits.
    pub(crate) fn load_now(self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.store.calls().load_now(key)
    }

    /// Like [`create_once`](Self::create_once), for a store that never waits.
    pub(crate) fn create_now(
        self,
        key: &RecordKey,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.store.calls().create_now(key, data, expiry)
    }

    /// Like [`update`](Self::update), for a store that never waits.
    pub(crate) fn update_now(
        self,
        key: &RecordKey,
        expected: Version,
        data: Bytes,
        expiry: Expiry,
    ) -> Result<Version, StoreError> {
        self.store.calls().update_now(key, expected, data, expiry)
    }

    /// Which write came on top of which, as far as this process has seen.
    pub(crate) fn followers(self) -> &'a Followers {
        self.store.followers()
    }

    /// The line for a record. A store that never waits has no lines.
    pub(crate) fn line(self, key: &RecordKey) -> Option<Arc<Line>> {
        (!self.never_waits).then(|| self.store.lines().of(key))
    }

    /// Returns whether requests of this process are in the record's line, where one writes for all.
    pub(crate) fn is_awaited(self, key: &RecordKey) -> bool {
        !self.never_waits && self.store.lines().is_awaited(key)
    }

    /// The line that replaces this one, whose leader makes no progress.
    pub(crate) fn line_after(self, key: &RecordKey, line: &Arc<Line>) -> Arc<Line> {
        self.store.lines().after(key, line)
    }

    /// Waits in a line until the work is done, or the caller's to do.
    pub(crate) async fn wait(
        self,
        line: &Arc<Line>,
        is_done: impl Fn() -> bool,
    ) -> Result<Waited, StoreError> {
        self.budget.wait(pin!(line.wait(is_done))).await?
    }

    /// The calls of a leader. If the store fails the leader, the requests behind it fail as well.
    pub(crate) fn led_by(self, lead: &'a Lead) -> Self {
        let line = Some(lead.line());
        Self { line, ..self }
    }

    /// Tells the requests behind a leader that the store has failed it.
    fn tell_line<T>(self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let (Some(line), Err(StoreError::Unavailable(cause))) = (self.line, &answer)
            && !cause.is::<Timeout>()
        {
            line.fail(cause.to_string());
        }
        answer
    }

    /// Gives a faster process time to finish: a random pause, longer after each attempt.
    pub(crate) async fn back_off(self, attempt: u32) -> Result<(), StoreError> {
        if self.never_waits {
            return Ok(());
        }
        self.pause(Duration::from_millis(1 << attempt.min(6))).await
    }

    /// Returns whether asking once more makes sense after this error.
    pub(crate) fn may_ask_again(self, error: &StoreError) -> bool {
        matches!(error, StoreError::Unavailable(_))
            && !self.never_waits
            && self.budget.is_half_left()
    }

    /// Pauses before asking the store once more.
    pub(crate) async fn pause_to_ask_again(self) -> Result<(), StoreError> {
        metrics::retry();
        self.pause(PAUSE.min(self.budget.limit / PART)).await
    }

    async fn pause(self, most: Duration) -> Result<(), StoreError> {
        let part = crypto::random::<1>();
        let [part] = part.map_err(|_| StoreError::refused("no random bytes"))?;
        let pause = most * u32::from(part) / 256;
        let sleep = pin!(async { tokio::time::sleep(pause).await });
        self.budget.wait(sleep).await
    }

    async fn twice<'b, T>(
        self,
        operation: &'static str,
        call: impl Fn() -> One<'b, T>,
    ) -> WriteAnswer<T> {
        match self.once(operation, call()).await {
            Ok(Err(error)) if self.may_ask_again(&error) => {
                (Box::pin(self.again(operation, call)).await, Sent::Again)
            }
            Ok(answer) => self.answered_first(self.tell_line(answer)),
            Err(late) => (Err(late), Sent::Once),
        }
    }

    async fn again<'b, T>(
        self,
        operation: &'static str,
        call: impl Fn() -> One<'b, T>,
    ) -> Result<T, StoreError> {
        self.pause_to_ask_again().await?;
        let answer = self.once(operation, call()).await?;
        self.tell_line(answer)
    }

    async fn once<T>(
        self,
        operation: &'static str,
        call: One<'_, T>,
    ) -> Result<Result<T, StoreError>, StoreError> {
        let watch = Stopwatch::start();
        let answer = self.budget.wait(call).await;
        let error = match &answer {
            Ok(answer) => answer.as_ref().err(),
            Err(late) => Some(late),
        };
        self.note_call(operation, watch, error);
        answer
    }

    /// Notes a call that has ended.
    fn note_call(self, operation: &'static str, watch: Stopwatch, error: Option<&StoreError>) {
        if self.never_waits {
            return;
        }
        if cfg!(feature = "metrics") {
            self.budget.meter.count();
        }
        watch.of_call(operation, error.map(StoreError::word));
        let is_failure = |error: &&StoreError| matches!(error, StoreError::Unavailable(_));
        self.store.note_answer(error.filter(is_failure));
    }

    /// The answer to a first call, which the store's client may have repeated on its own.
    fn answered_first<T>(self, answer: Result<T, StoreError>) -> WriteAnswer<T> {
        let is_refused = matches!(answer, Err(StoreError::Conflict | StoreError::Exists));
        let sent = match is_refused && self.store.limits().may_repeat {
            true => Sent::Again,
            false => Sent::Once,
        };
        (answer, sent)
    }

    /// Like [`twice`](Self::twice), for a call with `count` answers.
    async fn all_twice<'b, T>(
        self,
        operation: &'static str,
        count: usize,
        call: impl Fn() -> Many<'b, T>,
    ) -> Vec<Result<T, StoreError>> {
        let first = self.all_once(operation, call()).await;
        let is_down = |answer: &Result<T, StoreError>| {
            let error = answer.as_ref().err();
            error.is_some_and(|error| self.may_ask_again(error))
        };
        let again = match first {
            Ok(all) if !all.iter().any(is_down) => return all,
            Ok(_) => match self.pause_to_ask_again().await {
                Ok(()) => self.all_once(operation, call()).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        again.unwrap_or_else(|error| all_failed(count, &error))
    }

    async fn all_once<T>(
        self,
        operation: &'static str,
        call: Many<'_, T>,
    ) -> Result<Vec<Result<T, StoreError>>, StoreError> {
        let watch = Stopwatch::start();
        let all = self.budget.wait(call).await;
        let error = match &all {
            Ok(all) => all.iter().find_map(|answer| answer.as_ref().err()),
            Err(late) => Some(late),
        };
        self.note_call(operation, watch, error);
        all
    }
}
