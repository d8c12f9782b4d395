//! Keys that sign and seal cookies, and their rotation.
//!
//! ```
//! use silverback::{Key, KeyState, Keys};
//!
//! # fn main() -> Result<(), silverback::KeyError> {
//! let keys = Keys::generate()?;                       // one active key; nothing is written down
//! let old = Key::from_hex("9f0d1e6b7a5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e")?;
//! keys.add(old, KeyState::Retired)?;                  // its cookies are still accepted, and re-issued
//! keys.rotate(Key::generate()?)?;                     // seals from here on; no restart, nobody logged out
//! # Ok(())
//! # }
//! ```
//!
//! A token carries its key's [`KeyId`], so any number of keys costs no more than one. On several
//! machines, add a new key as [`Pending`](KeyState::Pending) everywhere before any of them makes it
//! active.
//!
//! The secrets are wiped from memory when the last clone of a key is dropped. The key schedules
//! that ring keeps inside are not: ring offers no way to.

use std::{
    env, error, fmt, fs, io,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use base64_simd::{Base64, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::crypto::{self, MacKey, RootKey};

/// A root secret of at least 32 bytes, from which the keys of every session are derived.
#[derive(Clone)]
pub struct Key {
    secret: Arc<Zeroizing<Vec<u8>>>,
    id: KeyId,
}

impl Key {
    /// The least number of bytes a key has.
    pub const MIN_LEN: usize = 32;

    /// Makes a new random key of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let secret =
            Zeroizing::new(crypto::random::<{ Self::MIN_LEN }>().map_err(|_| KeyError::Random)?);
        Self::from_bytes(secret.as_slice())
    }

    /// Makes a key of raw secret bytes, such as the 64 bytes of a `cookie::Key`.
    ///
    /// A password is not such a secret: use random bytes.
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

    /// Makes a key of hexadecimal digits, at least 64 of them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encoding`] if the text is not hexadecimal; otherwise as
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        // In constant time: the text is as secret as the key.
        let secret = base16ct::mixed::decode_vec(text).map_err(|_| KeyError::Encoding)?;
        Self::from_bytes(&Zeroizing::new(secret))
    }

    /// Makes a key of base64 text, standard or URL-safe, with or without padding.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encoding`] if the text is not base64; otherwise as
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let text = text.trim_end_matches('=');
        let decode = |alphabet: Base64| alphabet.decode_to_vec(text).map(Zeroizing::new);
        let secret = decode(URL_SAFE_NO_PAD)
            .or_else(|_| decode(STANDARD_NO_PAD))
            .map_err(|_| KeyError::Encoding)?;
        Self::from_bytes(&secret)
    }

    /// Reads text that is all hexadecimal digits, in pairs, as hexadecimal, and any other as
    /// base64.
    fn from_text(text: &str) -> Result<Self, KeyError> {
        let hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex {
            Self::from_hex(text)
        } else {
            Self::from_base64(text)
        }
    }

    /// Returns the key's id: not a secret, and the same on every machine.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// A key for one use, which must not be that of any other.
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

/// Which key it is: four bytes derived from the secret, printed as eight hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyId([u8; 4]);

impl KeyId {
    pub(crate) const LEN: usize = 4;

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", base16ct::HexDisplay(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyState {
    /// Seals new cookies and opens them. Exactly one key is active.
    Active,
    /// Opens cookies, and will seal them once every machine knows it.
    Pending,
    /// Opens the cookies it once sealed, which are then sealed anew with the active key.
    Retired,
    /// Opens nothing any more.
    Revoked,
}

/// The keys of an application: one active, and any number of others.
///
/// Clones share the keys: a change through one is seen by every layer that was given another, from
/// the next cookie on. See the [module docs](self).
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    ring: RwLock<Vec<(Key, KeyState)>>,
    generation: AtomicU64,
}

impl Keys {
    /// Makes a ring of one active key.
    #[must_use]
    pub fn new(active: Key) -> Self {
        Self::of(vec![(active, KeyState::Active)])
    }

