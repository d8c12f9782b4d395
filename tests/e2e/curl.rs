//! What goes over the wire: headers, cookies and pages, with curl's cookie jar for a browser's.

use std::{path::PathBuf, process::Command, thread};

use tempfile::TempDir;

use crate::{MONTH, demo::Demo, require};

fn program() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
    curl
}

/// A visitor with a cookie jar.
struct Curl {
    demo: Demo,
    directory: TempDir,
}

struct Answer {
    status: String,
    headers: Vec<String>,
    body: String,
}

impl Curl {
    fn start() -> Option<Self> {
        require("curl").then(|| Self { demo: Demo::start(), directory: tempfile::tempdir().unwrap() })
    }

    fn jar(&self) -> PathBuf {
        self.directory.path().join("jar")
    }

    /// The cookie of this name that is in the jar.
    fn cookie(&self, name: &str) -> Option<String> {
        let jar = std::fs::read_to_string(self.jar()).unwrap_or_default();
        let cookies = jar.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        cookies.filter(|fields| fields.len() == 7).find(|fields| fields[5] == name).map(|fields| fields[6].into())
    }

    fn get(&self, path: &str) -> Answer {
        self.run(path, &[])
    }

    fn post(&self, path: &str) -> Answer {
        self.run(path, &["--request", "POST"])
    }

    fn log_in(&self, name: &str, remember: bool) -> Answer {
        let name = format!("name={name}");
        let mut arguments = vec!["--data-urlencode", &name];
        if remember {
            arguments.extend(["--data", "remember=true"]);
        }
        self.run("/login", &arguments)
    }

    fn run(&self, path: &str, arguments: &[&str]) -> Answer {
        let jar = self.jar();
        let mut command = program();
        command.arg("--cookie").arg(&jar).arg("--cookie-jar").arg(&jar).args(arguments);
        Answer::of(command.arg(self.demo.url(path)))
    }

    /// As somebody who has nothing but this cookie.
    fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        Answer::of(program().args(["--cookie", &format!("{name}={value}"), &self.demo.url(path)]))
    }
}

impl Answer {
    fn of(curl: &mut Command) -> Self {
        let output = curl.output().unwrap();
        assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut head = head.lines().map(str::to_owned);
        Self { status: head.next().unwrap(), headers: head.collect(), body: body.into() }
    }

    fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// The `Set-Cookie` of this name.
    fn set_cookie(&self, name: &str) -> Option<&str> {
        let start = format!("set-cookie: {name}=");
        self.headers.iter().find_map(|header| header.strip_prefix(&start))
    }

    fn max_age(&self, name: &str) -> Option<u64> {
        self.set_cookie(name)?.split("; ").find_map(|part| part.strip_prefix("Max-Age="))?.parse().ok()
    }

    #[track_caller]
    fn redirects_to(&self, path: &str) {
        assert!(self.status.contains(" 303 "), "{}", self.status);
        assert!(self.headers.contains(&format!("location: {path}")), "{:?}", self.headers);
    }

    #[track_caller]
    fn quantity_is(&self, product: &str, count: u32) {
        assert!(self.has(&format!(r#"id="quantity-{product}">{count}<"#)), "{}", self.body);
    }
}

const GREETING: &str = r#"<p class="toast">Welcome, Ada.</p>"#;
const LOGGED_IN: &str = r#"Hello, <span id="name">Ada</span>"#;

#[test]
fn a_login_leads_to_the_account_and_is_greeted_once() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", false).redirects_to("/account");
    let account = curl.get("/account");
    assert!(account.has(LOGGED_IN) && account.has(GREETING));
    let again = curl.get("/account");
    assert!(again.has(LOGGED_IN) && !again.has("toast\">"));
}

#[test]
fn what_is_added_is_in_the_cart_and_said_once() {
    let Some(curl) = Curl::start() else { return };
    for _ in 0..2 {
        curl.post("/cart/fern/add").redirects_to("/#fern");
    }
    curl.post("/cart/mug/add").redirects_to("/#mug");
    let cart = curl.get("/cart");
    cart.quantity_is("fern", 2);
    cart.quantity_is("mug", 1);
    assert_eq!(cart.body.matches("Forest fern is in your cart.").count(), 2);
    assert!(!curl.get("/cart").has("is in your cart."));
}

#[test]
fn a_cart_can_be_changed_and_cleared() {
    let Some(curl) = Curl::start() else { return };
    for step in ["fern/add", "fern/more", "fern/more", "fern/less", "mug/add", "mug/remove"] {
        curl.post(&format!("/cart/{step}"));
    }
    let cart = curl.get("/cart");
    cart.quantity_is("fern", 2);
    assert!(!cart.has("Stoneware mug</h2>"));
    curl.post("/cart/clear").redirects_to("/cart");
    assert!(curl.get("/cart").has("Your cart is empty"));
}

#[test]
fn adding_twenty_at_the_same_time_loses_none() {
    let Some(curl) = Curl::start() else { return };
    curl.post("/cart/mug/add");
    let cart = curl.cookie("cart").unwrap();
    let add = || {
        let cookie = format!("cart={cart}");
        let url = curl.demo.url("/cart/fern/add");
        Answer::of(program().args(["--cookie", &cookie, "--request", "POST", &url])).redirects_to("/#fern");
    };
    thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(add))));
    curl.get("/cart").quantity_is("fern", 20);
}

