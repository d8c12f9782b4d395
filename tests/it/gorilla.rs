//! Sessions shared with Go, or taken over from it.

use std::{collections::BTreeMap, time::Duration};

use http::StatusCode;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use silverback::{
    Clock, ConfigError, CookieStore, ErrorKind, Key, Keys, MemoryStore, Rejection, Session,
    SessionConfig, SessionLayer, Timestamp,
    gorilla::{
        GoKey, GoPayload, GoType, Gorilla, KeyPair, SecureCookie,
        gob::{Definition, Field, Gob, Marshaler, Time, TypeId, Types, Value},
    },
};

use crate::support::{Jar, START, Site, failure, no_cookie, set_cookie};

const VECTORS: &str = include_str!("../vectors/gorilla-1.4.0.json");

const DAY: Duration = Duration::from_secs(86_400);

fn signing(byte: u8) -> KeyPair {
    KeyPair::signing([byte; 32]).unwrap()
}

fn encrypting(byte: u8) -> KeyPair {
    KeyPair::encrypting([byte; 32], [byte; 16]).unwrap()
}

fn cookies() -> SecureCookie {
    SecureCookie::new([encrypting(1)]).unwrap()
}

fn key() -> Key {
    Key::from_bytes(&(0..32).collect::<Vec<u8>>()).unwrap()
}

fn config() -> SessionConfig {
    SessionConfig::cookie("sid", key())
}

fn site(config: SessionConfig) -> Site {
    Site::of(SessionLayer::new(config))
}

/// A site that shares its sessions with Go.
fn shared() -> Site {
    site(config().write_gorilla(Gorilla::new(cookies())))
}

/// A site that takes sessions over from Go.
fn taking_over() -> Site {
    site(config().read_gorilla(Gorilla::new(cookies())))
}

/// A jar with the cookie in which Go saves this gob.
fn go_cookie(gob: &Gob, saved: Timestamp) -> Jar {
    let value = cookies().encode("sid", &gob.encode().unwrap(), saved);
    Jar::with("sid", &value.unwrap())
}

fn session(values: &[(&str, Value)]) -> Gob {
    let mut gob = Gob::session();
    for (key, value) in values {
        gob.insert(key, value.clone());
    }
    gob
}

fn messages(texts: &[&str]) -> Gob {
    let mut gob = Gob::session();
    let ty = gob
        .types
        .slice_of(silverback::gorilla::gob::TypeId::INTERFACE);
    let items = texts
        .iter()
        .map(|text| Value::string(*text).named("string"));
    let items = items.collect();
    gob.insert("_flash", Value::List { ty, items }.named("[]interface {}"));
    gob
}

/// The gob that Go reads from the cookie.
fn go_reads(jar: &Jar, now: Timestamp) -> Gob {
    let opened = cookies().decode("sid", jar.value("sid").as_bytes(), now);
    Gob::decode(&opened.unwrap().payload).unwrap()
}

fn is_of_go(jar: &Jar) -> bool {
    cookies()
        .decode("sid", jar.value("sid").as_bytes(), START)
        .is_ok()
}

fn hex(text: &Json) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(&text.as_str().unwrap()[at..at + 2], 16).unwrap();
    Some((0..text.as_str()?.len()).step_by(2).map(byte).collect())
}

/// The site of a vector's cookie, and a jar with the cookie.
fn site_of(vector: &Json, shares: bool) -> (Site, Jar) {
    let hash_key = hex(&vector["hash_key_hex"]).unwrap();
    let pair = match hex(&vector["block_key_hex"]) {
        Some(block_key) => KeyPair::encrypting(hash_key, block_key),
        None => KeyPair::signing(hash_key),
    };
    let mut cookies = SecureCookie::new([pair.unwrap()]).unwrap();
    if vector["hash"] == "sha512" {
        cookies = cookies.hash(silverback::gorilla::HashFunction::Sha512);
    }
    let payload = match (vector["serializer"].as_str(), vector["go_type"].as_str()) {
        (Some("json"), _) => GoPayload::Json,
        (_, Some("map[string]interface {}")) => GoPayload::MapOf(GoType::Any),
        _ => GoPayload::Sessions,
    };
    let gorilla = Gorilla::new(cookies)
        .payload(payload)
        .flash_queue("custom_key");
    let name = vector["name"].as_str().unwrap();
    let config = SessionConfig::cookie(name, key());
    let config = match shares {
        true => config.write_gorilla(gorilla),
        false => config.read_gorilla(gorilla),
    };
    let site = Site::at(
        &Clock::manual(Timestamp::from_secs(1_700_000_000)),
        SessionLayer::new(config),
    );
    (site, Jar::with(name, vector["encoded"].as_str().unwrap()))
}

/// Every value and every message, as JSON.
async fn all(session: Session) -> (BTreeMap<String, Json>, Vec<Json>, Vec<Json>) {
    let value = |key: String| {
        let value = session.get::<Json>(&key).unwrap().unwrap_or_default();
        (key, value)
    };
    let values = session.keys().unwrap().into_iter().map(value).collect();
    let flashes = session.peek_flashes().unwrap();
    (
        values,
        flashes,
        session.peek_flashes_in("custom_key").unwrap(),
    )
}

