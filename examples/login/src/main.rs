//! Logins with passwords (Argon2id) and roles.
//!
//! ```text
//! cargo run -p example-login
//! curl -b jar -c jar -d 'name=ada&password=correct horse' http://localhost:8080/login
//! curl -b jar -c jar http://localhost:8080/admin
//! ```
//!
//! There are two users: `ada`, an administrator, and `bob`, whose password is `battery staple`. A
//! real site also slows down anyone who guesses passwords.

mod users;

use std::error::Error as StdError;

use axum::{
    Form, Router,
    extract::{FromRef, FromRequestParts, State},
    http::{HeaderMap, StatusCode, header::USER_AGENT, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;
use tower_http::csrf::CsrfLayer;

use users::{Role, Users};

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let users = Users::new(&[
        ("ada", "correct horse", Role::Admin),
        ("bob", "battery staple", Role::Member),
    ])?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(users, Keys::generate()?)).await?;
    Ok(())
}

/// `CsrfLayer` refuses forms from other sites. Without it, another site could log a visitor in to
/// someone else's account.
fn app(users: Users, keys: Keys) -> Router {
    let config = SessionConfig::new("account", MemoryStore::new(), keys).insecure_local_http();
    Router::new()
        .route("/", get(home))
        .route("/login", get(show_login).post(log_in))
        .route("/logout", post(log_out))
        .route("/admin", get(administer))
        .with_state(users)
        .layer(SessionLayer::new(config))
        .layer(CsrfLayer::new())
}

/// The logged-in user. This extractor sends everybody else to the login page.
struct LoggedIn {
    name: String,
    role: Role,
}

impl<S> FromRequestParts<S> for LoggedIn
where
    S: Send + Sync,
    Users: FromRef<S>,
{
    type Rejection = Response;

    /// The session has the user's name, and the user table has the role. So a revoked role takes
    /// effect with the next request.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let name = session.subject().map_err(IntoResponse::into_response)?;
        let users = Users::from_ref(state);
        name.and_then(|name| {
            let role = users.role(&name)?;
            Some(Self { name, role })
        })
        .ok_or_else(|| Redirect::to("/login").into_response())
    }
}

/// A logged-in administrator. Members are refused.
struct Administrator(String);

impl<S> FromRequestParts<S> for Administrator
where
    S: Send + Sync,
    Users: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let user = LoggedIn::from_request_parts(parts, state).await?;
        match user.role {
            Role::Admin => Ok(Self(user.name)),
            Role::Member => Err((StatusCode::FORBIDDEN, "for administrators\n").into_response()),
        }
    }
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

/// A new ID and the whole login in one request: anyone who knew the old ID is locked out.
async fn log_in(
    State(users): State<Users>,
    session: Session,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Result<Redirect, Error> {
    if !users.check(&login.name, login.password).await {
        session.flash("Wrong name or password.")?;
        return Ok(Redirect::to("/login"));
    }
    let device = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("an unknown browser");
    session.renew();
    session.set_subject(&login.name, &device.chars().take(80).collect::<String>())?;
    Ok(Redirect::to("/"))
}

async fn log_out(session: Session) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/login"))
}

async fn show_login(session: Session) -> Result<String, Error> {
    let messages: Vec<String> = session.flashes()?;
    Ok(format!("{}Who are you?\n", messages.concat()))
}

async fn home(user: LoggedIn) -> String {
    format!("Hello, {}.\n", user.name)
}

async fn administer(Administrator(name): Administrator) -> String {
    format!("Everything is yours, {name}.\n")
}

#[cfg(test)]
mod tests {
    use silverback::testing::{Browser, Page};

    use super::*;

    fn visitor() -> Browser<Router> {
        let users = Users::new(&[
            ("ada", "correct horse", Role::Admin),
            ("bob", "battery staple", Role::Member),
        ]);
        Browser::new(app(users.unwrap(), Keys::generate().unwrap()))
    }

    async fn log_in(visitor: &Browser<Router>, name: &str, password: &str) -> Page {
        let form = format!("name={name}&password={password}");
        let answer = visitor.post("/login", "application/x-www-form-urlencoded", form);
        visitor.follow(&answer.await).await
    }

    #[tokio::test]
    async fn roles_decide_what_a_user_may_see() {
        let ada = visitor();
        let bob = ada.another();
        assert_eq!(
            log_in(&ada, "ada", "correct+horse").await.text(),
            "Hello, ada.\n"
        );
        assert_eq!(
            log_in(&bob, "bob", "battery+staple").await.text(),
            "Hello, bob.\n"
        );
        assert_eq!(
            ada.get("/admin").await.text(),
            "Everything is yours, ada.\n"
        );
        assert_eq!(bob.get("/admin").await.status(), StatusCode::FORBIDDEN);
        let stranger = ada.another();
        for path in ["/", "/admin"] {
            let answer = stranger.get(path).await;
            assert_eq!(answer.location().unwrap().path(), "/login", "{path}");
        }
    }

    #[tokio::test]
    async fn a_wrong_password_and_an_unknown_name_look_the_same() {
        let ada = visitor();
        for (name, password) in [("ada", "battery+staple"), ("eve", "correct+horse")] {
            let page = log_in(&ada, name, password).await;
            assert_eq!(page.text(), "Wrong name or password.Who are you?\n");
            assert_eq!(ada.get("/").await.status(), StatusCode::SEE_OTHER);
        }
    }

    #[tokio::test]
    async fn a_login_takes_a_new_id_and_a_logout_ends_it_for_every_copy() {
        let ada = visitor();
        log_in(&ada, "ada", "battery+staple").await;
        let planted = ada.jar(|jar| jar.clone());
        log_in(&ada, "ada", "correct+horse").await;
        let stolen = ada.jar(|jar| jar.clone());
        ada.post("/logout", "text/plain", "").await;
        for copy in [planted, stolen] {
            ada.jar(|jar| *jar = copy);
            assert_eq!(ada.get("/").await.status(), StatusCode::SEE_OTHER);
        }
    }
}