#[test]
fn remember_me_puts_a_max_age_of_30_days_on_the_cookie() {
    let Some(curl) = Curl::start() else { return };
    let age = curl.log_in("Ada", true).max_age("account").unwrap();
    // The second may change between the login and the cookie.
    assert!((MONTH - 1..=MONTH).contains(&age), "{age}");
}

#[test]
fn without_remember_me_the_cookie_has_no_max_age_even_if_it_had_one() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", true);
    let login = curl.log_in("Ada", false);
    let cookie = login.set_cookie("account").unwrap();
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
}

#[test]
fn without_remember_me_the_login_ends_with_the_browser() {
    for remember in [true, false] {
        let Some(curl) = Curl::start() else { return };
        curl.log_in("Ada", remember);
        let after = curl.run("/account", &["--junk-session-cookies"]);
        assert_eq!(after.has(LOGGED_IN), remember);
    }
}

#[test]
fn logging_out_asks_the_browser_to_remove_both_cookies() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", true);
    curl.post("/cart/fern/add");
    let out = curl.post("/logout");
    out.redirects_to("/goodbye");
    for name in ["account", "cart"] {
        assert_eq!(out.max_age(name), Some(0));
        assert!(out.set_cookie(name).is_some_and(|cookie| cookie.starts_with("; ")), "{name} has a value");
    }
}

