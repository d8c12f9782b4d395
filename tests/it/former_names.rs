//! The cookie is renamed, and nobody is logged out.

use axum::{
    Router,
    routing::{get, post},
};
use silverback::{
    Clock, ConfigError, CookieAttributes, CookieStore, Error, Keys, MemoryStore, Rejection,
    Session, SessionConfig, SessionLayer,
    store::{Backend, IntoBackend},
    testing::{Browser, Jar},
};

use crate::support::{HOUR, START, keys};

/// How the session is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Store,
    Overflow,
    Revocable,
    CookieAlone,
}

const ALL: [Kept; 4] = [
    Kept::Store,
    Kept::Overflow,
    Kept::Revocable,
    Kept::CookieAlone,
];

/// The stores, keys and clock that both releases share.
struct Site {
    kept: Kept,
    store: MemoryStore,
    clock: Clock,
}

impl Site {
    fn new(kept: Kept) -> Self {
        let clock = Clock::manual(START);
        let store = MemoryStore::new().clock(clock.clone());
        Self { kept, store, clock }
    }

    fn backend(&self) -> Backend {
        let store = self.store.clone();
        match self.kept {
            Kept::Store => store.into_backend(),
            Kept::Overflow => CookieStore::new().overflow(store).into_backend(),
            Kept::Revocable => CookieStore::new().revocation(store).into_backend(),
            Kept::CookieAlone => CookieStore::new().into_backend(),
        }
    }

    /// Sessions in a cookie named `account`, with a domain.
    fn named_before(&self) -> SessionConfig {
        SessionConfig::new("account", self.backend(), keys())
            .cookie_name("account")
            .attributes(domain)
    }

    /// Sessions in a cookie named `__Host-account`.
    fn named_now(&self) -> SessionConfig {
        SessionConfig::new("account", self.backend(), keys())
    }

    fn first_deploy(&self) -> SessionConfig {
        let now = CookieAttributes::default();
        self.named_before().former_cookie("__Host-account", now)
    }

    fn second_deploy(&self) -> SessionConfig {
        let before = domain(CookieAttributes::default());
        self.named_now().former_cookie("account", before)
    }

    fn browser(&self, config: SessionConfig) -> Browser<Router> {
        let app = Router::new()
            .route("/", get(page))
            .route("/add", post(add))
            .route("/renew", post(renew))
            .route("/logout", post(log_out))
            .layer(SessionLayer::new(config).clock(self.clock.clone()));
        let browser = Browser::new(app).clock(self.clock.clone());
        browser.at("https://www.example.com")
    }

    /// Returns whether a store knows which sessions live. If so, a browser that only reads gets a
    /// cookie of the new name, and a copied cookie is refused after the logout.
    fn knows_ends(&self) -> bool {
        self.kept == Kept::Store || self.kept == Kept::Revocable
    }
}

fn domain(cookie: CookieAttributes) -> CookieAttributes {
    cookie.domain("example.com")
}

async fn page(session: Session) -> Result<String, Error> {
    let items = session.get_or_default::<u32>("items")?;
    let why = session.rejection().map(|reason| format!(" {reason:?}"));
    Ok(format!("{items}{}", why.unwrap_or_default()))
}

async fn add(session: Session) -> Result<(), Error> {
    session.update("items", |items: &mut u32| *items += 1)
}

async fn renew(session: Session) -> Result<(), Error> {
    session.renew();
    add(session).await
}

async fn log_out(session: Session) -> Result<(), Error> {
    session.destroy().await
}

async fn send(browser: &Browser<Router>, path: &str) {
    let page = browser.post(path, "text/plain", "").await;
    assert_eq!(page.status(), 200, "{path}");
}

/// Hands the jar over to another release.
fn hand_over(from: &Browser<Router>, to: &Browser<Router>) {
    let jar = from.jar(|jar| jar.clone());
    to.jar(|own| *own = jar);
}

