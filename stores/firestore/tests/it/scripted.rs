//! Answers that the emulator does not give: failures at Google, and on the way there.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{
    Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use silverback::store::{Bytes, Read, RecordKey, Store as _, StoreError, Sweep as _, Version};
use silverback_firestore::FirestoreStore;
use silverback_test_servers::kit::{DATA, key};
use tokio::time::Instant;
use tower::service_fn;

use crate::{day, seconds};

/// A Firestore that gives scripted answers and records the requests.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    answers: VecDeque<(u16, String)>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    bearer: String,
    pub(crate) body: Value,
}

impl Script {
    pub(crate) fn answer(&self, status: u16, body: &Value) -> &Self {
        self.answer_with(status, &body.to_string())
    }

    fn answer_with(&self, status: u16, body: &str) -> &Self {
        let answer = (status, body.to_owned());
        self.0.lock().unwrap().answers.push_back(answer);
        self
    }

    /// The requests since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    pub(crate) async fn serve(
        self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = head.uri.path().to_owned();
        assert_eq!(head.headers[CONTENT_TYPE], "application/json");
        let bearer = &head.headers[AUTHORIZATION];
        assert!(bearer.is_sensitive(), "it would be logged");
        let bearer = bearer.to_str().unwrap().to_owned();
        let mut lines = self.0.lock().unwrap();
        lines.asked.push(Asked {
            method: path.rsplit(':').next().unwrap().to_owned(),
            bearer,
            body: serde_json::from_slice(&body).unwrap(),
        });
        let (status, body) = lines.answers.pop_front().expect("one question too many");
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status.try_into().unwrap();
        Ok(response)
    }

    pub(crate) fn has_answers(&self) -> bool {
        !self.0.lock().unwrap().answers.is_empty()
    }

    pub(crate) async fn connect(&self, now: &str) -> FirestoreStore {
        self.answer(200, &json!([missing(&FIRST, now)]));
        let script = self.clone();
        let service = service_fn(move |request| script.clone().serve(request));
        let token = async || Ok("secret".to_owned());
        let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop", token);
        let store = store.await.unwrap();
        self.asked();
        store
    }
}

pub(crate) const ENDPOINT: &str = "https://firestore.googleapis.com";
/// The connection is checked with this document.
pub(crate) const FIRST: RecordKey = RecordKey::from_bytes([0; 32]);
pub(crate) const NOW: &str = "2026-11-26T21:32:36.032665Z";
pub(crate) const LATER: &str = "2026-11-26T21:32:37Z";

pub(crate) fn name(key: &RecordKey) -> String {
    format!("projects/shop/databases/(default)/documents/silverback_sessions/{key}")
}

pub(crate) fn missing(key: &RecordKey, now: &str) -> Value {
    json!({ "missing": name(key), "readTime": now })
}

pub(crate) fn found(key: &RecordKey, expires: &str) -> Value {
    let fields = json!({
        "data": { "bytesValue": "AWRhdGE=" },
        "end": { "integerValue": "1900000000" },
        "expires": { "timestampValue": expires },
    });
    let document = json!({ "name": name(key), "fields": fields, "updateTime": NOW });
    json!({ "found": document, "readTime": LATER })
}

pub(crate) fn committed(time: &str) -> Value {
    json!({ "writeResults": [{ "updateTime": time }], "commitTime": time })
}

pub(crate) fn error(code: u16, status: &str) -> Value {
    json!({ "error": { "code": code, "message": "as scripted", "status": status } })
}

pub(crate) fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

pub(crate) fn is_refused<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Refused(_)))
}

