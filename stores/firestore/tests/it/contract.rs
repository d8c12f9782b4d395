//! The contract of a store.

use std::{future::ready, sync::Arc, time::Duration};

use silverback::{
    store::{
        RecordKey, Sweep as _,
        conformance::{self, Rule, Skip, Subject},
    },
    store_conformance,
};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::Proxy;
use tokio::task::JoinSet;

use crate::Project;

store_conformance!(mod firestore, once behind_a_proxy().await);

/// The timeout of calls to a failing server. A call may take this long on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// The timeout elsewhere, which only ends a hang.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A store behind a proxy that counts, and its peer with a direct connection.
async fn behind_a_proxy() -> Result<Subject<FirestoreStore>, Skip> {
    let not_here = || Skip::new("Google's emulator of Firestore is not installed");
    let project = Arc::new(Project::new().ok_or_else(not_here)?);
    let proxy = Arc::new(Proxy::to(project.emulator.port()));
    let put = |fields: &'static str| {
        let project = Arc::clone(&project);
        move |_, key: RecordKey| {
            project.put(&key, fields);
            ready(())
        }
    };
    let half =
        r#"{"end":{"integerValue":"1"},"expires":{"timestampValue":"9999-01-01T00:00:00Z"}}"#;
    let (asked, counting) = (Arc::clone(&project), Arc::clone(&proxy));
    Ok(
        Subject::new(project.through(proxy.port()).await.timeout(FOR_EVER))
            .peer(project.store().await.timeout(FOR_EVER))
            .garbage(put(r#"{"cart":{"stringValue":"of another program"}}"#))
            .garbage(put("{}"))
            .garbage(put(half))
            .sweep(|store| async move { drop(store.sweep().await) })
            .time_left(move |_, key| ready(left(&asked, &key)))
            .round_trips(move |_| ready(counting.requests()))
            // A round trip to the emulator takes milliseconds.
            .scale(0.1)
            .keep(proxy),
    )
}

/// How long Firestore's policy would keep a record, in whole seconds.
fn left(project: &Project, key: &RecordKey) -> Option<Duration> {
    let answer = project.get(key);
    let (_, json) = answer.split_once("\r\n\r\n")?;
    let document: serde_json::Value = serde_json::from_str(json).ok()?;
    let expires = document["fields"]["expires"]["timestampValue"].as_str()?;
    let rfc3339 = &time::format_description::well_known::Rfc3339;
    let end = time::OffsetDateTime::parse(expires, rfc3339).ok()?;
    let now = silverback::Clock::system().now().as_secs();
    let left = u64::try_from(end.unix_timestamp())
        .ok()?
        .saturating_sub(now);
    Some(Duration::from_secs(left))
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
    let mut checking = JoinSet::new();
    for name in OUTAGES {
        let Some(project) = Project::new() else {
            return;
        };
        let proxy = Arc::new(Proxy::to(project.emulator.port()));
        let [silent, cut] = std::array::from_fn(|_| Arc::clone(&proxy));
        let subject = Subject::new(project.through(proxy.port()).await.timeout(DEADLINE))
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
