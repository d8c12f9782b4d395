//! A deploy changes the attributes of cookies.

use silverback::{
    Clock, ConfigError, CookieAttributes, CookieStore, FilesystemStore, Keys, MemoryStore,
    SameSite, SessionConfig, SessionLayer,
    store::{Backend, IntoBackend as _},
};

use super::{
    Faults, Node, Site, Traffic, played,
    site::{FOLDER, ORIGIN, Visitor, patient},
};
use crate::support::{At, World};

/// Where the sessions are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    Store,
    Revocable,
    CookieAlone,
}

impl Kept {
    const ALL: [Self; 3] = [Self::Store, Self::Revocable, Self::CookieAlone];

    fn backend(self, world: &World) -> Backend {
        let files = || FilesystemStore::open(world.dir.path().join("sessions")).unwrap();
        match self {
            Self::Store => files().into_backend(),
            Self::Revocable => CookieStore::new().revocation(files()).into_backend(),
            Self::CookieAlone => CookieStore::new().into_backend(),
        }
    }

    fn node(self, world: &World, change: impl FnOnce(SessionConfig) -> SessionConfig) -> Node {
        let change = |config| match self {
            Self::CookieAlone => change(config),
            Self::Store | Self::Revocable => patient(change(config)),
        };
        Node::with(world, self.backend(world), &Clock::system(), change)
    }
}

type Attributes = fn(CookieAttributes) -> CookieAttributes;

/// A cookie: its name and its attributes.
type Cookie = (&'static str, Attributes);

/// A release of the application.
#[derive(Clone, Copy)]
struct Release {
    cookie: Cookie,
    /// The cookie of the release before or after this one.
    other: Option<Cookie>,
}

impl Release {
    fn apply(self, config: SessionConfig) -> SessionConfig {
        let (name, attributes) = self.cookie;
        let config = config.cookie_name(name).attributes(attributes);
        let Some((other, attributes)) = self.other else {
            return config;
        };
        let attributes = attributes(CookieAttributes::default());
        if other == name {
            config.former_attributes(attributes)
        } else {
            config.former_cookie(other, attributes)
        }
    }

    /// Returns the plan from one cookie to another.
    fn plan(before: Cookie, after: Cookie) -> [Self; 3] {
        [(before, None), (before, Some(after)), (after, Some(before))]
            .map(|(cookie, other)| Self { cookie, other })
    }
}

/// Returns the cookies that a browser would send to the site.
fn cookies_of(visitor: &Visitor) -> usize {
    let page = format!("{ORIGIN}{FOLDER}/").parse().unwrap();
    let header = visitor.jar(|jar| jar.header(&page));
    header.map_or(0, |cookies| cookies.to_str().unwrap().matches('=').count())
}

/// Deploys the next release to one server after the other, while visitors meet both releases.
async fn rolls_out(kept: Kept, releases: &[Release], seed: u64) {
    let world = World::new(At::Files).await.unwrap();
    let start = |release: Release| kept.node(&world, |config| release.apply(config));
    let site = Site::new([start(releases[0]), start(releases[0])]);
    // Copies of a session in a cookie alone stay valid.
    let traffic = Traffic::with(&site, seed, kept != Kept::CookieAlone);
    traffic.goes_on(24).await;
    for release in &releases[1..] {
        for which in [0, 1] {
            site.deploy(which, start(*release));
            traffic.goes_on(48).await;
        }
    }
    let (tally, people) = traffic.end().await;
    assert_eq!(tally.faults, Faults::default(), "{kept:?}: {tally:?}");
    assert_eq!(
        tally.statuses.keys().collect::<Vec<_>>(),
        [&200],
        "{kept:?}"
    );
    for person in people {
        let expected = usize::from(person.is_in());
        assert_eq!(cookies_of(&person.browser), expected, "{kept:?}");
    }
}

/// A browser replaces its cookie with such a cookie.
#[test]
fn what_is_the_same_cookie_to_browsers_takes_one_deploy() {
    let same_site: Attributes = |cookie| cookie.same_site(SameSite::Strict);
    let readable: Attributes = |cookie| cookie.http_only(false);
    for (seed, attributes) in [same_site, readable].into_iter().enumerate() {
        let releases = [AS_IT_IS, ("account", attributes)];
        let releases = releases.map(|cookie| Release {
            cookie,
            other: None,
        });
        for kept in Kept::ALL {
            played(async |_| rolls_out(kept, &releases, seed as u64).await);
        }
    }
}

const AS_IT_IS: Cookie = ("account", |cookie| cookie);

/// After the first deploy both releases know both cookies, so each reads and removes the other's.
#[test]
fn what_is_another_cookie_to_browsers_takes_two() {
    let path: Cookie = ("account", |cookie| cookie.path("/shop"));
    let domain: Cookie = ("account", |cookie| cookie.domain("example.com"));
    let name: Cookie = ("id", |cookie| cookie);
    let host: Cookie = ("__Host-account", |cookie| cookie);
    let moves = [
        (AS_IT_IS, path),
        (AS_IT_IS, domain),
        (AS_IT_IS, name),
        (domain, host),
        (host, domain),
    ];
    for (seed, (before, after)) in moves.into_iter().enumerate() {
        let plan = Release::plan(before, after);
        for kept in Kept::ALL {
            played(async |_| rolls_out(kept, &plan, 10 + seed as u64).await);
        }
    }
}

/// Attributes that the prefix of the default name forbids change the name, and the layer reports
/// it.
#[test]
fn a_name_that_would_change_is_an_error() {
    let config = SessionConfig::new("account", MemoryStore::new(), Keys::generate().unwrap());
    let moved = config
        .attributes(|cookie| cookie.path("/shop"))
        .former_attributes(CookieAttributes::default());
    let refused = SessionLayer::try_new(moved).unwrap_err();
    assert_eq!(
        refused,
        ConfigError::FormerName("__Host-account".to_owned())
    );
}
