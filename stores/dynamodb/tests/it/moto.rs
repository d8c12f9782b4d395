//! The other emulator. It supports the time to live but has no locks, so it is not tested with
//! races.

use silverback::store::{
    StoreError,
    conformance::{self, Rule, Subject},
};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::DynamoDb;

use crate::{FOR_EVER, client, contract::passed, server};

const RULES: [&str; 10] = [
    "a_created_record_is_loaded_as_it_was_given",
    "an_update_needs_the_expected_version",
    "an_update_never_makes_a_record",
    "a_touch_needs_the_expected_version",
    "a_touch_never_makes_a_record",
    "load_many_answers_in_the_order_of_the_keys",
    "delete_many_does_to_each_what_delete_does",
    "a_delete_at_a_version_spares_another",
    "an_expired_record_can_be_created_anew",
    "an_end_is_given_back_as_it_was_told",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_emulator_agrees() {
    let Some(moto) = DynamoDb::start_moto() else {
        println!("skipped: moto_server is not installed");
        return;
    };
    let store = DynamoDbStore::new(&client(&moto.url()), "sessions").timeout(FOR_EVER);
    let missing = store.removes_expired().await;
    assert!(
        matches!(missing, Err(StoreError::Refused(_))),
        "{missing:?}"
    );
    for _ in 0..2 {
        store.create_table().await.unwrap();
        assert!(store.removes_expired().await.unwrap());
    }
    for name in RULES {
        let rule = Rule::named(name).unwrap();
        let subject = Subject::new(store.clone()).scale(0.02);
        assert!(
            passed(conformance::check(rule, subject).await).is_passed(),
            "{name}"
        );
    }
}

/// dynalite makes the table and reports that it has no time to live.
#[tokio::test]
async fn a_table_without_a_time_to_live_is_noticed() {
    let Some(server) = server() else {
        return;
    };
    let store = DynamoDbStore::new(&client(&server.url()), "made-by-the-store").timeout(FOR_EVER);
    let refused = store.create_table().await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    assert!(!store.removes_expired().await.unwrap());
}
