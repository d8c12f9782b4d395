//! Headers, cookies and pages on the wire, with curl's cookie jar in place of a browser's.

use std::{path::PathBuf, process::Command, sync::Arc, thread};

use example_kit::require;
use tempfile::TempDir;

use crate::{MONTH, shop::Shop};

fn program() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "300"]);
    curl
}

/// A visitor with a cookie jar.
pub(crate) struct Curl {
    shop: Arc<Shop>,
    directory: TempDir,
}

pub(crate) struct Answer {
    status: String,
    headers: Vec<String>,
    body: String,
}

impl Curl {
    fn start() -> Option<Self> {
        require("curl").then(|| Self::of(&Arc::new(Shop::start())))
    }

    /// Makes a visitor of a shop that others visit as well.
    pub(crate) fn of(shop: &Arc<Shop>) -> Self {
        Self {
            shop: Arc::clone(shop),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Restarts the shop, which must have no other visitors.
    fn restart(self) -> Self {
        let shop = Arc::into_inner(self.shop).unwrap().restart();
        Self {
            shop: Arc::new(shop),
            ..self
        }
    }

    fn jar(&self) -> PathBuf {
        self.directory.path().join("jar")
    }

    /// Returns the cookie of this name in the jar.
    fn cookie(&self, name: &str) -> Option<String> {
        let jar = std::fs::read_to_string(self.jar()).unwrap_or_default();
        let cookies = jar.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        cookies
            .filter(|fields| fields.len() == 7)
            .find(|fields| fields[5] == name)
            .map(|fields| fields[6].into())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.run(path, &[])
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        self.run(path, &["--request", "POST"])
    }

    pub(crate) fn log_in(&self, name: &str, remember: bool) -> Answer {
        let name = format!("name={name}");
        let mut arguments = vec!["--data-urlencode", &name];
        if remember {
            arguments.extend(["--data", "remember=true"]);
        }
        self.run("/login", &arguments)
    }

    /// Logs in with a browser of this `User-Agent`.
    fn log_in_from(&self, user_agent: &str, name: &str) {
        self.run(
            "/login",
            &[
                "--user-agent",
                user_agent,
                "--data",
                &format!("name={name}"),
            ],
        )
        .redirects_to("/account");
    }

    /// Returns the devices on the account page.
    fn devices(&self) -> Vec<String> {
        self.get("/account").all_between("<h3>", "</h3>")
    }

    /// Returns the paths of the buttons that end other sessions.
    fn ends(&self) -> Vec<String> {
        let forms = self
            .get("/account")
            .all_between(r#"action="/account/sessions/"#, r#"""#);
        let one = forms.iter().filter(|action| action.ends_with("/end"));
        one.map(|action| format!("/account/sessions/{action}"))
            .collect()
    }

    #[track_caller]
    fn is_logged_in(&self, is: bool) {
        let account = self.get("/account");
        assert_eq!(account.has(LOGGED_IN), is, "{}", account.body);
        assert_eq!(account.has("Hello, stranger"), !is);
    }

    fn run(&self, path: &str, arguments: &[&str]) -> Answer {
        let jar = self.jar();
        let mut command = program();
        command
            .arg("--cookie")
            .arg(&jar)
            .arg("--cookie-jar")
            .arg(&jar)
            .args(arguments);
        Answer::of(command.arg(self.shop.url(path)))
    }

    fn post_with(&self, path: &str, name: &str, value: &str) -> Answer {
        let cookie = format!("{name}={value}");
        let url = self.shop.url(path);
        Answer::of(program().args(["--request", "POST", "--cookie", &cookie, &url]))
    }

    /// Requests a page with only this cookie.
    fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        Answer::of(program().args(["--cookie", &format!("{name}={value}"), &self.shop.url(path)]))
    }
}

impl Answer {
    fn of(curl: &mut Command) -> Self {
        let output = curl.output().unwrap();
        assert!(
            output.status.success(),
            "curl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut head = head.lines().map(str::to_owned);
        Self {
            status: head.next().unwrap(),
            headers: head.collect(),
            body: body.into(),
        }
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    fn all_between(&self, start: &str, end: &str) -> Vec<String> {
        let rests = self.body.split(start).skip(1);
        rests
            .map(|rest| rest.split_once(end).unwrap().0.to_owned())
            .collect()
    }

    /// Returns the flash messages.
    fn messages(&self) -> Vec<String> {
        self.all_between(r#"<p class="toast">"#, "</p>")
    }

    /// Returns the `Set-Cookie` of this name.
    fn set_cookie(&self, name: &str) -> Option<&str> {
        let start = format!("set-cookie: {name}=");
        self.headers
            .iter()
            .find_map(|header| header.strip_prefix(&start))
    }

    fn max_age(&self, name: &str) -> Option<u64> {
        self.set_cookie(name)?
            .split("; ")
            .find_map(|part| part.strip_prefix("Max-Age="))?
            .parse()
            .ok()
    }

    #[track_caller]
    fn redirects_to(&self, path: &str) {
        assert!(self.status.contains(" 303 "), "{}", self.status);
        assert!(
            self.headers.contains(&format!("location: {path}")),
            "{:?}",
            self.headers
        );
    }

    #[track_caller]
    fn quantity_is(&self, product: &str, count: u32) {
        assert!(
            self.has(&format!(r#"id="quantity-{product}">{count}<"#)),
            "{}",
            self.body
        );
    }
}

const GREETING: &str = r#"<p class="toast">Welcome, Ada.</p>"#;
pub(crate) const LOGGED_IN: &str = r#"Hello, <span id="name">Ada</span>"#;
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROME: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                      Mobile Safari/537.36";

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
fn an_added_product_is_in_the_cart_and_announced_once() {
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
    for step in [
        "fern/add",
        "fern/more",
        "fern/more",
        "fern/less",
        "mug/add",
        "mug/remove",
    ] {
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
        let url = curl.shop.url("/cart/fern/add");
        Answer::of(program().args(["--cookie", &cookie, "--request", "POST", &url]))
            .redirects_to("/#fern");
    };
    thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(add))));
    curl.get("/cart").quantity_is("fern", 20);
}

#[test]
fn remember_me_puts_a_max_age_of_30_days_on_the_cookie() {
    let Some(curl) = Curl::start() else { return };
    let age = curl.log_in("Ada", true).max_age("account").unwrap();
    // Time passes between the login and its cookie.
    assert!((MONTH - 600..=MONTH).contains(&age), "{age}");
}

#[test]
fn without_remember_me_the_cookie_has_no_max_age_even_if_it_had_one() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", true);
    let login = curl.log_in("Ada", false);
    let cookie = login.set_cookie("account").unwrap();
    assert!(
        !cookie.contains("Max-Age") && !cookie.contains("Expires"),
        "{cookie}"
    );
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
        assert!(
            out.set_cookie(name)
                .is_some_and(|cookie| cookie.starts_with("; ")),
            "{name} has a value"
        );
    }
}

/// A single run without a jar, because curl 7.88 keeps all but the last of several cookies that one
/// answer removes in its file.
#[test]
fn after_logout_neither_cookie_is_sent() {
    let Some(curl) = Curl::start() else { return };
    let (login, add) = (curl.shop.url("/login"), curl.shop.url("/cart/fern/add"));
    let (account, out) = (curl.shop.url("/account"), curl.shop.url("/logout"));
    let next = ["--next", "--silent", "--cookie", ""];
    let mut journey = program();
    journey.args([
        "--cookie",
        "",
        "--data",
        "name=Ada",
        "--data",
        "remember=true",
        &login,
    ]);
    journey
        .args(next)
        .args(["--data", "", &add])
        .args(next)
        .arg(&account);
    journey
        .args(next)
        .args(["--data", "", &out])
        .args(next)
        .arg(&account);
    let pages = Answer::of(&mut journey).body;
    let (before, after) = pages.split_once("</html>").unwrap();
    assert!(
        before.contains(LOGGED_IN) && before.contains(r#""cart-cookie">accepted<"#),
        "{before}"
    );
    assert!(
        after.contains(r#""account-cookie">none<"#) && after.contains(r#""cart-cookie">none<"#),
        "{after}"
    );
}

#[test]
fn a_cart_cookie_replayed_after_logout_opens_nothing() {
    let Some(curl) = Curl::start() else { return };
    curl.post("/cart/fern/add");
    let old = curl.cookie("cart").unwrap();
    assert!(
        !curl
            .get_with("/cart", "cart", &old)
            .has("Your cart is empty")
    );
    curl.post("/logout");
    assert!(
        curl.get_with("/cart", "cart", &old)
            .has("Your cart is empty")
    );
    assert!(
        curl.get_with("/account", "cart", &old)
            .has("refused: destroyed a moment ago")
    );
    let late = curl.post_with("/cart/fern/add", "cart", &old);
    late.redirects_to("/");
    assert_eq!(late.set_cookie("cart"), None);
}

#[test]
fn a_cart_cookie_from_before_the_login_opens_nothing_after_it() {
    let Some(curl) = Curl::start() else { return };
    curl.post("/cart/fern/add");
    let planted = curl.cookie("cart").unwrap();
    curl.log_in("Ada", false);
    assert!(
        curl.get_with("/cart", "cart", &planted)
            .has("Your cart is empty")
    );
    curl.get("/cart").quantity_is("fern", 1);
}

/// The cookie holds the whole session, but the server remembers the end, even after a restart.
#[test]
fn a_copied_account_cookie_is_worthless_after_logout() {
    let Some(mut curl) = Curl::start() else {
        return;
    };
    curl.log_in("Ada", true);
    let copy = curl.cookie("account").unwrap();
    assert!(curl.get_with("/account", "account", &copy).has(LOGGED_IN));
    curl.post("/logout");
    curl.is_logged_in(false);
    for _ in 0..2 {
        let account = curl.get_with("/account", "account", &copy);
        assert!(
            account.has("Hello, stranger") && account.has("refused: destroyed a moment ago"),
            "{}",
            account.body
        );
        curl = curl.restart();
    }
}

#[test]
fn an_account_cookie_from_before_the_login_opens_nothing_after_it() {
    let Some(curl) = Curl::start() else { return };
    curl.get("/account");
    let planted = curl.cookie("account").unwrap();
    curl.log_in("Ada", false);
    let account = curl.get_with("/account", "account", &planted);
    assert!(
        account.has("Hello, stranger") && account.has("refused: renewed a moment ago"),
        "{}",
        account.body
    );
    curl.is_logged_in(true);
}

#[test]
fn a_user_sees_both_browsers_and_logs_out_one_from_the_other() {
    let Some(laptop) = Curl::start() else { return };
    let phone = Curl::of(&laptop.shop);
    laptop.log_in_from(FIREFOX, "Ada");
    assert!(
        !laptop.get("/account").has("Log out everywhere else"),
        "there is nowhere else"
    );
    phone.log_in_from(CHROME, "Ada");
    assert_eq!(laptop.devices(), ["Firefox on Linux", "Chrome on Android"]);
    assert_eq!(phone.devices(), ["Chrome on Android", "Firefox on Linux"]);

    let account = laptop.get("/account");
    let entries = account.all_between("<li><div><h3>", "</li>");
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.contains("this browser"))
            .collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.contains("<button"))
            .collect::<Vec<_>>(),
        [false, true]
    );
    let is_recent = |time: &str| ["just now", "1 minute ago"].contains(&time);
    let seen = account.all_between("Logged in ", ", last used");
    let used = account.all_between(", last used ", "</p>");
    assert!(
        (seen.len(), used.len()) == (2, 2) && seen.iter().chain(&used).all(|time| is_recent(time)),
        "{entries:?}"
    );

    let [end] = &laptop.ends()[..] else {
        panic!("one button for one other session")
    };
    laptop.post(end).redirects_to("/account");
    assert_eq!(
        laptop.get("/account").messages(),
        ["Logged out in Chrome on Android."]
    );
    phone.is_logged_in(false);
    assert!(
        phone
            .get("/")
            .has("You were logged out from another browser.")
    );
    laptop.is_logged_in(true);
    assert_eq!(laptop.devices(), ["Firefox on Linux"]);

    laptop.post(end).redirects_to("/account");
    assert_eq!(
        laptop.get("/account").messages(),
        ["You are not logged in there any more."]
    );
}

#[test]
fn logging_out_everywhere_else_ends_every_other_session_and_every_copy_of_this_one() {
    let Some(laptop) = Curl::start() else { return };
    let others = [Curl::of(&laptop.shop), Curl::of(&laptop.shop)];
    let bob = Curl::of(&laptop.shop);
    bob.log_in("Bob", false);
    for visitor in others.iter().chain([&laptop]) {
        visitor.log_in("Ada", true);
        visitor.get("/account");
    }
    let copy = laptop.cookie("account").unwrap();

    laptop
        .post("/account/sessions/end-others")
        .redirects_to("/account");
    assert_eq!(
        laptop.get("/account").messages(),
        ["Logged out in 2 other places."]
    );
    assert_eq!(laptop.devices(), ["curl"]);
    others.iter().for_each(|other| other.is_logged_in(false));
    assert!(
        laptop
            .get_with("/account", "account", &copy)
            .has("Hello, stranger")
    );
    assert!(bob.get("/account").has(r#"<span id="name">Bob</span>"#));
    // The second of two clicks, sent with the cookie from before the first one's answer.
    let late = laptop.post_with("/account/sessions/end-others", "account", &copy);
    late.redirects_to("/login");
    assert_eq!(late.set_cookie("account"), None);

    others[0].log_in("Ada", false);
    others[0].is_logged_in(true);
    laptop.is_logged_in(true);
}

#[test]
fn nobody_ends_the_session_of_another() {
    let Some(ada) = Curl::start() else { return };
    let (other, bob, stranger) = (
        Curl::of(&ada.shop),
        Curl::of(&ada.shop),
        Curl::of(&ada.shop),
    );
    ada.log_in("Ada", false);
    other.log_in("Ada", false);
    bob.log_in("Bob", false);
    bob.get("/account");
    let end = &ada.ends()[0];
    for end in [
        end,
        "/account/sessions/0/end",
        "/account/sessions/%3Cb%3E/end",
    ] {
        bob.post(end).redirects_to("/account");
        assert_eq!(
            bob.get("/account").messages(),
            ["You are not logged in there any more."]
        );
    }
    for path in [end, "/account/sessions/end-others"] {
        stranger.post(path).redirects_to("/login");
    }
    bob.post("/account/sessions/end-others");
    assert_eq!(
        bob.get("/account").messages(),
        ["You were logged in nowhere else."]
    );
    ada.is_logged_in(true);
    other.is_logged_in(true);
}

#[test]
fn a_login_that_is_repeated_or_ended_is_not_listed_twice() {
    let Some(laptop) = Curl::start() else { return };
    let phone = Curl::of(&laptop.shop);
    laptop.log_in_from(FIREFOX, "Ada");
    for _ in 0..2 {
        phone.log_in_from(CHROME, "Ada");
        assert_eq!(laptop.devices(), ["Firefox on Linux", "Chrome on Android"]);
    }
    phone.log_in_from(CHROME, "Bob");
    assert_eq!(laptop.devices(), ["Firefox on Linux"]);
    assert_eq!(phone.devices(), ["Chrome on Android"]);
    phone.log_in_from(CHROME, "Ada");
    phone.post("/logout");
    assert_eq!(laptop.devices(), ["Firefox on Linux"]);
}

#[test]
fn an_unrecognised_browser_is_listed_as_unknown() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in_from("<script>alert(1)</script>", "Ada");
    assert_eq!(curl.devices(), ["an unknown browser"]);
    curl.run("/login", &["--header", "user-agent:", "--data", "name=Ada"])
        .redirects_to("/account");
    assert_eq!(curl.devices(), ["an unknown browser"]);
}

#[test]
fn a_forged_cookie_is_an_empty_session() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", false);
    let mut forged = curl.cookie("account").unwrap();
    let last = if forged.pop() == Some('A') { 'Q' } else { 'A' };
    forged.push(last);
    let account = curl.get_with("/account", "account", &forged);
    assert!(
        account.has("Hello, stranger") && account.has("refused: "),
        "{}",
        account.body
    );
}

#[test]
fn rotating_the_keys_logs_nobody_out_and_reissues_old_cookies() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", true);
    curl.post("/cart/fern/add");
    curl.get("/account");
    let (account, cart) = (
        curl.cookie("account").unwrap(),
        curl.cookie("cart").unwrap(),
    );
    assert!(
        curl.get_with("/", "account", &account)
            .set_cookie("account")
            .is_none()
    );

