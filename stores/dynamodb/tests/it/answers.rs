//! How the store interprets answers that an emulator does not give.

use std::time::Duration;

use silverback::store::{Browse as _, Cursor, Expiry, Read, Store as _, StoreError, Version};
use silverback_dynamodb::DynamoDbStore;
use silverback_test_servers::kit::{DATA, key};

use crate::{
    day,
    scripted::{Answer, DONE, answering, operations},
};

const BUSY: [&str; 6] = [
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ReplicatedWriteConflictException"}"#,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#RequestLimitExceeded"}"#,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#Throttling"}"#,
    r#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"slow down"}"#,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException"}"#,
];

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn what_dynamodb_has_not_begun_with_is_asked_again() {
    for busy in BUSY {
        let busy = Answer(400, true, busy);
        let (store, questions) = answering(&[busy, busy, DONE]).await;
        store.create(&key(1), DATA.into(), day()).await.unwrap();
        assert_eq!(operations(&questions), ["PutItem"; 3]);
        let (store, questions) = answering(&[busy, DONE]).await;
        let deleted = store.delete_many(&[(key(1), None), (key(2), None)]).await;
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        assert_eq!(operations(&questions), ["BatchWriteItem"; 2]);
    }
}

#[tokio::test]
async fn a_table_that_stays_busy_is_unavailable_in_time() {
    let (store, questions) = answering(&[Answer(400, true, BUSY[4])]).await;
    let store = store.timeout(Duration::from_millis(200));
    let created = store.create(&key(1), DATA.into(), day()).await;
    assert!(is_unavailable(&created), "{created:?}");
    assert!(operations(&questions).len() < 20);
}

/// The write may have been done.
#[tokio::test]
async fn what_dynamodb_fails_at_is_asked_once() {
    let inner = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#;
    for answer in [
        Answer(500, true, inner),
        Answer(503, true, r#"{"__type":"ServiceUnavailable"}"#),
        Answer(503, false, "<html>Service Unavailable</html>"),
        Answer(502, false, ""),
        Answer(403, false, "<html>by a proxy</html>"),
    ] {
        let (store, questions) = answering(&[answer]).await;
        let (key, version) = (key(1), Version::from_u64(1));
        let updated = store.update(&key, version, DATA.into(), day()).await;
        assert!(is_unavailable(&updated), "{answer:?}: {updated:?}");
        assert_eq!(operations(&questions), ["PutItem"], "{answer:?}");
    }
}

#[tokio::test]
async fn a_refusal_says_why() {
    for (code, reason) in [
        (
            "ResourceNotFoundException",
            r#"{"__type":"a#ResourceNotFoundException","message":"no such table"}"#,
        ),
        (
            "AccessDeniedException",
            r#"{"__type":"a#AccessDeniedException","Message":"not authorized"}"#,
        ),
        (
            "ValidationException",
            r#"{"__type":"a#ValidationException","message":"the key has two parts"}"#,
        ),
    ] {
        let (store, questions) = answering(&[Answer(400, true, reason)]).await;
        let Err(StoreError::Refused(source)) = store.load(&key(1), Read::Current).await else {
            panic!("{code}");
        };
        assert!(source.to_string().contains(code), "{source}");
        assert_eq!(operations(&questions), ["GetItem"]);
    }
}

/// DynamoDB describes a new table only after some seconds.
#[tokio::test]
async fn a_new_table_is_waited_for() {
    let made = r#"{"TableDescription":{"TableStatus":"CREATING"}}"#;
    let unknown = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}"#;
    let active = r#"{"Table":{"TableStatus":"ACTIVE"}}"#;
    let removes =
        r#"{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"expires"}}"#;
    let (store, questions) = answering(&[
        Answer(200, true, made),
        Answer(400, true, unknown),
        Answer(200, true, active),
        Answer(200, true, removes),
    ])
    .await;
    store.create_table().await.unwrap();
    let asked = [
        "CreateTable",
        "DescribeTable",
        "DescribeTable",
        "DescribeTimeToLive",
    ];
    assert_eq!(operations(&questions), asked);
}

/// An empty answer would mean "no record", or "done" for a write that was lost.
#[tokio::test]
async fn what_is_not_from_dynamodb_is_no_answer() {
    for body in [
        "{}",
        "",
        "<html>log in to the network</html>",
        r#"{"Item":"#,
    ] {
        let (store, _) = answering(&[Answer(200, false, body)]).await;
        let (version, records) = (Version::from_u64(1), [(key(1), None)]);
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(is_unavailable(&loaded), "{body}: {loaded:?}");
        let loaded = store.load_many(&[key(1)], Read::Current).await;
        assert!(loaded.iter().all(is_unavailable), "{body}: {loaded:?}");
        let created = store.create(&key(1), DATA.into(), day()).await;
        assert!(is_unavailable(&created), "{body}: {created:?}");
        let touched = store.touch(&key(1), version, day()).await;
        assert!(is_unavailable(&touched), "{body}: {touched:?}");
        let deleted = store.delete(&key(1), Some(version)).await;
        assert!(is_unavailable(&deleted), "{body}: {deleted:?}");
        let deleted = store.delete_many(&records).await;
        assert!(deleted.iter().all(is_unavailable), "{body}: {deleted:?}");
        let listed = store.browse(&Cursor::default(), 10).await;
        assert!(is_unavailable(&listed), "{body}: {listed:?}");
    }
}