fn expected(id: &str) -> Option<(Json, Json, Json)> {
    let none = json!([]);
    Some(match id {
        "gob-hmac-string" | "gob-aes256-sha512" => (json!({"foo": "bar"}), none.clone(), none),
        "gob-hmac-readme" | "gob-aes192-readme" => {
            (json!({"foo": "bar", "\0int:42": 43}), none.clone(), none)
        }
        "gob-hmac-flash-two-keys" => (json!({}), json!(["a"]), json!(["baz"])),
        "gob-hmac-time" => (json!({"t": "2024-02-29T12:34:56.789Z"}), none.clone(), none),
        "json-hmac-html-escape" => (json!({"h": "<b>&\u{2028}"}), none.clone(), none),
        "gob-aes256-dghubble-any" => (json!({"user-id": "a1b2c3"}), none.clone(), none),
        _ => return None,
    })
}

fn vectors() -> Vec<Json> {
    let all: Json = serde_json::from_str(VECTORS).unwrap();
    all["vectors"].as_array().unwrap().clone()
}

#[tokio::test]
async fn cookies_of_go_are_sessions() {
    for vector in vectors() {
        let id = vector["id"].as_str().unwrap();
        for shares in [true, false] {
            let (site, mut jar) = site_of(&vector, shares);
            let (rejection, _) = site
                .visit(&mut jar, async |session| session.rejection())
                .await;
            let (found, _) = site.visit(&mut jar, all).await;
            if id == "gob-aes128-session-id" {
                // The cookie has the ID of a session in a file.
                assert_eq!((rejection, found.0.len()), (Some(Rejection::NotFound), 0));
                continue;
            }
            assert!(rejection.is_none(), "{id}");
            assert!(!found.0.is_empty() || !found.1.is_empty(), "{id}");
            if let Some((values, default, custom)) = expected(id) {
                let found = (json!(found.0), json!(found.1), json!(found.2));
                assert_eq!(found, (values, default, custom), "{id}");
            }
        }
    }
}

#[tokio::test]
async fn untouched_values_are_written_back_unchanged() {
    for vector in vectors() {
        let id = vector["id"].as_str().unwrap();
        let payload = hex(&vector["serialized_hex"]).unwrap();
        let Ok(before) = Gob::decode(&payload) else {
            continue;
        };
        if before.entries().is_empty() {
            continue;
        }
        let (site, mut jar) = site_of(&vector, true);
        site.put(&mut jar, "new", "value").await;
        let name = vector["name"].as_str().unwrap();
        let opened =
            site_of_keys(&vector).decode(name, jar.value(name).as_bytes(), site.clock.now());
        let mut after = Gob::decode(&opened.unwrap().payload).unwrap();
        assert_eq!(
            after.get("new").and_then(Value::as_str),
            Some("value"),
            "{id}"
        );
        after.remove("new");
        assert_eq!(after.encode(), before.encode(), "{id}");
    }
}

fn site_of_keys(vector: &Json) -> SecureCookie {
    let hash_key = hex(&vector["hash_key_hex"]).unwrap();
    let pair = match hex(&vector["block_key_hex"]) {
        Some(block_key) => KeyPair::encrypting(hash_key, block_key),
        None => KeyPair::signing(hash_key),
    };
    let cookies = SecureCookie::new([pair.unwrap()]).unwrap();
    match vector["hash"] == "sha512" {
        true => cookies.hash(silverback::gorilla::HashFunction::Sha512),
        false => cookies,
    }
}

#[tokio::test]
async fn a_session_goes_back_and_forth() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Cart {
        items: Vec<String>,
        total: f64,
    }
    let site = shared();
    let jar = &mut Jar::default();
    let response = site.put(jar, "user", "ann").await;
    let header = set_cookie(&response);
    assert!(
        header.starts_with("sid=") && header.contains("; HttpOnly"),
        "{header}"
    );
    let cart = Cart {
        items: vec!["tea".into()],
        total: 1.5,
    };
    site.put(jar, "cart", &cart).await;
    site.put(jar, "n", 1).await;
    let mut gob = go_reads(jar, START);
    assert_eq!(gob.get("user"), Some(&Value::string("ann").named("string")));
    assert_eq!(gob.get("n"), Some(&Value::Int(1).named("int")));
    assert_eq!(
        gob.get("cart").unwrap().name(),
        Some("map[string]interface {}")
    );
    // Go changes it.
    gob.insert("n", Value::Int(2).named("int64"));
    gob.remove("user");
    let jar = &mut go_cookie(&gob, START);
    assert_eq!(site.get(jar, "n").await, Some(2));
    assert_eq!(site.get::<String>(jar, "user").await, None);
    assert_eq!(site.get(jar, "cart").await, Some(cart));
    site.visit(jar, async |session| {
        session.update("n", |n: &mut i64| *n += 40).unwrap()
    })
    .await;
    assert_eq!(
        go_reads(jar, START).get("n"),
        Some(&Value::Int(42).named("int64"))
    );
}

