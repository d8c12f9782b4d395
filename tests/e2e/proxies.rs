//! A site behind caching proxies: a message shows once, and no page outlives its session.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{require, site::Site};

/// The longest wait for a proxy, generous because a busy machine is slow.
const HANG: Duration = Duration::from_secs(120);

/// A running proxy in front of a site, killed on drop.
struct Proxy {
    process: Child,
    directory: TempDir,
    _site: Site,
}

impl Proxy {
    /// Starts the program with a configuration, in which `{d}` is a new directory, and `{host}` and
    /// `{port}` are the site's address. The program listens on the socket `{d}/socket`.
    fn start(program: &str, config: &str, arguments: &[&str]) -> Option<Self> {
        if !(require(program) && require("curl")) {
            return None;
        }
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        let path = directory.path().to_str().unwrap();
        let fill = |text: &str| {
            let text = text.replace("{d}", path);
            let text = text.replace("{host}", &site.address.ip().to_string());
            text.replace("{port}", &site.address.port().to_string())
        };
        fs::write(directory.path().join("config"), fill(config)).unwrap();
        let mut process = Command::new(program)
            .args(arguments.iter().map(|argument| fill(argument)))
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("errors")).unwrap())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while UnixStream::connect(directory.path().join("socket")).is_err() {
            let errors = || fs::read_to_string(directory.path().join("errors")).unwrap();
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "{program} ended: {}", errors());
            assert!(
                start.elapsed() < HANG,
                "{program} is not ready: {}",
                errors()
            );
            thread::sleep(Duration::from_millis(10));
        }
        Some(Self {
            process,
            directory,
            _site: site,
        })
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Sends a request with these cookies.
    fn ask(&self, method: &str, path: &str, cookies: &[String]) -> Answer {
        let url = format!("http://localhost{path}");
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--max-time", "300"])
            .arg("--unix-socket")
            .arg(self.socket())
            // By `--cookie` curl sends at most 8 KiB.
            .args(["--header", &format!("cookie: {}", cookies.join("; "))])
            .args(["--request", method, &url])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let cookies = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_cookie = name.eq_ignore_ascii_case("set-cookie");
            is_cookie.then(|| value.split(';').next().unwrap().to_owned())
        });
        Answer {
            status: head.split(' ').nth(1).unwrap().to_owned(),
            cookies: cookies.collect(),
            body: body.to_owned(),
        }
    }
}

struct Answer {
    status: String,
    cookies: Vec<String>,
    body: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Unlike SIGKILL, SIGTERM ends the program's workers too.
        let pid = self.process.id().to_string();
        let asked = Command::new("kill").arg(pid).status();
        assert!(asked.is_ok_and(|status| status.success()) || thread::panicking());
        let _ = self.process.wait();
    }
}

fn no_page_outlives_its_session(proxy: &Proxy) {
    let get = |path: &str, cookies: &[String]| proxy.ask("GET", path, cookies).body;
    assert_eq!(
        get("/public", &[]),
        get("/public", &[]),
        "it caches nothing"
    );
    assert_eq!(get("/page", &[]), "nobody");
    let ada = proxy.ask("POST", "/log-in", &[]).cookies;
    assert_eq!(ada.len(), 1);
    assert_eq!(get("/flash", &ada), "Welcome");
    for _ in 0..3 {
        assert_eq!(get("/flash", &ada), "", "a message shows once");
        assert_eq!(get("/page", &ada), "Ada");
        assert_eq!(get("/page", &[]), "nobody", "her page is hers");
    }
    proxy.ask("HEAD", "/flash", &ada);
    let out = proxy.ask("POST", "/log-out", &ada);
    assert_eq!(out.cookies, ["s="]);
    assert_eq!(
        get("/page", &ada),
        "nobody",
        "the old cookie gets no old page"
    );
}

/// A configuration that caches every response that allows it, and has no rule about cookies.
const NGINX: &str = "
daemon off;
user root;
pid {d}/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path {d}/body;
    fastcgi_temp_path {d}/fastcgi;
    uwsgi_temp_path {d}/uwsgi;
    scgi_temp_path {d}/scgi;
    proxy_temp_path {d}/proxy;
    proxy_cache_path {d}/cache keys_zone=all:1m;
    SETTINGS
    server {
        listen unix:{d}/socket;
        location / {
            proxy_pass http://{host}:{port};
            proxy_cache all;
            proxy_cache_valid any 10m;
        }
    }
}
";

fn nginx(settings: &str) -> Option<Proxy> {
    let config = NGINX.replace("SETTINGS", settings);
    Proxy::start("nginx", &config, &["-e", "stderr", "-c", "{d}/config"])
}

#[test]
fn behind_nginx_no_page_outlives_its_session() {
    let Some(proxy) = nginx("") else { return };
    no_page_outlives_its_session(&proxy);
}

#[test]
fn behind_haproxy_no_page_outlives_its_session() {
    let config = "
global
    maxconn 100
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
cache all
    total-max-size 4
    max-age 600
    process-vary on
frontend all
    bind unix@{d}/socket
    http-request cache-use all
    http-response cache-store all
    default_backend site
backend site
    server site {host}:{port}
";
    let arguments = ["-db", "-f", "{d}/config"];
    let Some(proxy) = Proxy::start("haproxy", config, &arguments) else {
        return;
    };
    no_page_outlives_its_session(&proxy);
}

#[test]
fn behind_varnish_no_page_outlives_its_session() {
    // Varnish passes requests with cookies by default.
    let config = "
vcl 4.1;
backend site { .host = \"{host}\"; .port = \"{port}\"; }
sub vcl_recv {
    if (req.method == \"GET\" || req.method == \"HEAD\") { return (hash); }
    return (pass);
}
";
    let arguments = [
        "-F",
        "-j",
        "none",
        "-n",
        "{d}/work",
        "-a",
        "{d}/socket",
        "-s",
        "malloc,16m",
        "-f",
        "{d}/config",
    ];
    let Some(proxy) = Proxy::start("varnishd", config, &arguments) else {
        return;
    };
    no_page_outlives_its_session(&proxy);
}

/// The settings in the documentation of `CookieStore`.
fn guide() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/cookie.rs");
    let source = fs::read_to_string(source).unwrap();
    let (_, rest) = source.split_once("```nginx\n").unwrap();
    let (settings, _) = rest.split_once("/// ```").unwrap();
    settings.replace("///", "")
}

#[test]
fn full_cookies_pass_nginx_with_the_settings_of_the_guide() {
    for (settings, passes) in [(guide(), true), (String::new(), false)] {
        let Some(proxy) = nginx(&settings) else {
            return;
        };
        let answer = proxy.ask("GET", "/full", &[]);
        assert_eq!(answer.status, if passes { "200" } else { "502" });
        if !passes {
            let others = ["a", "b", "c"].map(|name| format!("{name}={}", "x".repeat(3_000)));
            assert_eq!(proxy.ask("GET", "/public", &others).status, "400");
            continue;
        }
        let mut cookies = answer.cookies;
        cookies.extend(["a", "b", "c"].map(|name| format!("{name}={}", "x".repeat(3_000))));
        let answer = proxy.ask("GET", "/full", &cookies);
        assert_eq!(answer.status, "200");
        let len: usize = answer.body.parse().unwrap();
        assert!(len > 2_800, "{len}");
    }
}
