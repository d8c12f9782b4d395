//! The keys of gorilla/securecookie.

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use zeroize::Zeroizing;

use super::{base64, error::SecureCookieError};
use crate::{
    clock::Timestamp,
    crypto::{ForeignMac, HashFunction},
};

pub(super) const IV_LEN: usize = 16;

/// A hash key and, if cookies are encrypted, a block key: two of the arguments of Go's
/// `sessions.NewCookieStore` or `securecookie.CodecsFromPairs`.
#[derive(Clone)]
pub struct KeyPair {
    hash_key: Zeroizing<Vec<u8>>,
    block_key: Option<Zeroizing<Vec<u8>>>,
    pub(super) mac: ForeignMac,
}

impl KeyPair {
    /// Makes a pair for cookies that anyone can read but nobody can change.
    ///
    /// # Errors
    ///
    /// [`SecureCookieError::EmptyHashKey`]. Any other length works; gorilla advises 32 or 64 bytes.
    ///
    /// ```
    /// use silverback::gorilla::KeyPair;
    ///
    /// let pair = KeyPair::signing([7; 32])?; // securecookie.New(hashKey, nil)
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    pub fn signing(hash_key: impl AsRef<[u8]>) -> Result<Self, SecureCookieError> {
        let hash_key = Zeroizing::new(hash_key.as_ref().to_vec());
        if hash_key.is_empty() {
            return Err(SecureCookieError::EmptyHashKey);
        }
        Ok(Self {
            mac: ForeignMac::new(HashFunction::default(), &hash_key),
            hash_key,
            block_key: None,
        })
    }

    /// Makes a pair for cookies that are also encrypted. A block key of 16, 24 or 32 bytes selects
    /// AES-128, AES-192 or AES-256.
    ///
    /// # Errors
    ///
    /// [`SecureCookieError::EmptyHashKey`], [`SecureCookieError::BlockKeyLength`]. Go accepts such
    /// keys, then fails at the first save or uses the next pair.
    ///
    /// ```
    /// use silverback::gorilla::{KeyPair, SecureCookieError};
    ///
    /// let pair = KeyPair::encrypting([7; 64], [9; 32])?; // securecookie.New(hashKey, blockKey)
    /// assert_eq!(
    ///     KeyPair::encrypting([7; 64], [9; 15]).unwrap_err(),
    ///     SecureCookieError::BlockKeyLength(15)
    /// );
    /// # Ok::<(), SecureCookieError>(())
    /// ```
    pub fn encrypting(
        hash_key: impl AsRef<[u8]>,
        block_key: impl AsRef<[u8]>,
    ) -> Result<Self, SecureCookieError> {
        let block_key = Zeroizing::new(block_key.as_ref().to_vec());
        if !matches!(block_key.len(), 16 | 24 | 32) {
            return Err(SecureCookieError::BlockKeyLength(block_key.len()));
        }
        Ok(Self {
            block_key: Some(block_key),
            ..Self::signing(hash_key)?
        })
    }

    pub(super) fn hashed_with(self, hash: HashFunction) -> Self {
        let mac = ForeignMac::new(hash, &self.hash_key);
        Self { mac, ..self }
    }

    /// Encrypts or decrypts: in counter mode both are the same operation.
    fn apply(&self, iv: &[u8], text: &mut [u8]) {
        let Some(key) = self.block_key.as_deref() else {
            return;
        };
        // Key and IV fit the cipher: `encrypting` has checked the key's length.
        match key.len() {
            16 => {
                let cipher = Ctr128BE::<Aes128>::new_from_slices(key, iv);
                cipher
                    .expect("a key and an IV of 16 bytes")
                    .apply_keystream(text);
            }
            24 => {
                let cipher = Ctr128BE::<Aes192>::new_from_slices(key, iv);
                cipher
                    .expect("a key of 24 bytes and an IV of 16")
                    .apply_keystream(text);
            }
            _ => {
                let cipher = Ctr128BE::<Aes256>::new_from_slices(key, iv);
                cipher
                    .expect("a key of 32 bytes and an IV of 16")
                    .apply_keystream(text);
            }
        }
    }

    pub(super) fn encode(
        &self,
        name: &str,
        payload: &[u8],
        now: Timestamp,
        iv: &[u8; IV_LEN],
    ) -> String {
        let mut body = Vec::with_capacity(IV_LEN + payload.len());
        if self.encrypts() {
            body.extend_from_slice(iv);
        }
        let start = body.len();
        body.extend_from_slice(payload);
        if let Some(text) = body.get_mut(start..) {
            self.apply(iv, text);
        }
        let signed = format!("{name}|{}|{}|", now.as_secs(), base64::encode(&body));
        let signed = signed.as_bytes();
        let (message, _) = signed.split_at(signed.len() - 1);
        let cookie = signed.get(name.len() + 1..).unwrap_or_default();
        base64::encode(&[cookie, &self.mac.sign(message)].concat())
    }

    /// The length of what [`encode`](Self::encode) returns for a payload of this length.
    pub(super) fn encoded_len(&self, payload: usize, now: Timestamp) -> usize {
        let iv = if self.encrypts() { IV_LEN } else { 0 };
        let date = now.as_secs().to_string().len();
        let inner = base64::encoded_len(iv + payload);
        base64::encoded_len(date + 1 + inner + 1 + self.mac.len())
    }

    pub(super) const fn encrypts(&self) -> bool {
        self.block_key.is_some()
    }

    pub(super) fn verify(
        &self,
        name: &str,
        signed: &[u8],
        mac: &[u8],
    ) -> Result<(), SecureCookieError> {
        let message = [name.as_bytes(), b"|", signed].concat();
        let verified = self.mac.verify(&message, mac);
        verified.map_err(|_| SecureCookieError::InvalidMac)
    }

    pub(super) fn open(&self, inner: &[u8]) -> Result<Vec<u8>, SecureCookieError> {
        let mut body = base64::decode(inner).ok_or(SecureCookieError::InvalidBase64)?;
        if !self.encrypts() {
            return Ok(body);
        }
        if body.len() <= IV_LEN {
            return Err(SecureCookieError::Undecryptable);
        }
        let mut text = body.split_off(IV_LEN);
        self.apply(&body, &mut text);
        Ok(text)
    }
}

/// Shows no key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("encrypts", &self.encrypts())
            .finish_non_exhaustive()
    }
}