#[tokio::test]
async fn bytes_and_other_keys_are_reachable() {
    let site = shared();
    let jar = &mut Jar::default();
    let write = async |session: Session| {
        session.insert_bytes("raw", [0, 1, 255]).unwrap();
        session.insert(&GoKey::int(42), 43).unwrap();
        session
            .insert(&GoKey::new("main.ctxKey", "user"), 7)
            .unwrap();
        session.insert("\0odd", 1).map_err(|error| error.kind())
    };
    let (odd, _) = site.visit(jar, write).await;
    assert_eq!(
        odd,
        Err(ErrorKind::SerializeFailed),
        "it is not a key that Go has"
    );
    let gob = go_reads(jar, START);
    let keys: Vec<_> = gob.entries().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(
        keys,
        [
            Value::string("raw").named("string"),
            Value::Int(42).named("int"),
            Value::string("user").named("main.ctxKey"),
        ]
    );
    assert_eq!(
        gob.get("raw"),
        Some(&Value::Bytes(vec![0, 1, 255]).named("[]uint8"))
    );
    let read = async |session: Session| {
        let user = GoKey::new("main.ctxKey", "user");
        (
            session.get_bytes("raw").unwrap(),
            session.get::<i64>(&GoKey::int(42)).unwrap(),
            session.get::<i64>(&user).unwrap(),
            session.remove(&user).unwrap(),
        )
    };
    let (found, _) = site.visit(jar, read).await;
    assert_eq!(found, (Some(vec![0, 1, 255]), Some(43), Some(7), true));
    assert_eq!(go_reads(jar, START).entries().len(), 2);
}

#[tokio::test]
async fn flashes_are_shown_once_on_either_side() {
    let site = shared();
    let jar = &mut go_cookie(&messages(&["from Go"]), START);
    let show = async |session: Session| session.flashes::<String>().unwrap();
    let add = async |session: Session| session.flash("from Rust").unwrap();
    site.visit(jar, add).await;
    let gob = go_reads(jar, START);
    let Some(Value::List { items, .. }) = gob.get("_flash").map(Value::concrete) else {
        panic!("no list");
    };
    let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
    assert_eq!(texts, ["from Go", "from Rust"]);
    assert_eq!(site.visit(jar, show).await.0, ["from Go", "from Rust"]);
    // The session is empty now, so its cookie is removed.
    assert!(jar.0.is_empty());
    assert!(site.visit(jar, show).await.0.is_empty());
    site.visit(jar, add).await;
    assert_eq!(
        go_reads(jar, START).get("_flash").unwrap().name(),
        Some("[]interface {}")
    );
}

#[tokio::test]
async fn queues_have_to_be_named() {
    let site = site(config().write_gorilla(Gorilla::new(cookies()).flash_queue("errors")));
    let add = async |session: Session| {
        session.flash_in("errors", "wrong").unwrap();
        session.insert("kept", 1).unwrap();
        session
            .flash_in("others", "lost")
            .map_err(|error| error.kind())
    };
    let jar = &mut Jar::default();
    let (refused, response) = site.visit(jar, add).await;
    assert_eq!(
        (refused, failure(&response)),
        (Err(ErrorKind::SerializeFailed), None)
    );
    assert_eq!(go_reads(jar, START).entries().len(), 2);
    let show = async |session: Session| session.flashes_in::<String>("errors").unwrap();
    assert_eq!(site.visit(jar, show).await.0, ["wrong"]);
    // Anything but a list is a value.
    let jar = &mut go_cookie(&session(&[("_flash", Value::Int(1).named("int"))]), START);
    assert_eq!(site.get(jar, "_flash").await, Some(1));
}

/// Go's `_flash` is the default queue, whatever the settings say.
#[tokio::test]
async fn the_default_queue_has_no_other_name() {
    for name in ["_flash", ""] {
        let format = Gorilla::new(cookies()).flash_queue(name);
        let site = site(config().write_gorilla(format));
        let jar = &mut Jar::default();
        let add = async |session: Session| {
            session.flash("shown").unwrap();
            session
                .flash_in("_flash", "lost")
                .map_err(|error| error.kind())
        };
        let (refused, _) = site.visit(jar, add).await;
        assert_eq!(refused, Err(ErrorKind::SerializeFailed));
        let gob = go_reads(jar, START);
        assert_eq!((gob.entries().len(), gob.get("").is_none()), (1, true));
        let show = async |session: Session| session.flashes::<String>().unwrap();
        assert_eq!(site.visit(jar, show).await.0, ["shown"]);
    }
}

/// Go's `Flashes` would panic.
#[tokio::test]
async fn a_list_of_another_type_is_no_queue() {
    let mut gob = Gob::session();
    let ty = gob.types.slice_of(TypeId::STRING);
    let items = vec![Value::string("a")];
    let texts = Value::List { ty, items }.named("[]string");
    gob.insert("_flash", texts.clone());
    let (site, jar) = (shared(), &mut go_cookie(&gob, START));
    assert_eq!(failure(&site.put(jar, "n", 1).await), None);
    assert_eq!(go_reads(jar, START).get("_flash"), Some(&texts));
    let look = async |session: Session| {
        let refused = session.flash("b").map_err(|error| error.kind());
        (session.get::<Vec<String>>("_flash").unwrap(), refused)
    };
    let (found, refused) = site.visit(jar, look).await.0;
    assert_eq!(found, Some(vec!["a".to_owned()]));
    assert_eq!(refused, Err(ErrorKind::SerializeFailed));
}

