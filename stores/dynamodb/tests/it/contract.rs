//! The contract of a store.

use std::{future::ready, sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use silverback::{
    Clock,
    store::{
        RecordKey,
        conformance::{self, Rule, START, Skip, Subject, Verdict},
    },
    store_conformance,
};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::{DynamoDb, Proxy};

use crate::{
    FOR_EVER, client, server,
    table::{Table, binary, create, number},
    through,
};

store_conformance!(mod dynalite, once behind_a_proxy().await);

/// The timeout of calls to a failing server. A call may take this long on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// A few rounds are hundreds of requests, and an emulator answers hundreds per second.
const SCALE: f64 = 0.02;

/// The server, with a table for these tests only.
async fn places() -> Result<(&'static DynamoDb, Table), Skip> {
    let server = server().ok_or_else(|| Skip::new("dynalite is not installed"))?;
    let table = create(client(&server.url())).await;
    Ok((server, table))
}

/// A store behind a proxy that counts, and its peer with a direct connection.
async fn behind_a_proxy() -> Result<Subject<DynamoDbStore>, Skip> {
    let (server, table) = places().await?;
    let proxy = Arc::new(Proxy::to(server.port()));
    let (asked, counting) = (table.clone(), Arc::clone(&proxy));
    let put = |attributes: &'static [fn() -> (&'static str, AttributeValue)]| {
        let table = table.clone();
        move |_, key: RecordKey| {
            let table = table.clone();
            async move {
                let attributes: Vec<_> = attributes.iter().map(|it| it()).collect();
                table.put(&key.to_string(), &attributes).await;
            }
        }
    };
    let time_left = move |_, key: RecordKey| {
        let asked = asked.clone();
        async move {
            let end = asked.expires(&key).await?;
            Some(Duration::from_secs(
                end.saturating_sub(Clock::system().now().as_secs()),
            ))
        }
    };
    let alone = Rule::named("delete_many_asks_for_all_keys_at_once").unwrap();
    let (halved, failing) = (table.clone(), table.clone());
    Ok(
        Subject::new(DynamoDbStore::new(&through(proxy.port()), &table.name).timeout(FOR_EVER))
            .peer(DynamoDbStore::new(&table.client, &table.name).timeout(FOR_EVER))
            .garbage(put(&[]))
            .garbage(put(&[|| ("cart", AttributeValue::S("a book".to_owned()))]))
            .garbage(put(&[
                || ("version", AttributeValue::S("1".repeat(16))),
                || ("expires", number(9_000_000_000)),
                || ("content", binary(b"\x01data")),
            ]))
            .garbage(put(&[
                || ("version", binary(&[7; 15])),
                || ("expires", number(9_000_000_000)),
                || ("content", binary(b"\x01data")),
            ]))
            .garbage(put(&[
                || ("version", binary(&[7; 16])),
                || ("expires", AttributeValue::S("9000000000".to_owned())),
                || ("content", binary(b"\x01data")),
            ]))
            .garbage(move |_, key| {
                let halved = halved.clone();
                async move { halved.remove(&key, "content").await }
            })
            .time_left(time_left)
            .round_trips(move |_| ready(counting.requests()))
            .outages(move || before_a_failing(server, failing.clone()))
            // `batches` counts the requests instead.
            .leave_out(alone, "DynamoDB has no batch of deletions at versions")
            .scale(SCALE)
            .keep(proxy),
    )
}

/// The subject of rules about outages.
async fn before_a_failing(server: &DynamoDb, table: Table) -> Subject<DynamoDbStore> {
    let proxy = Arc::new(Proxy::to(server.port()));
    let [silent, cut] = std::array::from_fn(|_| Arc::clone(&proxy));
    let store = DynamoDbStore::new(&through(proxy.port()), &table.name).timeout(DEADLINE);
    Subject::new(store)
        .silence(move |_| ready(silent.silenced()))
        .cut(move |_| ready(cut.cut_off()))
        .deadline(DEADLINE)
        .keep(proxy)
}

/// The rules that a clock makes exact.
const TIMED: [&str; 9] = [
    "a_record_ends_at_its_second",
    "an_update_moves_the_end",
    "a_touch_moves_the_end",
    "an_expired_record_is_not_updated",
    "an_expired_record_is_not_touched",
    "an_expired_record_can_be_created_anew",
    "a_record_in_an_expired_ones_place_stays",
    "a_write_by_a_clock_of_long_ago_is_kept_or_refused",
    "a_clock_that_jumps_harms_no_live_record",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_end_at_their_second_by_the_stores_clock() {
    let Ok((_, table)) = places().await else {
        return;
    };
    for name in TIMED {
        let clock = Clock::manual(START);
        let store = DynamoDbStore::new(&table.client, &table.name).timeout(FOR_EVER);
        let subject = Subject::new(store.clock(clock.clone())).clock(clock);
        let checked = conformance::check(Rule::named(name).unwrap(), subject.scale(SCALE));
        assert!(passed(checked.await).is_passed());
    }
}

pub(crate) fn passed(checked: Result<Verdict, conformance::Violation>) -> Verdict {
    checked.unwrap_or_else(|violation| panic!("{violation}"))
}