fn names(browser: &Browser<Router>) -> Vec<String> {
    browser.jar(|jar| jar.names().map(str::to_owned).collect())
}

/// For each way to keep sessions, a visitor of the first release who comes to the last one.
async fn visitors() -> Vec<(Site, Browser<Router>, Browser<Router>)> {
    let mut visitors = Vec::new();
    for kept in ALL {
        let site = Site::new(kept);
        let before = site.browser(site.named_before());
        send(&before, "/add").await;
        let after = site.browser(site.second_deploy());
        hand_over(&before, &after);
        visitors.push((site, before, after));
    }
    visitors
}

#[tokio::test]
async fn a_session_moves_to_the_cookie_of_the_new_name() {
    for (site, _, after) in visitors().await {
        let kept = site.kept;
        assert_eq!(after.get("/").await.text(), "1", "{kept:?}");
        let expected = match site.knows_ends() {
            true => "__Host-account",
            false => "account",
        };
        assert_eq!(names(&after), [expected], "{kept:?}");
        send(&after, "/add").await;
        assert_eq!(names(&after), ["__Host-account"], "{kept:?}");
        assert_eq!(after.get("/").await.text(), "2", "{kept:?}");
    }
}

#[tokio::test]
async fn a_reader_gets_the_new_name_in_the_second_half_of_its_idle_timeout() {
    for (site, _, after) in visitors().await {
        site.clock.advance(13 * HOUR);
        assert_eq!(after.get("/").await.text(), "1", "{:?}", site.kept);
        assert_eq!(names(&after), ["__Host-account"], "{:?}", site.kept);
    }
}

/// Each release finds what the other has set, and removes it.
#[tokio::test]
async fn both_releases_run_side_by_side_after_the_first_deploy() {
    for kept in ALL {
        let site = Site::new(kept);
        let first = site.browser(site.first_deploy());
        let second = site.browser(site.second_deploy());
        send(&first, "/add").await;
        for items in [3, 5, 7, 9] {
            hand_over(&first, &second);
            let path = if items % 4 == 1 { "/add" } else { "/renew" };
            send(&second, path).await;
            assert_eq!(names(&second), ["__Host-account"], "{kept:?}");
            hand_over(&second, &first);
            send(&first, path).await;
            assert_eq!(names(&first), ["account"], "{kept:?}");
            assert_eq!(first.get("/").await.text(), items.to_string(), "{kept:?}");
        }
    }
}

#[tokio::test]
async fn a_logout_ends_the_session_of_either_name() {
    for (site, before, after) in visitors().await {
        send(&after, "/logout").await;
        assert_eq!(names(&after), [""; 0], "{:?}", site.kept);
        if site.knows_ends() {
            assert_eq!(before.get("/").await.text(), "0 Ended", "{:?}", site.kept);
        }
    }
}

/// Two browsers' cookies in one jar.
fn both(one: &Browser<Router>, other: &Browser<Router>) -> Jar {
    let (mut jar, home) = (one.jar(|jar| jar.clone()), "https://www.example.com/");
    let (name, value) = other.jar(|jar| {
        let name = jar.names().next().unwrap().to_owned();
        let value = jar.get(&name).unwrap().to_owned();
        (name, value)
    });
    let attributes = match &*name {
        "account" => "Domain=example.com; Path=/; Secure",
        _ => "Path=/; Secure",
    };
    assert!(jar.set(
        &home.parse().unwrap(),
        &format!("{name}={value}; {attributes}")
    ));
    jar
}

