//! The cookies that gorilla/sessions 1.4.0, securecookie 1.1.2 and dghubble/sessions 0.4.1 accept
//! and refuse, derived from cookies that Go has made.

use std::time::Duration;

use serde_json::Value as Json;
use silverback::{
    Clock, Rejection, Session, SessionConfig, SessionLayer, Timestamp,
    gorilla::{
        GoPayload, GoType, Gorilla, HashFunction, KeyPair, SecureCookie,
        gob::{Gob, Types, Value},
    },
};

use crate::support::{Jar, Site, keys};

const VECTORS: &str = include_str!("../vectors/gorilla-1.4.0.json");
const SAVED: u64 = 1_700_000_000;
const MONTH: u64 = 30 * 86_400;

type Pair = (Vec<u8>, Option<Vec<u8>>);

/// A vector's cookie, and the program that reads it.
struct Visit {
    pairs: Vec<Pair>,
    hash: HashFunction,
    settings: fn(SecureCookie) -> SecureCookie,
    payload: GoPayload,
    name: String,
    value: String,
    now: u64,
}

fn hex(text: &Json) -> Option<Vec<u8>> {
    let text = text.as_str()?;
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    Some((0..text.len()).step_by(2).map(byte).collect())
}

impl Visit {
    fn of(id: &str) -> Self {
        let all: Json = serde_json::from_str(VECTORS).unwrap();
        let mut all = all["vectors"].as_array().unwrap().iter();
        let vector = all.find(|vector| vector["id"] == id).unwrap();
        let text = |field: &str| vector[field].as_str().unwrap().to_owned();
        let keys = (
            hex(&vector["hash_key_hex"]).unwrap(),
            hex(&vector["block_key_hex"]),
        );
        Self {
            pairs: vec![keys],
            hash: match text("hash").as_str() {
                "sha512" => HashFunction::Sha512,
                _ => HashFunction::Sha256,
            },
            settings: |cookies| cookies,
            payload: match (text("serializer").as_str(), text("go_type").as_str()) {
                ("json", _) => GoPayload::Json,
                (_, "map[string]interface {}") => GoPayload::MapOf(GoType::Any),
                _ => GoPayload::Sessions,
            },
            name: text("name"),
            value: text("encoded"),
            now: SAVED,
        }
    }

    fn cookies(&self) -> SecureCookie {
        let pairs = self.pairs.iter().map(|(hash, block)| match block {
            Some(block) => KeyPair::encrypting(hash, block).unwrap(),
            None => KeyPair::signing(hash).unwrap(),
        });
        (self.settings)(SecureCookie::new(pairs).unwrap().hash(self.hash))
    }

    /// Replaces the vector's cookie by one with this payload.
    fn say(&mut self, payload: &[u8]) {
        let cookies = self.cookies().max_length(None);
        let saved = Timestamp::from_secs(SAVED);
        self.value = cookies.encode(&self.name, payload, saved).unwrap();
    }

    fn also(&mut self, first: bool, hash: &[u8], block: Option<&[u8]>) {
        let at = if first { 0 } else { self.pairs.len() };
        self.pairs
            .insert(at, (hash.to_vec(), block.map(<[u8]>::to_vec)));
    }

    async fn outcome(&self) -> Option<Rejection> {
        let gorilla = Gorilla::new(self.cookies()).payload(self.payload);
        let config = SessionConfig::cookie(&self.name, keys()).write_gorilla(gorilla);
        let clock = Clock::manual(Timestamp::from_secs(self.now));
        let site = Site::at(&clock, SessionLayer::new(config));
        let look = async |session: Session| session.rejection();
        let mut jar = Jar::with("session-name", &self.value);
        site.visit(&mut jar, look).await.0
    }
}

fn from(bytes: &str) -> Vec<u8> {
    hex(&Json::from(bytes.replace(' ', ""))).unwrap()
}

const STRING: &str = "gob-hmac-string";
const SEALED: &str = "gob-aes256-flash-nested";
const LONG: &str = "gob-aes256-sha512";
const JSON: &str = "json-hmac-html-escape";
const ID: &str = "gob-aes128-session-id";

/// `{"foo": "bar"}` behind the definition of its type, as each release of Go numbers that.
const FOO_BAR: &str = "000106737472696e670c050003666f6f06737472696e670c050003626172";

type Case = (
    &'static str,
    &'static str,
    fn(&mut Visit),
    Option<Rejection>,
);

use Rejection::{Expired, Malformed, NotFound, NotYetValid, Tampered};

