//! A struct in a session: read, changed and replaced as a whole.
//!
//! ```text
//! cargo run -p example-typed
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
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(Keys::generate()?)).await?;
    Ok(())
}

fn app(keys: Keys) -> Router {
    let config = SessionConfig::new("session", MemoryStore::new(), keys).insecure_local_http();
    Router::new()
        .route("/", get(show))
        .route("/add/{item}", post(add))
        .route("/empty", post(empty))
        .layer(SessionLayer::new(config))
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

#[cfg(test)]
mod tests {
    use silverback::testing::Browser;

    use super::*;

    #[tokio::test]
    async fn added_items_stay_in_the_cart_until_it_is_emptied() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        for (item, count) in [("apples", "1 items\n"), ("pears", "2 items\n")] {
            let answer = ada.post(&format!("/add/{item}"), "text/plain", "").await;
            assert_eq!(answer.text(), count);
        }
        assert_eq!(ada.get("/").await.text(), "apples, pears\n");
        ada.post("/empty", "text/plain", "").await;
        assert_eq!(ada.get("/").await.text(), "\n");
    }
}
