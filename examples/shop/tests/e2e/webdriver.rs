//! As much of a WebDriver client as the tests need: JSON over HTTP
//! (<https://www.w3.org/TR/webdriver2/>).

use std::{
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::shop::spawn;

/// Bounds a hang: a busy machine is slow.
const HANG: Duration = Duration::from_secs(120);
const MILLIS: u64 = 120_000;
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running chromedriver; it and its browsers end when this is dropped.
pub(crate) struct Driver {
    process: Child,
    _output: BufReader<ChildStdout>,
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let (process, output, port) = spawn(Command::new("chromedriver").arg("--port=0"), |line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")?
                .strip_suffix('.')
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            process,
            _output: output,
            address: format!("127.0.0.1:{port}"),
            client,
        }
    }

    /// Starts a browser whose cookies are kept in the directory `profile`.
    pub(crate) async fn browser(&self, profile: &Path) -> Browser<'_> {
        let profile = format!("--user-data-dir={}", profile.display());
        let options =
            json!({ "args": FLAGS.iter().copied().chain([&*profile]).collect::<Vec<_>>() });
        let timeouts = json!({ "implicit": MILLIS, "pageLoad": MILLIS, "script": MILLIS });
        let wanted = json!({ "goog:chromeOptions": options, "timeouts": timeouts });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = self.call(Method::POST, "/session", Some(body)).await;
        Browser {
            driver: self,
            path: format!("/session/{}", session["sessionId"].as_str().unwrap()),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.try_call(method, path, body)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Value> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        let request = request
            .header("content-type", "application/json")
            .body(Full::from(body))
            .unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        if status.is_success() {
            Ok(answer["value"].take())
        } else {
            Err(answer)
        }
    }

    /// Chromedriver's own command to end all browsers; killing it would leave them running.
    fn shut_down(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(HANG))?;
        write!(
            stream,
            "GET /shutdown HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--password-store=basic",
];

impl Drop for Driver {
    fn drop(&mut self) {
        if self.shut_down().is_err() {
            self.process.kill().unwrap();
        }
        self.process.wait().unwrap();
    }
}

/// A browser with one or more tabs, one of which is current.
pub(crate) struct Browser<'a> {
    driver: &'a Driver,
    path: String,
}

impl Browser<'_> {
    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(
            &format!("/element/{element}/value"),
            json!({ "text": text }),
        )
        .await;
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/click"), json!({}))
            .await;
    }

    /// Clicks what leads to another page and waits until that is there, for which a click itself
    /// does not wait.
    pub(crate) async fn follow(&self, selector: &str) {
        self.script("window.isOld = true").await;
        self.click(selector).await;
        let arrived = json!({ "script": "return !window.isOld && document.readyState === 'complete'", "args": [] });
        let path = format!("{}/execute/sync", self.path);
        let deadline = Instant::now() + HANG;
        // A script that the change of pages interrupts is an error.
        while self
            .driver
            .try_call(Method::POST, &path, Some(arrived.clone()))
            .await
            != Ok(Value::Bool(true))
        {
            assert!(Instant::now() < deadline, "{selector} led nowhere");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        self.get(&format!("/element/{element}/text"))
            .await
            .as_str()
            .unwrap()
            .into()
    }

    /// Runs the body of a function in the page; a promise that it returns is waited for.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    pub(crate) async fn open_tab(&self) -> String {
        self.post("/window/new", json!({ "type": "tab" })).await["handle"]
            .as_str()
            .unwrap()
            .into()
    }

    pub(crate) async fn tab(&self) -> String {
        self.get("/window").await.as_str().unwrap().into()
    }

    pub(crate) async fn switch_to(&self, tab: &str) {
        self.post("/window", json!({ "handle": tab })).await;
    }

    pub(crate) async fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.get("/cookie").await;
        let found = cookies
            .as_array()
            .unwrap()
            .iter()
            .find(|cookie| cookie["name"] == name)?;
        Some(found["value"].as_str().unwrap().into())
    }

    pub(crate) async fn set_cookie(&self, name: &str, value: &str) {
        self.post(
            "/cookie",
            json!({ "cookie": { "name": name, "value": value } }),
        )
        .await;
    }

    /// Closes the browser, which writes down the cookies that outlast it.
    pub(crate) async fn quit(self) {
        self.driver.call(Method::DELETE, &self.path, None).await;
    }

    async fn find(&self, selector: &str) -> String {
        let found = self
            .post(
                "/element",
                json!({ "using": "css selector", "value": selector }),
            )
            .await;
        found[ELEMENT].as_str().unwrap().into()
    }

    async fn get(&self, command: &str) -> Value {
        self.driver
            .call(Method::GET, &format!("{}{command}", self.path), None)
            .await
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        self.driver
            .call(Method::POST, &format!("{}{command}", self.path), Some(body))
            .await
    }
}
