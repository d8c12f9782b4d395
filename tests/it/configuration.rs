//! Mistakes that are errors when the layer is built, and attributes that reach the browser.

use std::time::Duration;

use silverback::{
    ConfigError, CookieAttributes, Key, SameSite, SessionConfig, SessionLayer, Timeouts,
    store::{CookieStore, MemoryStore},
};

use crate::support::{DAY, Jar, Kind, Site, keys, set_cookie};

fn build(
    name: &str,
    change: impl FnOnce(SessionConfig) -> SessionConfig,
) -> Result<(), ConfigError> {
    SessionLayer::try_new(change(SessionConfig::cookie(name, keys()))).map(drop)
}

/// With a cookie of this name.
fn build_named(
    name: &str,
    change: impl FnOnce(SessionConfig) -> SessionConfig,
) -> Result<(), ConfigError> {
    build("s", |config| change(config).cookie_name(name))
}

fn build_in(cookies: CookieStore) -> Result<(), ConfigError> {
    SessionLayer::try_new(SessionConfig::new("s", cookies, keys())).map(drop)
}

fn attributes(change: impl FnOnce(CookieAttributes) -> CookieAttributes) -> CookieAttributes {
    change(CookieAttributes::default())
}

#[test]
fn names_follow_the_grammar() {
    for name in ["s", "a|b", "!#$%&'*+-.^_`|~9"] {
        assert_eq!(build(name, |c| c), Ok(()), "{name}");
        assert_eq!(build_named(name, |c| c), Ok(()), "{name}");
    }
    for name in [
        "", " ", "a b", "a=b", "a;b", "a,b", "a\"b", "ä", "a\u{7f}", "a\0", "a/b", "a(b)",
    ] {
        let refused = Err(ConfigError::InvalidName(name.into()));
        assert_eq!(build(name, |c| c), refused);
        assert_eq!(build_named(name, |c| c), refused);
        assert_eq!(build(name, |c| c.cookie_name("s")), refused);
    }
    let too_long = |name: String| {
        let limit = 256;
        Err(ConfigError::NameTooLong { name, limit })
    };
    let long = "n".repeat(257);
    assert_eq!(build(&long, |c| c), too_long(long.clone()));
    assert_eq!(build_named(&long, |c| c), too_long(long.clone()));
    let prefixed = format!("__Host-{}", &long[1..]);
    assert_eq!(build(&long[1..], |c| c), too_long(prefixed));
}

#[test]
fn a_prefix_belongs_to_the_cookie() {
    for name in ["__Host-account", "__hOST-a", "__Secure-a", "__http-a"] {
        let refused = build(name, |c| c).unwrap_err();
        assert_eq!(refused, ConfigError::PrefixedName(name.into()));
        assert!(refused.to_string().contains(".cookie_name("), "{refused}");
        assert_eq!(build_named(name, |c| c), Ok(()));
    }
}

/// The prefix is the default where browsers accept it.
#[tokio::test]
async fn the_cookie_gets_a_prefix_where_its_attributes_allow_it() {
    type Change = fn(SessionConfig) -> SessionConfig;
    #[rustfmt::skip]
    let rows: [(Change, &str); 7] = [
        (|c| c,                                                  "__Host-account"),
        (|c| c.attributes(|a| a.same_site(SameSite::Strict)),    "__Host-account"),
        (|c| c.attributes(|a| a.path("/shop")),                  "account"),
        (|c| c.attributes(|a| a.domain("example.com")),          "account"),
        (SessionConfig::insecure_local_http,                     "account"),
        (|c| c.cookie_name("id"),                                "id"),
        (|c| c.cookie_name("id").named("account"),               "__Host-account"),
    ];
    for (change, name) in rows {
        let config = change(SessionConfig::cookie("account", keys()));
        let site = Site::of(SessionLayer::new(config));
        let jar = &mut Jar::default();
        let response = site.put(jar, "n", 1).await;
        let cookie = set_cookie(&response);
        assert_eq!(cookie.split('=').next(), Some(name), "{cookie}");
        assert_eq!(site.get(jar, "n").await, Some(1), "{name}");
    }
}

