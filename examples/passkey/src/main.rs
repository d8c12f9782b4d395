//! Step-up: a sensitive action asks for the passkey again if the last time was more than five
//! minutes ago.
//!
//! ```text
//! cargo test -p example-passkey
//! PASSKEY=... cargo run -p example-passkey
//! ```
//!
//! This sketch shows only the session's part, without a page: `PASSKEY` is a public key that was
//! registered elsewhere, an uncompressed P-256 point in base64url. `webauthn-rs` registers keys,
//! and checks those of all authenticators.

mod passkey;

use std::{env, error::Error as StdError, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use silverback::{Clock, Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;

use passkey::{Assertion, Passkey};

const RECENT: Duration = Duration::from_secs(5 * 60);

#[derive(Clone)]
struct Site {
    /// The only user's key. A real site has its users' keys in its database.
    passkey: Passkey,
    clock: Clock,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let public_key = URL_SAFE_NO_PAD.decode(env::var("PASSKEY")?)?;
    let site = Site {
        passkey: Passkey::new(public_key, "http://localhost:8080"),
        clock: Clock::system(),
    };
    let config =
        SessionConfig::new("account", MemoryStore::new(), Keys::generate()?).insecure_local_http();
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(site, config)).await?;
    Ok(())
}

fn app(site: Site, config: SessionConfig) -> Router {
    let layer = SessionLayer::new(config).clock(site.clock.clone());
    Router::new()
        .route("/passkey/challenge", post(challenge))
        .route("/passkey/answer", post(answer))
        .route("/transfer", post(transfer))
        .with_state(site)
        .layer(layer)
}

/// The page passes the challenge to `navigator.credentials.get({publicKey: {challenge}})`. The
/// session remembers it, since the answer must match this browser's last challenge.
async fn challenge(session: Session) -> Result<String, Response> {
    let challenge = passkey::challenge().map_err(IntoResponse::into_response)?;
    session
        .insert("challenge", &challenge)
        .map_err(IntoResponse::into_response)?;
    Ok(challenge)
}

/// `take` gives the challenge to one request, so no answer counts twice. `renew` gives the session
/// a new ID, because the visitor gains rights, and records the time for `authenticated_at`.
async fn answer(
    State(site): State<Site>,
    session: Session,
    Json(assertion): Json<Assertion>,
) -> Result<StatusCode, Error> {
    let Some(challenge) = session.take::<String>("challenge").await? else {
        return Ok(StatusCode::FORBIDDEN);
    };
    if !site.passkey.accepts(&challenge, &assertion) {
        return Ok(StatusCode::FORBIDDEN);
    }
    session.renew();
    session.set_subject("ada", "a browser")?;
    Ok(StatusCode::NO_CONTENT)
}

/// On a 401 the page asks for the passkey, and repeats the request.
async fn transfer(State(site): State<Site>, session: Session) -> Result<Response, Error> {
    let now = site.clock.now();
    let is_recent = |at| now.saturating_since(at) <= RECENT;
    if session.subject()?.is_some() && session.authenticated_at()?.is_some_and(is_recent) {
        return Ok("done\n".into_response());
    }
    Ok((StatusCode::UNAUTHORIZED, "your passkey, please\n").into_response())
}

#[cfg(test)]
mod tests {
    use silverback::{Timestamp, testing::Browser};

    use super::*;
    use crate::passkey::tests::Authenticator;

    struct Test {
        ada: Browser<Router>,
        authenticator: Authenticator,
        clock: Clock,
    }

    fn test() -> Test {
        let authenticator = Authenticator::new();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let site = Site {
            passkey: Passkey::new(authenticator.public_key(), "https://localhost"),
            clock: clock.clone(),
        };
        let store = MemoryStore::new().clock(clock.clone());
        let config = SessionConfig::new("account", store, Keys::generate().unwrap());
        Test {
            ada: Browser::new(app(site, config)).clock(clock.clone()),
            authenticator,
            clock,
        }
    }

    impl Test {
        async fn challenge(&self) -> String {
            let answer = self.ada.post("/passkey/challenge", "text/plain", "").await;
            answer.text().to_owned()
        }

        async fn answer(&self, assertion: &str) -> StatusCode {
            let path = "/passkey/answer";
            let answer = self
                .ada
                .post(path, "application/json", assertion.to_owned());
            answer.await.status()
        }

        async fn transfer(&self) -> StatusCode {
            let answer = self.ada.post("/transfer", "text/plain", "");
            answer.await.status()
        }
    }

    #[tokio::test]
    async fn a_transfer_needs_a_passkey_from_the_last_five_minutes() {
        let test = test();
        assert_eq!(test.transfer().await, StatusCode::UNAUTHORIZED);
        let assertion = test
            .authenticator
            .sign(&test.challenge().await, "https://localhost");
        assert_eq!(test.answer(&assertion).await, StatusCode::NO_CONTENT);
        assert_eq!(test.transfer().await, StatusCode::OK);
        test.clock.advance(RECENT);
        assert_eq!(test.transfer().await, StatusCode::OK);
        test.clock.advance(Duration::from_secs(1));
        assert_eq!(test.transfer().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn an_answer_counts_once_and_only_for_its_own_challenge() {
        let test = test();
        let first = test
            .authenticator
            .sign(&test.challenge().await, "https://localhost");
        test.challenge().await;
        assert_eq!(
            test.answer(&first).await,
            StatusCode::FORBIDDEN,
            "an old challenge"
        );

        let second = test
            .authenticator
            .sign(&test.challenge().await, "https://localhost");
        assert_eq!(test.answer(&second).await, StatusCode::NO_CONTENT);
        assert_eq!(
            test.answer(&second).await,
            StatusCode::FORBIDDEN,
            "a second time"
        );

        let other_site = test
            .authenticator
            .sign(&test.challenge().await, "https://evil.example");
        assert_eq!(test.answer(&other_site).await, StatusCode::FORBIDDEN);
    }
}
