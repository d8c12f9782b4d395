//! Server-sent events for a logged-in visitor. The stream ends with the login, and does not extend
//! it.
//!
//! ```text
//! cargo run -p example-sse
//! curl -b jar -c jar -d Ada http://localhost:8080/login
//! curl -b jar -N http://localhost:8080/events &
//! curl -d hello http://localhost:8080/news
//! ```

use std::{convert::Infallible, error::Error as StdError};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::stream;
use silverback::{Error, Keys, MemoryStore, Session, SessionConfig, SessionLayer};
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, error::RecvError},
};

#[derive(Clone)]
enum News {
    Published(String),
    /// Somebody logged out: each stream checks whether it was its visitor.
    LoggedOut,
}

type Site = State<broadcast::Sender<News>>;

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
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/events", get(events))
        .route("/news", post(publish))
        .with_state(broadcast::Sender::new(16))
        .layer(SessionLayer::new(config))
}

/// `examples/login` has passwords.
async fn log_in(session: Session, name: String) -> Result<(), Error> {
    session.renew();
    session.set_subject(&name, "a browser")
}

async fn log_out(State(site): Site, session: Session) -> Result<(), Error> {
    session.destroy().await?;
    // Without a stream there is nobody to tell.
    let _ = site.send(News::LoggedOut);
    Ok(())
}

async fn publish(State(site): Site, news: String) {
    let _ = site.send(News::Published(news));
}

/// A browser reopens the stream whenever it breaks, even in a tab that nobody looks at. So this
/// does not count as use of the session, and the idle timeout keeps running.
async fn events(State(site): Site, session: Session) -> Result<Response, Error> {
    session.skip_touch();
    if session.subject()?.is_none() {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    }
    let open = Some((site.subscribe(), session));
    let events = stream::unfold(open, async |open| {
        let (mut news, session) = open?;
        let (event, is_last) = next(&mut news, &session).await?;
        let rest = if is_last { None } else { Some((news, session)) };
        Some((Ok::<_, Infallible>(event), rest))
    });
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// The page closes its `EventSource` at the event `logout`; otherwise the browser would reconnect
/// again and again. The event has data because browsers drop events without.
async fn next(news: &mut broadcast::Receiver<News>, session: &Session) -> Option<(Event, bool)> {
    loop {
        let news = match news.recv().await {
            Ok(news) => news,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return None,
        };
        // This also finds ends from elsewhere, when the next news comes.
        let is_logged_in = match session.load().await.and_then(|()| session.subject()) {
            Ok(subject) => subject.is_some(),
            Err(error) => {
                eprintln!("{error:?}");
                return None;
            }
        };
        match news {
            _ if !is_logged_in => {
                return Some((
                    Event::default().event("logout").data("you were logged out"),
                    true,
                ));
            }
            News::Published(text) => return Some((Event::default().data(text), false)),
            News::LoggedOut => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use silverback::testing::Browser;

    use super::*;

    async fn open(visitor: &Browser<Router>) -> Response {
        let request = Request::get("/events").body(Body::empty()).unwrap();
        visitor.send(request).await.unwrap()
    }

    async fn event(stream: &mut Response) -> Option<String> {
        let frame = stream.body_mut().frame().await?.unwrap();
        let bytes = frame.into_data().unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_stream_sends_news_until_its_visitor_logs_out() {
        let ada = Browser::new(app(Keys::generate().unwrap()));
        let (bob, editor) = (ada.another(), ada.another());
        ada.post("/login", "text/plain", "Ada").await;
        bob.post("/login", "text/plain", "Bob").await;
        let (mut adas, mut bobs) = (open(&ada).await, open(&bob).await);

        editor.post("/news", "text/plain", "hello").await;
        assert_eq!(event(&mut adas).await.unwrap(), "data: hello\n\n");
        assert_eq!(event(&mut bobs).await.unwrap(), "data: hello\n\n");

        ada.post("/logout", "text/plain", "").await;
        editor.post("/news", "text/plain", "for Bob").await;
        assert_eq!(
            event(&mut adas).await.unwrap(),
            "event: logout\ndata: you were logged out\n\n"
        );
        assert_eq!(event(&mut adas).await, None);
        assert_eq!(event(&mut bobs).await.unwrap(), "data: for Bob\n\n");
    }

    #[tokio::test]
    async fn strangers_get_no_stream() {
        let stranger = Browser::new(app(Keys::generate().unwrap()));
        assert_eq!(open(&stranger).await.status(), StatusCode::UNAUTHORIZED);
    }
}
