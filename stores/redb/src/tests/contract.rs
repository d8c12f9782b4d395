//! The contract of a store.

use std::{future::ready, sync::Arc};

use silverback::{
    store::{
        Sweep as _,
        conformance::{self, Rule, Subject},
    },
    store_conformance,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::path;
use crate::{Durability, RedbStore};

store_conformance!(mod redb, |clock| {
    let options = RedbStore::options().durability(Durability::None);
    subject(options.clock(clock)).await
});

/// More than the largest record of any rule.
const ROOM: usize = 10 << 20;

const IN_REAL_TIME: [&str; 5] = [
    "a_record_ends_in_real_time",
    "an_update_moves_the_end_in_real_time",
    "a_touch_moves_the_end_in_real_time",
    "what_ended_by_itself_is_gone_for_every_call",
    "a_record_of_one_second_is_kept_for_it",
];

/// With the system's clock and a sync for each transaction, as in applications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_in_real_time_are_kept() {
    let subject = subject(RedbStore::options()).await;
    let mut checking = JoinSet::new();
    for name in IN_REAL_TIME {
        let (rule, subject) = (Rule::named(name).unwrap(), subject.clone());
        checking.spawn(async move { conformance::check(rule, subject).await });
    }
    let checked = checking.join_all().await;
    for verdict in checked {
        let verdict = verdict.unwrap_or_else(|violation| panic!("{violation}"));
        assert!(verdict.is_passed(), "{verdict:?}");
    }
}

async fn subject(options: crate::RedbOptions) -> Subject<RedbStore> {
    let dir = TempDir::new().unwrap();
    let opened = options.max_record_bytes(ROOM).open(path(&dir)).await;
    let store = opened.unwrap();
    let garbage = |bytes: &'static [u8]| {
        move |store: Arc<RedbStore>, key| {
            store.damage(key, bytes);
            ready(())
        }
    };
    Subject::new(store.clone())
        .peer(store)
        .sweep(|store| async move { drop(store.sweep().await) })
        .garbage(garbage(b""))
        .garbage(garbage(b"\x01half"))
        .garbage(garbage(b"\x00of another program, and long enough"))
        .keep(dir)
}