/// "No such document" would log the visitor out.
#[tokio::test]
async fn no_error_is_no_record() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let all_refused = [
        (404, error(404, "NOT_FOUND")), // the database
        (403, json!([error(403, "PERMISSION_DENIED")])),
        (401, error(401, "UNAUTHENTICATED")),
        (400, json!([error(400, "FAILED_PRECONDITION")])), // one in Datastore mode
    ];
    for (status, body) in all_refused {
        script.answer(status, &body);
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(is_refused(&loaded), "{body}: {loaded:?}");
    }
    let all_unavailable = [
        (503, error(503, "UNAVAILABLE")),
        (500, json!([error(500, "INTERNAL")])),
        (429, error(429, "RESOURCE_EXHAUSTED")),
        (200, json!([error(503, "UNAVAILABLE")])),
        (
            200,
            json!([missing(&key(1), NOW), error(503, "UNAVAILABLE")]),
        ),
        (200, json!([])),
        (200, json!({})),
        (200, json!([{ "readTime": NOW }])),
        (200, json!([{ "missing": name(&key(1)) }])),
        (200, json!([missing(&key(2), NOW)])),
        (200, json!([found(&key(2), "9999-01-01T00:00:00Z")])),
    ];
    for (status, body) in all_unavailable {
        script.answer(status, &body);
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(is_unavailable(&loaded), "{body}: {loaded:?}");
    }
    for body in ["", "<html>", "[{\"missing\":"] {
        script.answer_with(200, body);
        let loaded = store.load(&key(1), Read::Current).await;
        assert!(is_unavailable(&loaded), "{body}: {loaded:?}");
    }
}

/// Firestore streams a list, so an error may follow answers.
#[tokio::test]
async fn an_error_among_answers_is_that_of_all() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let list = json!([
        found(&key(1), "9999-01-01T00:00:00Z"),
        error(503, "UNAVAILABLE")
    ]);
    script.answer(200, &list);
    let loaded = store.load_many(&[key(1), key(2)], Read::Current).await;
    assert!(
        loaded.len() == 2 && loaded.iter().all(is_unavailable),
        "{loaded:?}"
    );
    script.answer(200, &json!([error(400, "FAILED_PRECONDITION")]));
    let swept = store.sweep().await;
    assert!(swept.failed() == 1 && !swept.is_finished(), "{swept:?}");
}

/// A contention is distinguished from a conflict, and the write is repeated.
#[tokio::test]
async fn a_write_that_others_were_in_the_way_of_is_tried_again() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let aborted = error(409, "ABORTED");
    script
        .answer(409, &aborted)
        .answer(409, &aborted)
        .answer(200, &committed(NOW));
    let created = store.create(&key(1), Bytes::from_static(DATA), day()).await;
    let version = created.unwrap();
    let asked = script.asked();
    assert_eq!(asked.len(), 3);
    assert!(
        asked
            .iter()
            .all(|it| it.body == asked[0].body && it.method == "commit")
    );

    script.answer(409, &aborted).answer(200, &committed(LATER));
    let touched = store.touch(&key(1), version, day()).await.unwrap();
    assert_ne!(touched, version);
    script.asked();

    let [aborted, done] = [json!({ "code": 10, "message": "as scripted" }), json!({})];
    let of = |status: &[&Value]| json!({ "writeResults": [{}, {}], "status": status });
    script
        .answer(200, &of(&[&done, &aborted]))
        .answer(200, &of(&[&done]));
    let deleted = store.delete_many(&[(key(1), None), (key(2), None)]).await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let asked = script.asked();
    assert_eq!(
        asked[1].body["writes"],
        json!([{ "delete": name(&key(2)) }])
    );
}

/// Each caller gets its own outcome.
#[tokio::test]
async fn deletions_that_fail_fail_alone() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let denied = json!({ "code": 7, "message": "as scripted" });
    let lost = json!({ "code": 14, "message": "as scripted" });
    script.answer(200, &json!({ "status": [{}, denied, lost] }));
    let records = [1, 2, 3].map(|number| (key(number), None));
    let deleted = store.delete_many(&records).await;
    assert!(deleted[0].is_ok() && is_refused(&deleted[1]) && is_unavailable(&deleted[2]));
    // With fewer answers than requests, no outcome is known.
    script.answer(200, &json!({ "status": [{}] }));
    let deleted = store.delete_many(&records).await;
    assert!(deleted.iter().all(is_unavailable), "{deleted:?}");
}

