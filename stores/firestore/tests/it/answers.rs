//! How answers are interpreted: which writes are repeated, and which errors the others become.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use silverback::store::{Browse as _, Bytes, Cursor, Read, Store as _, StoreError, Sweep as _};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::kit::{DATA, key};
use tower::service_fn;

use crate::{
    day,
    scripted::{
        ENDPOINT, LATER, NOW, Script, committed, error, found, is_refused, is_unavailable, missing,
        name,
    },
    seconds,
};

const LIVES: &str = "9999-01-01T00:00:00Z";
const OVER: &str = "2026-11-26T21:32:30Z";

fn data() -> Bytes {
    Bytes::from_static(DATA)
}

fn status(code: u16) -> Value {
    json!({ "status": [{ "code": code, "message": "as scripted" }] })
}

/// The outcome is unknown, so the session reads before it writes again.
#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_tried_again() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    for (code, name) in [
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (500, "INTERNAL"),
    ] {
        script.answer(code, &error(code, name));
        let created = store.create(&key(1), data(), day()).await;
        assert!(is_unavailable(&created), "{name}: {created:?}");
        assert_eq!(script.asked().len(), 1, "{name}");
    }
    script.answer(200, &status(14));
    assert!(is_unavailable(&store.delete(&key(1), None).await));
    script.answer(409, &error(409, "ABORTED"));
    assert!(is_unavailable(&store.delete(&key(1), None).await));
    assert_eq!(script.asked().len(), 2);
}

/// An answer about one record says nothing about another.
#[tokio::test]
async fn what_was_not_answered_is_not_missing() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    script.answer(200, &json!([missing(&key(1), NOW)]));
    let loaded = store.load_many(&[key(1), key(2)], Read::Current).await;
    assert!(loaded.iter().all(is_unavailable), "{loaded:?}");
    script.answer(200, &json!([error(403, "PERMISSION_DENIED")]));
    assert!(is_refused(&store.load(&key(1), Read::Current).await));
}

/// The session's clock does not decide which records have ended.
#[tokio::test]
async fn a_record_is_over_by_the_clock_of_firestore() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let mut old = found(&key(1), LIVES);
    old["found"]["fields"]["end"] = json!({ "integerValue": "1" });
    script.answer(200, &json!([old]));
    let loaded = store.load(&key(1), Read::Current).await.unwrap();
    let version = loaded.unwrap().version();
    // It is now the last moment of the year 9998. Nothing ends before its second.
    for (now, method) in [
        ("9998-12-31T23:58:00Z", "commit"),
        ("9999-01-01T00:00:00Z", "batchGet"),
    ] {
        script.answer(200, &json!([missing(&key(2), now)]));
        assert_eq!(store.load(&key(2), Read::Current).await.unwrap(), None);
        script.asked();
        let answer = match method {
            "commit" => committed(NOW),
            _ => json!([missing(&key(1), now)]),
        };
        script.answer(200, &answer);
        let touched = store.touch(&key(1), version, day()).await;
        assert_eq!(touched.is_ok(), method == "commit", "{touched:?}");
        assert_eq!(script.asked()[0].method, method, "{now}");
    }
}

/// A write that changes nothing does not change the update time, whenever it was committed.
#[tokio::test]
async fn a_version_is_the_time_of_the_document_and_not_of_the_write() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let answer = json!({ "writeResults": [{ "updateTime": NOW }], "commitTime": LATER });
    script.answer(200, &answer).answer(200, &committed(LATER));
    let version = store.create(&key(1), data(), day()).await.unwrap();
    store.update(&key(1), version, data(), day()).await.unwrap();
    let condition = &script.asked()[1].body["writes"][0]["currentDocument"];
    assert_eq!(*condition, json!({ "updateTime": NOW }));
}

