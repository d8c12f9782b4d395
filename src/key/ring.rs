//! The keys of an application, and their rotation.

use std::{
    env::{self, VarError},
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use zeroize::Zeroizing;

use super::{
    error::KeyError,
    id::KeyId,
    secret::Key,
    text::{self, KeyState},
};
use crate::trace;

/// An application's keys: one active, and any number of others.
///
/// Clones share the keys. A change through one reaches every layer that has another, from the next
/// cookie on. See the [module docs](crate::key).
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

/// More bytes than the keys of an application take as text.
const ROOM: usize = 64 << 10;

struct Shared {
    ring: RwLock<Vec<(Key, KeyState)>>,
    generation: AtomicU32,
}

impl Keys {
    /// Makes a ring of one active key.
    ///
    /// ```
    /// use silverback::{Key, Keys};
    ///
    /// let keys = Keys::new(Key::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn new(active: Key) -> Self {
        Self::of(vec![(active, KeyState::Active)])
    }

    /// Makes a ring of one random key, for tests and first steps: nothing is written down, so no
    /// cookie outlives the process.
    ///
    /// ```
    /// use silverback::{Keys, SessionConfig};
    ///
    /// let config = SessionConfig::cookie("session", Keys::generate()?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::RandomFailed`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Key::generate().map(Self::new)
    }

    /// Reads the keys from an environment variable, written as [`parse`](Self::parse) takes them.
    ///
    /// ```no_run
    /// use silverback::Keys;
    ///
    /// let keys = Keys::from_env("SESSION_KEY")?; // from `openssl rand -base64 32`
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::MissingVariable`] if the variable is not set, or empty. Otherwise
    /// [`KeyError::In`] with the error of [`parse`](Self::parse).
    pub fn from_env(variable: &str) -> Result<Self, KeyError> {
        let text = match env::var(variable).map(Zeroizing::new) {
            Err(VarError::NotUnicode(_)) => Err(KeyError::InvalidEncoding),
            Ok(text) if !text.trim().is_empty() => Ok(text),
            _ => return Err(KeyError::MissingVariable(variable.into())),
        };
        let parsed = text.and_then(|text| Self::parse(&text));
        parsed.map_err(|error| KeyError::In {
            place: variable.into(),
            source: Box::new(error),
        })
    }

    /// Reads the keys from a file, written as [`parse`](Self::parse) takes them.
    ///
    /// ```no_run
    /// use silverback::Keys;
    ///
    /// let keys = Keys::from_file("/run/secrets/session_keys")?;
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::In`] with [`KeyError::Unreadable`] if the file cannot be read, or with the error
    /// of [`parse`](Self::parse).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let parse = || {
            let text = read(path).map_err(|error| KeyError::Unreadable(Arc::new(error)))?;
            Self::parse(str::from_utf8(&text).map_err(|_| KeyError::InvalidEncoding)?)
        };
        parse().map_err(|error| KeyError::In {
            place: path.display().to_string(),
            source: Box::new(error),
        })
    }

    /// Reads keys as text: hexadecimal or base64, separated by commas or white space.
    ///
    /// A word before a key gives its state: `active:…`, `pending:…`, `retired:…`, `revoked:…`. Of
    /// the keys without a word, the first is active, unless an active key precedes it, and the
    /// others are retired.
    ///
    /// ```
    /// use silverback::{KeyState, Keys};
    ///
    /// let (new, old) = ("9f0d1e6b7a5c4d3e".repeat(4), "5a4b3c2d1e0f9a8b".repeat(4));
    /// let keys = Keys::parse(&format!("active:{new} retired:{old}"))?;
    /// assert_eq!(keys.list().len(), 2);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// Write a key in one line. `openssl` breaks base64 after 64 characters and `base64` after 76,
    /// so two such lines may be one key or two. This is an error, unless a comma or a word such as
    /// `retired:` separates the lines.
    ///
    /// ```
    /// use silverback::{KeyError, Keys};
    ///
    /// let line = "c2l4dHktZm91ciBjaGFyYWN0ZXJzIG9mIGJhc2U2NCwgYXMgb3BlbnNzbCBkb2Vz";
    /// let rest = line.replace('c', "d");
    /// assert!(matches!(Keys::parse(&format!("{line}\n{rest}")), Err(KeyError::Wrapped)));
    /// assert_eq!(Keys::parse(&format!("{line},{rest}"))?.list().len(), 2);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::NoKey`] without any key. [`KeyError::NotOneActive`] unless exactly one is
    /// active. [`KeyError::Duplicate`] if one is given twice. [`KeyError::Wrapped`] as above.
    /// [`KeyError::Quoted`] for quotes around a key. Otherwise as [`Key::from_bytes`] and
    /// [`Key::from_base64`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut ring: Vec<(Key, KeyState)> = Vec::new();
        for word in text::words(text)? {
            let has_active = ring.iter().any(|(_, state)| *state == KeyState::Active);
            let unnamed = if has_active {
                KeyState::Retired
            } else {
                KeyState::Active
            };
            let (state, text) = text::stated(word)?;
            let key = Key::from_text(text)?;
            if ring.iter().any(|(other, _)| other.id() == key.id()) {
                return Err(KeyError::Duplicate(key.id()));
            }
            ring.push((key, state.unwrap_or(unnamed)));
        }
        match ring
            .iter()
            .filter(|(_, state)| *state == KeyState::Active)
            .count()
        {
            1 => Ok(Self::of(ring)),
            _ if ring.is_empty() => Err(KeyError::NoKey),
            _ => Err(KeyError::NotOneActive),
        }
    }

    fn of(ring: Vec<(Key, KeyState)>) -> Self {
        Self(Arc::new(Shared {
            ring: RwLock::new(ring),
            generation: AtomicU32::new(0),
        }))
    }

    /// Adds a key that is not the active one.
    ///
    /// ```
    /// use silverback::{Key, KeyState, Keys};
    ///
    /// let keys = Keys::generate()?;
    /// let next = Key::generate()?;
    /// keys.add(next.clone(), KeyState::Pending)?; // on every machine
    /// keys.rotate(next)?; // then on each
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Duplicate`] if the key is there already. [`KeyError::NotOneActive`] for an
    /// active one: use [`rotate`](Self::rotate).
    pub fn add(&self, key: Key, state: KeyState) -> Result<(), KeyError> {
        if state == KeyState::Active {
            return Err(KeyError::NotOneActive);
        }
        self.change(|ring| {
            if ring.iter().any(|(other, _)| other.id() == key.id()) {
                return Err(KeyError::Duplicate(key.id()));
            }
            ring.push((key, state));
            Ok(())
        })
    }

    /// Makes `key` the active one, whether it is new, pending or retired. The key that was active
    /// until now is retired: its cookies are still accepted.
    ///
    /// ```
    /// use silverback::{Key, Keys};
    ///
    /// let keys = Keys::generate()?;
    /// keys.rotate(Key::generate()?)?; // no restart, and nobody is logged out
    /// assert_eq!(keys.list().len(), 2);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Revoked`] if the key was revoked.
    #[expect(clippy::needless_pass_by_value, reason = "the ring keeps the key")]
    pub fn rotate(&self, key: Key) -> Result<(), KeyError> {
        self.change(|ring| activate(ring, &key, KeyState::Retired))
    }

    /// Makes `key` the active one, whether it is new, pending or retired, and revokes the key that
    /// was active until now. Use it when that key was stolen: all its cookies are refused from then
    /// on.
    ///
    /// Both happen at once. Between a [`rotate`](Self::rotate) and a [`revoke`](Self::revoke), a
    /// thief could still turn a forged cookie into one of the new key.
    ///
    /// ```
    /// use silverback::{Key, KeyState, Keys};
    ///
    /// let keys = Keys::generate()?;
    /// let stolen = keys.list()[0].0;
    /// keys.rotate_and_revoke(Key::generate()?)?;
    /// assert!(keys.list().contains(&(stolen, KeyState::Revoked)));
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Revoked`] if `key` was revoked, [`KeyError::Duplicate`] if it is the active one.
    /// The keys stay as they were.
    #[expect(clippy::needless_pass_by_value, reason = "the ring keeps the key")]
    pub fn rotate_and_revoke(&self, key: Key) -> Result<(), KeyError> {
        self.change(|ring| {
            let is_active = |(other, state): &(Key, KeyState)| {
                other.id() == key.id() && *state == KeyState::Active
            };
            if ring.iter().any(is_active) {
                return Err(KeyError::Duplicate(key.id()));
            }
            activate(ring, &key, KeyState::Revoked)
        })
    }

    /// Refuses every cookie of this key from now on.
    ///
    /// ```
    /// use silverback::{Key, Keys};
    ///
    /// let keys = Keys::generate()?;
    /// let old = keys.list()[0].0;
    /// keys.rotate(Key::generate()?)?;
    /// // Once the longest session has expired:
    /// keys.revoke(old)?;
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Unknown`] if there is no such key. [`KeyError::NotOneActive`] if it is the
    /// active one: rotate first.
    pub fn revoke(&self, id: KeyId) -> Result<(), KeyError> {
        self.change(
            |ring| match ring.iter_mut().find(|(key, _)| key.id() == id) {
                None => Err(KeyError::Unknown(id)),
                Some((_, KeyState::Active)) => Err(KeyError::NotOneActive),
                Some((_, state)) => {
                    *state = KeyState::Revoked;
                    Ok(())
                }
            },
        )
    }

    /// Replaces the keys by those of `other`, such as after reading the key file again.
    ///
    /// ```no_run
    /// use silverback::Keys;
    ///
    /// let keys = Keys::from_file("/run/secrets/session_keys")?;
    /// // On a signal: every layer that has a clone of `keys` uses the new ones.
    /// keys.replace(&Keys::from_file("/run/secrets/session_keys")?);
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    pub fn replace(&self, other: &Self) {
        let new = other.snapshot();
        let _: Result<(), KeyError> = self.change(|ring| {
            *ring = new;
            Ok(())
        });
    }

    /// Lists the keys' ids and states. Neither is secret.
    ///
    /// ```
    /// use silverback::Keys;
    ///
    /// for (id, state) in Keys::generate()?.list() {
    ///     println!("{id} {state:?}");
    /// }
    /// # Ok::<(), silverback::KeyError>(())
    /// ```
    #[must_use]
    pub fn list(&self) -> Vec<(KeyId, KeyState)> {
        states(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<(Key, KeyState)>) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        let before = states(&ring);
        change(&mut ring)?;
        let after = states(&ring);
        self.0.generation.fetch_add(1, Ordering::Release);
        drop(ring);
        let changed = after.iter().filter(|state| !before.contains(state));
        for (id, state) in changed {
            trace::key_changed(id, state.word());
        }
        Ok(())
    }

    /// Returns the same keys, but revoked ones as retired, to explain the cookies that they made.
    pub(crate) fn pardoned(&self) -> Self {
        let mut ring = self.snapshot();
        for (_, state) in &mut ring {
            if *state == KeyState::Revoked {
                *state = KeyState::Retired;
            }
        }
        Self::of(ring)
    }

    pub(crate) fn snapshot(&self) -> Vec<(Key, KeyState)> {
        self.0
            .ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns whether these are the same keys, each in the same state.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.list() == other.list()
    }

    /// A number that changes whenever the keys do.
    pub(crate) fn generation(&self) -> u32 {
        self.0.generation.load(Ordering::Acquire)
    }
}

/// Reads a file into memory that is wiped. It may be a pipe, whose length nobody knows, and a buffer
/// that grows leaves copies behind.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(len.saturating_add(1).max(ROOM)));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn states(ring: &[(Key, KeyState)]) -> Vec<(KeyId, KeyState)> {
    let state = |(key, state): &(Key, KeyState)| (key.id(), *state);
    ring.iter().map(state).collect()
}

/// Makes `key` the active one, and puts the previous one into the state `former`.
fn activate(ring: &mut Vec<(Key, KeyState)>, key: &Key, former: KeyState) -> Result<(), KeyError> {
    let is_revoked =
        |(other, state): &(Key, KeyState)| other.id() == key.id() && *state == KeyState::Revoked;
    if ring.iter().any(is_revoked) {
        return Err(KeyError::Revoked(key.id()));
    }
    for (_, state) in ring
        .iter_mut()
        .filter(|(_, state)| *state == KeyState::Active)
    {
        *state = former;
    }
    ring.retain(|(other, _)| other.id() != key.id());
    ring.insert(0, (key.clone(), KeyState::Active));
    Ok(())
}

/// Makes a clone, which shares the keys.
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
