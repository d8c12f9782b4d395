//! Settings from a configuration file.

use std::time::Duration;

use serde::Deserialize;
use silverback::{
    ConfigError, CookieAttributes, CookieStore, MemoryStore, SameSite, SessionConfig, SessionLayer,
    SessionSettings, Timestamp,
};

use crate::support::{DAY, HOUR, Jar, Site, keys, set_cookie};

/// Every setting, in the order in which they are written.
const FILE: &str = r#"cookie_name = "id"
path = "/shop"
domain = "example.com"
secure = true
http_only = false
same_site = "None"
partitioned = true
max_age = "30d"
idle_timeout = "1h 30m"
first_idle_timeout = "5m"
absolute_timeout = "14d"
persist_up_to = "90d"
not_before = "2027-01-15T08:00:00Z"
store_timeout = "2s"
max_bytes = 100000
encrypt_records = true
recent_reads = true
sessions_per_subject = 5
up_to = 2000
clock_skew = "2m"
"#;

/// Every setting, each with a different value.
const OTHER: &str = r#"cookie_name = "other"
path = "/"
domain = "example.org"
secure = false
http_only = true
same_site = "Strict"
partitioned = false
max_age = "1d"
idle_timeout = "1h"
first_idle_timeout = "6m"
absolute_timeout = "2d"
persist_up_to = "3d"
not_before = "2027-01-16T08:00:00Z"
store_timeout = "3s"
max_bytes = 1
encrypt_records = false
recent_reads = false
sessions_per_subject = 2
up_to = 3
clock_skew = "4s"
"#;

fn read(toml: &str) -> SessionSettings {
    toml::from_str(toml).unwrap()
}

fn error(toml: &str) -> String {
    toml::from_str::<SessionSettings>(toml)
        .unwrap_err()
        .to_string()
}

fn json_error(json: &str) -> String {
    serde_json::from_str::<SessionSettings>(json)
        .unwrap_err()
        .to_string()
}

fn in_cookie() -> SessionConfig {
    let cookies = CookieStore::new().overflow(MemoryStore::new());
    SessionConfig::new("s", cookies, keys())
}

fn in_store() -> SessionConfig {
    SessionConfig::new("s", MemoryStore::new(), keys())
}

#[test]
fn a_file_is_read_and_written_in_every_format() {
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    let settings = read(FILE);
    assert_eq!(settings.cookie_name.as_deref(), Some("id"));
    assert_eq!(settings.path.as_deref(), Some("/shop"));
    assert_eq!(settings.domain.as_deref(), Some("example.com"));
    assert_eq!(
        (settings.secure, settings.http_only),
        (Some(true), Some(false))
    );
    assert_eq!(
        (settings.same_site, settings.partitioned),
        (Some(SameSite::None), Some(true))
    );
    assert_eq!(
        (settings.max_age, settings.idle_timeout),
        (Some(30 * DAY), minutes(90))
    );
    assert_eq!(
        (settings.absolute_timeout, settings.persist_up_to),
        (Some(14 * DAY), Some(90 * DAY))
    );
    assert_eq!(
        settings.not_before,
        Some(Timestamp::from_secs(1_800_000_000))
    );
    assert_eq!(
        (settings.max_bytes, settings.encrypt_records),
        (Some(100_000), Some(true))
    );
    assert_eq!(
        (settings.recent_reads, settings.sessions_per_subject),
        (Some(true), Some(5))
    );
    assert_eq!(
        (settings.up_to, settings.clock_skew),
        (Some(2_000), minutes(2))
    );

    for file in [FILE, OTHER, ""] {
        let settings = read(file);
        assert_eq!(toml::to_string(&settings).unwrap(), file);
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<SessionSettings>(&json).unwrap(),
            settings,
            "{json}"
        );
        let value = serde_json::to_value(&settings).unwrap();
        assert_eq!(
            serde_json::from_value::<SessionSettings>(value).unwrap(),
            settings
        );
    }
}