/// If a write was refused because of the document's state and the state now fits, the document was
/// in another state meanwhile.
#[tokio::test]
async fn a_refusal_that_is_no_longer_true_is_tried_again() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let there = json!([found(&key(1), LIVES)]);
    script.answer(200, &there);
    let loaded = store.load(&key(1), Read::Current).await.unwrap();
    let version = loaded.unwrap().version();
    script
        .answer(400, &error(400, "FAILED_PRECONDITION"))
        .answer(200, &there)
        .answer(200, &committed(LATER));
    store.update(&key(1), version, data(), day()).await.unwrap();
    script
        .answer(200, &status(9))
        .answer(200, &there)
        .answer(200, &json!({ "status": [{}] }));
    store.delete(&key(1), Some(version)).await.unwrap();
    assert_eq!(script.asked().len(), 7);
    // A missing record counts as deleted. A document that is not a record does not.
    script
        .answer(200, &status(5))
        .answer(200, &json!([missing(&key(1), NOW)]));
    store.delete(&key(1), Some(version)).await.unwrap();
    let garbage = json!({ "name": name(&key(1)), "fields": {}, "updateTime": LATER });
    script
        .answer(200, &status(9))
        .answer(200, &json!([{ "found": garbage, "readTime": LATER }]));
    let deleted = store.delete(&key(1), Some(version)).await;
    assert!(
        matches!(deleted, Err(StoreError::Corrupt(_))),
        "{deleted:?}"
    );
}

/// Others may delete or create a document between any two requests.
#[tokio::test]
async fn a_creation_goes_on_until_it_has_a_reason() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let exists = error(409, "ALREADY_EXISTS");
    script
        .answer(409, &exists)
        .answer(200, &json!([missing(&key(1), NOW)]))
        .answer(409, &exists)
        .answer(200, &json!([found(&key(1), OVER)]))
        .answer(404, &error(404, "NOT_FOUND"))
        .answer(200, &committed(LATER));
    store.create(&key(1), data(), day()).await.unwrap();
    assert_eq!(script.asked().len(), 6);
    script
        .answer(409, &exists)
        .answer(200, &json!([found(&key(1), OVER)]))
        .answer(400, &error(400, "FAILED_PRECONDITION"))
        .answer(409, &exists)
        .answer(200, &json!([found(&key(1), LIVES)]));
    let created = store.create(&key(1), data(), day()).await;
    assert!(matches!(created, Err(StoreError::Exists)), "{created:?}");
}

#[tokio::test]
async fn no_question_is_about_more_than_firestore_takes() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let (keys, lost) = (Vec::from_iter((0..501).map(key)), error(503, "UNAVAILABLE"));
    script.answer(503, &lost).answer(503, &lost);
    let loaded = store.load_many(&keys, Read::Current).await;
    assert!(loaded.len() == 501 && loaded.iter().all(is_unavailable));
    script.answer(503, &lost).answer(503, &lost);
    let all = Vec::from_iter(keys.iter().map(|key| (*key, None)));
    let deleted = store.delete_many(&all).await;
    assert!(deleted.len() == 501 && deleted.iter().all(is_unavailable));
    let asked = script.asked();
    let len = |at: usize, of: &str| asked[at].body[of].as_array().unwrap().len();
    assert_eq!((len(0, "documents"), len(1, "documents")), (500, 1));
    assert_eq!((len(2, "writes"), len(3, "writes")), (500, 1));

    script.answer(200, &json!([])).answer(200, &json!([]));
    store.browse(&Cursor::default(), 9_999).await.unwrap();
    assert!(store.sweep_some(9_999).await.is_finished());
    for asked in script.asked() {
        assert_eq!(asked.body["structuredQuery"]["limit"], 500);
    }
    let more = Bytes::from(vec![1; store.limits().record_bytes + 1]);
    let created = store.create(&key(1), more, day()).await;
    assert!(matches!(created, Err(StoreError::TooLarge { .. })));
    assert_eq!(script.asked().len(), 0);
}

