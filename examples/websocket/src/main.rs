//! A WebSocket that closes when its visitor logs out, here or elsewhere.
//!
//! ```text
//! cargo run -p example-websocket
//! ```
//!
//! A browser sends the cookie when it opens a socket. `SameSite=Lax`, the default, prevents that
//! for pages of other sites.

use std::{error::Error as StdError, time::Duration};

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, post},
};
use silverback::{
    Error, ErrorKind, Keys, MemoryStore, Rejection, Session, SessionConfig, SessionLayer,
};
use tokio::{net::TcpListener, sync::watch, time};

/// Codes from 4000 are the application's own (RFC 6455, section 7.4.2).
const LOGGED_OUT: u16 = 4001;
const OPEN_AGAIN: u16 = 4002;

#[derive(Clone)]
struct Site {
    /// Changes with each logout on this server, so that its sockets check their sessions at once.
    logouts: watch::Sender<()>,
    /// How often a socket checks for logouts elsewhere. A check restarts the session's idle
    /// timeout, so make a few in each timeout.
    look_every: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let config =
        SessionConfig::new("account", MemoryStore::new(), Keys::generate()?).insecure_local_http();
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://localhost:8080");
    axum::serve(listener, app(config, Duration::from_secs(300))).await?;
    Ok(())
}

fn app(config: SessionConfig, look_every: Duration) -> Router {
    let site = Site {
        logouts: watch::Sender::new(()),
        look_every,
    };
    Router::new()
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/socket", any(open))
        .with_state(site)
        .layer(SessionLayer::new(config))
}

/// `examples/login` has passwords.
async fn log_in(session: Session, name: String) -> Result<(), Error> {
    session.renew();
    session.set_subject(&name, "a browser")
}

async fn log_out(State(site): State<Site>, session: Session) -> Result<(), Error> {
    session.destroy().await?;
    site.logouts.send_replace(());
    Ok(())
}

/// Strangers get no socket.
async fn open(
    State(site): State<Site>,
    session: Session,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let Some(name) = session.subject()? else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    Ok(upgrade.on_upgrade(move |socket| serve(socket, site, session, name)))
}

async fn serve(mut socket: WebSocket, site: Site, session: Session, name: String) {
    let mut logouts = site.logouts.subscribe();
    let mut looks = time::interval(site.look_every);
    loop {
        let end = tokio::select! {
            message = socket.recv() => {
                let Some(Ok(message)) = message else { return };
                if let Message::Text(text) = message {
                    let answer = Message::text(format!("{name}: {text}"));
                    if socket.send(answer).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            _ = logouts.changed() => end(&session).await,
            _ = looks.tick() => keep_alive(&session).await,
        };
        if let Some((code, reason)) = end {
            let reason = reason.into();
            // The visitor may be gone already.
            let _ = socket
                .send(Message::Close(Some(CloseFrame { code, reason })))
                .await;
            return;
        }
    }
}

/// Restarts the session's idle timeout, since a visitor with an open socket is present.
async fn keep_alive(session: &Session) -> Option<(u16, &'static str)> {
    match session.touch().await {
        Ok(()) => None,
        Err(error) if error.kind() == ErrorKind::Gone => end(session).await,
        // A store that does not answer is not a logout. The next check will tell.
        Err(error) => {
            eprintln!("{error:?}");
            None
        }
    }
}

/// Returns why the session has ended, if it has. A renewed session lives on under the browser's new
/// cookie, which a new socket sends.
async fn end(session: &Session) -> Option<(u16, &'static str)> {
    match session.load().await.and_then(|()| session.subject()) {
        Ok(Some(_)) => None,
        Ok(None) if session.rejection() == Some(Rejection::Renewed) => {
            Some((OPEN_AGAIN, "open another socket"))
        }
        Ok(None) => Some((LOGGED_OUT, "you were logged out")),
        Err(error) => {
            eprintln!("{error:?}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use silverback::{SessionRecords, testing::Browser};
    use tokio::net::TcpStream;
    use tokio_tungstenite::{
        MaybeTlsStream, WebSocketStream, connect_async,
        tungstenite::{Error, Message, client::IntoClientRequest as _},
    };

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

    struct Test {
        ada: Browser<Router>,
        config: SessionConfig,
        url: String,
    }

    /// The browser visits the site in this process; its sockets use a connection.
    async fn test(look_every: Duration) -> Test {
        let keys = Keys::generate().unwrap();
        let config = SessionConfig::new("account", MemoryStore::new(), keys);
        let app = app(config.clone(), look_every);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/socket", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app.clone()).into_future());
        let ada = Browser::new(app);
        Test { ada, config, url }
    }

    async fn log_in(test: &Test) {
        test.ada.post("/login", "text/plain", "Ada").await;
    }

    async fn open(test: &Test) -> Result<Socket, Error> {
        let mut request = test.url.as_str().into_client_request().unwrap();
        let cookie = test.ada.jar(|jar| {
            let value = jar.get("__Host-account").unwrap_or_default();
            format!("__Host-account={value}")
        });
        request
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        Ok(connect_async(request).await?.0)
    }

    async fn close_code(socket: &mut Socket) -> u16 {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn strangers_get_no_socket() {
        let Err(Error::Http(answer)) = open(&test(HOUR).await).await else {
            panic!("a socket was opened")
        };
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_logout_closes_the_socket() {
        let test = test(HOUR).await;
        log_in(&test).await;
        let mut socket = open(&test).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer.to_text().unwrap(), "Ada: hello");
        test.ada.post("/logout", "text/plain", "").await;
        assert_eq!(close_code(&mut socket).await, LOGGED_OUT);
    }

    #[tokio::test]
    async fn a_login_under_another_name_has_the_client_open_another_socket() {
        let test = test(HOUR).await;
        log_in(&test).await;
        let mut socket = open(&test).await.unwrap();
        log_in(&test).await;
        let stranger = test.ada.another();
        stranger.post("/logout", "text/plain", "").await;
        assert_eq!(close_code(&mut socket).await, OPEN_AGAIN);
    }

    /// An administrator's console ends the session without telling this server.
    #[tokio::test]
    async fn an_end_from_elsewhere_closes_the_socket() {
        let test = test(Duration::from_millis(10)).await;
        log_in(&test).await;
        let mut socket = open(&test).await.unwrap();
        let session = test.ada.session(&test.config).await.unwrap();
        let records = SessionRecords::new(&test.config).unwrap();
        records
            .destroy(&session.record_key().unwrap())
            .await
            .unwrap();
        assert_eq!(close_code(&mut socket).await, LOGGED_OUT);
    }
}
