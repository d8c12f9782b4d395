//! A struct in a session: read, changed and replaced as a whole.
//!
//! ```text
//! cargo run --example typed --features axum
//! curl -b jar -c jar -X POST http://localhost:8080/add/apples
//! ```

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use silverback::{Error, Keys, MemoryStore, SessionConfig, SessionData, SessionLayer, Typed};
use tokio::net::TcpListener;

#[derive(Default, Deserialize, Serialize)]
struct Cart {
    items: Vec<String>,
}

impl SessionData for Cart {
    const KEY: &'static str = "cart";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config =
        SessionConfig::new("session", MemoryStore::new(), Keys::generate()?).insecure_local_http();
    let app = Router::new()
        .route("/", get(show))
        .route("/add/{item}", post(add))
        .route("/empty", post(empty))
        .layer(SessionLayer::new(config));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn show(cart: Typed<Cart>) -> Result<String, Error> {
    Ok(format!("{}\n", cart.read()?.items.join(", ")))
}

async fn add(cart: Typed<Cart>, Path(item): Path<String>) -> Result<String, Error> {
    let count = cart.update(move |cart| {
        cart.items.push(item.clone());
        cart.items.len()
    })?;
    Ok(format!("{count} items\n"))
}

async fn empty(cart: Typed<Cart>) -> Result<&'static str, Error> {
    cart.replace(&Cart::default())?;
    Ok("empty\n")
}
