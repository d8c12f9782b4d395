//! A page for administrators. It shows who is logged in, the keys, and the cookies that were
//! refused in the last hour, and it can end logins.
//!
//! The page has its own session: another cookie, only on its own path, with short timeouts. It is
//! off unless [`Settings`] turn it on and set a password.

mod access;
mod page;
mod refusals;

use std::{fmt, sync::Arc, time::Duration};

use argon2::password_hash::phc::PasswordHash;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use silverback::{
    Clock, ConfigError, Error, Keys, MemoryStore, SameSite, Session, SessionConfig, SessionLayer,
    Sessions, Subjects, store::RecordKey,
};
use tower_http::csrf::CsrfLayer;

use access::{Administrator, Checked, Guesses, Verdict};
use page::{Page, Shown};
pub use refusals::Refusals;

const IDLE: Duration = Duration::from_secs(10 * 60);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The operator's settings, for example from a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Whether the page exists. Off by default.
    pub enabled: bool,
    /// The hash of the password, as Argon2 writes it: `$argon2id$v=19$..`. Without one there is no
    /// page.
    pub password_hash: Option<String>,
    /// The path of the page, without a slash at the end: `/admin` by default.
    pub path: String,
    /// Whether the cookie works without HTTPS, on localhost. Off by default.
    pub insecure_local_http: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            password_hash: None,
            path: "/admin".into(),
            insecure_local_http: false,
        }
    }
}

/// The parts of the site that the page shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Site {
    /// The users and their sessions.
    pub subjects: Subjects,
    /// The keys of these sessions.
    pub keys: Keys,
    /// The cookies that were refused.
    pub refusals: Refusals,
    /// The clock that tells how long ago something happened.
    pub clock: Clock,
}

impl Site {
    /// Shows the sessions with these settings, which must be those of the site's layer, and their
    /// keys.
    ///
    /// # Errors
    ///
    /// Those of [`Subjects::new`].
    pub fn new(
        sessions: &SessionConfig,
        keys: Keys,
        refusals: Refusals,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            subjects: Subjects::new(sessions)?,
            keys,
            refusals,
            clock: Clock::system(),
        })
    }

    /// Uses another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        let subjects = self.subjects.clock(clock.clone());
        Self {
            subjects,
            clock,
            ..self
        }
    }
}

