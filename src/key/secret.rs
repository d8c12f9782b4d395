//! A secret, and the ways to read one.

use std::{fmt, sync::Arc};

use base64_simd::{AsOut as _, Base64, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{
    error::{KeyError, MIN_LEN},
    id::KeyId,
};
use crate::crypto::{self, MacKey, RootKey};

/// A root secret of at least 32 bytes, from which the keys of every session are derived.
#[derive(Clone)]
pub struct Key {
    secret: Arc<Zeroizing<Vec<u8>>>,
    id: KeyId,
}

impl Key {
    /// The fewest bytes of a key.
    pub const MIN_LEN: usize = MIN_LEN;

    /// Makes a new random key of 32 bytes.
    ///
    /// ```
    /// use silverback::{Key, Keys};
    ///
    /// let keys = Keys::new(Key::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::RandomFailed`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let secret = Zeroizing::new(
            crypto::random::<{ Self::MIN_LEN }>().map_err(|_| KeyError::RandomFailed)?,
        );
        Self::from_bytes(secret.as_slice())
    }

    /// Makes a key from raw secret bytes, such as the 64 bytes of a `cookie::Key`. Use random
    /// bytes, not a password.
    ///
    /// ```
    /// use silverback::{Key, KeyError};
    ///
    /// assert!(Key::from_bytes(b"0f8a51b3c7d96e24a90b5d3f7c1e8642").is_ok());
    /// assert!(matches!(Key::from_bytes(b"secret"), Err(KeyError::TooShort { .. })));
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::TooShort`] under 32 bytes, [`KeyError::Weak`] if all bytes are the same.
    pub fn from_bytes(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < Self::MIN_LEN {
            return Err(KeyError::TooShort { len: secret.len() });
        }
        if secret.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err(KeyError::Weak);
        }
        let secret = Arc::new(Zeroizing::new(secret.to_vec()));
        let id = KeyId(*root(&secret).expand::<4>(&[b"kid"]));
        Ok(Self { secret, id })
    }

    /// Makes a key from hexadecimal digits, at least 64 of them.
    ///
    /// ```
    /// use silverback::Key;
    ///
    /// let key = Key::from_hex(&"9f0d1e6b7a5c4d3e".repeat(4))?; // as `openssl rand -hex 32` prints one
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::InvalidEncoding`] if the text is not hexadecimal; otherwise as
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        // Wiped even if the text turns out to be wrong.
        let mut secret = Zeroizing::new(vec![0; text.len() / 2]);
        // In constant time: the text is as secret as the key.
        let secret = base16ct::mixed::decode(text, &mut secret);
        Self::from_bytes(secret.map_err(|_| KeyError::InvalidEncoding)?)
    }

    /// Makes a key from base64 text, standard or URL-safe, with or without padding.
    ///
    /// ```
    /// use silverback::Key;
    ///
    /// // As `openssl rand -base64 32` prints one.
    /// let key = Key::from_base64("n0fQHmt6XE0+LxoLnI1+b1pLPC0eD5qLfG1eTzorHA0=")?;
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::InvalidEncoding`] if the text is not base64; otherwise as
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let text = text.trim_end_matches('=').as_bytes();
        // Wiped even if the text turns out to be wrong, or to be of the other alphabet.
        let mut secret = Zeroizing::new(vec![0; text.len()]);
        let decode = |alphabet: Base64, secret: &mut [u8]| {
            let decoded = alphabet.decode(text, secret.as_out());
            decoded.map(|decoded| decoded.len())
        };
        let len = decode(URL_SAFE_NO_PAD, &mut secret)
            .or_else(|_| decode(STANDARD_NO_PAD, &mut secret))
            .map_err(|_| KeyError::InvalidEncoding)?;
        Self::from_bytes(secret.get(..len).unwrap_or_default())
    }

    /// Reads text that consists of pairs of hexadecimal digits as hexadecimal, and any other text
    /// as base64.
    pub(super) fn from_text(text: &str) -> Result<Self, KeyError> {
        let hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex {
            Self::from_hex(text)
        } else {
            Self::from_base64(text)
        }
    }

    /// Returns the key's id. It is not secret, and the same on every machine.
    ///
    /// ```
    /// use silverback::{Key, KeyState, Keys};
    ///
    /// let key = Key::generate()?;
    /// let keys = Keys::new(key.clone());
    /// assert_eq!(keys.list(), [(key.id(), KeyState::Active)]);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Derives a key for one purpose. Each use needs its own purpose.
    pub(crate) fn mac(&self, purpose: &[u8]) -> MacKey {
        MacKey::new(&self.root().expand(&[purpose]))
    }

    pub(crate) fn root(&self) -> RootKey {
        root(&self.secret)
    }
}

fn root(secret: &[u8]) -> RootKey {
    RootKey::extract(b"silverback v1", secret)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ..)", self.id)
    }
}