#[tokio::test]
async fn a_key_of_go_holds_a_value_or_messages() {
    for payload in [GoPayload::Sessions, GoPayload::Json] {
        let format = Gorilla::new(cookies()).payload(payload);
        let site = site(config().write_gorilla(format.flash_queue("errors")));
        let kind = |result: Result<(), silverback::Error>| result.map_err(|error| error.kind());
        let jar = &mut Jar::default();
        let value = async move |session: Session| {
            session.insert("errors", 3).unwrap();
            kind(session.flash_in("errors", "wrong"))
        };
        let (refused, response) = site.visit(jar, value).await;
        assert_eq!(refused, Err(ErrorKind::SerializeFailed));
        assert_eq!(failure(&response), None);
        assert_eq!(site.get(jar, "errors").await, Some(3));
        let message = async move |session: Session| {
            session.remove("errors").unwrap();
            session.flash_in("errors", "wrong").unwrap();
            kind(session.insert("errors", 3))
        };
        let (refused, response) = site.visit(jar, message).await;
        assert_eq!(refused, Err(ErrorKind::SerializeFailed));
        assert_eq!(failure(&response), None);
        let show = async |session: Session| session.flashes_in::<String>("errors").unwrap();
        assert_eq!(site.visit(jar, show).await.0, ["wrong"]);
    }
}

/// Go leaves the name out of all gobs of a process that first met `time.Time` as the element of a
/// list or a map.
#[tokio::test]
async fn a_time_needs_no_name() {
    let mut gob = Gob::session();
    let opaque = |name: &str| Definition::Opaque {
        name: name.to_owned(),
        by: Marshaler::Gob,
    };
    let time = gob.types.define(opaque(""));
    let list = gob.types.slice_of(time);
    let saved = |secs| Value::Opaque {
        ty: time,
        bytes: Time::from(Timestamp::from_secs(secs)).to_bytes(),
    };
    gob.insert("at", saved(1_700_000_000).named("time.Time"));
    let (ty, items) = (list, vec![saved(1_700_000_001)]);
    gob.insert("all", Value::List { ty, items }.named("[]time.Time"));
    let (site, jar) = (shared(), &mut go_cookie(&gob, START));
    let change = async |session: Session| {
        let at = session.get::<String>("at").unwrap().unwrap();
        let all = session.get::<Vec<String>>("all").unwrap().unwrap();
        session.insert("at", "2023-11-14T22:13:22Z").unwrap();
        (at, all)
    };
    let (at, all) = site.visit(jar, change).await.0;
    assert_eq!(at, "2023-11-14T22:13:20Z");
    assert_eq!(all, ["2023-11-14T22:13:21Z"]);
    let after = go_reads(jar, START);
    let Some(Value::Opaque { bytes, .. }) = after.get("at").map(Value::concrete) else {
        panic!("{after:?}");
    };
    let at = Time::from(Timestamp::from_secs(1_700_000_002));
    assert_eq!(Time::from_bytes(bytes), Some(at));
    // Of another type of 15 bytes, not all values are times.
    let mut gob = Gob::session();
    let ty = gob.types.define(opaque(""));
    for (key, bytes) in [
        ("a", Time::from(START).to_bytes()),
        ("b", b"other".to_vec()),
    ] {
        gob.insert(key, Value::Opaque { ty, bytes }.named("main.Other"));
    }
    let get = async |session: Session| session.get::<String>("b").unwrap();
    let found = site.visit(&mut go_cookie(&gob, START), get).await.0;
    assert_eq!(found.as_deref(), Some("b3RoZXI="));
}

#[tokio::test]
async fn a_logout_removes_the_cookie() {
    for site in [shared(), taking_over()] {
        let gob = session(&[("user", Value::Int(7).named("int"))]);
        let jar = &mut go_cookie(&gob, START);
        let header = set_cookie(&site.destroy(jar).await);
        assert!(
            header.starts_with("sid=; Max-Age=0; Expires=Thu, 01 Jan 1970"),
            "{header}"
        );
        assert!(jar.0.is_empty());
    }
}

#[tokio::test]
async fn only_use_moves_a_session() {
    let site = taking_over();
    let gob = session(&[("user", Value::Int(7).named("int"))]);
    let jar = &mut go_cookie(&gob, START);
    let load = async |session: Session| session.load().await.unwrap();
    let (_, response) = site.visit(jar, load).await;
    assert!(no_cookie(&response) && is_of_go(jar));
    let poll = async |session: Session| {
        session.skip_touch();
        session.get::<i64>("user").unwrap()
    };
    assert_eq!(site.visit(jar, poll).await.0, Some(7));
    assert!(is_of_go(jar));
    assert_eq!(site.get(jar, "user").await, Some(7));
    assert!(!is_of_go(jar));
    assert_eq!(site.get(jar, "user").await, Some(7));
    // Back to the shared site.
    let shared = shared();
    assert_eq!(shared.get(jar, "user").await, Some(7));
    assert_eq!(
        go_reads(jar, START).get("user"),
        Some(&Value::Int(7).named("int"))
    );
}