/// Ends are judged by Firestore's clock, so this machine's clock may be wrong.
#[tokio::test]
async fn a_wrong_clock_here_ends_nothing_early() {
    for (now, end) in [
        ("2040-01-01T00:00:00.5Z", "2040-01-01T00:01:0"),
        ("2001-01-01T00:00:00.5Z", "2001-01-01T00:01:0"),
    ] {
        let script = Script::default();
        let store = script.connect(now).await;
        script.answer(200, &committed(now));
        let data = Bytes::from_static(DATA);
        let version = store.create(&key(1), data, seconds(60)).await.unwrap();
        let asked = script.asked();
        let expires = &asked[0].body["writes"][0]["update"]["fields"]["expires"];
        let expires = expires["timestampValue"].as_str().unwrap();
        assert!(expires.starts_with(end), "{expires}");
        // The record lives by that clock, so it is overwritten without another read.
        script.answer(200, &committed(now));
        store.touch(&key(1), version, seconds(60)).await.unwrap();
        assert_eq!(script.asked()[0].method, "commit");
    }
}

/// An ended record still exists, and Firestore would overwrite it.
#[tokio::test]
async fn what_is_over_is_not_written() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let over = "2026-11-26T21:32:30Z";
    script.answer(200, &committed(NOW));
    let data = || Bytes::from_static(DATA);
    let version = store.create(&key(1), data(), seconds(0)).await.unwrap();
    script.asked();
    script.answer(200, &json!([found(&key(1), over)]));
    let updated = store.update(&key(1), version, data(), day()).await;
    assert!(matches!(updated, Err(StoreError::Gone)), "{updated:?}");
    assert_eq!(script.asked()[0].method, "batchGet", "nothing was written");
    // A new record replaces it, if it is unchanged.
    script
        .answer(409, &error(409, "ALREADY_EXISTS"))
        .answer(200, &json!([found(&key(1), over)]))
        .answer(200, &committed(LATER));
    store.create(&key(1), data(), day()).await.unwrap();
    let asked = script.asked();
    let condition = |at: usize| asked[at].body["writes"][0]["currentDocument"].clone();
    assert_eq!(condition(0), json!({ "exists": false }));
    assert_eq!(condition(2), json!({ "updateTime": NOW }));
}

/// Firestore answers so for an update time after the document's, as after a restored backup, and
/// for a malformed request.
#[tokio::test]
async fn an_invalid_write_is_a_conflict_only_if_the_record_has_another_version() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    let data = || Bytes::from_static(DATA);
    let there = json!([found(&key(1), "9999-01-01T00:00:00Z")]);
    script.answer(200, &there);
    let record = store.load(&key(1), Read::Current).await.unwrap();
    let current = record.unwrap().version();
    script.answer(200, &committed(LATER));
    let later = store.update(&key(1), current, data(), day()).await.unwrap();

    let invalid = error(400, "INVALID_ARGUMENT");
    script.answer(400, &invalid).answer(200, &there);
    let updated = store.update(&key(1), later, data(), day()).await;
    assert!(matches!(updated, Err(StoreError::Conflict)), "{updated:?}");
    script.answer(400, &invalid).answer(200, &there);
    let updated = store.update(&key(1), current, data(), day()).await;
    assert!(is_refused(&updated), "{updated:?}");

    let each = json!({ "status": [{ "code": 3, "message": "as scripted" }] });
    script.answer(200, &each).answer(200, &there);
    let deleted = store.delete(&key(1), Some(later)).await;
    assert!(matches!(deleted, Err(StoreError::Conflict)), "{deleted:?}");
    script.answer(200, &each).answer(200, &there);
    let deleted = store.delete(&key(1), Some(current)).await;
    assert!(is_refused(&deleted), "{deleted:?}");
}

