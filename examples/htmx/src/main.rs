//! htmx: the server sends fragments of a page. A visitor whose login has ended gets the whole login
//! page, not its HTML in the middle of a list.
//!
//! ```text
//! cargo run -p example-htmx
//! ```

use std::error::Error as StdError;

use axum::{
    Form, Router,
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tokio::net::TcpListener;
use tower_http::csrf::CsrfLayer;

/// htmx sends this header with each request.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
/// htmx loads the page in this header as a whole. It would follow a 303 by itself, and put the
/// login page in place of the list.
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(Keys::generate()?)).await?;
    Ok(())
}

fn app(keys: Keys) -> Router {
    let config = SessionConfig::new("account", MemoryStore::new(), keys).insecure_local_http();
    Router::new()
        .route("/", get(show))
        .route("/tasks", post(add))
        .route("/login", get(show_login).post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(config))
        .layer(CsrfLayer::new())
}

/// The session of a visitor who is logged in.
struct LoggedIn(Session);

impl<S: Send + Sync> FromRequestParts<S> for LoggedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        match session.subject() {
            Ok(Some(_)) => Ok(Self(session)),
            Ok(None) if parts.headers.contains_key(HX_REQUEST) => {
                let login = HeaderValue::from_static("/login");
                Err((StatusCode::OK, [(HX_REDIRECT, login)]).into_response())
            }
            Ok(None) => Err(Redirect::to("/login").into_response()),
            Err(error) => Err(error.into_response()),
        }
    }
}

#[derive(Deserialize)]
struct Task {
    task: String,
}

async fn show(LoggedIn(session): LoggedIn) -> Result<Markup, Error> {
    let tasks: Vec<String> = session.get_or_default("tasks")?;
    Ok(page(&html! {
        form hx-post="/tasks" hx-target="#tasks" hx-swap="outerHTML" {
            label { "What next? " input name="task" required; }
            button { "Add" }
        }
        (list(&tasks))
        form method="post" action="/logout" { button { "Log out" } }
    }))
}

/// Answers with only the list, which htmx puts in place of the old one.
async fn add(LoggedIn(session): LoggedIn, Form(task): Form<Task>) -> Result<Markup, Error> {
    let tasks = session.update("tasks", move |tasks: &mut Vec<String>| {
        tasks.push(task.task.clone());
        tasks.clone()
    })?;
    Ok(list(&tasks))
}

fn list(tasks: &[String]) -> Markup {
    html! { ul #tasks { @for task in tasks { li { (task) } } } }
}

async fn show_login() -> Markup {
    page(&html! {
        form method="post" {
            label { "Your name " input name="name" required; }
            button { "Log in" }
        }
    })
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// `examples/login` has passwords.
async fn log_in(session: Session, Form(login): Form<Login>) -> Result<Redirect, Error> {
    session.renew();
    session.set_subject(&login.name, "a browser")?;
    Ok(Redirect::to("/"))
}

async fn log_out(session: Session) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/login"))
}

fn page(content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Tasks" }
                script src="https://cdn.jsdelivr.net/npm/htmx.org@2.0.7/dist/htmx.min.js"
                    integrity="sha384-ZBXiYtYQ6hJ2Y0ZNoYuI+Nq5MqWBr+chMrS/RkXpNzQCApHEhOt2aY8EJgqwHLkJ" crossorigin="anonymous" {}
            }
            body { (content) }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use silverback::testing::{Browser, Page};

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    async fn add(visitor: &Browser<Router>, task: &str) -> Page {
        let request = Request::post("/tasks")
            .header(HX_REQUEST, "true")
            .header("content-type", FORM)
            .body(format!("task={task}").into())
            .unwrap();
        visitor.visit::<axum::body::Body, _>(request).await
    }

    #[tokio::test]
    async fn an_added_task_returns_only_the_list() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        ada.post("/login", FORM, "name=Ada").await;
        add(&ada, "wash").await;
        let list = "<ul id=\"tasks\"><li>wash</li><li>&lt;b&gt;</li></ul>";
        assert_eq!(add(&ada, "<b>").await.text(), list);
        assert!(ada.get("/").await.text().contains(list));
    }

    #[tokio::test]
    async fn a_visitor_whose_login_has_ended_gets_the_whole_login_page() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        ada.post("/login", FORM, "name=Ada").await;
        let other_tab = ada.clone();
        other_tab.post("/logout", FORM, "").await;
        let answer = add(&ada, "wash").await;
        assert_eq!(answer.headers()[HX_REDIRECT], "/login");
        assert_eq!(answer.text(), "");
        let answer = ada.get("/").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }
}