#[test]
fn former_attributes_apply_to_the_present_name() {
    let former = |c: SessionConfig| c.former_attributes(CookieAttributes::default().path("/shop"));
    let refused = build("s", former).unwrap_err();
    assert_eq!(refused, ConfigError::FormerName("s".into()));
    assert!(
        refused.to_string().contains(".cookie_name(\"s\")"),
        "{refused}"
    );
    assert_eq!(build_named("s", former), Ok(()));
    let still = |c| former(c).attributes(|a| a.domain("example.com"));
    assert_eq!(build("s", still), Ok(()));
}

#[test]
fn paths_and_domains_smuggle_nothing() {
    for path in [
        "",
        "shop",
        "/; Domain=evil.example",
        "/\r\n",
        "/ä",
        &format!("/{}", "x".repeat(1024)),
    ] {
        assert_eq!(
            build("s", |c| c.attributes(|a| a.path(path))),
            Err(ConfigError::InvalidPath(path.into()))
        );
    }
    for domain in [
        "",
        "example.com; Secure",
        "a..b",
        "-a.com",
        "ä.example",
        "a b",
        "x/y",
        &["a"; 128].join("."),
    ] {
        assert!(
            matches!(
                build("s", |c| c.attributes(|a| a.domain(domain))),
                Err(ConfigError::InvalidDomain(_))
            ),
            "{domain}"
        );
    }
    assert_eq!(
        build("s", |c| c
            .attributes(|a| a.path("/shop").domain(".example.com"))),
        Ok(())
    );
}

#[test]
fn prefixes_need_their_attributes() {
    let check =
        |name: &str, change: fn(SessionConfig) -> SessionConfig, needs: Option<&'static str>| {
            let expected = needs.map_or(Ok(()), |needs| {
                Err(ConfigError::PrefixUnmet {
                    name: name.into(),
                    needs,
                })
            });
            assert_eq!(build_named(name, change), expected, "{name}");
        };
    for name in ["__Host-s", "__hOsT-s", "__HOST-S"] {
        check(name, |c| c, None);
        check(name, |c| c.attributes(|a| a.secure(false)), Some("Secure"));
        check(name, |c| c.attributes(|a| a.path("/x")), Some("Path=/"));
        check(
            name,
            |c| c.attributes(|a| a.domain("example.com")),
            Some("no Domain"),
        );
    }
    check(
        "__secure-s",
        |c| c.attributes(|a| a.secure(false)),
        Some("Secure"),
    );
    check(
        "__Secure-s",
        |c| c.attributes(|a| a.path("/x").domain("example.com")),
        None,
    );
    for name in ["__Http-s", "__http-s", "__Host-Http-s", "__HOST-hTTP-s"] {
        check(
            name,
            |c| c.attributes(|a| a.http_only(false)),
            Some("HttpOnly"),
        );
        check(name, |c| c.attributes(|a| a.secure(false)), Some("Secure"));
    }
    check(
        "__Host-Http-s",
        |c| c.attributes(|a| a.path("/x")),
        Some("Path=/"),
    );
    check("__Http-s", |c| c.attributes(|a| a.path("/x")), None);
}

#[test]
fn same_site_none_needs_secure() {
    let needs = |attribute| Err(ConfigError::NeedsSecure { attribute });
    assert_eq!(
        build("s", |c| c.attributes(|a| a.same_site(SameSite::None))),
        Ok(())
    );
    assert_eq!(
        build("s", |c| c
            .attributes(|a| a.same_site(SameSite::None).secure(false))),
        needs("SameSite=None")
    );
    assert_eq!(
        build("s", |c| c
            .attributes(|a| a.partitioned(true))
            .insecure_local_http()),
        needs("Partitioned")
    );
    assert_eq!(build("s", SessionConfig::insecure_local_http), Ok(()));
}