/// Applies each line of one file on top of all settings of the program.
#[test]
fn settings_missing_from_a_file_stay() {
    let written = |config: &SessionConfig| toml::to_string(&SessionSettings::from(config)).unwrap();
    let set = in_cookie().settings(read(FILE));
    assert_eq!(written(&set), FILE);
    assert_eq!(written(&set.clone().settings(read(""))), FILE);
    for (line, other) in FILE.lines().zip(OTHER.lines()) {
        let changed = written(&set.clone().settings(read(other)));
        // A switch that is off, as by default, is not written.
        let other = if other.ends_with("false") && !is_attribute(other) {
            ""
        } else {
            other
        };
        assert_eq!(
            changed,
            FILE.replace(line, other).replace("\n\n", "\n"),
            "{other}"
        );
        assert_ne!(changed, FILE);
    }
    let later = set.cookie_name("later").idle_timeout(HOUR);
    let later = SessionSettings::from(&later);
    assert_eq!(
        (later.cookie_name.as_deref(), later.idle_timeout),
        (Some("later"), Some(HOUR))
    );
}

fn is_attribute(line: &str) -> bool {
    ["secure", "http_only", "partitioned"]
        .iter()
        .any(|attribute| line.starts_with(attribute))
}

#[test]
fn unset_settings_are_not_written() {
    let attributes =
        "path = \"/\"\nsecure = true\nhttp_only = true\nsame_site = \"Lax\"\npartitioned = false\n";
    for config in [in_cookie(), in_store(), SessionConfig::cookie("s", keys())] {
        assert_eq!(
            toml::to_string(&SessionSettings::from(&config)).unwrap(),
            attributes
        );
    }
}

#[tokio::test]
async fn settings_of_a_file_reach_the_browser() {
    let file = r#"
        cookie_name = "id"
        path = "/shop"
        domain = ".example.com"
        http_only = false
        same_site = "strict"
        max_age = "1 week"
    "#;
    let site = Site::of(SessionLayer::new(in_store().settings(read(file))));
    let response = site.put(&mut Jar::default(), "n", 1).await;
    let cookie = set_cookie(&response);
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("id="), "{pair}");
    let expected = "Max-Age=604800; Expires=Fri, 22 Jan 2027 08:00:00 GMT; SameSite=Strict; Secure; Path=/shop; \
                    Domain=example.com";
    assert_eq!(attributes, expected);
}

/// As one table of an application's own file.
#[test]
fn settings_may_be_part_of_a_larger_file() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        listen: String,
        account: SessionSettings,
        #[serde(default)]
        cart: SessionSettings,
    }
    #[derive(Deserialize)]
    struct Flat {
        listen: String,
        #[serde(flatten)]
        account: SessionSettings,
    }
    let file: File = toml::from_str("listen = \"[::]:80\"\n[account]\nmax_age = \"7d\"").unwrap();
    assert_eq!(
        (file.listen.as_str(), file.account.max_age),
        ("[::]:80", Some(7 * DAY))
    );
    assert_eq!(file.cart, SessionSettings::default());
    let flat: Flat =
        toml::from_str("listen = \"[::]:80\"\nmax_age = \"7d\"\nverbose = true").unwrap();
    assert_eq!(
        (flat.listen.as_str(), flat.account.max_age),
        ("[::]:80", Some(7 * DAY))
    );
}

