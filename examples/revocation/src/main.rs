//! Sessions in cookies, with a store for two things that a cookie cannot do: end every copy of a
//! session, and hold more than fits.
//!
//! ```text
//! cargo run -p example-revocation
//! curl -b jar -c jar -d 'buy milk' http://localhost:8080/notes
//! curl -b jar -c jar http://localhost:8080/notes
//! curl -b jar -c jar -X POST http://localhost:8080/logout
//! ```

use std::error::Error as StdError;

use axum::{
    Router,
    routing::{get, post},
};
use silverback::{
    CookieStore, Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer, store::Store,
};
use tokio::net::TcpListener;

/// In production, use a store that survives a restart and is shared by all servers: files, Redis, a
/// database. It holds ends, and sessions that have outgrown their cookies. All other sessions are
/// only in their cookies.
#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(&MemoryStore::new(), Keys::generate()?)).await?;
    Ok(())
}

fn app(store: &(impl Store + Clone), keys: Keys) -> Router {
    let cookies = CookieStore::new()
        .revocation(store.clone())
        .overflow(store.clone());
    let config = SessionConfig::new("account", cookies, keys).insecure_local_http();
    Router::new()
        .route("/notes", get(show).post(note))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(config))
}

/// The handlers know nothing about cookies and stores.
async fn note(session: Session, text: String) -> Result<(), Error> {
    session.update("notes", move |notes: &mut Vec<String>| {
        notes.push(text.clone())
    })
}

async fn show(session: Session) -> Result<String, Error> {
    let notes: Vec<String> = session.get_or_default("notes")?;
    Ok(notes.iter().map(|note| format!("- {note}\n")).collect())
}

/// From now on every copy of the cookie is refused.
async fn log_out(session: Session) -> Result<(), Error> {
    session.destroy().await
}

#[cfg(test)]
mod tests {
    use silverback::testing::Browser;

    use super::*;

    struct Test {
        ada: Browser<Router>,
        store: MemoryStore,
    }

    fn test() -> Test {
        let store = MemoryStore::new();
        let ada = Browser::new(app(&store, Keys::generate().unwrap()));
        Test { ada, store }
    }

    async fn note(visitor: &Browser<Router>, text: &str) {
        let answer = visitor.post("/notes", "text/plain", text.to_owned()).await;
        assert_eq!(answer.status(), 200);
    }

    fn cookie(visitor: &Browser<Router>) -> usize {
        visitor.jar(|jar| jar.get("account").unwrap().len())
    }

    #[tokio::test]
    async fn a_copy_of_the_cookie_is_worthless_after_the_logout() {
        let Test { ada, store } = test();
        note(&ada, "buy milk").await;
        assert!(store.is_empty(), "the session is in the cookie");
        let thief = ada.another();
        thief.jar(|jar| *jar = ada.jar(|jar| jar.clone()));
        assert_eq!(thief.get("/notes").await.text(), "- buy milk\n");

        ada.post("/logout", "text/plain", "").await;
        assert!(ada.jar(|jar| jar.is_empty()));
        assert_eq!(thief.get("/notes").await.text(), "");
    }

    #[tokio::test]
    async fn a_session_that_outgrows_its_cookie_moves_into_the_store() {
        let Test { ada, store } = test();
        note(&ada, &"short ".repeat(100)).await;
        let before = cookie(&ada);
        note(&ada, &"long ".repeat(1_000)).await;
        assert!(cookie(&ada) < before, "the cookie has only an ID now");
        assert_eq!(store.len(), 1);
        assert_eq!(ada.get("/notes").await.text().lines().count(), 2);

        let thief = ada.another();
        thief.jar(|jar| *jar = ada.jar(|jar| jar.clone()));
        ada.post("/logout", "text/plain", "").await;
        assert_eq!(thief.get("/notes").await.text(), "");
    }
}