#[test]
fn times_have_limits() {
    let too_long = |setting| Err(ConfigError::MaxAgeTooLong { setting });
    let too_short = |setting| Err(ConfigError::ZeroDuration { setting });
    assert_eq!(build("s", |c| c.max_age(400 * DAY)), Ok(()));
    assert_eq!(
        build("s", |c| c.max_age(400 * DAY + Duration::from_secs(1))),
        too_long("max_age")
    );
    assert_eq!(build("s", |c| c.persist_up_to(400 * DAY)), Ok(()));
    assert_eq!(
        build("s", |c| c.persist_up_to(401 * DAY)),
        too_long("persist_up_to")
    );
    assert_eq!(
        build("s", |c| c.persist_up_to(Duration::ZERO)),
        too_short("persist_up_to")
    );
    let store = || SessionConfig::new("s", MemoryStore::new(), keys());
    let build_in_store = |timeout| SessionLayer::try_new(store().store_timeout(timeout)).map(drop);
    assert_eq!(build_in_store(Duration::from_secs(1)), Ok(()));
    assert_eq!(build_in_store(Duration::ZERO), too_short("store_timeout"));
    let error = build_in_store(Duration::from_millis(500)).unwrap_err();
    assert!(error.to_string().contains("a second or more"), "{error}");
    let limited = |limit| SessionLayer::try_new(store().sessions_per_subject(limit)).map(drop);
    assert_eq!(limited(1), Ok(()));
    assert_eq!(limited(0), Err(ConfigError::ZeroSessions));
    assert_eq!(
        build("s", |c| c.idle_timeout(Duration::from_millis(999))),
        too_short("idle_timeout")
    );
    assert_eq!(
        build("s", |c| c.absolute_timeout(Duration::ZERO)),
        too_short("absolute_timeout")
    );
    assert_eq!(
        build("s", |c| c
            .idle_timeout(Duration::MAX)
            .absolute_timeout(Duration::MAX)),
        Ok(())
    );
    assert_eq!(build("s", |c| c.timeouts(Timeouts::HIGH_VALUE)), Ok(()));
    let skewed = |seconds| build_in(CookieStore::new().clock_skew(Duration::from_secs(seconds)));
    assert_eq!(skewed(0), Ok(()));
    assert_eq!(skewed(3_600), Ok(()));
    assert_eq!(skewed(3_601), Err(ConfigError::ClockSkewTooLong));
}

#[test]
fn an_idle_timeout_ends_no_later_than_the_absolute_one() {
    let refused = |idle, absolute| Err(ConfigError::IdleLongerThanAbsolute { idle, absolute });
    let second = Duration::from_secs(1);
    assert_eq!(build("s", |c| c.idle_timeout(14 * DAY)), Ok(()));
    let longer = 14 * DAY + second;
    assert_eq!(
        build("s", |c| c.idle_timeout(longer)),
        refused(longer, 14 * DAY)
    );
    assert_eq!(
        build("s", |c| c.timeouts(Timeouts::new(2 * DAY, DAY))),
        refused(2 * DAY, DAY)
    );
    assert_eq!(
        build("s", |c| c.max_age(30 * DAY).absolute_timeout(7 * DAY)),
        refused(30 * DAY, 7 * DAY)
    );
    let short_idle = |c: SessionConfig| c.max_age(30 * DAY).timeouts(Timeouts::HIGH_VALUE);
    assert_eq!(build("s", short_idle), Ok(()));
    assert_eq!(
        build("s", |c| c.absolute_timeout(second)),
        Ok(()),
        "the default follows"
    );
    let text = build("s", |c| c.idle_timeout(longer)).unwrap_err();
    let text = text.to_string();
    assert!(text.contains("1209601 seconds") && text.contains("absolute_timeout"));
}

