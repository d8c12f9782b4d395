use std::{net::SocketAddr, process::Output};

use silverback::{
    DefaultResponder, SessionService,
    testing::{Browser, Calls, FlakyStore},
};
use silverback_test_servers::find;
use tokio::{net::TcpListener, process::Command};
use tonic::{Code, transport::server::TcpIncoming};
use tower::Layer;

use super::{visits::visits_client::VisitsClient, *};

type Client = Browser<SessionService<VisitsServer<Counter>, DefaultResponder>>;

/// Makes a client without a network, which keeps its cookie.
fn client(config: SessionConfig) -> Client {
    Browser::new(SessionLayer::new(config).layer(VisitsServer::new(Counter)))
}

async fn log_in(client: &Client, name: &str) -> Result<(), Status> {
    let name = name.to_owned();
    let mut client = VisitsClient::new(client.clone());
    client.log_in(LogInRequest { name }).await.map(|_| ())
}

async fn visit(client: &Client) -> Result<(String, u64), Status> {
    let mut client = VisitsClient::new(client.clone());
    let reply = client.visit(VisitRequest {}).await?.into_inner();
    Ok((reply.name, reply.count))
}

async fn log_out(client: &Client) -> Result<(), Status> {
    let mut client = VisitsClient::new(client.clone());
    client.log_out(LogOutRequest {}).await.map(|_| ())
}

#[tokio::test]
async fn visits_are_counted_for_each_user_who_is_logged_in() {
    let config = SessionConfig::new("session", MemoryStore::new(), Keys::generate().unwrap());
    let ada = client(config.clone());
    let refused = visit(&ada).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    log_in(&ada, "Ada").await.unwrap();
    assert_eq!(visit(&ada).await.unwrap(), ("Ada".to_owned(), 1));
    assert_eq!(visit(&ada).await.unwrap(), ("Ada".to_owned(), 2));
    assert!(visit(&ada.another()).await.is_err());
    ada.seed(&config, |session| session.insert("visits", 99))
        .await
        .unwrap();
    assert_eq!(visit(&ada).await.unwrap(), ("Ada".to_owned(), 100));

    let stolen = ada.another();
    ada.jar(|own| stolen.jar(|jar| *jar = own.clone()));
    log_out(&ada).await.unwrap();
    for client in [ada, stolen] {
        let refused = visit(&client).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_failing_store_is_a_status() {
    let store = FlakyStore::new(MemoryStore::new());
    let keys = Keys::generate().unwrap();
    let ada = client(SessionConfig::new("session", store.clone(), keys));
    log_in(&ada, "Ada").await.unwrap();
    for (calls, code) in [
        (Calls::Reads, Code::Unavailable),
        (Calls::Writes, Code::Internal),
    ] {
        store.fail_next(calls);
        assert_eq!(visit(&ada).await.unwrap_err().code(), code, "{calls:?}");
    }
    assert_eq!(visit(&ada).await.unwrap(), ("Ada".to_owned(), 1));
}

/// Starts a server on its own port.
async fn serve() -> SocketAddr {
    let config = SessionConfig::new("session", MemoryStore::new(), Keys::generate().unwrap());
    let server = Server::builder()
        .layer(SessionLayer::new(config.insecure_local_http()))
        .add_service(VisitsServer::new(Counter));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

#[tokio::test]
async fn over_a_connection_a_client_sends_its_cookie_back_in_the_metadata() {
    let url = format!("http://{}", serve().await);
    let mut client = VisitsClient::connect(url).await.unwrap();
    let name = "Ada".to_owned();
    let first = client.log_in(LogInRequest { name }).await.unwrap();
    let cookie = first.metadata().get("set-cookie").unwrap();
    let pair = cookie.to_str().unwrap().split(';').next().unwrap();
    let mut second = Request::new(VisitRequest {});
    second
        .metadata_mut()
        .insert("cookie", pair.parse().unwrap());
    let second = client.visit(second).await.unwrap();
    assert_eq!(second.into_inner().count, 1);
}

/// Calls a method like the README.
async fn buf_curl(server: SocketAddr, method: &str, more: &[&str]) -> Output {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let mut command = Command::new("buf");
    command.args(["curl", "--schema", schema]);
    command.args(["--protocol", "grpc", "--http2-prior-knowledge", "--verbose"]);
    command
        .args(more)
        .arg(format!("http://{server}/visits.Visits/{method}"));
    command.output().await.unwrap()
}

/// Returns the cookie that a reply sets.
fn cookie(output: &Output) -> &str {
    let said = str::from_utf8(&output.stderr).unwrap();
    let mut lines = said.lines();
    let field = lines.find_map(|line| line.split_once(" Set-Cookie: "));
    let (_, field) = field.unwrap_or_else(|| panic!("{said}"));
    field.split(';').next().unwrap()
}

#[tokio::test]
async fn another_client_logs_in_and_out() {
    if find("buf").is_none() {
        return;
    }
    let server = serve().await;
    let is_refused = |output: &Output| {
        let said = str::from_utf8(&output.stderr).unwrap();
        !output.status.success() && said.contains("\"unauthenticated\"")
    };
    let refused = buf_curl(server, "Visit", &[]).await;
    assert!(is_refused(&refused), "{refused:?}");

    let login = buf_curl(server, "LogIn", &["--data", r#"{"name": "Ada"}"#]).await;
    let header = format!("Cookie: {}", cookie(&login));
    let with_cookie = ["--header", &header];
    for count in [1, 2] {
        let visit = buf_curl(server, "Visit", &with_cookie).await;
        let reply = str::from_utf8(&visit.stdout).unwrap().split_whitespace();
        let reply: String = reply.collect();
        assert_eq!(reply, format!(r#"{{"name":"Ada","count":"{count}"}}"#));
    }

    let logout = buf_curl(server, "LogOut", &with_cookie).await;
    assert_eq!(cookie(&logout), "session=", "the cookie is removed");
    let refused = buf_curl(server, "Visit", &with_cookie).await;
    assert!(is_refused(&refused), "{refused:?}");
}