/// The envelope.
#[rustfmt::skip]
const ENVELOPES: &[Case] = &[
    ("signed",                    STRING, |_| (), None),
    ("encrypted by AES-256",      SEALED, |_| (), None),
    ("encrypted by AES-192",      "gob-aes192-readme", |_| (), None),
    ("hashed by SHA-512",         LONG,   |_| (), None),
    ("JSON",                      JSON,   |_| (), None),
    ("of dghubble",               "gob-aes256-dghubble-any", |v| v.name = "session-name".into(), Some(Tampered)),
    // Keys and names.
    ("another name",              STRING, |v| v.value = with_name(v, "session-namf"), Some(Tampered)),
    ("no name",                   STRING, |v| v.value = with_name(v, ""), Some(Tampered)),
    ("a name with a bar",         STRING, |v| v.value = with_name(v, "session-name|1"), Some(Tampered)),
    ("another hash key",          STRING, |v| v.pairs[0].0[0] ^= 1, Some(Tampered)),
    ("a shorter hash key",        STRING, |v| v.pairs[0].0.truncate(31), Some(Tampered)),
    ("a hash key with a zero",    STRING, |v| v.pairs[0].0.push(0), None),
    ("another hash",              STRING, |v| v.hash = HashFunction::Sha1, Some(Tampered)),
    ("a longer hash",             STRING, |v| v.hash = HashFunction::Sha512, Some(Tampered)),
    ("a shorter hash",            LONG,   |v| v.hash = HashFunction::Sha256, Some(Tampered)),
    ("another block key",         SEALED, |v| v.pairs[0].1.as_mut().unwrap()[0] ^= 1, Some(Malformed)),
    ("a block key of AES-128",    SEALED, |v| v.pairs[0].1.as_mut().unwrap().truncate(16), Some(Malformed)),
    ("a block key of AES-192",    SEALED, |v| v.pairs[0].1.as_mut().unwrap().truncate(24), Some(Malformed)),
    ("no block key",              SEALED, |v| v.pairs[0].1 = None, Some(Malformed)),
    ("a block key too many",      STRING, |v| v.pairs[0].1 = Some(vec![0; 16]), Some(Malformed)),
    // Several pairs.
    ("a new pair in front",       STRING, |v| v.also(true, &[9; 32], Some(&[9; 16])), None),
    ("another pair behind",       STRING, |v| v.also(false, &[9; 64], None), None),
    ("between two pairs",         SEALED, |v| { v.also(true, &[8; 32], None); v.also(false, &[9; 32], None) }, None),
    ("the hash key without its block key in front", SEALED, |v| { let hash = v.pairs[0].0.clone(); v.also(true, &hash, None) }, None),
    ("the hash key with another block key in front", SEALED, |v| { let hash = v.pairs[0].0.clone(); v.also(true, &hash, Some(&[9; 32])) }, None),
    ("other pairs alone",         SEALED, |v| v.pairs = vec![(vec![8; 32], None), (vec![9; 32], None)], Some(Tampered)),
    // Ages.
    ("at the last second",        STRING, |v| v.now = SAVED + MONTH, None),
    ("a second too late",         STRING, |v| v.now = SAVED + MONTH + 1, Some(Expired)),
    ("for ever",                  STRING, |v| { v.settings = |c| c.max_age(None); v.now = SAVED + 99 * MONTH }, None),
    ("of a negative MaxAge",      STRING, |v| { v.settings = |c| c.max_age(Duration::ZERO); v.now = SAVED + 1 }, Some(Expired)),
    ("in the second it was made", STRING, |v| v.settings = |c| c.max_age(Duration::ZERO), None),
    ("of the future",             STRING, |v| v.now = SAVED - MONTH, None),
    ("as young as it may be",     STRING, |v| { v.settings = |c| c.min_age(Duration::from_secs(60)); v.now = SAVED + 60 }, None),
    ("too young",                 STRING, |v| { v.settings = |c| c.min_age(Duration::from_secs(60)); v.now = SAVED + 59 }, Some(NotYetValid)),
    // Lengths and spellings.
    ("as long as it may be",      STRING, |v| v.settings = |c| c.max_length(144), None),
    ("too long",                  STRING, |v| v.settings = |c| c.max_length(143), Some(Malformed)),
    ("of any length",             STRING, |v| v.settings = |c| c.max_length(None), None),
    ("without its end",           STRING, |v| v.value.truncate(140), Some(Tampered)),
    ("cut within four",           STRING, |v| v.value.truncate(141), Some(Malformed)),
    ("without its beginning",     STRING, |v| drop(v.value.drain(..4)), Some(Tampered)),
    ("without padding",           SEALED, unpadded, Some(Malformed)),
    ("with more padding",         STRING, |v| v.value.push_str("===="), Some(Malformed)),
    ("in the other alphabet",     "gob-hmac-struct", other_alphabet, Some(Malformed)),
    ("with a tab",                STRING, |v| v.value.insert(4, '\t'), Some(Malformed)),
    ("in quotes",                 STRING, |v| v.value = format!("\"{}\"", v.value), Some(Malformed)),
    ("twice",                     STRING, |v| v.value = v.value.repeat(2), Some(Tampered)),
    ("empty",                     STRING, |v| v.value.clear(), Some(Tampered)),
    ("one character changed",     STRING, |v| { let other = if v.value.ends_with('A') { "B" } else { "A" }; v.value.replace_range(143.., other) }, Some(Tampered)),
    ("the ID of a session in a file", ID, |_| (), Some(NotFound)),
];

