//! Access to the page. It takes the password, allows a limited number of guesses, and accepts only
//! the page's own forms.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier as _, phc::PasswordHash},
};
use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use silverback::{Clock, Error, Session};
use subtle::ConstantTimeEq as _;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::Desk;

/// The key of the token of the session's forms. The login makes the token, so it also shows who is
/// logged in.
const CSRF: &str = "csrf";

/// A logged-in administrator. This extractor sends everybody else to the login.
pub(crate) struct Administrator {
    pub(crate) session: Session,
    pub(crate) csrf: String,
}

impl Administrator {
    /// Logs in, with a new ID and a new token.
    pub(crate) fn admit(session: &Session) -> Result<(), Error> {
        session.renew();
        session.insert(CSRF, format!("{:032x}", rand::random::<u128>()))
    }
}

impl FromRequestParts<Arc<Desk>> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, desk)
            .await
            .map_err(IntoResponse::into_response)?;
        let csrf = session.get(CSRF).map_err(IntoResponse::into_response)?;
        match csrf {
            Some(csrf) => Ok(Self { session, csrf }),
            None => Err(Redirect::to(&format!("{}/login", desk.path)).into_response()),
        }
    }
}

/// A form that came with the token of the administrator's session.
pub(crate) struct Checked<T>(pub(crate) T);

#[derive(Deserialize)]
struct WithToken<T> {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    form: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Desk>> for Checked<T> {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let administrator = Administrator::from_request_parts(&mut parts, desk).await?;
        let request = Request::from_parts(parts, body);
        let Form(sent) = Form::<WithToken<T>>::from_request(request, desk)
            .await
            .map_err(IntoResponse::into_response)?;
        let expected = administrator.csrf.as_bytes();
        if bool::from(expected.ct_eq(sent.csrf.as_bytes())) {
            return Ok(Self(sent.form));
        }
        let reason = "This form is too old, or from another site. Load the page again.\n";
        Err((StatusCode::FORBIDDEN, reason).into_response())
    }
}

/// A check takes 19 MiB and a core for about 20 ms, so only one runs at a time.
static CHECK: Semaphore = Semaphore::const_new(1);

/// The most wrong passwords that are checked in a minute, from all visitors together.
const MOST: u32 = 5;

/// The result of a check.
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// It was not checked.
    TooMany,
}

/// Counts wrong passwords.
pub(crate) struct Guesses {
    clock: Clock,
    /// The minute of the last wrong password, and how many came in that minute.
    wrong: Mutex<(u64, u32)>,
}

impl Guesses {
    pub(crate) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            wrong: Mutex::new((0, 0)),
        }
    }

    /// Checks a password, on its own thread, since it would block all other requests of this one.
    ///
    /// The limit is checked by the guess whose turn it is, as many may be sent at once. A guess
    /// counts from the start, and keeps the turn until its check is done, even if the visitor hangs
    /// up.
    pub(crate) async fn check(&self, hash: &PasswordHash, password: String) -> Verdict {
        let Ok(turn) = CHECK.acquire().await else {
            return Verdict::Wrong;
        };
        if self.with(|wrong| *wrong >= MOST) {
            return Verdict::TooMany;
        }
        self.with(|wrong| *wrong += 1);
        let hash = hash.clone();
        let check = move || {
            let _turn = turn;
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        };
        if spawn_blocking(check).await.unwrap_or(false) {
            self.with(|wrong| *wrong = wrong.saturating_sub(1));
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut u32) -> T) -> T {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = self.clock.now().as_secs() / 60;
        if wrong.0 != minute {
            *wrong = (minute, 0);
        }
        work(&mut wrong.1)
    }
}
