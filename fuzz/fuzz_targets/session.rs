//! Any bytes as the payload of a session's cookie: the session is read, changed and written, and
//! its gob can be read again.
#![no_main]

use std::{convert::Infallible, sync::LazyLock};

use http::{Request, Response, header};
use libfuzzer_sys::fuzz_target;
use silverback::{
    Clock, Key, Session, SessionConfig, SessionLayer, Timestamp,
    gorilla::{GoPayload, GoType, Gorilla, KeyPair, SecureCookie, gob::Gob},
};
use tower::{Layer as _, ServiceExt as _, service_fn};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

static COOKIES: LazyLock<SecureCookie> = LazyLock::new(|| {
    let pair = KeyPair::signing([1; 32]).expect("a key");
    SecureCookie::new([pair]).expect("a pair")
});

/// A layer for each kind of payload. Making one takes longer than a request.
static LAYERS: LazyLock<[(GoPayload, SessionLayer); 4]> = LazyLock::new(|| {
    let payloads = [
        GoPayload::Sessions,
        GoPayload::Json,
        GoPayload::MapOf(GoType::Any),
        GoPayload::MapOf(GoType::String),
    ];
    payloads.map(|payload| {
        let key = Key::from_bytes(b"fuzzing needs a key of 32 bytes.").expect("a key of 32 bytes");
        let go = Gorilla::new(COOKIES.clone()).payload(payload);
        let config = SessionConfig::cookie("s", key).write_gorilla(go);
        (payload, SessionLayer::new(config).clock(Clock::manual(NOW)))
    })
});

/// Reads everything, and makes a change of each kind.
fn handle(session: &Session) {
    for key in session.keys().unwrap_or_default() {
        let value = session.get::<serde_json::Value>(&key);
        if let Ok(Some(value)) = value {
            drop(session.insert(&key, [value]));
        }
    }
    drop(session.flashes::<serde_json::Value>());
    drop(session.insert("n", -1));
    drop(session.flash("hello"));
}

fn visit(payload: GoPayload, layer: &SessionLayer, bytes: &[u8]) {
    // A payload too long for a cookie is refused before it is read.
    let Ok(value) = COOKIES.encode("s", bytes, NOW) else {
        return;
    };
    let service = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>();
        handle(session.expect("the layer inserts it"));
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let request = Request::builder().header(header::COOKIE, format!("s={value}"));
    let request = request.body(()).expect("base64 goes into a header");
    let response = layer.layer(service).oneshot(request);
    let response = pollster::block_on(response).expect("it cannot fail");
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        let cookie = cookie.as_bytes().strip_prefix(b"s=").expect("its name");
        let value = cookie
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        let opened = COOKIES.decode("s", value, NOW).expect("it was just made");
        if payload != GoPayload::Json {
            Gob::decode(&opened.payload).expect("Go can read it");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    for (payload, layer) in &*LAYERS {
        visit(*payload, layer, bytes);
    }
});