/// Why there can be no page with these settings.
#[derive(Debug)]
#[non_exhaustive]
pub enum SettingsError {
    /// The password's hash was not made by Argon2.
    PasswordHash,
    /// The path is invalid, or ends with a slash.
    Path,
    /// The page's session cannot be configured.
    Session(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswordHash => f.write_str("`password_hash` is not a hash of Argon2"),
            Self::Path => f.write_str("`path` must begin with a slash, and not end with one"),
            Self::Session(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SettingsError {}

/// The state that all handlers share.
struct Desk {
    path: String,
    hash: PasswordHash,
    guesses: Guesses,
    site: Site,
}

/// Returns the page, to be merged into the site's router; `None` if it is off or has no password.
///
/// If you merge it before you add the site's session layer, the page marks the administrator's own
/// login.
///
/// # Errors
///
/// [`SettingsError`], at start-up.
pub fn router(settings: &Settings, site: Site) -> Result<Option<Router>, SettingsError> {
    let Some(hash) = settings.password_hash.as_ref().filter(|_| settings.enabled) else {
        return Ok(None);
    };
    let hash = PasswordHash::new(hash).map_err(|_| SettingsError::PasswordHash)?;
    let path = settings.path.clone();
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(SettingsError::Path);
    }
    let clock = site.clock.clone();
    let desk = Arc::new(Desk {
        hash,
        guesses: Guesses::new(clock.clone()),
        site,
        path: path.clone(),
    });
    let routes = Router::new()
        .route("/", get(show))
        .route("/login", get(show_login).post(log_in))
        .route("/logout", post(log_out))
        .route("/end", post(end))
        .route("/end-all", post(end_all))
        .with_state(desk)
        .layer(layer(settings, clock)?)
        .layer(CsrfLayer::new());
    Ok(Some(Router::new().nest(&path, routes)))
}

/// Each start makes a new key, so a restart logs administrators out.
fn layer(settings: &Settings, clock: Clock) -> Result<SessionLayer, SettingsError> {
    let keys = Keys::generate().map_err(|error| SettingsError::Session(error.into()))?;
    let store = MemoryStore::new().max_bytes(1 << 20).clock(clock.clone());
    let mut config = SessionConfig::new("admin", store, keys)
        .idle_timeout(IDLE)
        .absolute_timeout(LONGEST)
        .attributes(|cookie| cookie.path(&settings.path).same_site(SameSite::Strict));
    if settings.insecure_local_http {
        config = config.insecure_local_http();
    }
    let layer = SessionLayer::try_new(config);
    let layer = layer.map_err(|error| SettingsError::Session(error.into()))?;
    Ok(layer.clock(clock))
}

#[derive(Deserialize)]
struct Login {
    password: String,
}

async fn show_login(State(desk): State<Arc<Desk>>) -> Page {
    page::login(&desk.path, None)
}

/// A wrong password creates no session: strangers leave nothing behind.
async fn log_in(
    State(desk): State<Arc<Desk>>,
    session: Session,
    Form(login): Form<Login>,
) -> Result<Response, Error> {
    let refuse = |status: StatusCode, why| (status, page::login(&desk.path, Some(why)));
    match desk.guesses.check(&desk.hash, login.password).await {
        Verdict::Right => {
            Administrator::admit(&session)?;
            Ok(Redirect::to(&desk.path).into_response())
        }
        Verdict::Wrong => Ok(refuse(StatusCode::UNAUTHORIZED, "Wrong password.").into_response()),
        Verdict::TooMany => {
            let why = "Too many wrong passwords. Try again in a minute.";
            Ok(refuse(StatusCode::TOO_MANY_REQUESTS, why).into_response())
        }
    }
}

async fn log_out(
    State(desk): State<Arc<Desk>>,
    administrator: Administrator,
    Checked(Nothing {}): Checked<Nothing>,
) -> Result<Redirect, Error> {
    administrator.session.destroy().await?;
    Ok(Redirect::to(&format!("{}/login", desk.path)))
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    user: String,
}

async fn show(
    State(desk): State<Arc<Desk>>,
    administrator: Administrator,
    sessions: Sessions,
    Query(search): Query<Search>,
) -> Result<Page, Error> {
    let user = search.user.trim();
    let found = match user {
        "" => None,
        user => Some((user, desk.site.subjects.list(user).await?)),
    };
    let shown = Shown {
        path: &desk.path,
        csrf: &administrator.csrf,
        messages: administrator.session.flashes()?,
        found,
        own: own(&sessions).await?,
        keys: desk.site.keys.list(),
        refusals: &desk.site.refusals,
        now: desk.site.clock.now(),
    };
    Ok(page::desk(&shown))
}

/// Returns the sessions of this visitor, including those of the site's layer.
async fn own(sessions: &Sessions) -> Result<Vec<RecordKey>, Error> {
    let mut own = Vec::new();
    for session in sessions.iter() {
        session.load().await?;
        own.extend(session.record_key());
    }
    Ok(own)
}

#[derive(Deserialize)]
struct End {
    user: String,
    session: String,
}

/// Both come from a form and may be anything: `destroy` leaves other users' sessions alone.
async fn end(
    State(desk): State<Arc<Desk>>,
    administrator: Administrator,
    Checked(end): Checked<End>,
) -> Result<Redirect, Error> {
    let ended = match end.session.parse::<RecordKey>() {
        Ok(key) => desk.site.subjects.destroy(&end.user, &key).await?,
        Err(_) => false,
    };
    let message = if ended {
        "One session has ended."
    } else {
        "This session had ended before."
    };
    administrator.session.flash(message)?;
    Ok(back_to(&desk.path, &end.user))
}

#[derive(Deserialize)]
struct EndAll {
    user: String,
}

async fn end_all(
    State(desk): State<Arc<Desk>>,
    administrator: Administrator,
    Checked(end): Checked<EndAll>,
) -> Result<Redirect, Error> {
    let message = match desk.site.subjects.destroy_all(&end.user).await? {
        0 => "There was no session left.".to_owned(),
        1 => "One session has ended.".to_owned(),
        count => format!("{count} sessions have ended."),
    };
    administrator.session.flash(message)?;
    Ok(back_to(&desk.path, &end.user))
}

/// Redirects to the page of this user, whose name may be anything.
fn back_to(path: &str, user: &str) -> Redirect {
    let encoded: String = user
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).into(),
            other => format!("%{other:02X}"),
        })
        .collect();
    Redirect::to(&format!("{path}?user={encoded}"))
}
