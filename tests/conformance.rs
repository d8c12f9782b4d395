//! Every store of the crate follows the contract, and a store that does not is found out by the
//! rule it breaks.
#![cfg(unix)]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "conformance/broken.rs"]
mod broken;
#[path = "conformance/sound.rs"]
mod sound;

use std::{sync::Arc, time::Duration};

use silverback::{
    Clock, Timestamp,
    store::{
        FilesystemStore, MemoryStore, Sweep,
        conformance::{self, Rule, START, Subject},
    },
    store_conformance,
    testing::FlakyStore,
};
use tempfile::TempDir;

store_conformance!(MemoryStore::new());
store_conformance!(mod memory, |clock| swept(MemoryStore::new().clock(clock)));
store_conformance!(mod bounded_memory, |clock| MemoryStore::new().clock(clock).max_bytes(4 << 20));
store_conformance!(mod shared_memory, |clock| Arc::new(MemoryStore::new().clock(clock)));
store_conformance!(mod filesystem, |clock| files(clock));
store_conformance!(mod filesystem_of_the_systems_time, files(Clock::system()));
store_conformance!(mod map, sound::MapStore::default());
store_conformance!(mod remote, |clock| sound::Remote::new(MemoryStore::new().clock(clock)));
store_conformance!(mod flaky, |clock| FlakyStore::new(MemoryStore::new().clock(clock)));
store_conformance!(mod locking, sound::connect(3).await);
store_conformance!(mod stopped, stopped());

fn swept(store: MemoryStore) -> Subject<MemoryStore> {
    Subject::new(store).sweep(|store| async move { drop(store.sweep().await) })
}

fn stopped() -> Subject<sound::Stopped> {
    Subject::new(sound::Stopped::new()).sweep(|store| async move { store.sweep().await })
}

fn files(clock: Clock) -> Subject<FilesystemStore> {
    let dir = TempDir::new().unwrap();
    let store = FilesystemStore::options()
        .clock(clock)
        .lock_timeout(Duration::from_secs(600))
        .open(dir.path())
        .unwrap();
    let swept = Subject::new(store).sweep(|store| async move { drop(store.sweep().await) });
    swept.keep(dir)
}

#[test]
fn a_rule_is_found_by_its_name() {
    for rule in conformance::rules() {
        assert_eq!(Rule::named(rule.name()), Some(*rule));
        assert_eq!(rule.to_string().replace(' ', "_"), rule.name());
    }
    assert!(conformance::rules().len() > 40);
    assert_eq!(Rule::named("a_store_may_do_as_it_likes"), None);
}

#[tokio::test(flavor = "current_thread")]
async fn one_thread_is_enough_to_check_a_store() {
    for rule in conformance::rules() {
        conformance::check(*rule, sound::Remote::new(MemoryStore::new()))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_cannot_be_set_is_noticed() {
    let rule = Rule::named("a_record_ends_at_its_second").unwrap();
    let subject = Subject::new(MemoryStore::new()).clock(Clock::system());
    let violation = conformance::check(rule, subject).await.unwrap_err();
    assert!(
        violation.to_string().contains("not a manual one"),
        "{violation}"
    );
}

#[test]
fn a_rule_takes_a_runtime() {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let check = std::pin::pin!(conformance::check(
        conformance::rules()[0],
        MemoryStore::new()
    ));
    let std::task::Poll::Ready(Err(violation)) = Future::poll(check, &mut context) else {
        panic!()
    };
    assert!(
        violation.to_string().contains("Tokio runtime"),
        "{violation}"
    );
}

#[test]
fn a_check_can_be_spawned() {
    fn is_send<T: Send>(_: T) {}
    is_send(conformance::check(
        conformance::rules()[0],
        MemoryStore::new(),
    ));
    is_send(Timestamp::default());
    assert!(START > Timestamp::default());
}