#[tokio::test]
async fn what_was_left_of_a_batch_is_asked_for_alone() {
    let part =
        r#"{"UnprocessedItems":{"sessions":[{"DeleteRequest":{"Key":{"id":{"S":"left"}}}}]}}"#;
    let (store, questions) = answering(&[Answer(200, true, part), DONE]).await;
    let deleted = store.delete_many(&[(key(1), None), (key(2), None)]).await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let questions = questions.lock().unwrap();
    let [(_, first), (_, second)] = &questions[..] else {
        panic!("{questions:?}");
    };
    assert!(first.contains(&key(1).to_string()) && first.contains(&key(2).to_string()));
    assert!(
        second.contains("left") && !second.contains(&key(1).to_string()),
        "{second}"
    );
}

#[tokio::test]
async fn a_batch_that_is_put_off_for_ever_is_unavailable_in_time() {
    let items = r#"{"UnprocessedItems":{"sessions":[{"DeleteRequest":{"Key":{"id":{"S":"1"}}}}]}}"#;
    let keys = r#"{"UnprocessedKeys":{"sessions":{"Keys":[{"id":{"S":"1"}}]}}}"#;
    let soon = |store: DynamoDbStore| store.timeout(Duration::from_millis(200));
    let (store, _) = answering(&[Answer(200, true, items)]).await;
    let deleted = soon(store).delete_many(&[(key(1), None)]).await;
    assert!(is_unavailable(&deleted[0]), "{deleted:?}");
    let (store, _) = answering(&[Answer(200, true, keys)]).await;
    let loaded = soon(store).load_many(&[key(1)], Read::Current).await;
    assert!(is_unavailable(&loaded[0]), "{loaded:?}");
}

/// Whatever cuts it off: the time limit, a lost connection, a refusal.
#[tokio::test]
async fn what_was_answered_of_a_batch_that_is_cut_off_counts() {
    let failure = Answer(500, true, r#"{"__type":"InternalServerError"}"#);
    let id = |number| format!(r#""id":{{"S":"{}"}}"#, key(number));
    let items = format!(
        r#"{{"UnprocessedItems":{{"sessions":[{{"DeleteRequest":{{"Key":{{{}}}}}}}]}}}}"#,
        id(2)
    );
    let part = Answer(200, true, items.leak());
    let (store, _) = answering(&[part, failure]).await;
    let deleted = store.delete_many(&[(key(1), None), (key(2), None)]).await;
    assert!(deleted[0].is_ok(), "{deleted:?}");
    assert!(is_unavailable(&deleted[1]), "{deleted:?}");
    let head = r#""version":{"B":"AAAAAAAAAAAAAAAAAAAAAA=="},"expires":{"N":"253402300799"}"#;
    let found = format!(
        r#"{{"Responses":{{"sessions":[{{{},{head},"content":{{"B":"AQ=="}}}}]}},
            "UnprocessedKeys":{{"sessions":{{"Keys":[{{{}}}]}}}}}}"#,
        id(1),
        id(2)
    );
    let part = Answer(200, true, found.leak());
    let (store, _) = answering(&[part, failure]).await;
    let keys = [key(1), key(2), key(3)];
    let loaded = store.load_many(&keys, Read::Current).await;
    assert!(matches!(loaded[0], Ok(Some(_))), "{loaded:?}");
    assert!(is_unavailable(&loaded[1]), "{loaded:?}");
    assert!(matches!(loaded[2], Ok(None)), "{loaded:?}");
}

#[tokio::test]
async fn a_read_says_how_fresh_it_has_to_be() {
    for (read, said) in [
        (Read::Current, r#""ConsistentRead":true"#),
        (Read::Recent, r#""ConsistentRead":false"#),
    ] {
        let (store, questions) = answering(&[DONE]).await;
        assert!(store.load(&key(1), read).await.unwrap().is_none());
        store.load_many(&[key(1)], read).await;
        let questions = questions.lock().unwrap();
        assert_eq!(questions.len(), 2);
        for (operation, body) in &*questions {
            assert!(body.contains(said), "{operation}: {body}");
        }
    }
    // Listing or copying a table must miss nothing, and a conflict has to be examined.
    let (store, questions) = answering(&[DONE]).await;
    store.browse(&Cursor::default(), 10).await.unwrap();
    let failed = r#"{"__type":"a#ConditionalCheckFailedException"}"#;
    let (other, more) = answering(&[Answer(400, true, failed), DONE]).await;
    let never = Expiry::new(crate::NOW, crate::NOW);
    let touched = other.touch(&key(1), Version::from_u64(1), never).await;
    assert!(matches!(touched, Err(StoreError::Gone)), "{touched:?}");
    assert_eq!(operations(&more), ["UpdateItem", "GetItem"]);
    for (_, body) in [&questions.lock().unwrap()[0], &more.lock().unwrap()[1]] {
        assert!(body.contains(r#""ConsistentRead":true"#), "{body}");
    }
}