    curl.post("/keys/rotate").redirects_to("/account");

    let home = curl.get_with("/", "account", &account);
    assert!(home.has(">Ada</a>"));
    let anew = home.set_cookie("account").unwrap();
    assert!(!anew.starts_with(&account));
    assert!(
        (MONTH - 600..=MONTH).contains(&home.max_age("account").unwrap()),
        "{anew}"
    );
    let home = curl.get_with("/", "cart", &cart);
    assert!(!home.set_cookie("cart").unwrap().starts_with(&cart));

    let page = curl.get("/account");
    assert!(
        page.has(LOGGED_IN)
            && page.has(r#"pill active">active"#)
            && page.has(r#"pill retired">retired"#)
    );
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
    let Some(mut curl) = Curl::start() else {
        return;
    };
    curl.log_in("Ada", false);
    curl.post("/cart/fern/add");
    curl = curl.restart();
    assert!(curl.get("/account").has(LOGGED_IN));
    assert_eq!(curl.devices(), ["curl"]);
    curl.get("/cart").quantity_is("fern", 1);
}

#[test]
fn a_form_from_another_site_is_refused_before_it_logs_anybody_in() {
    let Some(curl) = Curl::start() else { return };
    let post = |header: &str| curl.run("/login", &["--header", header, "--data", "name=Mallory"]);
    for header in ["sec-fetch-site: cross-site", "origin: https://evil.example"] {
        let answer = post(header);
        assert!(answer.status.contains(" 403 "), "{}", answer.status);
        assert!(answer.set_cookie("account").is_none());
    }
    post("sec-fetch-site: same-origin").redirects_to("/account");
}

#[test]
fn the_icon_is_served_without_a_session() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("Ada", false);
    let icon = curl.get("/favicon.ico");
    assert!(icon.status.contains(" 200 ") && icon.has("<svg "));
    let headers = icon.headers.join("\n");
    assert!(headers.contains("content-type: image/svg+xml"));
    assert!(!headers.contains("vary"), "{headers}");
}

#[test]
fn a_visitor_who_only_looks_gets_no_cookie() {
    let Some(curl) = Curl::start() else { return };
    for path in ["/", "/cart", "/login", "/goodbye"] {
        let answer = curl.get(path);
        assert!(answer.status.contains(" 200 "), "{path}: {}", answer.status);
        assert!(
            answer
                .set_cookie("account")
                .or(answer.set_cookie("cart"))
                .is_none(),
            "{path}"
        );
    }
}

#[test]
fn a_name_is_text_whatever_it_contains() {
    let Some(curl) = Curl::start() else { return };
    curl.log_in("<script>alert('1')</script>", false);
    for path in ["/account", "/"] {
        let page = curl.get(path);
        assert!(
            page.has("&lt;script&gt;alert('1')") && !page.has("<script"),
            "{}",
            page.body
        );
    }
}
