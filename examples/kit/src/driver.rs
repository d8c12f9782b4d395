//! The driver of the browsers, in its own process, and a click that waits for the next page, which
//! `fantoccini` lacks.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};
use url::{ParseError, Url};

use crate::{require, spawn};

/// The width of the narrowest phone in use, in CSS pixels.
const PHONE: u32 = 320;
const DESKTOP: u32 = 1_280;

/// Browsers are too heavy for several tests at once.
static TURN: Mutex<()> = Mutex::const_new(());

/// The longest that a test waits. A busy machine is slow.
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

/// A running chromedriver. It and its browsers end when this is dropped. Only one runs at a time.
#[derive(Debug)]
pub struct Driver {
    process: Child,
    _output: BufReader<ChildStdout>,
    address: String,
    profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Driver {
    /// Starts chromedriver, if it and its browser are installed.
    pub async fn start() -> Option<Self> {
        if !(require("chromium") && require("chromedriver")) {
            return None;
        }
        let turn = TURN.lock().await;
        let (process, output, port) = spawn(Command::new("chromedriver").arg("--port=0"), |line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")?
                .strip_suffix('.')
        });
        Some(Self {
            process,
            _output: output,
            address: format!("127.0.0.1:{port}"),
            profile: tempfile::tempdir().unwrap(),
            _turn: turn,
        })
    }

    /// Starts a browser, with the profile of the previous one.
    pub async fn browser(&self) -> Browser {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
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

    /// Sends chromedriver's command to end all browsers. If it were killed, they would keep
    /// running.
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
#[derive(Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "the client has the other methods"
)]
pub struct Browser(
    /// The client, for everything that has no method here.
    pub Client,
);

impl Browser {
    /// Opens a page.
    pub async fn go(&self, url: &str) {
        self.0.goto(url).await.unwrap();
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.0.find(Locator::Css(selector)).await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Clicks an element that does not lead to another page.
    pub async fn click(&self, selector: &str) {
        let element = self.0.find(Locator::Css(selector)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Clicks an element that leads to another page, and waits for that page, as a click itself
    /// does not.
    pub async fn follow(&self, selector: &str) {
        self.script("window.isOld = true").await;
        self.click(selector).await;
        let arrived = "return !window.isOld && document.readyState === 'complete'";
        let deadline = Instant::now() + HANG;
        // The script fails if the change of pages interrupts it.
        while !matches!(
            self.0.execute(arrived, Vec::new()).await,
            Ok(Value::Bool(true))
        ) {
            assert!(Instant::now() < deadline, "{selector} led nowhere");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns the text of the first such element.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.0.find(Locator::Css(selector)).await.unwrap();
        element.text().await.unwrap()
    }

    /// Runs the body of a function in the page, and waits for a promise that it returns.
    pub async fn script(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    /// Returns the value of a cookie of this page.
    pub async fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.0.get_all_cookies().await.unwrap();
        let found = cookies.iter().find(|cookie| cookie.name() == name)?;
        Some(found.value().into())
    }

    /// Sets a cookie. fantoccini's `add_cookie` needs a domain, which the shop's cookies do not
    /// have.
    pub async fn set_cookie(&self, name: &str, value: &str) {
        let url = self.0.current_url().await.unwrap();
        let cookie = json!({ "name": name, "value": value, "url": url.as_str() });
        let set = DevTools("Network.setCookie", cookie);
        self.0.issue_cmd(set).await.unwrap();
    }

    /// Returns the texts of all such elements, even of those that have faded.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll('{selector}')].map(found => found.textContent)"
        );
        serde_json::from_value(self.script(&script).await).unwrap()
    }

    /// Panics if something on the page is wider than a phone.
    pub async fn assert_fits_a_phone(&self, page: &str) {
        let script = "return document.documentElement.scrollWidth";
        let width = self.script(script).await.as_u64().unwrap();
        assert!(width <= PHONE.into(), "{page}: {width} pixels");
    }

    /// Panics if axe-core finds a mistake. It checks more than half of the rules of WCAG that a
    /// program can check, such as contrast.
    pub async fn assert_accessible(&self, axe: &str, page: &str) {
        self.script(axe).await;
        // A message fades in, and has too little contrast on the way.
        let run = "document.getAnimations().forEach(one => one.pause());
            document.querySelectorAll('.toast').forEach(one => one.style.animation = 'none');
            return axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
                `${id}: ${nodes.map(node => node.target.join(' ')).join(', ')}`))";
        assert_eq!(self.script(run).await, json!([]), "{page}");
    }

    /// Emulates a narrow phone whose user prefers dark pages.
    pub async fn be_a_phone(&self) {
        self.look(PHONE, "dark").await;
    }

    /// Emulates a desktop whose user prefers light pages.
    pub async fn be_a_desktop(&self) {
        self.look(DESKTOP, "light").await;
    }

    async fn look(&self, width: u32, colours: &str) {
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

    /// Closes the browser, which then saves the cookies that outlast it.
    pub async fn quit(self) {
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