/// Only this store can read a version's bytes. Other bytes are not the state of any document.
#[tokio::test]
async fn a_version_of_another_store_is_a_conflict() {
    let script = Script::default();
    let store = script.connect(NOW).await;
    for version in [Version::from_bytes([0xff; 16]), Version::from_u64(7)] {
        let there = json!([found(&key(1), "9999-01-01T00:00:00Z")]);
        script.answer(200, &there).answer(200, &there);
        let data = Bytes::from_static(DATA);
        let updated = store.update(&key(1), version, data, day()).await;
        assert!(matches!(updated, Err(StoreError::Conflict)), "{updated:?}");
        assert_eq!(script.asked()[0].method, "batchGet", "nothing was written");
        // The version may be a former state of the document.
        let refused = json!({ "code": 9, "message": "as scripted" });
        if version == Version::from_u64(7) {
            let of_write = (200, json!({ "status": [refused] }).to_string());
            script.0.lock().unwrap().answers.push_front(of_write);
        }
        let deleted = store.delete(&key(1), Some(version)).await;
        assert!(matches!(deleted, Err(StoreError::Conflict)), "{deleted:?}");
        script.asked();
    }
}

#[tokio::test]
async fn each_request_has_a_token_and_none_is_sent_without() {
    let script = Script::default();
    script.answer(200, &json!([missing(&FIRST, NOW)]));
    let service = {
        let script = script.clone();
        service_fn(move |request| script.clone().serve(request))
    };
    let tokens = Arc::new(Mutex::new(vec!["two", "one"]));
    let token = move || {
        let token = tokens.lock().unwrap().pop();
        std::future::ready(
            token
                .map(str::to_owned)
                .ok_or_else(|| "there is no token".into()),
        )
    };
    let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop/eu-2", token);
    // The answer concerns another database.
    assert!(is_unavailable(&store.await));
    assert_eq!(script.asked()[0].bearer, "Bearer one");

    let store = script.connect(NOW).await;
    assert!(!format!("{store:?}").contains("secret"));
    let failing = async || Err::<String, _>("there is no token".into());
    let service = service_fn(
        async |_: Request<Full<Bytes>>| -> Result<Response<Full<Bytes>>, Infallible> {
            panic!("nothing is to be sent")
        },
    );
    let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop", failing).await;
    assert!(is_unavailable(&store), "{store:?}");
    let bad = async || Ok("a\nb".to_owned());
    let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop", bad).await;
    assert!(is_refused(&store), "{store:?}");
}

/// However many questions they take.
#[tokio::test(start_paused = true)]
async fn a_call_about_many_records_has_no_more_time() {
    let script = Script::default();
    script.answer(200, &json!([missing(&FIRST, NOW)]));
    let service = {
        let script = script.clone();
        service_fn(move |request| {
            let script = script.clone();
            async move {
                match script.has_answers() {
                    true => script.serve(request).await,
                    false => std::future::pending().await,
                }
            }
        })
    };
    let token = async || Ok("secret".to_owned());
    let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop", token);
    let store = store.await.unwrap().timeout(Duration::from_secs(2));
    let keys: Vec<_> = (0..2_000).map(key).collect();
    let start = Instant::now();
    let loaded = store.load_many(&keys, Read::Current).await;
    assert!(loaded.len() == keys.len() && loaded.iter().all(is_unavailable));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let records: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
    let deleted = store.delete_many(&records).await;
    assert!(deleted.len() == keys.len() && deleted.iter().all(is_unavailable));
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}

#[tokio::test]
async fn a_token_that_takes_too_long_is_an_outage() {
    let script = Script::default();
    script.answer(200, &json!([missing(&FIRST, NOW)]));
    let service = {
        let script = script.clone();
        service_fn(move |request| script.clone().serve(request))
    };
    let first = AtomicBool::new(true);
    let token = move || {
        let is_first = first.swap(false, Ordering::Relaxed);
        async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            Ok("secret".to_owned())
        }
    };
    let store = FirestoreStore::connect_with(service, ENDPOINT, "firestore://shop", token);
    let store = store.await.unwrap().timeout(Duration::from_millis(10));
    let loaded = store.load(&key(1), Read::Current).await;
    assert!(is_unavailable(&loaded), "{loaded:?}");
    assert_eq!(script.asked().len(), 1);
}
