//! Forms with a token in the session (the synchroniser token of OWASP's cheat sheet on CSRF).
//!
//! ```text
//! cargo run -p example-csrf
//! ```
//!
//! Tokens are for sites that serve old browsers. All current ones send `Sec-Fetch-Site`, and
//! `tower_http::csrf::CsrfLayer` is one line: `examples/login` has it.

mod token;

use std::error::Error as StdError;

use axum::{Router, response::Redirect, routing::get};
use maud::{Markup, html};
use serde::Deserialize;
use silverback::{Error, Keys, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;

use token::{Checked, token};

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(Keys::generate()?)).await?;
    Ok(())
}

fn app(keys: Keys) -> Router {
    let config = SessionConfig::cookie("session", keys).insecure_local_http();
    Router::new()
        .route("/", get(show).post(rename))
        .layer(SessionLayer::new(config))
}

#[derive(Deserialize)]
struct Rename {
    name: String,
}

async fn show(session: Session) -> Result<Markup, Error> {
    let name = session.get::<String>("name")?;
    Ok(html! {
        p { "Hello, " (name.as_deref().unwrap_or("stranger")) "." }
        form method="post" {
            input type="hidden" name="csrf" value=(token(&session)?);
            label { "Your name " input name="name" required; }
            button { "Rename" }
        }
    })
}

/// `Checked` has already refused forms without the token.
async fn rename(session: Session, Checked(form): Checked<Rename>) -> Result<Redirect, Error> {
    session.insert("name", form.name)?;
    Ok(Redirect::to("/"))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use silverback::testing::{Browser, Page};

    use super::*;

    async fn post(visitor: &Browser<Router>, form: String) -> Page {
        let kind = "application/x-www-form-urlencoded";
        visitor.post("/", kind, form).await
    }

    /// Returns the token in the form that the visitor sees.
    async fn seen(visitor: &Browser<Router>) -> String {
        let page = visitor.get("/").await;
        let (_, rest) = page.text().split_once("value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    #[tokio::test]
    async fn a_form_counts_only_with_the_visitors_own_token() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        let mallory = ada.another();
        let (token, other) = (seen(&ada).await, seen(&mallory).await);
        for form in [
            "name=Mallory".to_owned(),
            "name=Mallory&csrf=".to_owned(),
            format!("name=Mallory&csrf={other}"),
        ] {
            assert_eq!(post(&ada, form).await.status(), StatusCode::FORBIDDEN);
        }
        let stranger = ada.another();
        let answer = post(&stranger, "name=Mallory&csrf=".to_owned()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "there is no token");

        let answer = post(&ada, format!("name=Ada&csrf={token}")).await;
        assert!(ada.follow(&answer).await.text().contains("Hello, Ada."));
        assert_eq!(seen(&ada).await, token, "other tabs have it too");
    }
}
