//! The cookie gets another name, and nobody is logged out.

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

/// Where the session is.
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

/// What both releases share.
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

    /// Sessions in a cookie that is called `account` and has a domain.
    fn named_before(&self) -> SessionConfig {
        SessionConfig::new("account", self.backend(), keys())
            .cookie_name("account")
            .attributes(domain)
    }

    /// Sessions in a cookie that is called `__Host-account`.
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

    /// Whether a browser gets a cookie of the new name when it only looks.
    fn moves_when_read(&self) -> bool {
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

/// The same jar before another release.
fn hand_over(from: &Browser<Router>, to: &Browser<Router>) {
    let jar = from.jar(|jar| jar.clone());
    to.jar(|own| *own = jar);
}

fn names(browser: &Browser<Router>) -> Vec<String> {
    browser.jar(|jar| jar.names().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_session_moves_to_the_cookie_of_the_new_name() {
    for kept in ALL {
        let site = Site::new(kept);
        let before = site.browser(site.named_before());
        send(&before, "/add").await;
        let after = site.browser(site.second_deploy());
        hand_over(&before, &after);
        assert_eq!(after.get("/").await.text(), "1", "{kept:?}");
        let expected = match site.moves_when_read() {
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
    for kept in ALL {
        let site = Site::new(kept);
        let before = site.browser(site.named_before());
        send(&before, "/add").await;
        let after = site.browser(site.second_deploy());
        hand_over(&before, &after);
        site.clock.advance(13 * HOUR);
        assert_eq!(after.get("/").await.text(), "1", "{kept:?}");
        assert_eq!(names(&after), ["__Host-account"], "{kept:?}");
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
    for kept in ALL {
        let site = Site::new(kept);
        let before = site.browser(site.named_before());
        send(&before, "/add").await;
        let after = site.browser(site.second_deploy());
        hand_over(&before, &after);
        send(&after, "/logout").await;
        assert_eq!(names(&after), [""; 0], "{kept:?}");
        if kept == Kept::Store || kept == Kept::Revocable {
            assert_eq!(before.get("/").await.text(), "0 Ended", "{kept:?}");
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
async fn of_two_names_the_session_that_lives_counts() {
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

/// A cookie is bound to its name, which is no secret of ours.
#[tokio::test]
async fn a_cookie_of_one_name_is_none_under_the_other() {
    let site = Site::new(Kept::Store);
    let after = site.browser(site.second_deploy());
    send(&after, "/add").await;
    let value = after.jar(|jar| jar.get("__Host-account").unwrap().to_owned());
    after.jar(|jar| {
        jar.remove("__Host-account");
        let home = "https://www.example.com/".parse().unwrap();
        assert!(jar.set(&home, &format!("account={value}; Path=/; Secure")));
    });
    assert_eq!(after.get("/").await.text(), "0 Tampered");
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
fn what_cannot_be_is_an_error() {
    let config = || SessionConfig::new("account", MemoryStore::new(), Keys::generate().unwrap());
    let plain = CookieAttributes::default;
    let same = config().former_cookie("__Host-account", plain());
    let refused = SessionLayer::try_new(same).unwrap_err();
    let ConfigError::NoEffect { setting, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(setting, "former_cookie");
    let unmet = config()
        .cookie_name("id")
        .former_cookie("__Host-account", domain(plain()));
    let refused = SessionLayer::try_new(unmet).unwrap_err();
    assert!(
        matches!(refused, ConfigError::PrefixUnmet { .. }),
        "{refused:?}"
    );
    // Two sessions would read each other's cookies.
    let other = SessionConfig::new("cart", MemoryStore::new(), Keys::generate().unwrap());
    let taken = config().former_cookie("__Host-cart", plain());
    let refused = SessionLayer::new(other).try_with(taken).unwrap_err();
    assert!(
        matches!(refused, ConfigError::DuplicateName(_)),
        "{refused:?}"
    );
}