#[tokio::test]
async fn a_moved_session_has_timeouts() {
    let config = config()
        .idle_timeout(DAY)
        .absolute_timeout(10 * DAY)
        .read_gorilla(Gorilla::new(cookies()));
    let gob = session(&[("user", Value::Int(7).named("int"))]);
    for (age, is_alive) in [(0, true), (9, true), (11, false)] {
        let site = site(config.clone());
        let jar = &mut go_cookie(&gob, START);
        site.clock.advance(age * DAY);
        assert_eq!(
            site.get::<i64>(jar, "user").await.is_some(),
            is_alive,
            "{age} days"
        );
        if is_alive {
            site.clock.advance(DAY);
            assert_eq!(
                site.rejection(jar).await,
                Some(Rejection::Expired),
                "{age} days"
            );
        }
    }
}

#[tokio::test]
async fn a_shared_session_lasts_as_long_as_its_cookie() {
    let week = SecureCookie::new([encrypting(1)]).unwrap().max_age(7 * DAY);
    let shared = || {
        site(
            config()
                .max_age(7 * DAY)
                .write_gorilla(Gorilla::new(week.clone())),
        )
    };
    let gob = session(&[("user", Value::Int(7).named("int"))]);
    for (days, is_alive, is_saved) in [
        (3, true, false),
        (4, true, true),
        (6, true, true),
        (7, false, false),
    ] {
        let site = shared();
        let jar = &mut go_cookie(&gob, START);
        let before = jar.clone();
        site.clock.advance(days * DAY);
        assert_eq!(
            site.get::<i64>(jar, "user").await.is_some(),
            is_alive,
            "{days} days"
        );
        assert_eq!(jar.0 != before.0, is_saved, "{days} days");
    }
    let site = shared();
    let header = set_cookie(&site.put(&mut Jar::default(), "n", 1).await);
    assert!(header.contains("; Max-Age=604800; Expires="), "{header}");
    let forever = SecureCookie::new([encrypting(1)]).unwrap().max_age(None);
    let site = self::site(config().write_gorilla(Gorilla::new(forever)));
    site.clock.advance(9_000 * DAY);
    let jar = &mut go_cookie(&gob, START);
    assert_eq!(site.get(jar, "user").await, Some(7));
}

#[tokio::test]
async fn keys_rotate_on_either_side() {
    let gob = session(&[("user", Value::Int(7).named("int"))])
        .encode()
        .unwrap();
    let of = |pairs: &[u8]| SecureCookie::new(pairs.iter().map(|byte| signing(*byte))).unwrap();
    let old = of(&[1]).encode("sid", &gob, START).unwrap();
    let site = |pairs: &[u8]| site(config().write_gorilla(Gorilla::new(of(pairs))));
    let jar = &mut Jar::with("sid", &old);
    assert_eq!(site(&[2]).rejection(jar).await, Some(Rejection::Tampered));
    assert_eq!(site(&[2, 1]).get(jar, "user").await, Some(7));
    site(&[2, 1]).put(jar, "n", 1).await;
    assert_eq!(site(&[2]).get(jar, "user").await, Some(7));
    assert_eq!(site(&[1]).rejection(jar).await, Some(Rejection::Tampered));
}

#[tokio::test]
async fn a_typed_map_takes_its_type_alone() {
    let strings = || Gorilla::new(cookies()).payload(GoPayload::MapOf(GoType::String));
    let site = site(config().write_gorilla(strings()));
    let jar = &mut Jar::default();
    site.put(jar, "user-id", "a1b2c3").await;
    let write = async |session: Session| {
        let kind = |error: silverback::Error| error.kind();
        [
            session.insert("n", 1).map_err(kind),
            session.insert(&GoKey::int(1), "x").map_err(kind),
            session.flash("hi").map_err(kind),
            session.insert("name", "Ann").map_err(kind),
        ]
    };
    let refused = Err(ErrorKind::SerializeFailed);
    assert_eq!(
        site.visit(jar, write).await.0,
        [refused, refused, refused, Ok(())]
    );
    let gob = go_reads(jar, START);
    assert_eq!(gob.get("user-id"), Some(&Value::string("a1b2c3")));
    assert_eq!(gob.entries().len(), 2);
}

#[tokio::test]
async fn json_is_written_as_go_does() {
    let json = || Gorilla::new(cookies()).payload(GoPayload::Json);
    let site = site(config().write_gorilla(json()));
    let value = cookies().encode(
        "sid",
        b"{\"b\":true,\"n\":1e+21,\"_flash\":[\"hi\"]}\n",
        START,
    );
    let jar = &mut Jar::with("sid", &value.unwrap());
    let write = async |session: Session| {
        session.insert("a", "<&>\u{2028}").unwrap();
        session.flash("you").unwrap();
        session
            .insert_bytes("raw", [1])
            .map_err(|error| error.kind())
    };
    assert_eq!(
        site.visit(jar, write).await.0,
        Err(ErrorKind::SerializeFailed)
    );
    let opened = cookies()
        .decode("sid", jar.value("sid").as_bytes(), START)
        .unwrap();
    assert_eq!(
        String::from_utf8(opened.payload).unwrap(),
        "{\"_flash\":[\"hi\",\"you\"],\"a\":\"\\u003c\\u0026\\u003e\\u2028\",\"b\":true,\"n\":1e+21}\n"
    );
    assert_eq!(
        site.get::<String>(jar, "a").await.as_deref(),
        Some("<&>\u{2028}")
    );
}