#[test]
fn a_first_idle_timeout_is_no_longer_than_the_others() {
    let refused = |first, idle| Err(ConfigError::FirstIdleLongerThanIdle { first, idle });
    let first = |c: SessionConfig, secs| c.first_idle_timeout(Duration::from_secs(secs));
    let (hour, day) = (Duration::from_secs(3_600), DAY.as_secs());
    let longer = |secs| Duration::from_secs(secs + 1);
    assert_eq!(build("s", |c| first(c, day)), Ok(()));
    assert_eq!(build("s", |c| first(c, day + 1)), refused(longer(day), DAY));
    assert_eq!(
        build("s", |c| first(c.idle_timeout(hour), 3_601)),
        refused(longer(3_600), hour)
    );
    for config in [
        |c: SessionConfig| c.max_age(Duration::from_secs(3_600)),
        |c: SessionConfig| c.max_age(Duration::from_secs(3_600)).idle_timeout(DAY),
    ] {
        assert_eq!(build("s", |c| first(config(c), 3_600)), Ok(()));
        let over = build("s", |c| first(config(c), 3_601));
        assert_eq!(over, refused(longer(3_600), hour));
    }
    let zero = build("s", |c| first(c, 0));
    let setting = "first_idle_timeout";
    assert_eq!(zero, Err(ConfigError::ZeroDuration { setting }));
    let text = build("s", |c| first(c, day + 1)).unwrap_err().to_string();
    assert!(
        text.contains("86401 seconds") && text.contains("86400"),
        "{text}"
    );
}

#[test]
fn presets_follow_their_standards() {
    for (preset, idle, absolute) in [
        (Timeouts::DEFAULT, 24 * 60, 14 * 24 * 60),
        (Timeouts::LOW_RISK, 30, 8 * 60),
        (Timeouts::HIGH_VALUE, 5, 4 * 60),
        (Timeouts::AAL1, 30 * 24 * 60, 30 * 24 * 60),
        (Timeouts::AAL2, 60, 24 * 60),
        (Timeouts::AAL3, 15, 12 * 60),
    ] {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert_eq!(preset, Timeouts::new(minutes(idle), minutes(absolute)));
        assert_eq!(build("s", |c| c.timeouts(preset)), Ok(()));
    }
}

#[test]
fn a_setting_that_does_nothing_is_refused() {
    let cookie = || SessionConfig::cookie("s", keys());
    let store = || SessionConfig::new("s", MemoryStore::new(), keys());
    let of = |cookies| SessionConfig::new("s", cookies, keys());
    let overflow = || of(CookieStore::new().overflow(MemoryStore::new()));
    let revoking = || CookieStore::new().revocation(MemoryStore::new());
    let revocation = || of(revoking());
    let subject_key = || Key::generate().unwrap();
    let bounded = CookieStore::new().overflow(MemoryStore::new()).up_to(9);
    #[rustfmt::skip]
    let rows = [
        (store().max_bytes(9),                   None),
        (store().former_attributes(CookieAttributes::default()), Some("former_attributes")),
        (store().encrypt_records(),              None),
        (store().sessions_per_subject(9),        None),
        (of(CookieStore::new().up_to(9)),        Some("up_to")),
        (of(revoking().up_to(9)),                Some("up_to")),
        (of(bounded),                            None),
        (cookie().max_bytes(9),                  Some("max_bytes")),
        (cookie().encrypt_records(),             Some("encrypt_records")),
        (cookie().sessions_per_subject(9),       Some("sessions_per_subject")),
        (cookie().subject_key(subject_key()),    Some("subject_key")),
        (store().subject_key(subject_key()),     None),
        (revocation().subject_key(subject_key()), None),
        (overflow().max_bytes(9),                None),
        (overflow().encrypt_records(),           None),
        (store().recent_reads(),                 None),
        (overflow().recent_reads(),              None),
        (cookie().recent_reads(),                Some("recent_reads")),
        (revocation().recent_reads(),            Some("recent_reads")),
        (of(revoking().overflow(MemoryStore::new())).recent_reads(), Some("recent_reads")),
        (overflow().sessions_per_subject(9),     Some("sessions_per_subject")),
        (revocation().max_bytes(9),              Some("max_bytes")),
        (revocation().encrypt_records(),         Some("encrypt_records")),
        (revocation().sessions_per_subject(9),   None),
    ];
    for (number, (config, expected)) in rows.into_iter().enumerate() {
        let error = SessionLayer::try_new(config).err();
        let setting = match &error {
            Some(ConfigError::NoEffect { setting, .. }) => Some(*setting),
            Some(other) => panic!("{other}"),
            None => None,
        };
        assert_eq!(setting, expected, "row {number}");
        if let (Some(error), Some(setting)) = (error, expected) {
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("`.{setting}(..)` does nothing")),
                "{text}"
            );
        }
    }
}

