//! The site that the users visit. It accepts any name as a login.

use axum::{
    Form, Router,
    http::{HeaderMap, header::USER_AGENT},
    routing::{get, post},
};
use serde::Deserialize;
use silverback::{Error, Session, SessionLayer};

/// The administrators' page is inside the layer, so that it knows the visitor's own login.
pub(crate) fn app(layer: SessionLayer, admin: Option<Router>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", post(log_in))
        .merge(admin.unwrap_or_default())
        .layer(layer)
}

async fn home(session: Session) -> Result<String, Error> {
    let user = session.subject()?;
    Ok(format!(
        "Hello, {}.\n",
        user.as_deref().unwrap_or("stranger")
    ))
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn log_in(
    session: Session,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Result<(), Error> {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let device: String = agent.unwrap_or_default().chars().take(80).collect();
    session.set_subject(&login.name, &device)
}
