//! The contract of a store.

use std::{future::ready, sync::Arc, time::Duration};

use mongodb::{
    Collection,
    bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype},
};
use silverback::{
    store::{
        RecordKey, Sweep as _,
        conformance::{self, Rule, Skip, Subject},
    },
    store_conformance,
};
use silverback_mongodb::MongoStore;
use silverback_test_servers::{Proxy, SecantusDb};
use tokio::task::JoinSet;

use crate::{connect, documents, id, put, server, through};

store_conformance!(mod replica_set, once behind_a_proxy().await);

/// The timeout of calls to a failing server. A call may take this long on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// The timeout elsewhere, which only ends a hang.
const FOR_EVER: Duration = Duration::from_secs(120);

/// More than the largest record that the rules try.
const ROOM: usize = 12 << 20;

/// A store behind a proxy that counts, and its peer with a direct connection.
async fn behind_a_proxy() -> Result<Subject<MongoStore>, Skip> {
    let server = SecantusDb::start().ok_or_else(|| Skip::new("SecantusDB is not installed"))?;
    let proxy = Arc::new(Proxy::to(server.port()));
    let direct = connect(&server, "shop").await.timeout(FOR_EVER);
    direct.create_index().await.unwrap();
    let store = through(proxy.port(), "shop").await.timeout(FOR_EVER);
    let records = documents(&server, "shop", "silverback_sessions").await;
    let (asked, counting) = (records.clone(), Arc::clone(&proxy));
    let mut subject = Subject::new(store.max_record_bytes(ROOM))
        .peer(direct.max_record_bytes(ROOM))
        // The server is an interpreted program, and slow.
        .scale(0.25)
        .sweep(|store: Arc<MongoStore>| async move { drop(store.sweep().await) })
        .time_left(move |_, key| left(asked.clone(), key))
        .round_trips(move |_| ready(counting.requests()));
    for garbage in garbage() {
        let records = records.clone();
        subject = subject.garbage(move |_, key| {
            let (records, garbage) = (records.clone(), garbage.clone());
            async move { put(&records, key, garbage).await }
        });
    }
    Ok(subject.keep(proxy).keep(server))
}

/// Documents that are not records: each lacks a field, or has a wrong value in it.
fn garbage() -> [Document; 6] {
    let binary = |bytes: &[u8]| {
        let (subtype, bytes) = (BinarySubtype::Generic, bytes.to_vec());
        Bson::Binary(Binary { subtype, bytes })
    };
    let (version, data) = (binary(&[7; 16]), binary(b"data"));
    let late = DateTime::from_millis(9_000_000_000_000);
    [
        doc! {},
        doc! { "a": "document of another program" },
        doc! { "version": version.clone(), "data": data.clone() },
        doc! { "version": version.clone(), "data": data.clone(), "expires": "tomorrow" },
        doc! { "version": binary(b"short"), "data": data, "expires": late },
        doc! { "version": version, "data": "text", "expires": late },
    ]
}

/// How long a record is kept, in whole seconds.
async fn left(records: Collection<Document>, key: RecordKey) -> Option<Duration> {
    let found = records.find_one(doc! { "_id": id(&key) }).await.unwrap()?;
    let end = found.get_datetime("expires").unwrap().timestamp_millis();
    let left = end - DateTime::now().timestamp_millis();
    u64::try_from(left).ok().map(Duration::from_millis)
}

/// Each of these rules waits for a deadline, some twice. Running together, they wait at the same
/// time.
const OUTAGES: [&str; 6] = [
    "silence_is_an_error_and_never_no_record",
    "silence_ends_at_the_deadline",
    "a_cut_is_an_error_and_never_no_record",
    "a_cut_is_noticed_by_the_deadline",
    "a_write_without_an_answer_happens_wholly_or_not_at_all",
    "a_store_comes_back_with_its_server",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_about_outages_are_kept() {
    let Some(server) = server() else { return };
    let mut checking = JoinSet::new();
    for name in OUTAGES {
        let proxy = Arc::new(Proxy::to(server.port()));
        let [silent, cut] = std::array::from_fn(|_| Arc::clone(&proxy));
        let subject = Subject::new(through(proxy.port(), "outages").await.timeout(DEADLINE))
            .silence(move |_| ready(silent.silenced()))
            .cut(move |_| ready(cut.cut_off()))
            .deadline(DEADLINE)
            .keep(proxy);
        let rule = Rule::named(name).unwrap();
        checking.spawn(async move { conformance::check(rule, subject).await });
    }
    for verdict in checking.join_all().await {
        let verdict = verdict.unwrap_or_else(|violation| panic!("{violation}"));
        assert!(verdict.is_passed(), "{verdict:?}");
    }
}