    /// Makes a ring of one random key: cookies do not outlive the process.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Key::generate().map(Self::new)
    }

    /// Reads the keys from an environment variable, written as [`parse`](Self::parse) takes them.
    ///
    /// # Errors
    ///
    /// [`KeyError::MissingVariable`] if it is not set or empty; otherwise [`KeyError::Of`] with
    /// what [`parse`](Self::parse) says.
    pub fn from_env(variable: &str) -> Result<Self, KeyError> {
        let text = env::var(variable).map(Zeroizing::new).unwrap_or_default();
        if text.trim().is_empty() {
            return Err(KeyError::MissingVariable(variable.into()));
        }
        Self::parse(&text).map_err(|error| KeyError::Of {
            place: variable.into(),
            source: Box::new(error),
        })
    }

    /// Reads the keys from a file, written as [`parse`](Self::parse) takes them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Of`] with [`KeyError::File`] if it cannot be read, or with what
    /// [`parse`](Self::parse) says.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let read = || {
            let text = fs::read_to_string(path).map(Zeroizing::new);
            Self::parse(&text.map_err(|error| KeyError::File(Arc::new(error)))?)
        };
        read().map_err(|error| KeyError::Of {
            place: path.display().to_string(),
            source: Box::new(error),
        })
    }

    /// Reads keys as text: hexadecimal or base64, separated by commas or white space.
    ///
    /// A key can say what it is: `active:…`, `pending:…`, `retired:…`, `revoked:…`. Of those that
    /// do not, the first is active, unless there is an active one before it, and the others are
    /// retired.
    ///
    /// # Errors
    ///
    /// [`KeyError::Empty`] without any key, [`KeyError::NotOneActive`] unless exactly one is
    /// active, [`KeyError::Duplicate`] if one is given twice; otherwise as [`Key::from_bytes`] and
    /// [`Key::from_base64`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let words = text
            .split(|c: char| c == ',' || c.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let mut ring: Vec<(Key, KeyState)> = Vec::new();
        for word in words {
            let has_active = ring.iter().any(|(_, state)| *state == KeyState::Active);
            let unnamed = if has_active {
                KeyState::Retired
            } else {
                KeyState::Active
            };
            let (state, text) = match word.split_once(':') {
                None => (unnamed, word),
                Some(("active", text)) => (KeyState::Active, text),
                Some(("pending", text)) => (KeyState::Pending, text),
                Some(("retired", text)) => (KeyState::Retired, text),
                Some(("revoked", text)) => (KeyState::Revoked, text),
                Some(_) => return Err(KeyError::Encoding),
            };
            let key = Key::from_text(text)?;
            if ring.iter().any(|(other, _)| other.id == key.id) {
                return Err(KeyError::Duplicate(key.id));
            }
            ring.push((key, state));
        }
        match ring
            .iter()
            .filter(|(_, state)| *state == KeyState::Active)
            .count()
        {
            1 => Ok(Self::of(ring)),
            _ if ring.is_empty() => Err(KeyError::Empty),
            _ => Err(KeyError::NotOneActive),
        }
    }

    fn of(ring: Vec<(Key, KeyState)>) -> Self {
        Self(Arc::new(Shared {
            ring: RwLock::new(ring),
            generation: AtomicU64::new(0),
        }))
    }

    /// Adds a key that is not the active one.
    ///
    /// # Errors
    ///
    /// [`KeyError::Duplicate`] if the key is there already, [`KeyError::NotOneActive`] for an
    /// active one: that is what [`rotate`](Self::rotate) is for.
    pub fn add(&self, key: Key, state: KeyState) -> Result<(), KeyError> {
        if state == KeyState::Active {
            return Err(KeyError::NotOneActive);
        }
        self.change(|ring| {
            if ring.iter().any(|(other, _)| other.id == key.id) {
                return Err(KeyError::Duplicate(key.id));
            }
            ring.push((key, state));
            Ok(())
        })
    }

    /// Makes `key` the active one, whether it is new or pending; the key active until now is
    /// retired.
    ///
    /// # Errors
    ///
    /// [`KeyError::Revoked`] if the key was revoked.
    #[expect(clippy::needless_pass_by_value, reason = "the ring keeps the key")]
    pub fn rotate(&self, key: Key) -> Result<(), KeyError> {
        self.change(|ring| activate(ring, &key, KeyState::Retired))
    }

    /// Makes `key` the active one, whether it is new, pending or retired, and revokes the key active
    /// until now, for when that was stolen: every cookie of it is refused from then on.
    ///
    /// Both happen at once. Between [`rotate`](Self::rotate) and [`revoke`](Self::revoke) a request
    /// could still get a cookie of the new key for one that a thief has made.
    ///
    /// ```
    /// # use silverback::{Key, KeyState, Keys};
    /// # fn main() -> Result<(), silverback::KeyError> {
    /// let keys = Keys::generate()?;
    /// let stolen = keys.list()[0].0;
    /// keys.rotate_and_revoke(Key::generate()?)?;
    /// assert!(keys.list().contains(&(stolen, KeyState::Revoked)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Revoked`] if `key` was revoked, [`KeyError::Duplicate`] if it is the active one.
    /// The keys are then as before.
    #[expect(clippy::needless_pass_by_value, reason = "the ring keeps the key")]
    pub fn rotate_and_revoke(&self, key: Key) -> Result<(), KeyError> {
        self.change(|ring| {
            let is_active =
                |(other, state): &(Key, KeyState)| other.id == key.id && *state == KeyState::Active;
            if ring.iter().any(is_active) {
                return Err(KeyError::Duplicate(key.id));
            }
            activate(ring, &key, KeyState::Revoked)
        })
    }

    /// Refuses every cookie of this key from now on.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unknown`] if there is no such key, [`KeyError::NotOneActive`] if it is the
    /// active one: rotate first.
    pub fn revoke(&self, id: KeyId) -> Result<(), KeyError> {
        self.change(|ring| match ring.iter_mut().find(|(key, _)| key.id == id) {
            None => Err(KeyError::Unknown(id)),
            Some((_, KeyState::Active)) => Err(KeyError::NotOneActive),
            Some((_, state)) => {
                *state = KeyState::Revoked;
                Ok(())
            }
        })
    }

    /// Takes over the keys of `other`, as after reading the key file again.
    pub fn replace(&self, other: &Self) {
        let new = other.snapshot();
        let _: Result<(), KeyError> = self.change(|ring| {
            *ring = new;
            Ok(())
        });
    }

    /// Lists the ids of the keys and what each is used for.
    #[must_use]
    pub fn list(&self) -> Vec<(KeyId, KeyState)> {
        self.snapshot()
            .iter()
            .map(|(key, state)| (key.id, *state))
            .collect()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<(Key, KeyState)>) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut ring)?;
        self.0.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Vec<(Key, KeyState)> {
        self.0
            .ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether cookies of this key are still opened.
    pub(crate) fn accepts(&self, id: KeyId) -> bool {
        let ring = self.0.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.iter()
            .any(|(key, state)| key.id == id && *state != KeyState::Revoked)
    }

    /// Whether these are the same keys, each in the same state.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.list() == other.list()
    }

    /// Changes whenever the keys do.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}

