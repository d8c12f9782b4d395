//! The program with a provider on loopback that logs everybody in as Ada, and requires PKCE.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json,
    http::{HeaderMap, Uri, header::LOCATION},
};
use serde_json::{Value, json};
use silverback::testing::{Browser, Page};

use super::*;

/// The challenges of the codes that were issued and not exchanged yet.
type Codes = State<Arc<Mutex<HashMap<String, String>>>>;

async fn start_provider() -> String {
    let provider = Router::new()
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/user", get(who))
        .with_state(Arc::<Mutex<HashMap<String, String>>>::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, provider).into_future());
    format!("http://{address}")
}

async fn authorize(State(codes): Codes, Query(asked): Query<HashMap<String, String>>) -> Redirect {
    assert_eq!(asked["code_challenge_method"], "S256");
    let mut codes = codes.lock().unwrap();
    let code = format!("code-{}", codes.len());
    codes.insert(code.clone(), asked["code_challenge"].clone());
    let (back, state) = (&asked["redirect_uri"], &asked["state"]);
    Redirect::to(&format!("{back}?code={code}&state={state}"))
}

async fn token(
    State(codes): Codes,
    Form(asked): Form<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let verifier = PkceCodeVerifier::new(asked["code_verifier"].clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let expected = codes.lock().unwrap().remove(&asked["code"]);
    if expected.as_deref() == Some(challenge.as_str()) {
        Ok(Json(
            json!({ "access_token": "of Ada", "token_type": "bearer" }),
        ))
    } else {
        Err(StatusCode::BAD_REQUEST)
    }
}

async fn who(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    if headers["authorization"] == "Bearer of Ada" {
        Ok(Json(json!({ "login": "Ada" })))
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}

async fn visitor() -> Browser<Router> {
    let url = start_provider().await;
    let provider = Provider::new(|name, default| match name {
        "AUTH_URL" => format!("{url}/authorize"),
        "TOKEN_URL" => format!("{url}/token"),
        "USER_URL" => format!("{url}/user"),
        _ => default.to_owned(),
    });
    Browser::new(app(provider.unwrap(), Keys::generate().unwrap()))
}

/// Logs in at the provider, and returns the path to which it sends the browser back.
async fn begin(visitor: &Browser<Router>) -> String {
    let there = visitor.get("/login").await.location().unwrap();
    let http = reqwest::Client::builder().redirect(Policy::none());
    let answer = http.build().unwrap().get(there.to_string()).send();
    let back = answer.await.unwrap().headers()[LOCATION.as_str()].clone();
    let back: Uri = back.to_str().unwrap().parse().unwrap();
    back.path_and_query().unwrap().to_string()
}

async fn hello(visitor: &Browser<Router>) -> String {
    let page: Page = visitor.get("/").await;
    page.text().lines().collect()
}

#[tokio::test]
async fn a_visitor_logs_in_at_the_provider() {
    let ada = visitor().await;
    let back = begin(&ada).await;
    let before = ada.jar(|jar| jar.clone());
    let answer = ada.get(&back).await;
    assert_eq!(ada.follow(&answer).await.text(), "Hello, Ada.\n");

    let thief = ada.another();
    thief.jar(|jar| *jar = before);
    assert!(hello(&thief).await.contains("stranger"), "the ID is new");
    assert_eq!(
        ada.get(&back).await.status(),
        StatusCode::BAD_REQUEST,
        "once"
    );
    ada.post("/logout", "text/plain", "").await;
    assert!(hello(&ada).await.contains("stranger"));
}

#[tokio::test]
async fn a_login_that_another_browser_has_begun_is_refused() {
    let ada = visitor().await;
    let mallory = ada.another();
    let link = begin(&mallory).await;
    assert_eq!(ada.get(&link).await.status(), StatusCode::BAD_REQUEST);
    begin(&ada).await;
    assert_eq!(ada.get(&link).await.status(), StatusCode::BAD_REQUEST);
    assert!(hello(&ada).await.contains("stranger"));
}

#[tokio::test]
async fn a_code_without_its_verifier_is_worthless() {
    let ada = visitor().await;
    let stolen = begin(&ada).await;
    let own = begin(&ada).await;
    let code = |path: &str| {
        let (_, rest) = path.split_once("code=").unwrap();
        rest.split_once('&').unwrap().0.to_owned()
    };
    let mixed = own.replace(&code(&own), &code(&stolen));
    assert_eq!(ada.get(&mixed).await.status(), StatusCode::BAD_GATEWAY);
    assert!(hello(&ada).await.contains("stranger"));
}
