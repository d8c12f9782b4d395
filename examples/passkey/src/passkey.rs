//! A passkey's answer to a challenge: "Verifying an Authentication Assertion" of WebAuthn Level 3
//! (section 7.2), for ECDSA over P-256 with SHA-256.

use std::sync::Arc;

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use serde::Deserialize;

/// Bits of the authenticator's flags: the user was present, and was verified by a PIN or a finger.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 4;

/// Returns 32 random bytes in base64url, as the browser returns them.
pub(crate) fn challenge() -> Result<String, StatusCode> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The parts of an `AuthenticatorAssertionResponse` that the page sends, in base64url.
#[derive(Deserialize)]
pub(crate) struct Assertion {
    authenticator_data: String,
    client_data: String,
    signature: String,
}

/// The browser's data, which is signed together with the authenticator's.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
}

#[derive(Clone)]
pub(crate) struct Passkey {
    /// An uncompressed point of the curve, from the registration of the key.
    public_key: Arc<[u8]>,
    origin: &'static str,
}

impl Passkey {
    pub(crate) fn new(public_key: Vec<u8>, origin: &'static str) -> Self {
        Self {
            public_key: public_key.into(),
            origin,
        }
    }

    pub(crate) fn accepts(&self, challenge: &str, assertion: &Assertion) -> bool {
        self.check(challenge, assertion).is_some()
    }

    fn check(&self, challenge: &str, assertion: &Assertion) -> Option<()> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let data = decode(&assertion.authenticator_data)?;
        let client_data = decode(&assertion.client_data)?;
        let signature = decode(&assertion.signature)?;

        let client: ClientData = serde_json::from_slice(&client_data).ok()?;
        let is_meant = client.kind == "webauthn.get"
            && client.challenge == challenge
            && client.origin == self.origin;
        let (site, rest) = data.split_at_checked(32)?;
        let wanted = PRESENT | VERIFIED;
        let is_here = rest.first()? & wanted == wanted;
        let (_, host) = self.origin.split_once("://")?;
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        if !(is_meant && is_here && site == digest(&SHA256, host.as_bytes()).as_ref()) {
            return None;
        }
        let signed = [&*data, digest(&SHA256, &client_data).as_ref()].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&signed, &signature)
            .ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    /// A security key and the browser around it.
    pub(crate) struct Authenticator(EcdsaKeyPair);

    impl Authenticator {
        pub(crate) fn new() -> Self {
            let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
        }

        pub(crate) fn public_key(&self) -> Vec<u8> {
            self.0.public_key().as_ref().to_vec()
        }

        pub(crate) fn sign(&self, challenge: &str, origin: &str) -> String {
            self.sign_with(challenge, origin, PRESENT | VERIFIED)
                .to_string()
        }

        fn sign_with(&self, challenge: &str, origin: &str, flags: u8) -> serde_json::Value {
            let host = origin.split_once("://").unwrap().1;
            let mut data = digest(&SHA256, host.as_bytes()).as_ref().to_vec();
            data.extend([flags, 0, 0, 0, 0]);
            let client =
                json!({ "type": "webauthn.get", "challenge": challenge, "origin": origin });
            let client = client.to_string();
            let signed = [&*data, digest(&SHA256, client.as_bytes()).as_ref()].concat();
            let signature = self.0.sign(&SystemRandom::new(), &signed).unwrap();
            json!({
                "authenticator_data": URL_SAFE_NO_PAD.encode(data),
                "client_data": URL_SAFE_NO_PAD.encode(client),
                "signature": URL_SAFE_NO_PAD.encode(signature),
            })
        }
    }

    fn read(assertion: serde_json::Value) -> Assertion {
        serde_json::from_value(assertion).unwrap()
    }

    #[test]
    fn every_part_of_an_assertion_is_checked() {
        let (ours, other) = (Authenticator::new(), Authenticator::new());
        let passkey = Passkey::new(ours.public_key(), "https://localhost");
        let right = ours.sign_with("asked", "https://localhost", PRESENT | VERIFIED);
        assert!(passkey.accepts("asked", &read(right.clone())));
        assert!(!passkey.accepts("other", &read(right.clone())));
        for wrong in [
            ours.sign_with("asked", "https://localhost", PRESENT),
            ours.sign_with("asked", "https://evil.example", PRESENT | VERIFIED),
            other.sign_with("asked", "https://localhost", PRESENT | VERIFIED),
        ] {
            assert!(!passkey.accepts("asked", &read(wrong)));
        }
        for field in ["authenticator_data", "client_data", "signature"] {
            let mut cut = right.clone();
            cut[field] = "".into();
            assert!(!passkey.accepts("asked", &read(cut)), "{field}");
        }
    }
}
