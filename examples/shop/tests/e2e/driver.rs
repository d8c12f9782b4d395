//! The driver of the browsers as a process of its own, and what `fantoccini` lacks: a click that
//! waits for the next page.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::sleep;
use url::{ParseError, Url};

use crate::shop::spawn;

/// Bounds a hang: a busy machine is slow.
const HANG: Duration = Duration::from_secs(120);
const MILLIS: u64 = 120_000;

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

/// A running chromedriver; it and its browsers end when this is dropped.
pub(crate) struct Driver {
    process: Child,
    _output: BufReader<ChildStdout>,
    address: String,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let (process, output, port) = spawn(Command::new("chromedriver").arg("--port=0"), |line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")?
                .strip_suffix('.')
        });
        Self {
            process,
            _output: output,
            address: format!("127.0.0.1:{port}"),
        }
    }

    /// Starts a browser whose cookies are kept in the directory `profile`.
    pub(crate) async fn browser(&self, profile: &Path) -> Browser {
        let profile = format!("--user-data-dir={}", profile.display());
        let flags: Vec<_> = FLAGS.iter().copied().chain([&*profile]).collect();
        let timeouts = json!({ "implicit": MILLIS, "pageLoad": MILLIS, "script": MILLIS });
        let wanted = [
            ("goog:chromeOptions", json!({ "args": flags })),
            ("timeouts", timeouts),
        ];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.into_iter().collect())
            .connect(&format!("http://{}", self.address))
            .await;
        Browser(client.unwrap())
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

impl Drop for Driver {
    fn drop(&mut self) {
        if self.shut_down().is_err() {
            self.process.kill().unwrap();
        }
        self.process.wait().unwrap();
    }
}

/// A browser with one or more tabs, one of which is current.
pub(crate) struct Browser(pub(crate) Client);

impl Browser {
    pub(crate) async fn go(&self, url: &str) {
        self.0.goto(url).await.unwrap();
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let element = self.0.find(Locator::Css(selector)).await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.0.find(Locator::Css(selector)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Clicks what leads to another page and waits until that is there, for which a click itself
    /// does not wait.
    pub(crate) async fn follow(&self, selector: &str) {
        self.script("window.isOld = true").await;
        self.click(selector).await;
        let arrived = "return !window.isOld && document.readyState === 'complete'";
        let deadline = Instant::now() + HANG;
        // A script that the change of pages interrupts is an error.
        while !matches!(
            self.0.execute(arrived, Vec::new()).await,
            Ok(Value::Bool(true))
        ) {
            assert!(Instant::now() < deadline, "{selector} led nowhere");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.0.find(Locator::Css(selector)).await.unwrap();
        element.text().await.unwrap()
    }

    /// Runs the body of a function in the page; a promise that it returns is waited for.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    pub(crate) async fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.0.get_all_cookies().await.unwrap();
        let found = cookies.iter().find(|cookie| cookie.name() == name)?;
        Some(found.value().into())
    }

    /// `add_cookie` of fantoccini asks for a domain, which the shop's cookies do not have.
    pub(crate) async fn set_cookie(&self, name: &str, value: &str) {
        let url = self.0.current_url().await.unwrap();
        let cookie = json!({ "name": name, "value": value, "url": url.as_str() });
        let set = DevTools("Network.setCookie", cookie);
        self.0.issue_cmd(set).await.unwrap();
    }

    /// Has the window this width, in CSS pixels, and the visitor prefer these colours.
    pub(crate) async fn look(&self, width: u32, colours: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        for command in [
            DevTools("Emulation.setDeviceMetricsOverride", size),
            DevTools("Emulation.setEmulatedMedia", media),
        ] {
            self.0.issue_cmd(command).await.unwrap();
        }
    }

    /// Closes the browser, which writes down the cookies that outlast it.
    pub(crate) async fn quit(self) {
        self.0.close().await.unwrap();
    }
}

/// A command of the DevTools protocol, which chromedriver passes on.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let command = json!({ "cmd": self.0, "params": self.1 });
        (Method::POST, Some(command.to_string()))
    }
}