#[test]
fn one_name_is_one_session() {
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()));
    let refused = layer
        .clone()
        .try_with(SessionConfig::new("s", MemoryStore::new(), keys()));
    assert_eq!(refused.unwrap_err(), ConfigError::DuplicateName("s".into()));
    assert!(
        layer.try_with(SessionConfig::cookie("S", keys())).is_ok(),
        "names differ by case"
    );
    let layer = SessionLayer::new(SessionConfig::cookie("s", keys()));
    let same_cookie = SessionConfig::cookie("t", keys()).cookie_name("__Host-s");
    let refused = layer.try_with(same_cookie).unwrap_err();
    assert_eq!(refused, ConfigError::DuplicateCookie("__Host-s".into()));
}

#[test]
#[should_panic(expected = "cannot be a cookie's name: use letters, digits")]
fn new_panics_and_says_what_to_change() {
    let _ = SessionLayer::new(SessionConfig::cookie("my session", keys()));
}

#[tokio::test]
async fn every_attribute_reaches_the_browser() {
    let config = SessionConfig::cookie("s", keys())
        .attributes(|cookie| {
            cookie
                .path("/shop")
                .domain("example.com")
                .same_site(SameSite::None)
                .http_only(false)
                .partitioned(true)
        })
        .max_age(DAY);
    let site = Site::of(SessionLayer::new(config));
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            session.insert("n", 1).unwrap()
        })
        .await;
    let cookie = set_cookie(&response);
    let sent = cookie.split_once("; ").unwrap().1;
    assert_eq!(
        sent,
        "Max-Age=86400; Expires=Sat, 16 Jan 2027 08:00:00 GMT; SameSite=None; Partitioned; Secure; Path=/shop; Domain=example.com"
    );
}

#[tokio::test]
async fn local_http_is_strict_without_secure() {
    let site = Site::of(SessionLayer::new(
        SessionConfig::cookie("s", keys()).insecure_local_http(),
    ));
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            session.insert("n", 1).unwrap()
        })
        .await;
    assert!(set_cookie(&response).ends_with("; HttpOnly; SameSite=Lax; Path=/"));
}

#[tokio::test]
async fn a_session_keeps_its_own_attributes() {
    for site in Kind::SIMPLE.map(Kind::world) {
        let jar = &mut Jar::default();
        let changed = attributes(|a| {
            a.path("/admin")
                .same_site(SameSite::Strict)
                .domain("example.com")
        });
        let (_, response) = site
            .visit(jar, async |session| {
                session.insert("n", 1).unwrap();
                session
                    .set_attributes(|a| {
                        a.path("/admin")
                            .same_site(SameSite::Strict)
                            .domain("example.com")
                    })
                    .unwrap();
            })
            .await;
        let own = "; HttpOnly; SameSite=Strict; Secure; Path=/admin; Domain=example.com";
        assert!(set_cookie(&response).ends_with(own), "{changed:?}");
        let (_, response) = site.visit(jar, async |session| session.renew()).await;
        assert!(set_cookie(&response).ends_with(own));
        let (_, response) = site
            .visit(jar, async |session| session.destroy().await.unwrap())
            .await;
        assert!(set_cookie(&response).ends_with(own));
    }
}

#[tokio::test]
async fn bad_attributes_are_refused_at_run_time() {
    let site = Site::of(SessionLayer::new(SessionConfig::cookie("s", keys())));
    let (_, response) = site
        .visit(&mut Jar::default(), async |session| {
            session.insert("n", 1).unwrap();
            for refused in [
                session.set_attributes(|a| a.secure(false)),
                session.set_attributes(|a| a.path("/x")),
                session.set_attributes(|a| a.path("/; Domain=x")),
            ] {
                let error = refused.unwrap_err();
                assert_eq!(error.kind(), silverback::ErrorKind::InvalidAttributes);
                assert!(
                    std::error::Error::source(&error)
                        .unwrap()
                        .is::<ConfigError>()
                );
            }
        })
        .await;
    assert!(set_cookie(&response).ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"));
}