/// A sweep asks for records that have ended by Firestore's clock. One that somebody else has
/// removed or overwritten meanwhile is not a failure. One that could not be removed is.
#[tokio::test]
async fn a_sweep_tells_failures_from_what_others_did() {
    let script = Script::default();
    let store = script.connect("2040-01-01T00:00:00.5Z").await;
    let over = |number| {
        let document = json!({ "name": name(&key(number)), "updateTime": NOW });
        json!({ "document": document, "readTime": LATER })
    };
    let all = json!([over(1), over(2), over(3), over(4)]);
    let answer = |codes: [u16; 4]| {
        let each = codes.map(|code| json!({ "code": code, "message": "as scripted" }));
        json!({ "status": each })
    };
    script.answer(200, &all).answer(200, &answer([0, 9, 10, 5]));
    let swept = store.sweep_some(9).await;
    assert!(swept.is_finished() && swept.failed() == 0, "{swept:?}");
    assert_eq!((swept.examined(), swept.removed()), (4, 1));
    let asked = script.asked();
    let by = &asked[0].body["structuredQuery"]["where"]["fieldFilter"];
    assert_eq!(by["op"], "LESS_THAN_OR_EQUAL");
    let now = by["value"]["timestampValue"].as_str().unwrap();
    assert!(now.starts_with("2040-01-01T"), "{now}");
    for write in asked[1].body["writes"].as_array().unwrap() {
        assert_eq!(write["currentDocument"], json!({ "updateTime": NOW }));
    }

    for codes in [[7, 7, 7, 7], [0, 0, 0, 14]] {
        script.answer(200, &all).answer(200, &answer(codes));
        let swept = store.sweep_some(9).await;
        assert!(!swept.is_finished() && swept.failed() > 0, "{swept:?}");
    }
}

/// Checks that the store itself has given up.
fn is_late(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let says_so = cause.is_some_and(|cause| cause.contains("did not answer within 10ms"));
    matches!(error, StoreError::Unavailable(_)) && says_so
}

#[tokio::test]
async fn silence_ends_every_call() {
    let script = Script::default();
    script.answer(200, &json!([missing(&crate::scripted::FIRST, NOW)]));
    let answering = script.clone();
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let script = answering.clone();
        async move {
            if script.has_answers() {
                return script.serve(request).await;
            }
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }
    });
    let token = async || Ok("secret".to_owned());
    let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop", token);
    let store = store.await.unwrap().timeout(Duration::from_millis(10));
    let version = silverback::store::Version::from_u64(7);
    for late in [
        store.load(&key(1), Read::Current).await.map(drop),
        store
            .load_many(&[key(1)], Read::Current)
            .await
            .remove(0)
            .map(drop),
        store.create(&key(1), data(), seconds(60)).await.map(drop),
        store
            .update(&key(1), version, data(), day())
            .await
            .map(drop),
        store.touch(&key(1), version, day()).await.map(drop),
        store.delete(&key(1), Some(version)).await,
        store.delete_many(&[(key(1), None)]).await.remove(0),
        store.browse(&Cursor::default(), 9).await.map(drop),
    ] {
        assert!(is_late(&late.unwrap_err()));
    }
    let swept = store.sweep().await;
    assert!(is_late(swept.error().unwrap()), "{swept:?}");
}

/// A document that another program left under a record's name is in nobody's way.
#[tokio::test]
async fn garbage_gives_way_to_a_record() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let mut garbage = found(&key(1), LIVES);
    garbage["found"]["fields"] = json!({ "data": { "stringValue": "a cart" } });
    script
        .answer(409, &error(409, "ALREADY_EXISTS"))
        .answer(200, &json!([garbage]))
        .answer(200, &committed(LATER));
    store.create(&key(1), data(), day()).await.unwrap();
    let condition = &script.asked()[2].body["writes"][0]["currentDocument"];
    assert_eq!(condition["updateTime"], garbage["found"]["updateTime"]);
}