/// All in one run, without a jar: of several cookies that one answer removes, curl 7.88 finds all but the last
/// in its file again.
#[test]
fn after_logout_neither_cookie_is_sent() {
    let Some(curl) = Curl::start() else { return };
    let (login, add) = (curl.demo.url("/login"), curl.demo.url("/cart/fern/add"));
    let (account, out) = (curl.demo.url("/account"), curl.demo.url("/logout"));
    let next = ["--next", "--silent", "--cookie", ""];
    let mut journey = program();
    journey.args(["--cookie", "", "--data", "name=Ada", "--data", "remember=true", &login]);
    journey.args(next).args(["--data", "", &add]).args(next).arg(&account);
    journey.args(next).args(["--data", "", &out]).args(next).arg(&account);
    let pages = Answer::of(&mut journey).body;
    let (before, after) = pages.split_once("</html>").unwrap();
    assert!(before.contains(LOGGED_IN) && before.contains(r#""cart-cookie">accepted<"#), "{before}");
    assert!(after.contains(r#""account-cookie">none<"#) && after.contains(r#""cart-cookie">none<"#), "{after}");
}

#[test]
fn a_cart_cookie_replayed_after_logout_opens_nothing() {
    let Some(curl) = Curl::start() else { return };
    curl.post("/cart/fern/add");
    let old = curl.cookie("cart").unwrap();
    assert!(!curl.get_with("/cart", "cart", &old).has("Your cart is empty"));
    curl.post("/logout");
    assert!(curl.get_with("/cart", "cart", &old).has("Your cart is empty"));
    assert!(curl.get_with("/account", "cart", &old).has("refused: no such session in the store"));
}

#[test]
fn a_cart_cookie_from_before_the_login_opens_nothing_after_it() {
    let Some(curl) = Curl::start() else { return };
    curl.post("/cart/fern/add");
    let planted = curl.cookie("cart").unwrap();
    curl.log_in("Ada", false);
    assert!(curl.get_with("/cart", "cart", &planted).has("Your cart is empty"));
    curl.get("/cart").quantity_is("fern", 1);
}

/// The cookie is the whole session, but what has ended is remembered on the server, where a restart finds it.
#[test]
fn a_copied_account_cookie_is_worth_nothing_after_logout() {
    let Some(mut curl) = Curl::start() else { return };
    curl.log_in("Ada", true);
    let copy = curl.cookie("account").unwrap();
    assert!(curl.get_with("/account", "account", &copy).has(LOGGED_IN));
    curl.post("/logout");
    assert!(curl.get("/account").has("Hello, stranger"));
    for _ in 0..2 {
        let account = curl.get_with("/account", "account", &copy);
        assert!(account.has("Hello, stranger") && account.has("refused: ended before its time"), "{}", account.body);
        curl.demo = curl.demo.restart();
    }
}

#[test]
fn an_account_cookie_from_before_the_login_opens_nothing_after_it() {
    let Some(curl) = Curl::start() else { return };
    curl.get("/account");
    let planted = curl.cookie("account").unwrap();
    curl.log_in("Ada", false);
    let account = curl.get_with("/account", "account", &planted);
    assert!(account.has("Hello, stranger") && account.has("refused: ended before its time"), "{}", account.body);
    assert!(curl.get("/account").has(LOGGED_IN));
}

#[test]
fn a_forged_cookie_is_an_empty_session() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", false);
    let mut forged = curl.cookie("account").unwrap();
    let last = if forged.pop() == Some('A') { 'Q' } else { 'A' };
    forged.push(last);
    let account = curl.get_with("/account", "account", &forged);
    assert!(account.has("Hello, stranger") && account.has("refused: "), "{}", account.body);
}

#[test]
fn rotating_the_keys_logs_nobody_out_and_issues_the_old_cookies_anew() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", true);
    curl.post("/cart/fern/add");
    curl.get("/account");
    let (account, cart) = (curl.cookie("account").unwrap(), curl.cookie("cart").unwrap());
    assert!(curl.get_with("/", "account", &account).set_cookie("account").is_none());

    curl.post("/keys/rotate").redirects_to("/account");

    let home = curl.get_with("/", "account", &account);
    assert!(home.has(">Ada</a>"));
    let anew = home.set_cookie("account").unwrap();
    assert!(!anew.starts_with(&account));
    assert!((MONTH - 60..=MONTH).contains(&home.max_age("account").unwrap()), "{anew}");
    let home = curl.get_with("/", "cart", &cart);
    assert!(!home.set_cookie("cart").unwrap().starts_with(&cart));

    let page = curl.get("/account");
    assert!(page.has(LOGGED_IN) && page.has(r#"pill active">active"#) && page.has(r#"pill retired">retired"#));
    curl.get("/cart").quantity_is("fern", 1);
    assert_ne!(curl.cookie("cart").unwrap(), cart);
    assert!(curl.get("/cart").set_cookie("cart").is_none());
}

#[test]
fn strangers_cannot_rotate_the_keys() {
    let Some(curl) = Curl::start() else { return };
    curl.post("/keys/rotate").redirects_to("/login");
    assert!(!curl.get("/account").has("retired</span>"));
}

#[test]
fn a_restart_of_the_server_keeps_login_and_cart() {
    let Some(mut curl) = Curl::start() else { return };
    curl.log_in("Ada", false);
    curl.post("/cart/fern/add");
    curl.demo = curl.demo.restart();
    assert!(curl.get("/account").has(LOGGED_IN));
    curl.get("/cart").quantity_is("fern", 1);
}

#[test]
fn a_visitor_who_only_looks_gets_no_cookie() {
    let Some(curl) = Curl::start() else { return };
    for path in ["/", "/cart", "/login", "/goodbye"] {
        let answer = curl.get(path);
        assert!(answer.status.contains(" 200 "), "{path}: {}", answer.status);
        assert!(answer.set_cookie("account").or(answer.set_cookie("cart")).is_none(), "{path}");
    }
}

#[test]
fn a_name_is_text_whatever_it_contains() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("<script>alert('1')</script>", false);
    for path in ["/account", "/"] {
        let page = curl.get(path);
        assert!(page.has("&lt;script&gt;alert(&#39;1&#39;)") && !page.has("<script"), "{}", page.body);
    }
}