#[test]
fn values_are_written_in_several_ways() {
    #[rustfmt::skip]
    let rows = [
        ("max_age = 604800",                        "max_age = \"7d\""),
        ("max_age = \"604800\"",                    "max_age = \"7d\""),
        ("max_age = \"6 days 24 hours\"",           "max_age = \"7d\""),
        ("store_timeout = \"1500ms\"",             "store_timeout = \"1s 500ms\""),
        ("not_before = 2027-01-15T08:00:00Z",       "not_before = \"2027-01-15T08:00:00Z\""),
        ("not_before = 2027-01-15T10:00:00+02:00",  "not_before = \"2027-01-15T08:00:00Z\""),
        ("not_before = 1_800_000_000",              "not_before = \"2027-01-15T08:00:00Z\""),
        ("not_before = \"1800000000\"",             "not_before = \"2027-01-15T08:00:00Z\""),
        ("secure = \"true\"",                       "secure = true"),
        ("recent_reads = \"false\"",                "recent_reads = false"),
        ("up_to = \"2000\"",                        "up_to = 2000"),
        ("same_site = \"LAX\"",                     "same_site = \"Lax\""),
    ];
    for (given, written) in rows {
        assert_eq!(
            toml::to_string(&read(given)).unwrap().trim_end(),
            written,
            "{given}"
        );
    }
    let nothing = r#"{ "domain": null, "max_age": null, "secure": null, "up_to": null }"#;
    assert_eq!(
        serde_json::from_str::<SessionSettings>(nothing).unwrap(),
        SessionSettings::default()
    );
}

#[test]
fn a_length_of_time_is_written_whole_or_not_at_all() {
    let limit = |timeout| SessionSettings::from(&in_store().store_timeout(timeout));
    let short = limit(Duration::from_millis(500));
    let written = toml::to_string(&short).unwrap();
    assert!(written.contains("store_timeout = \"500ms\""), "{written}");
    assert_eq!(read(&written), short);
    let error = serde_json::to_string(&limit(Duration::from_micros(1_500))).unwrap_err();
    assert!(
        error.to_string().starts_with("1.5ms cannot be written"),
        "{error}"
    );
}

/// The cookies of an earlier release, in the file of the next one.
const FORMER: &str = r#"
[[former_cookie]]
cookie_name = "account"
domain = "example.com"

[[former_cookie]]
cookie_name = "id"
path = "/shop"
secure = false
http_only = false
same_site = "Strict"
partitioned = false

[[former_attributes]]
path = "/shop"
"#;

#[test]
fn former_cookies_of_a_file_are_like_those_of_the_program() {
    let plain = CookieAttributes::default;
    let account = ("account".to_owned(), plain().domain("example.com"));
    let id = plain().path("/shop").secure(false).http_only(false);
    let id = ("id".to_owned(), id.same_site(SameSite::Strict));
    let settings = read(FORMER);
    assert_eq!(settings.former_cookie, [account.clone(), id]);
    assert_eq!(settings.former_attributes, [plain().path("/shop")]);

    // The program's come first.
    let config = in_store()
        .former_cookie("older", plain())
        .former_attributes(plain().path("/"))
        .settings(settings.clone());
    let both = SessionSettings::from(&config);
    assert_eq!(both.former_cookie[0], ("older".to_owned(), plain()));
    assert_eq!(both.former_cookie[1..], settings.former_cookie);
    assert_eq!(both.former_attributes, [plain(), plain().path("/shop")]);
    let left_out = SessionSettings::from(&config.settings(read("former_cookie = []")));
    assert_eq!(left_out, both);

    // The same in every format.
    let toml = toml::to_string(&both).unwrap();
    assert!(
        toml.contains("\n[[former_attributes]]\npath = \"/shop\"\n"),
        "{toml}"
    );
    assert_eq!(read(&toml), both);
    let json = serde_json::to_string(&both).unwrap();
    assert_eq!(
        serde_json::from_str::<SessionSettings>(&json).unwrap(),
        both
    );
}

