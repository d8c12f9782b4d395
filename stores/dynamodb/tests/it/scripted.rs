//! A server that gives scripted answers and records the requests.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
};
use silverback_dynamodb::DynamoDbStore;
use tokio::net::TcpListener;

use crate::{client, store};

/// A status, whether the answer has a request ID, and its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer(pub(crate) u16, pub(crate) bool, pub(crate) &'static str);

/// DynamoDB's answer to a successful write.
pub(crate) const DONE: Answer = Answer(200, true, "{}");

/// The requests in order: operation and body.
pub(crate) type Questions = Arc<Mutex<Vec<(String, String)>>>;

/// Starts a server that gives these answers in turn, and then repeats the last one.
pub(crate) async fn answering(answers: &[Answer]) -> (DynamoDbStore, Questions) {
    let (answers, questions) = (answers.to_vec(), Questions::default());
    let asked = Arc::clone(&questions);
    let answer = async move |headers: HeaderMap, body: Bytes| {
        let operation = headers["x-amz-target"].to_str().unwrap();
        let (_, operation) = operation.split_once('.').unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        let mut asked = asked.lock().unwrap();
        let Answer(status, has_id, body_of_answer) = answers[asked.len().min(answers.len() - 1)];
        asked.push((operation.to_owned(), body));
        let mut headers = HeaderMap::new();
        if has_id {
            headers.insert("x-amzn-requestid", "4711".parse().unwrap());
        }
        (
            StatusCode::from_u16(status).unwrap(),
            headers,
            body_of_answer,
        )
    };
    let url = serving(Router::new().fallback(answer)).await;
    (store(&client(&url), "sessions"), questions)
}

/// Starts a server, and returns its address.
pub(crate) async fn serving(server: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, server).await });
    url
}

pub(crate) fn operations(questions: &Questions) -> Vec<String> {
    let questions = questions.lock().unwrap();
    questions
        .iter()
        .map(|(operation, _)| operation.clone())
        .collect()
}
