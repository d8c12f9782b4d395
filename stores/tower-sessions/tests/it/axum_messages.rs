//! axum-messages 0.8, unchanged, on silverback's stores and over silverback's layer.

use axum::{Router, response::Redirect, routing::get};
use axum_messages::{Messages, MessagesManagerLayer};
use silverback::{Keys, MemoryStore, SessionConfig, SessionLayer, testing::Browser};
use silverback_tower_sessions::{TowerSessionLayer, TowerSessionStore};
use tower_sessions::SessionManagerLayer;

fn pages() -> Router {
    async fn show(messages: Messages) -> String {
        let messages = messages
            .into_iter()
            .map(|message| format!("{}: {message}", message.level));
        messages.collect::<Vec<_>>().join(", ")
    }
    async fn say(messages: Messages) -> Redirect {
        messages
            .debug("Hello, world!")
            .info("This is an info message.");
        Redirect::to("/")
    }
    Router::new()
        .route("/", get(show))
        .route("/say", get(say))
        .layer(MessagesManagerLayer)
}

async fn shows_each_message_once(app: Router) {
    let browser = Browser::new(app);
    assert_eq!(browser.get("/").await.text(), "");
    let page = browser.get("/say").await;
    let page = browser.follow(&page).await;
    assert_eq!(
        page.text(),
        "Debug: Hello, world!, Info: This is an info message."
    );
    assert_eq!(browser.get("/").await.text(), "");
}

#[tokio::test]
async fn it_runs_on_the_stores_of_silverback() {
    let store = TowerSessionStore::new(MemoryStore::new());
    shows_each_message_once(pages().layer(SessionManagerLayer::new(store))).await;
}

#[tokio::test]
async fn it_runs_over_the_layer_of_silverback() {
    let config = SessionConfig::new("s", MemoryStore::new(), Keys::generate().unwrap());
    let layers = (SessionLayer::new(config), TowerSessionLayer::v0_14());
    shows_each_message_once(pages().layer(layers)).await;
}