#[test]
fn an_error_says_what_is_wrong_with_a_former_cookie() {
    const TABLES: &str = "expected a list of tables, got";
    #[rustfmt::skip]
    let rows = [
        (r#"{ "former_cookie": "account" }"#,         format!("`former_cookie`: {TABLES} \"account\"")),
        (r#"{ "former_cookie": 7 }"#,                 format!("`former_cookie`: {TABLES} 7")),
        (r#"{ "former_attributes": { "path": "/" } }"#, format!("`former_attributes`: {TABLES} a table")),
        (r#"{ "former_cookie": ["account"] }"#,       "expected a table of `former_cookie`".to_owned()),
        (r#"{ "former_cookie": [{ "path": "/" }] }"#, "`former_cookie`: missing field `cookie_name`".to_owned()),
        (r#"{ "former_cookie": [{ "cookie_name": 7 }] }"#,
            "`former_cookie.cookie_name`: expected text, in quotes, got 7".to_owned()),
        (r#"{ "former_attributes": [{}, { "secure": 1 }] }"#,
            "`former_attributes.secure`: expected true or false, got 1".to_owned()),
        (r#"{ "former_attributes": [{ "path": "/", "path": "/" }] }"#, "duplicate field `path`".to_owned()),
        (r#"{ "former_cookie": [{ "max_age": "1d" }] }"#,
            "`former_cookie`: unknown field `max_age`, expected one of `cookie_name`, `path`, `domain`, `secure`, \
             `http_only`, `same_site`, `partitioned` at".to_owned()),
        (r#"{ "former_attributes": [{ "cookie_name": "a" }] }"#,
            "`former_attributes`: unknown field `cookie_name`, expected one of `path`, `domain`".to_owned()),
    ];
    for (json, message) in rows {
        let error = json_error(json);
        assert!(error.contains(&message), "{error}");
    }
}

/// In JSON errors, only the message names the field.
#[test]
fn an_error_names_the_field_and_what_it_takes() {
    const LENGTH: &str =
        "a length of time such as \"30m\", \"1h 30m\" or \"14 days\", or a number of seconds";
    const TIME: &str = "a time such as 2027-01-15T08:00:00Z, or whole seconds since 1970";
    const COUNT: &str = "a whole number, not below zero";
    const SWITCH: &str = "true or false";
    const SAME_SITE: &str = "\"Strict\", \"Lax\" or \"None\"";
    const TEXT: &str = "text, in quotes";
    #[rustfmt::skip]
    let rows = [
        ("idle_timeout",         "\"30x\"",      LENGTH,    "\"30x\""),
        ("max_age",              "\"1 month\"",  LENGTH,    "\"1 month\""),
        ("absolute_timeout",     "-5",           LENGTH,    "a number below zero"),
        ("persist_up_to",        "1.5",          LENGTH,    "a number that is too large or has a fraction"),
        ("clock_skew",           "true",         LENGTH,    "true"),
        ("clock_skew",           "[1]",          LENGTH,    "a list"),
        ("clock_skew",           "{\"secs\":1}", LENGTH,    "a table"),
        ("clock_skew",           "{}",           LENGTH,    "a table"),
        ("not_before",           "\"today\"",    TIME,      "\"today\""),
        ("not_before",           "false",        TIME,      "false"),
        ("max_bytes",            "\"1 MiB\"",    COUNT,     "\"1 MiB\""),
        ("sessions_per_subject", "-1",           COUNT,     "a number below zero"),
        ("up_to",                "2.5",          COUNT,     "a number that is too large or has a fraction"),
        ("secure",               "1",            SWITCH,    "1"),
        ("http_only",            "\"yes\"",      SWITCH,    "\"yes\""),
        ("partitioned",          "\"True\"",     SWITCH,    "\"True\""),
        ("encrypt_records",      "0",            SWITCH,    "0"),
        ("recent_reads",         "\"\"",         SWITCH,    "\"\""),
        ("same_site",            "\"Loose\"",    SAME_SITE, "\"Loose\""),
        ("same_site",            "false",        SAME_SITE, "false"),
        ("cookie_name",          "7",            TEXT,      "7"),
        ("path",                 "true",         TEXT,      "true"),
        ("domain",               "[]",           TEXT,      "a list"),
    ];
    for (field, value, expected, got) in rows {
        let error = json_error(&format!("{{\"{field}\":{value}}}"));
        let message = format!("`{field}`: expected {expected}, got {got}");
        assert!(
            error.starts_with(&format!("{message} at line 1 column ")),
            "{error}"
        );
    }
    let error = error("path = \"/\"\nidle_timeout = \"30x\"");
    let message = format!("`idle_timeout`: expected {LENGTH}, got \"30x\"");
    assert!(
        error.contains("line 2, column 16") && error.contains(&message),
        "{error}"
    );
}

#[test]
fn an_unknown_field_is_an_error() {
    for name in [
        "http-only",
        "HttpOnly",
        "samesite",
        "keys",
        "name",
        "store",
        "",
    ] {
        let error = error(&format!("path = \"/\"\n\"{name}\" = 1"));
        assert!(
            error.contains(&format!(
                "unknown field `{name}`, expected one of `cookie_name`, `path`"
            )),
            "{error}"
        );
        assert!(
            error.contains("line 2, column 1") && error.contains("`up_to`, `clock_skew`"),
            "{error}"
        );
    }
    let twice = json_error(r#"{ "up_to": 1, "path": "/", "up_to": 1 }"#);
    assert!(twice.contains("duplicate field `up_to`"), "{twice}");
    let list = json_error("[]");
    assert!(
        list.contains("expected the settings of a session"),
        "{list}"
    );
    let key = serde_json::from_str::<SessionSettings>("{1: 1}")
        .unwrap_err()
        .to_string();
    assert!(key.contains("key must be a string"), "{key}");
}

/// The same check applies to a program's settings.
#[test]
fn values_are_checked_at_start_up() {
    let build = |config: SessionConfig, file: &str| {
        let refused = SessionLayer::try_new(config.settings(read(file))).unwrap_err();
        (refused.to_string(), refused)
    };
    #[rustfmt::skip]
    let rows = [
        ("idle_timeout = 0",          "`idle_timeout`: less than a second is too short"),
        ("absolute_timeout = \"0s\"", "`absolute_timeout`: less than a second is too short"),
        ("max_age = 0",               "`max_age`: less than a second is too short"),
        ("persist_up_to = 0",         "`persist_up_to`: less than a second is too short"),
        ("max_age = \"401d\"",        "`max_age`: browsers cut a Max-Age of more than 400 days"),
        ("persist_up_to = \"401d\"",  "`persist_up_to`: browsers cut a Max-Age of more than 400 days"),
        ("path = \"shop\"",           "\"shop\" cannot be a cookie's path"),
        ("domain = \"a b\"",          "\"a b\" cannot be a cookie's domain"),
        ("cookie_name = \"a b\"",     "\"a b\" cannot be a cookie's name"),
        ("clock_skew = \"2h\"",       "`clock_skew`: clocks that differ by more than an hour"),
        ("secure = false\npartitioned = true", "browsers refuse Partitioned without Secure"),
    ];
    for (file, message) in rows {
        let (text, _) = build(in_cookie(), file);
        assert!(text.starts_with(message), "{text}");
    }
    let (text, _) = build(in_store(), FORMER);
    assert!(
        text.starts_with("cookies with the former attributes are named \"s\""),
        "{text}"
    );
    for (file, setting) in [("up_to = 9", "up_to"), ("clock_skew = 9", "clock_skew")] {
        let (text, refused) = build(in_store(), file);
        let session = "a session in a store";
        assert_eq!(refused, ConfigError::NoEffect { setting, session });
        assert_eq!(
            text,
            format!("`.{setting}(..)` does nothing for {session}: leave it out")
        );
    }
    let (_, refused) = build(SessionConfig::cookie("s", keys()), "up_to = 9");
    assert!(
        matches!(
            refused,
            ConfigError::NoEffect {
                setting: "up_to",
                ..
            }
        ),
        "{refused}"
    );
    let (_, refused) = build(SessionConfig::cookie("s", keys()), "encrypt_records = true");
    assert!(
        matches!(
            refused,
            ConfigError::NoEffect {
                setting: "encrypt_records",
                ..
            }
        ),
        "{refused}"
    );
    let off = in_store()
        .encrypt_records()
        .settings(read("encrypt_records = false"));
    assert_eq!(SessionSettings::from(&off).encrypt_records, None);
}
