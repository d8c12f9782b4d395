//! Login through another site: OAuth 2.0 with PKCE, as RFC 9700 recommends. By default the other
//! site is GitHub.
//!
//! ```text
//! CLIENT_ID=... CLIENT_SECRET=... cargo run -p example-oauth2
//! ```
//!
//! Register `http://localhost:8080/callback` there as the callback URL.

#[cfg(test)]
mod tests;

use std::{env, error::Error as StdError};

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, TokenResponse as _, TokenUrl,
    basic::BasicClient,
    reqwest::{self, redirect::Policy},
};
use serde::{Deserialize, Serialize};
use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// The provider at which visitors log in.
#[derive(Clone)]
struct Provider {
    client: Client,
    user_url: String,
    http: reqwest::Client,
}

impl Provider {
    fn new(url: impl Fn(&str, &str) -> String) -> Result<Self, Box<dyn StdError>> {
        let client = BasicClient::new(ClientId::new(url("CLIENT_ID", "")))
            .set_client_secret(ClientSecret::new(url("CLIENT_SECRET", "")))
            .set_auth_uri(AuthUrl::new(url(
                "AUTH_URL",
                "https://github.com/login/oauth/authorize",
            ))?)
            .set_token_uri(TokenUrl::new(url(
                "TOKEN_URL",
                "https://github.com/login/oauth/access_token",
            ))?)
            .set_redirect_uri(RedirectUrl::new(url(
                "REDIRECT_URL",
                "http://localhost:8080/callback",
            ))?);
        // Redirects are not followed: the provider could send this server to addresses in our
        // network.
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .user_agent("silverback example")
            .build()?;
        Ok(Self {
            client,
            user_url: url("USER_URL", "https://api.github.com/user"),
            http,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let provider =
        Provider::new(|name, default| env::var(name).unwrap_or_else(|_| default.into()))?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(provider, Keys::generate()?)).await?;
    Ok(())
}

/// The cookie is `SameSite=Lax`, the default. Browsers would not send a `Strict` one when the
/// provider redirects back.
fn app(provider: Provider, keys: Keys) -> Router {
    let config = SessionConfig::new("account", MemoryStore::new(), keys).insecure_local_http();
    Router::new()
        .route("/", get(home))
        .route("/login", get(log_in))
        .route("/callback", get(come_back))
        .route("/logout", post(log_out))
        .with_state(provider)
        .layer(SessionLayer::new(config))
}

async fn home(session: Session) -> Result<String, Error> {
    Ok(match session.subject()? {
        Some(name) => format!("Hello, {name}.\n"),
        None => "Hello, stranger. /login logs you in.\n".to_owned(),
    })
}

/// A pending login: what its end needs to know about its beginning. It stays on the server, in the
/// session.
#[derive(Deserialize, Serialize)]
struct PendingLogin {
    state: CsrfToken,
    verifier: PkceCodeVerifier,
}

async fn log_in(State(provider): State<Provider>, session: Session) -> Result<Redirect, Error> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = provider
        .client
        .authorize_url(CsrfToken::new_random)
        .set_pkce_challenge(challenge)
        .url();
    session.insert("pending", PendingLogin { state, verifier })?;
    Ok(Redirect::to(url.as_str()))
}

#[derive(Deserialize)]
struct Answer {
    code: AuthorizationCode,
    state: CsrfToken,
}

/// `take` gives the pending login to one request, so an answer counts once. `state` ties it to this
/// browser: otherwise anyone could log a visitor in to their own account with a link.
async fn come_back(
    State(provider): State<Provider>,
    session: Session,
    Query(answer): Query<Answer>,
) -> Result<Response, Error> {
    let Some(pending) = session.take::<PendingLogin>("pending").await? else {
        return Ok((StatusCode::BAD_REQUEST, "no login was begun\n").into_response());
    };
    let (sent, expected) = (answer.state.secret(), pending.state.secret());
    if !bool::from(sent.as_bytes().ct_eq(expected.as_bytes())) {
        return Ok((StatusCode::BAD_REQUEST, "another login was begun\n").into_response());
    }
    match user(&provider, answer.code, pending.verifier).await {
        Ok(name) => {
            session.renew();
            session.set_subject(&name, "a browser")?;
            Ok(Redirect::to("/").into_response())
        }
        Err(error) => {
            eprintln!("login: {error}");
            Ok((StatusCode::BAD_GATEWAY, "the login failed\n").into_response())
        }
    }
}

#[derive(Deserialize)]
struct User {
    login: String,
}

/// Asks the provider who the user is. The access token is not needed after that, so it is not
/// stored.
async fn user(
    provider: &Provider,
    code: AuthorizationCode,
    verifier: PkceCodeVerifier,
) -> Result<String, Box<dyn StdError + Send + Sync>> {
    let token = provider
        .client
        .exchange_code(code)
        .set_pkce_verifier(verifier)
        .request_async(&provider.http)
        .await?;
    let answer = provider
        .http
        .get(&provider.user_url)
        .bearer_auth(token.access_token().secret())
        .send()
        .await?
        .error_for_status()?;
    let user: User = serde_json::from_slice(&answer.bytes().await?)?;
    Ok(user.login)
}

async fn log_out(session: Session) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/"))
}
