//! Every store of the crate follows the contract, and a store that does not fails the check of the
//! rule that it breaks.
#![cfg(unix)]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

#[path = "conformance/broken.rs"]
mod broken;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/networked.rs"]
mod networked;
#[path = "conformance/racy.rs"]
mod racy;
#[path = "conformance/server.rs"]
mod server;
#[path = "conformance/sound.rs"]
mod sound;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::Duration,
};

use silverback::{
    Clock, Timestamp,
    store::{
        FilesystemStore, MemoryStore, MigratingStore, RecordKey, Sweep,
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
store_conformance!(mod filesystem, |clock| files(&clock));
store_conformance!(mod filesystem_of_the_systems_time, files(&Clock::system()));
store_conformance!(mod map, sound::MapStore::default());
store_conformance!(mod remote, |clock| sound::Remote::new(MemoryStore::new().clock(clock)));
store_conformance!(mod flaky, |clock| FlakyStore::new(MemoryStore::new().clock(clock)));
store_conformance!(mod migrating, |clock| migrating(&clock, MigratingStore::new));
store_conformance!(mod prepared, |clock| migrating(&clock, MigratingStore::prepared));
store_conformance!(mod half_migrated, |clock| sound::HalfMigrated::new(&clock));
store_conformance!(mod locking, sound::connect(3).await);
store_conformance!(mod stopped, stopped());
store_conformance!(mod networked_once, once networked());

fn swept(store: MemoryStore) -> Subject<MemoryStore> {
    Subject::new(store).sweep(|store| async move { drop(store.sweep().await) })
}

type Remotes = MigratingStore<sound::Remote, sound::Remote>;

fn migrating(clock: &Clock, make: fn(sound::Remote, sound::Remote) -> Remotes) -> Subject<Remotes> {
    let stores = [(); 2].map(|()| MemoryStore::new().clock(clock.clone()));
    let [from, to] = stores.clone();
    let sweep = move |_| {
        let [from, to] = stores.clone();
        async move {
            from.sweep().await;
            to.sweep().await;
        }
    };
    let [from, to] = [from, to].map(sound::Remote::new);
    Subject::new(make(from, to).clock(clock.clone())).sweep(sweep)
}

/// A store whose clock is not the machine's, so rules cannot wait until a record ends.
fn stopped() -> Subject<sound::Stopped> {
    let subject = Subject::new(sound::Stopped::new());
    let subject = subject.sweep(|store| async move { store.sweep().await });
    let lasting = conformance::rules().iter().filter(|rule| {
        rule.name().contains("real_time")
            || rule.name() == "what_ended_by_itself_is_gone_for_every_call"
            || rule.name() == "a_record_of_one_second_is_kept_for_it"
    });
    lasting.fold(subject, |subject, rule| {
        subject.leave_out(*rule, "its time is its own")
    })
}

fn networked() -> Subject<networked::Client> {
    networked::subject(networked::Fault::None, &Arc::default())
}

fn files(clock: &Clock) -> Subject<FilesystemStore> {
    let dir = TempDir::new().unwrap();
    let open = || {
        let options = FilesystemStore::options().clock(clock.clone());
        let options = options.lock_timeout(Duration::from_secs(600));
        options.open(dir.path()).unwrap()
    };
    let dirty = |bytes: &'static [u8]| {
        let path = dir.path().to_owned();
        move |_, key: RecordKey| {
            let name = key.to_string();
            let shard = path.join(&name[..2]);
            fs::create_dir_all(&shard).unwrap();
            // A program that overwrites a file does not change its links and mode.
            fs::write(shard.join(&name), bytes).unwrap();
            fs::set_permissions(shard.join(&name), Permissions::from_mode(0o600)).unwrap();
            std::future::ready(())
        }
    };
    Subject::new(open())
        .peer(open())
        .sweep(|store| async move { drop(store.sweep().await) })
        .garbage(dirty(
            b"the file of another program, and long enough to have a head",
        ))
        .garbage(dirty(b""))
        .keep(dir)
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
    for (_, checked) in conformance::check_all(sound::Remote::new(MemoryStore::new())).await {
        checked.unwrap();
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
fn a_rule_needs_a_runtime() {
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