#[tokio::test]
async fn the_living_session_of_two_names_counts() {
    for kept in [Kept::Store, Kept::Revocable] {
        for new_one_ends in [false, true] {
            let site = Site::new(kept);
            let before = site.browser(site.named_before());
            let after = site.browser(site.second_deploy());
            send(&before, "/add").await;
            send(&after, "/add").await;
            send(&after, "/add").await;
            let jar = both(&before, &after);
            let reader = site.browser(site.second_deploy());
            reader.jar(|own| *own = jar.clone());
            let ambiguous = format!("0 {:?}", Rejection::Ambiguous);
            assert_eq!(reader.get("/").await.text(), ambiguous, "{kept:?}");
            assert_eq!(names(&reader).len(), 2, "{kept:?}: both stay");
            let ending = if new_one_ends { &after } else { &before };
            send(ending, "/logout").await;
            reader.jar(|own| *own = jar);
            let expected = if new_one_ends { "1" } else { "2" };
            assert_eq!(reader.get("/").await.text(), expected, "{kept:?}");
        }
    }
}

#[tokio::test]
async fn a_logout_ends_the_sessions_of_both_names() {
    for kept in [Kept::Store, Kept::Revocable] {
        let site = Site::new(kept);
        let before = site.browser(site.named_before());
        let after = site.browser(site.second_deploy());
        send(&before, "/add").await;
        send(&after, "/add").await;
        let visitor = site.browser(site.second_deploy());
        visitor.jar(|own| *own = both(&before, &after));
        send(&visitor, "/logout").await;
        for browser in [before, after] {
            assert_eq!(browser.get("/").await.text(), "0 Ended", "{kept:?}");
        }
    }
}

/// A cookie is bound to its name, which is no secret.
#[tokio::test]
async fn a_cookie_of_one_name_is_none_under_the_other() {
    let copy = |browser: &Browser<Router>, from: &str, to: &str| {
        let home = "https://www.example.com/".parse().unwrap();
        browser.jar(|jar| {
            let value = jar.get(from).unwrap().to_owned();
            assert!(jar.set(&home, &format!("{to}={value}; Path=/; Secure")));
        });
    };
    let site = Site::new(Kept::Store);
    let after = site.browser(site.second_deploy());
    send(&after, "/add").await;
    copy(&after, "__Host-account", "account");
    after.jar(|jar| jar.remove("__Host-account"));
    assert_eq!(after.get("/").await.text(), "0 Tampered");

    // The copy does no harm to the original.
    let before = site.browser(site.named_before());
    send(&before, "/add").await;
    copy(&before, "account", "__Host-account");
    hand_over(&before, &after);
    assert_eq!(after.get("/").await.text(), "1");
}

#[tokio::test]
async fn an_untouched_session_of_the_present_name_sets_no_cookie() {
    for kept in ALL {
        let site = Site::new(kept);
        let after = site.browser(site.second_deploy());
        send(&after, "/add").await;
        let page = after.get("/").await;
        assert!(!page.headers().contains_key("set-cookie"), "{kept:?}");
    }
}

#[test]
fn impossible_former_names_are_errors() {
    let config = |name| SessionConfig::new(name, MemoryStore::new(), Keys::generate().unwrap());
    let plain = CookieAttributes::default;
    let refused = |config| SessionLayer::try_new(config).unwrap_err();
    let same = refused(config("account").former_cookie("__Host-account", plain()));
    let is_former = |setting| setting == "former_cookie";
    assert!(
        matches!(same, ConfigError::NoEffect { setting, .. } if is_former(setting)),
        "{same}"
    );
    let unmet = config("account").cookie_name("id");
    let unmet = refused(unmet.former_cookie("__Host-account", domain(plain())));
    assert!(matches!(unmet, ConfigError::PrefixUnmet { .. }), "{unmet}");
    // Otherwise two sessions would read each other's cookies.
    let former = config("account").former_cookie("__Host-cart", plain());
    let other = config("other").former_cookie("__Host-cart", plain());
    for (first, second) in [
        (config("cart"), former.clone()),
        (former.clone(), config("cart")),
        (former, other),
    ] {
        let taken = SessionLayer::new(first).try_with(second).unwrap_err();
        assert!(matches!(taken, ConfigError::DuplicateCookie(_)), "{taken}");
    }
}
