//! An axum application and its tests: pages, a login, timeouts, and a store that is down.
//!
//! ```text
//! cargo run -p example-testing
//! cargo test -p example-testing
//! ```

use axum::{
    Router,
    response::Redirect,
    routing::{get, post},
};
use silverback::{Clock, Error, Keys, Session, SessionConfig, SessionLayer, store::MemoryStore};
use tokio::net::TcpListener;

/// Production and tests use the same app. Tests pass another store and clock.
fn app(config: SessionConfig, clock: Clock) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(config).clock(clock))
}

async fn home(session: Session) -> Result<String, Error> {
    let messages: Vec<String> = session.flashes()?;
    Ok(format!("{}{}", messages.concat(), greeting(&session)?))
}

fn greeting(session: &Session) -> Result<String, Error> {
    let user: Option<String> = session.get("user")?;
    Ok(format!("Hello, {}.", user.as_deref().unwrap_or("stranger")))
}

/// The body is the user's name: a form would need axum's `form` feature.
async fn log_in(session: Session, user: String) -> Result<Redirect, Error> {
    session.renew();
    session.insert("user", &user)?;
    session.set_subject(&user, "a browser")?;
    session.flash("Welcome. ")?;
    Ok(Redirect::to("/"))
}

async fn log_out(session: Session) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config =
        SessionConfig::new("account", MemoryStore::new(), Keys::generate()?).insecure_local_http();
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(config, Clock::system())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;
    use silverback::{
        ErrorKind, SessionRecords, Subjects, Timestamp,
        testing::{Browser, Calls, FlakyStore},
    };

    use super::*;

    const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);

    struct Test {
        ada: Browser<Router>,
        config: SessionConfig,
        store: FlakyStore<MemoryStore>,
        clock: Clock,
    }

    fn test() -> Test {
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let store = FlakyStore::new(MemoryStore::new().clock(clock.clone()));
        let config = SessionConfig::new("account", store.clone(), Keys::generate().unwrap())
            .idle_timeout(HALF_AN_HOUR);
        let app = app(config.clone(), clock.clone());
        let ada = Browser::new(app).clock(clock.clone());
        Test {
            ada,
            config,
            store,
            clock,
        }
    }

    /// Logs a user in without the login page.
    async fn logged_in() -> Test {
        let test = test();
        let fill = |session: &Session| {
            session.insert("user", "Ada")?;
            session.set_subject("Ada", "laptop")
        };
        test.ada.seed(&test.config, fill).await.unwrap();
        test
    }

    #[test]
    fn a_function_is_called_without_a_request() {
        let session = Session::detached(&test().config).unwrap();
        assert_eq!(greeting(&session).unwrap(), "Hello, stranger.");
        session.insert("user", "Ada").unwrap();
        assert_eq!(greeting(&session).unwrap(), "Hello, Ada.");
    }

    #[tokio::test]
    async fn a_handler_is_called_without_a_request() {
        let session = Session::detached(&test().config).unwrap();
        let _redirect = log_in(session.clone(), "Ada".to_owned()).await.unwrap();
        assert_eq!(session.subject().unwrap().as_deref(), Some("Ada"));
    }

    #[tokio::test]
    async fn a_visitor_logs_in_and_out() {
        let Test { ada, .. } = test();
        let answer = ada.post("/login", "text/plain", "Ada").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(ada.follow(&answer).await.text(), "Welcome. Hello, Ada.");
        assert_eq!(ada.get("/").await.text(), "Hello, Ada.", "once");
        assert_eq!(ada.another().get("/").await.text(), "Hello, stranger.");

        let stolen = ada.jar(|jar| jar.clone());
        ada.post("/logout", "text/plain", "").await;
        assert!(ada.jar(|jar| jar.is_empty()));
        ada.jar(|jar| *jar = stolen);
        assert_eq!(ada.get("/").await.text(), "Hello, stranger.");
    }

    #[tokio::test]
    async fn a_login_takes_a_new_id() {
        let Test { ada, .. } = test();
        ada.post("/login", "text/plain", "Ada").await;
        let before = ada.jar(|jar| jar.get("__Host-account").map(str::to_owned));
        ada.post("/login", "text/plain", "Bob").await;
        let after = ada.jar(|jar| jar.get("__Host-account").map(str::to_owned));
        assert_ne!(before, after);
    }

    #[tokio::test]
    async fn a_user_is_logged_out_after_half_an_hour() {
        let Test { ada, clock, .. } = logged_in().await;
        clock.advance(HALF_AN_HOUR - Duration::from_secs(1));
        assert_eq!(ada.get("/").await.text(), "Hello, Ada.");
        clock.advance(HALF_AN_HOUR);
        assert_eq!(ada.get("/").await.text(), "Hello, stranger.");
    }

    #[tokio::test]
    async fn an_administrator_logs_a_user_out() {
        let Test {
            ada, config, clock, ..
        } = logged_in().await;
        let subjects = Subjects::new(&config).unwrap().clock(clock.clone());
        let records = SessionRecords::new(&config).unwrap().clock(clock);
        let key = subjects.list("Ada").await.unwrap()[0].record_key();
        assert!(records.destroy(&key).await.unwrap());
        assert_eq!(ada.get("/").await.text(), "Hello, stranger.");
    }

    #[tokio::test]
    async fn a_session_that_cannot_be_read_is_an_error_not_a_logout() {
        let Test { ada, store, .. } = logged_in().await;
        store.fail_all(Calls::All);
        assert_eq!(ada.get("/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        store.heal();
        assert_eq!(ada.get("/").await.text(), "Hello, Ada.");
    }

    #[tokio::test]
    async fn a_login_that_cannot_be_saved_does_not_log_in() {
        let Test { ada, store, .. } = test();
        store.fail_next(Calls::Writes);
        let answer = ada.post("/login", "text/plain", "Ada").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let kind = answer.error().map(Error::kind);
        assert_eq!(kind, Some(ErrorKind::StoreFailed));
        assert!(ada.jar(|jar| jar.is_empty()));
    }
}
