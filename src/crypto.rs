//! The only file that uses ring: random bytes, SHA-256, and the keys that sign and seal.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
    hkdf::{self, HKDF_SHA256, Prk},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

pub(crate) const TAG_LEN: usize = 16;
pub(crate) const MAC_LEN: usize = 32;
const KEY_LEN: usize = 32;
pub(crate) const SALT_LEN: usize = 24;
/// The first part of the info that expands a message key; the salt follows.
const LABEL: &[u8] = b"msg";

/// The random input from which a [`SealKey`] derives the key of one message.
pub(crate) type Salt = [u8; SALT_LEN];

/// The operating system provided no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RandomError;

/// The tag does not match the bytes. Deliberately without detail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Forged;

/// Draws from the operating system each time: a generator in user space would repeat itself after a
/// fork, or in a copy of a virtual machine.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    #[cfg(test)]
    DRAWS.with(|draws| draws.set(draws.get() + 1));
    random_from(|bytes| SystemRandom::new().fill(bytes).map_err(|_| RandomError))
}

#[cfg(test)]
thread_local! {
    static DRAWS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has drawn random bytes. Each time is a system call.
#[cfg(test)]
pub(crate) fn draws() -> usize {
    DRAWS.get()
}

fn random_from<const N: usize>(
    fill: impl FnOnce(&mut [u8]) -> Result<(), RandomError>,
) -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The pseudo-random key extracted from a root secret. Every other key is expanded from it.
pub(crate) struct RootKey(Prk);

impl RootKey {
    pub(crate) fn extract(salt: &[u8], secret: &[u8]) -> Self {
        Self(hkdf::Salt::new(HKDF_SHA256, salt).extract(secret))
    }

    pub(crate) fn expand<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        expand(&self.0, info)
    }
}

/// Signs with HMAC-SHA256.
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; MAC_LEN] {
        let mut tag = [0; MAC_LEN];
        tag.copy_from_slice(hmac::sign(&self.0, message).as_ref());
        tag
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8; MAC_LEN]) -> Result<(), Forged> {
        hmac::verify(&self.0, message, tag).map_err(|_| Forged)
    }
}

/// The hash function of an HMAC of gorilla/securecookie.
#[cfg(feature = "gorilla")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum HashFunction {
    /// SHA-1, which nothing new should use.
    Sha1,
    /// SHA-256: the default of gorilla/securecookie.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Signs with an HMAC. Its key was made elsewhere and can have any length.
#[cfg(feature = "gorilla")]
#[derive(Clone)]
pub(crate) struct ForeignMac(hmac::Key);

#[cfg(feature = "gorilla")]
impl ForeignMac {
    pub(crate) fn new(hash: HashFunction, key: &[u8]) -> Self {
        let algorithm = match hash {
            HashFunction::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HashFunction::Sha256 => hmac::HMAC_SHA256,
            HashFunction::Sha384 => hmac::HMAC_SHA384,
            HashFunction::Sha512 => hmac::HMAC_SHA512,
        };
        Self(hmac::Key::new(algorithm, key))
    }

    /// The length of its tags.
    pub(crate) fn len(&self) -> usize {
        self.0.algorithm().digest_algorithm().output_len()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, message).as_ref().to_vec()
    }

    /// Compares the whole tag, in constant time.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> Result<(), Forged> {
        hmac::verify(&self.0, message, tag).map_err(|_| Forged)
    }
}

/// Seals with AES-256-GCM under a fresh key for each message.
///
/// The message key is HKDF-Expand of this key and a random 24-byte salt. So the nonce can be zero,
/// and the limit of 2^32 messages per key that random 12-byte nonces have does not apply. The
/// expansion's first and only block is one HMAC (RFC 5869, section 2.3) under the stored key.
pub(crate) struct SealKey(hmac::Key);

impl SealKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Encrypts `message[start..]` in place and appends the tag. The bytes before `start` are
    /// authenticated as they are.
    pub(crate) fn seal(&self, salt: &Salt, message: &mut Vec<u8>, start: usize) {
        let (head, text) = message.split_at_mut(start);
        let tag = self
            .message_key(salt)
            .seal_in_place_separate_tag(zero_nonce(), Aad::from(&*head), text)
            .expect("AES-GCM takes 64 GiB, and a cookie is at most 4 KiB");
        message.extend_from_slice(tag.as_ref());
    }

    /// Decrypts the output of [`seal`](Self::seal) in place. Returns the end of the plain text,
    /// which begins at `start`.
    pub(crate) fn open(
        &self,
        salt: &Salt,
        message: &mut [u8],
        start: usize,
    ) -> Result<usize, Forged> {
        let (head, text) = message.split_at_mut_checked(start).ok_or(Forged)?;
        let opened = self
            .message_key(salt)
            .open_in_place(zero_nonce(), Aad::from(&*head), text);
        Ok(start + opened.map_err(|_| Forged)?.len())
    }

    fn message_key(&self, salt: &Salt) -> LessSafeKey {
        let mut info = [1; LABEL.len() + SALT_LEN + 1];
        let (label, rest) = info.split_at_mut(LABEL.len());
        label.copy_from_slice(LABEL);
        rest.split_at_mut(SALT_LEN).0.copy_from_slice(salt);
        let key = hmac::sign(&self.0, &info);
        LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("an HMAC-SHA256 is an AES-256 key"),
        )
    }
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn expand<const N: usize>(key: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    key.expand(info, Length(N))
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("HKDF-SHA256 expands to 8,160 bytes, and no caller asks for more than 32");
    out
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_random_bytes_are_an_error_not_zeros() {
        assert_eq!(random_from::<32>(|_| Err(RandomError)), Err(RandomError));
        assert_ne!(random::<32>(), random::<32>());
    }

    #[test]
    fn a_message_key_is_an_hkdf_expansion() {
        let (key, salt) = ([7; 32], [9; 24]);
        let prk = Prk::new_less_safe(HKDF_SHA256, &key);
        let expanded = expand::<KEY_LEN>(&prk, &[b"msg", &salt]);
        let unbound = UnboundKey::new(&AES_256_GCM, expanded.as_ref()).unwrap();
        let mut text = *b"text";
        let tag = LessSafeKey::new(unbound)
            .seal_in_place_separate_tag(zero_nonce(), Aad::from(b"head-"), &mut text)
            .unwrap();
        let mut sealed = b"head-text".to_vec();
        SealKey::new(&key).seal(&salt, &mut sealed, 5);
        assert_eq!(sealed, [b"head-", &text[..], tag.as_ref()].concat());
    }

    #[test]
    fn a_sealed_message_opens_only_unchanged() {
        let key = SealKey::new(&[7; 32]);
        let mut sealed = b"head-text".to_vec();
        let salt = [9; SALT_LEN];
        key.seal(&salt, &mut sealed, 5);
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&salt, &mut bent, 5), Err(Forged));
        }
        assert_eq!(key.open(&salt, &mut sealed, 5), Ok(9));
        assert_eq!(&sealed[..9], b"head-text");
    }
}