fn with_name(visit: &Visit, name: &str) -> String {
    let saved = Timestamp::from_secs(SAVED);
    visit
        .cookies()
        .encode(name, b"\x03\x0c\x00\x00", saved)
        .unwrap()
}

fn unpadded(visit: &mut Visit) {
    visit.say(b"ten bytes.");
    assert!(visit.value.ends_with('='), "{}", visit.value);
    visit.value = visit.value.trim_end_matches('=').to_owned();
}

fn other_alphabet(visit: &mut Visit) {
    while !visit.value.contains(['-', '_']) {
        visit.value.insert_str(0, "_-_-");
    }
    visit.value = visit.value.replace('-', "+").replace('_', "/");
}

/// The payload.
#[rustfmt::skip]
const PAYLOADS: &[Case] = &[
    ("type 64, of Go 1.27",       STRING, |v| v.say(&from(&format!("0d7f040102ff800001100110000020ff80{FOO_BAR}"))), None),
    ("type 65, of Go 1.19",       STRING, |v| v.say(&from(&format!("0eff81040102ff820001100110000020ff82{FOO_BAR}"))), None),
    ("type 70, of a program with other types", STRING, |v| v.say(&from(&format!("0eff8b040102ff8c0001100110000020ff8c{FOO_BAR}"))), None),
    ("a type that is not defined", STRING, |v| v.say(&from(&format!("0eff81040102ff820001100110000020ff84{FOO_BAR}"))), Some(Malformed)),
    ("no definition",             STRING, |v| v.say(&from(&format!("20ff80{FOO_BAR}"))), Some(Malformed)),
    ("half of a gob",             STRING, |v| v.say(&from("0d7f040102ff800001100110000020ff8000010673")), Some(Malformed)),
    ("more behind the gob",       STRING, |v| v.say(&from(&format!("0d7f040102ff800001100110000020ff80{FOO_BAR} 00ff00"))), None),
    ("a count beyond the bytes",  STRING, |v| v.say(&from("0d7f040102ff800001100110000008ff8000fc7fffffff")), Some(Malformed)),
    ("an empty map",              STRING, |v| v.say(&Gob::session().encode().unwrap()), None),
    ("nothing",                   STRING, |v| v.say(b""), Some(Malformed)),
    ("a string",                  STRING, |v| v.say(&Gob::new(Types::new(), Value::string("x")).encode().unwrap()), Some(Malformed)),
    ("an integer",                STRING, |v| v.say(&Gob::new(Types::new(), Value::Int(1)).encode().unwrap()), Some(Malformed)),
    ("raw bytes of NopEncoder",   STRING, |v| v.say(b"raw bytes"), Some(Malformed)),
    ("JSON where gob is expected", STRING, |v| v.say(b"{\"foo\":\"bar\"}\n"), Some(Malformed)),
    ("gob where JSON is expected", STRING, |v| v.payload = GoPayload::Json, Some(Malformed)),
    ("dghubble's map[string]string as its own", STRING, |v| { v.payload = GoPayload::MapOf(GoType::String); v.say(&dghubble()) }, None),
    ("dghubble's map[string]string as gorilla's", STRING, |v| v.say(&dghubble()), Some(Malformed)),
    ("dghubble's map[string]string as one of any", STRING, |v| { v.payload = GoPayload::MapOf(GoType::Any); v.say(&dghubble()) }, Some(Malformed)),
    ("dghubble's map[string]string as one of int", STRING, |v| { v.payload = GoPayload::MapOf(GoType::Int); v.say(&dghubble()) }, Some(Malformed)),
    ("gorilla's map as dghubble's", STRING, |v| v.payload = GoPayload::MapOf(GoType::Any), Some(Malformed)),
    ("JSON without a line's end", JSON, |v| v.say(b"{\"h\":1}"), None),
    ("JSON with spaces",          JSON, |v| v.say(b" { \"h\" : 1 } \n"), None),
    ("JSON of a list",            JSON, |v| v.say(b"[1]\n"), Some(Malformed)),
    ("JSON of nothing",           JSON, |v| v.say(b""), Some(Malformed)),
    ("JSON that is cut off",      JSON, |v| v.say(b"{\"h\":1"), Some(Malformed)),
];

/// `map[string]string{"user-id": "a1b2c3"}`, as dghubble/sessions writes it.
fn dghubble() -> Vec<u8> {
    from("0eff8d040102ff8e00010c010c000013ff8e000107757365722d696406613162326333")
}

#[tokio::test]
async fn go_s_cookies_are_accepted_and_refused_as_in_go() {
    let all: Vec<_> = ENVELOPES.iter().chain(PAYLOADS).collect();
    assert!(all.len() >= 45);
    let mut wrong = Vec::new();
    for (what, vector, change, expected) in all {
        let mut visit = Visit::of(vector);
        change(&mut visit);
        let outcome = visit.outcome().await;
        if outcome != *expected {
            wrong.push(format!("{what}: {outcome:?} and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
