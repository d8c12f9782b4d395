//! Any bytes as a cookie of gorilla/securecookie, and as the parts of one whose MAC fits.
#![no_main]

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use hmac::{Hmac, Mac as _};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;
use silverback::{
    Timestamp,
    gorilla::{KeyPair, SecureCookie},
};

const KEY: [u8; 32] = [1; 32];
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn cookies(encrypts: bool) -> SecureCookie {
    let pair = match encrypts {
        true => KeyPair::encrypting(KEY, [2; 16]),
        false => KeyPair::signing(KEY),
    };
    let cookies = SecureCookie::new([pair.expect("a key")]).expect("a pair");
    cookies.max_length(None)
}

/// A cookie of these parts.
fn signed(date: &[u8], inner: &[u8]) -> String {
    let message = [date, b"|", inner].concat();
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("a key of any length");
    mac.update(b"n|");
    mac.update(&message);
    let mac = mac.finalize().into_bytes();
    BASE64_URL_SAFE.encode([&message, &b"|"[..], &mac].concat())
}

fuzz_target!(|bytes: &[u8]| {
    let (date, inner) = match bytes.iter().position(|byte| *byte == b'|') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b"1800000000"[..], bytes),
    };
    for encrypts in [false, true] {
        let cookies = cookies(encrypts);
        assert!(cookies.decode("n", bytes, NOW).is_err(), "it is not signed");
        if let Ok(opened) = cookies.decode("n", signed(date, inner).as_bytes(), NOW) {
            let oldest = NOW.as_secs() - Duration::from_secs(30 * 86_400).as_secs();
            assert!(opened.saved.as_secs() >= oldest, "30 days are the default");
        }
        let made = cookies.encode("n", bytes, NOW).expect("there is no limit");
        assert!(
            cookies.decode("m", made.as_bytes(), NOW).is_err(),
            "it has another name"
        );
        match cookies.decode("n", made.as_bytes(), NOW) {
            Ok(opened) => assert_eq!(opened.payload, bytes),
            Err(error) => assert!(encrypts && bytes.is_empty(), "{error}"),
        }
    }
});