#[tokio::test]
async fn every_accepted_value_fits() {
    let site = shared();
    let mut outcomes = [0; 2];
    for len in (1_900..2_300).step_by(7) {
        let jar = &mut Jar::default();
        let write = async |session: Session| {
            session.insert("n", 1).unwrap();
            let inserted = session
                .insert("v", "x".repeat(len))
                .map_err(|error| error.kind());
            matches!(inserted, Err(ErrorKind::TooLarge { .. }))
        };
        let (is_refused, response) = site.visit(jar, write).await;
        assert_eq!(failure(&response), None, "{len}");
        assert!(set_cookie(&response).len() <= 4_096, "{len}");
        let found: Option<String> = site.get(jar, "v").await;
        assert_eq!(found.map(|text| text.len()), (!is_refused).then_some(len));
        outcomes[usize::from(is_refused)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 5), "{outcomes:?}");
}

/// A list of small numbers is a third as long in JSON as in Go's types.
#[tokio::test]
async fn a_value_that_is_longer_in_go_is_refused_at_once() {
    let text = Value::string("x".repeat(1_000)).named("string");
    let jar = &mut go_cookie(&session(&[("v", text)]), START);
    let site = shared();
    let list = async |session: Session| {
        let inserted = session.insert("v", vec![1; 400]);
        inserted.map_err(|error| error.kind())
    };
    let (refused, response) = site.visit(jar, list).await;
    assert!(
        matches!(refused, Err(ErrorKind::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(failure(&response), None);
    let found: Option<String> = site.get(jar, "v").await;
    assert_eq!(found.map(|text| text.len()), Some(1_000));
}

#[tokio::test]
async fn a_session_that_is_too_large_can_shrink() {
    let long = |len| Value::string("x".repeat(len)).named("string");
    let gob = session(&[("a", long(2_160)), ("b", long(5))]);
    let jar = &mut go_cookie(&gob, START);
    let site = shared();
    let shrink = async |session: Session| {
        session.remove("b").unwrap();
        session.insert("b", 1).map_err(|error| error.kind())
    };
    let (refused, response) = site.visit(&mut jar.clone(), shrink).await;
    assert!(
        matches!(refused, Err(ErrorKind::TooLarge { .. })),
        "{refused:?}"
    );
    assert!(matches!(
        failure(&response),
        Some(ErrorKind::TooLarge { .. })
    ));
    let response = site.remove(jar, "a").await;
    assert_eq!(failure(&response), None);
    assert_eq!(go_reads(jar, START).entries().len(), 1);
}

/// Only a removal may leave a session too large: others may follow.
#[tokio::test]
async fn a_session_that_is_too_large_takes_no_other_value() {
    let long = Value::string("x".repeat(2_160)).named("string");
    let gob = session(&[("long", long), ("n", Value::Int(100).named("int"))]);
    let jar = &mut go_cookie(&gob, START);
    let site = shared();
    let change = async |session: Session| {
        session.insert("n", 100).unwrap();
        assert!(!session.remove("none").unwrap());
        [101, 1].map(|n| session.insert("n", n).map_err(|error| error.kind()))
    };
    let (refused, response) = site.visit(jar, change).await;
    for refused in refused {
        assert!(
            matches!(refused, Err(ErrorKind::TooLarge { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(failure(&response), None);
    assert_eq!(site.get(jar, "n").await, Some(100));
}

/// Inserts a text as long as Go's cookie allows.
fn fill(session: &Session) {
    let fits = |len: &usize| session.insert("fill", "x".repeat(*len)).is_ok();
    assert!((1..2_300).rev().find(fits).is_some());
}

#[tokio::test]
async fn attributes_that_leave_no_room_are_refused_at_once() {
    let site = shared();
    let jar = &mut Jar::default();
    let change = async |session: Session| {
        fill(&session);
        let path = format!("/{}", "a".repeat(100));
        let refused = session.set_attributes(|cookie| cookie.path(path));
        refused.map_err(|error| error.kind())
    };
    let (refused, response) = site.visit(jar, change).await;
    assert!(
        matches!(refused, Err(ErrorKind::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(failure(&response), None);
    assert!(!set_cookie(&response).contains("Path=/a"));
}

#[tokio::test]
async fn messages_that_no_longer_fit_are_not_put_back() {
    let site = shared();
    let jar = &mut go_cookie(&messages(&[&"m".repeat(300)]), START);
    let keep = async |session: Session| {
        assert_eq!(session.flashes::<String>().unwrap().len(), 1);
        fill(&session);
        session.keep_flashes().map_err(|error| error.kind())
    };
    let (refused, response) = site.visit(&mut jar.clone(), keep).await;
    assert!(
        matches!(refused, Err(ErrorKind::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(failure(&response), None);
    // Nor by the layer, when nobody has seen them.
    let take = async |session: Session| {
        assert_eq!(session.flashes::<String>().unwrap().len(), 1);
        fill(&session);
    };
    let unseen = StatusCode::INTERNAL_SERVER_ERROR;
    let ((), response) = site.answer(jar, unseen, take).await;
    assert_eq!(failure(&response), None);
    assert_eq!(go_reads(jar, START).entries().len(), 1);
}

/// The zeros of a struct take no room in Go, and they do in JSON.
#[tokio::test]
async fn a_session_that_is_longer_in_json_takes_changes() {
    let mut gob = Gob::session();
    let fields = ["Name", "Street", "Town", "Country"].map(|name| Field::new(name, TypeId::STRING));
    let name = "Address".to_owned();
    let fields = fields.to_vec();
    let address = gob.types.define(Definition::Struct { name, fields });
    let ty = gob.types.slice_of(address);
    let empty = Value::Struct {
        ty: address,
        fields: Vec::new(),
    };
    let items = vec![empty; 120];
    gob.insert("list", Value::List { ty, items }.named("[]main.Address"));
    gob.insert("n", Value::Int(1).named("int"));
    let jar = &mut go_cookie(&gob, START);
    let response = shared().put(jar, "n", 2).await;
    assert_eq!(failure(&response), None);
    gob.insert("n", Value::Int(2).named("int"));
    assert_eq!(go_reads(jar, START), gob);
}

#[tokio::test]
async fn ends_are_remembered_of_cookies_of_go_as_well() {
    let cookies = CookieStore::new().revocation(MemoryStore::new());
    let config =
        SessionConfig::new("sid", cookies, key()).read_gorilla(Gorilla::new(self::cookies()));
    let site = site(config);
    let gob = session(&[("user", Value::Int(7).named("int"))]);
    let copy = go_cookie(&gob, START);
    let jar = &mut copy.clone();
    assert_eq!(site.get(jar, "user").await, Some(7));
    assert!(!is_of_go(jar) && is_of_go(&copy));
    site.destroy(jar).await;
    assert_eq!(
        site.rejection(&mut copy.clone()).await,
        Some(Rejection::Ended)
    );
    site.clock.advance(2 * DAY);
    assert_eq!(
        site.rejection(&mut copy.clone()).await,
        Some(Rejection::Revoked)
    );
}

#[tokio::test]
async fn a_renewal_of_a_cookie_of_go_ends_it() {
    let cookies = CookieStore::new().revocation(MemoryStore::new());
    let config =
        SessionConfig::new("sid", cookies, key()).read_gorilla(Gorilla::new(self::cookies()));
    let site = site(config);
    let gob = session(&[("cart", Value::Int(7).named("int"))]);
    let copy = go_cookie(&gob, START);
    let jar = &mut copy.clone();
    let log_in = async |session: Session| {
        session.load().await.unwrap();
        session.set_subject("ann", "Firefox").unwrap();
    };
    site.visit(jar, log_in).await;
    assert_eq!(site.get(jar, "cart").await, Some(7));
    assert_eq!(
        site.rejection(&mut copy.clone()).await,
        Some(Rejection::Renewed)
    );
}

#[test]
fn a_cookie_of_go_is_explained() {
    let gob = session(&[("n", Value::Int(1).named("int"))]);
    let (jar, later) = (go_cookie(&gob, START), START.saturating_add(DAY));
    let gorilla = || Gorilla::new(cookies());
    // Go accepts a cookie of exactly the maximum age.
    let of_go = 30 * DAY + Duration::from_secs(1);
    for (config, lasts) in [
        (config().write_gorilla(gorilla()), of_go),
        (config().read_gorilla(gorilla()), 14 * DAY),
    ] {
        let explained = config.explain(jar.value("sid"), later).unwrap();
        assert_eq!(
            (explained.head, explained.rejection, explained.holds_values),
            (None, None, true)
        );
        assert_eq!(explained.times.map(|times| times.issued), Some(START));
        assert_eq!(explained.expires, Some(START.saturating_add(lasts)));
        assert!(explained.record_key.is_some());
    }
    let explained = config().explain(jar.value("sid"), later).unwrap();
    assert_eq!(
        (explained.rejection, explained.times),
        (Some(Rejection::Malformed), None)
    );
}

/// Nobody can tell which of two cookies of one name counts.
#[tokio::test]
async fn two_cookies_are_no_session() {
    let of = |n| go_cookie(&session(&[("n", Value::Int(n).named("int"))]), START);
    let both = format!("{}; sid={}", of(1).value("sid"), of(2).value("sid"));
    for site in [shared(), taking_over()] {
        let jar = &mut Jar::with("sid", &both);
        assert_eq!(site.rejection(jar).await, Some(Rejection::Ambiguous));
        let one = format!("forged; sid={}", of(2).value("sid"));
        assert_eq!(site.get(&mut Jar::with("sid", &one), "n").await, Some(2));
    }
}

#[test]
fn what_the_format_cannot_carry_is_an_error() {
    let gorilla = || Gorilla::new(cookies());
    let new = |store: CookieStore| SessionConfig::new("sid", store, key());
    let minute = Duration::from_secs(60);
    let rows = [
        ("idle_timeout", config().idle_timeout(minute)),
        ("first_idle_timeout", config().first_idle_timeout(minute)),
        ("absolute_timeout", config().absolute_timeout(2 * DAY)),
        ("persist_up_to", config().persist_up_to(minute)),
        ("audience", config().audience("shop")),
        ("signed", new(CookieStore::new().signed())),
        ("clock_skew", new(CookieStore::new().clock_skew(minute))),
        (
            "revocation",
            new(CookieStore::new().revocation(MemoryStore::new())),
        ),
        (
            "overflow",
            new(CookieStore::new().overflow(MemoryStore::new())),
        ),
        ("new", SessionConfig::new("sid", MemoryStore::new(), key())),
    ];
    for (setting, config) in rows {
        let error = SessionLayer::try_new(config.clone().write_gorilla(gorilla())).unwrap_err();
        assert_eq!(error, ConfigError::NotInGorilla { setting });
        let error = SessionLayer::try_new(config.read_gorilla(gorilla())).err();
        assert_eq!(error.is_some(), setting == "overflow", "{setting}");
    }
}

#[tokio::test]
async fn the_cookie_keeps_its_name_in_go() {
    let gorilla = || Gorilla::new(cookies());
    for (config, name) in [
        (config().write_gorilla(gorilla()), "sid"),
        (config().read_gorilla(gorilla()), "sid"),
        (
            config().cookie_name("other").write_gorilla(gorilla()),
            "other",
        ),
        (config(), "__Host-sid"),
    ] {
        let jar = &mut Jar::default();
        site(config).put(jar, "n", 1).await;
        assert_eq!(jar.0.keys().collect::<Vec<_>>(), [name]);
    }
}

#[tokio::test]
async fn a_cookie_of_another_name_or_key_is_refused() {
    let gob = session(&[("n", Value::Int(1).named("int"))]);
    let payload = gob.encode().unwrap();
    let value = cookies().encode("other", &payload, START).unwrap();
    let foreign = SecureCookie::new([encrypting(9)]).unwrap();
    let foreign = foreign.encode("sid", &payload, START).unwrap();
    let keys = Keys::generate().unwrap();
    for value in [value.as_str(), foreign.as_str()] {
        for site in [
            shared(),
            taking_over(),
            site(SessionConfig::cookie("sid", keys.clone()).write_gorilla(Gorilla::new(cookies()))),
        ] {
            let rejection = site.rejection(&mut Jar::with("sid", value)).await;
            assert_eq!(rejection, Some(Rejection::Tampered));
        }
    }
    let not_gob = cookies().encode("sid", b"{\"a\":1}", START).unwrap();
    let rejection = shared().rejection(&mut Jar::with("sid", &not_gob)).await;
    assert_eq!(rejection, Some(Rejection::Malformed));
    let list = Gob::new(Types::new(), Value::string("x")).encode().unwrap();
    let no_map = cookies().encode("sid", &list, START).unwrap();
    let rejection = shared().rejection(&mut Jar::with("sid", &no_map)).await;
    assert_eq!(rejection, Some(Rejection::Malformed));
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        (-1e15..1e15).prop_map(|number: f64| json!(number)),
        "\\PC{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z\0]{0,6}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Checks that accepted values read back, whatever was there before.
async fn keeps(first: BTreeMap<String, Json>, second: BTreeMap<String, Json>, payload: GoPayload) {
    let site = site(config().write_gorilla(Gorilla::new(cookies()).payload(payload)));
    let jar = &mut Jar::default();
    let mut expected = BTreeMap::new();
    for values in [first, second] {
        let write = async |session: Session| {
            for (key, value) in values {
                if session.insert(&key, &value).is_ok() {
                    expected.insert(key, value);
                }
            }
        };
        let (_, response) = site.visit(jar, write).await;
        assert_eq!(failure(&response), None);
        let (found, ..) = site.visit(jar, all).await.0;
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_whole_number_in_place_of_a_float_keeps_its_digits() {
    for payload in [GoPayload::Sessions, GoPayload::Json] {
        for whole in [
            json!(7_562_229_244_809_086_889_u64),
            json!(-9_007_199_254_740_993_i64),
        ] {
            let [first, second] =
                [json!(0.5), whole].map(|n| BTreeMap::from([("n".to_owned(), n)]));
            keeps(first, second, payload).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_go_there_and_back(
        first in prop::collection::btree_map("[a-c]{1,2}", json_value(), 0..4),
        second in prop::collection::btree_map("[a-c]{1,2}", json_value(), 0..4),
        is_json: bool,
    ) {
        let payload = if is_json { GoPayload::Json } else { GoPayload::Sessions };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(keeps(first, second, payload));
    }

    /// Only somebody with Go's keys gets this far, and still nothing breaks.
    #[test]
    fn any_payload_is_a_session_or_none(payload: Vec<u8>, is_json: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let kind = if is_json { GoPayload::Json } else { GoPayload::Sessions };
        let cookies = cookies();
        let value = cookies.encode("sid", &payload, START).unwrap();
        let site = site(config().write_gorilla(Gorilla::new(cookies).payload(kind)));
        let jar = &mut Jar::with("sid", &value);
        runtime.block_on(async {
            let touch = async |session: Session| session.insert("n", 1).is_ok();
            let (is_done, response) = site.visit(jar, touch).await;
            assert!(is_done && failure(&response).is_none());
        });
    }
}