/// Makes `key` the active one; the one until now becomes `former`.
fn activate(ring: &mut Vec<(Key, KeyState)>, key: &Key, former: KeyState) -> Result<(), KeyError> {
    let is_revoked =
        |(other, state): &(Key, KeyState)| other.id == key.id && *state == KeyState::Revoked;
    if ring.iter().any(is_revoked) {
        return Err(KeyError::Revoked(key.id));
    }
    for (_, state) in ring
        .iter_mut()
        .filter(|(_, state)| *state == KeyState::Active)
    {
        *state = former;
    }
    ring.retain(|(other, _)| other.id != key.id);
    ring.insert(0, (key.clone(), KeyState::Active));
    Ok(())
}

/// A clone, which shares the keys.
impl From<&Self> for Keys {
    fn from(keys: &Self) -> Self {
        keys.clone()
    }
}

impl From<Key> for Keys {
    fn from(active: Key) -> Self {
        Self::new(active)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.list()).finish()
    }
}

/// A key could not be read or used.
///
/// `Debug` shows the same sentence as `Display`, because that is what a `main` that returns it
/// prints.
#[derive(Clone)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set, or empty.
    MissingVariable(String),
    /// What is wrong with the keys of an environment variable or a file.
    Of {
        /// The variable's name, or the file's path.
        place: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// The key file could not be read.
    File(Arc<io::Error>),
    /// There is no key in the text.
    Empty,
    /// The text is neither hexadecimal nor base64.
    Encoding,
    /// The secret has fewer than 32 bytes.
    TooShort {
        /// How many it has.
        len: usize,
    },
    /// All bytes of the secret are the same.
    Weak,
    /// The key is given twice.
    Duplicate(KeyId),
    /// There is no such key.
    Unknown(KeyId),
    /// The key was revoked and cannot come back.
    Revoked(KeyId),
    /// Exactly one key must be active, before and after.
    NotOneActive,
    /// The operating system gave no random bytes.
    Random,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingVariable(name) => write!(
                f,
                "the environment variable {name} is not set: set it to a random key, as from `openssl rand -base64 32`"
            ),
            Self::Of { place, source } => write!(f, "{place}: {source}"),
            Self::File(error) => write!(f, "the key file cannot be read: {error}"),
            Self::Empty => f.write_str("there is no key in the text"),
            Self::Encoding => f.write_str(
                "a key is neither hexadecimal nor base64 (nor active:, pending:, retired: or revoked: and one of \
                 these): make one with `openssl rand -base64 32`",
            ),
            Self::TooShort { len } => write!(
                f,
                "a key of {len} bytes is too short: it takes {} random bytes, as from `openssl rand -base64 32`",
                Key::MIN_LEN
            ),
            Self::Weak => f.write_str("all bytes of a key are the same: it takes random ones"),
            Self::Duplicate(id) => write!(f, "the key {id} is given twice"),
            Self::Unknown(id) => write!(f, "there is no key {id}"),
            Self::Revoked(id) => write!(f, "the key {id} was revoked"),
            Self::NotOneActive => f.write_str("exactly one key must be active, the first by default"),
            Self::Random => f.write_str("the operating system gave no random bytes"),
        }
    }
}

impl fmt::Debug for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for KeyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::File(error) => Some(&**error),
            Self::Of { source, .. } => source.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
