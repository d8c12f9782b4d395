//! Turns a cookie's content into a token that only a key holder can make, and back.
//!
//! A codec belongs to one cookie name and one purpose. Its keys are derived from the root keys and
//! bound to the name, purpose, mode and application, so a token made for one place opens nowhere
//! else. This costs nothing per message.

mod head;
mod token;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use base64_simd::{AsOut as _, Base64, URL_SAFE_NO_PAD};

use crate::{
    binary::Tail,
    clock::Timestamp,
    cookie::MAX_COOKIE_LEN,
    crypto::{self, MacKey, RandomError, SALT_LEN, Salt, SealKey},
    error::Rejection,
    key::{Key, KeyId, KeyState, Keys},
};

pub use self::head::{TokenHead, TokenTimes};
use self::token::{KID, SALT, VERSION};
pub(crate) use self::token::{Purpose, Stamp};

/// Whether the visitor can read the cookie's content. Nobody can change it in either mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Sealed,
    Signed,
}

impl Mode {
    const fn version(self) -> u8 {
        match self {
            Self::Sealed => 0x10 | VERSION,
            Self::Signed => 0x20 | VERSION,
        }
    }

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Sealed => b"sealed",
            Self::Signed => b"signed",
        }
    }

    const fn overhead(self) -> usize {
        match self {
            Self::Sealed => 1 + KeyId::LEN + SALT_LEN + crypto::TAG_LEN,
            Self::Signed => 1 + KeyId::LEN + crypto::MAC_LEN,
        }
    }
}

pub(crate) struct Codec {
    mode: Mode,
    purpose: Purpose,
    name: Box<str>,
    audience: Box<str>,
    keys: Keys,
    skew: Duration,
    derived: ArcSwap<Derived>,
}

/// The keys of one codec, derived from one generation of the root keys; the active one first, the
/// pending ones next.
#[derive(Default)]
struct Derived {
    /// `None` until the first use.
    generation: Option<u32>,
    keys: Vec<(KeyId, Cipher)>,
    /// How many of them are active or pending. They precede the others.
    current: usize,
}

impl Derived {
    /// The active key. `derive` puts it first; `Keys` is made with one, and only `rotate` replaces
    /// it.
    fn active(&self) -> &(KeyId, Cipher) {
        let active = self.keys.first();
        active.expect("a ring has one active key at all times")
    }
}

enum Cipher {
    Seal(SealKey),
    Sign(MacKey),
}

/// The bytes of a new token. Encoded, they are a cookie's value.
pub(crate) struct Token(Vec<u8>);

impl Token {
    pub(crate) fn encoded_len(&self) -> usize {
        encoded_len(self.0.len())
    }

    pub(crate) fn encode_to(&self, out: &mut String) {
        URL_SAFE_NO_PAD.encode_append(&self.0, out);
    }
}

/// The length of this many bytes in base64 without padding.
fn encoded_len(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    For(Rejection),
    /// A later release made it with a key that is in use here: there is a session.
    LaterFormat,
}

impl From<Rejection> for Refusal {
    fn from(reason: Rejection) -> Self {
        Self::For(reason)
    }
}

/// The most bytes of a token that opens without an allocation. Tokens that refer to a record have
/// less than a hundred.
const SHORT: usize = 128;

/// A token that was accepted.
#[derive(Debug)]
pub(crate) struct Opened<P> {
    pub(crate) stamp: Stamp,
    pub(crate) payload: P,
    /// Whether the active key made it, or a pending one, which is newer. If not, it is time for a
    /// new one.
    pub(crate) current: bool,
    pub(crate) maker: Maker,
}

/// The key that made a token, and the generation of the keys in which it was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Maker {
    pub(crate) key: KeyId,
    generation: Option<u32>,
}

#[cfg(test)]
impl From<KeyId> for Maker {
    fn from(key: KeyId) -> Self {
        let generation = None;
        Self { key, generation }
    }
}

impl Codec {
    /// How far the clocks of two machines may differ, unless another skew is set.
    pub(crate) const SKEW: Duration = Duration::from_secs(60);

    pub(crate) fn new(
        keys: Keys,
        mode: Mode,
        purpose: Purpose,
        name: &str,
        audience: &str,
    ) -> Self {
        Self {
            mode,
            purpose,
            name: name.into(),
            audience: audience.into(),
            keys,
            skew: Self::SKEW,
            derived: ArcSwap::default(),
        }
    }

    /// Returns whether its keys and its audience are these.
    pub(crate) fn matches(&self, keys: &Keys, audience: &str) -> bool {
        self.keys.is_same(keys) && &*self.audience == audience
    }

    /// How far the clocks of two machines may differ.
    pub(crate) const fn skew(&self) -> Duration {
        self.skew
    }

    /// Accepts tokens that hold a session from clocks that are ahead by this much.
    pub(crate) fn with_skew(self, skew: Duration) -> Self {
        Self { skew, ..self }
    }

    /// Seals what `payload` writes, about `len` bytes, under the active key, for a cookie. A given
    /// `salt` must never have been used; without one, a salt is drawn.
    pub(crate) fn seal(
        &self,
        stamp: &Stamp,
        salt: Option<Salt>,
        len: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Token, RandomError> {
        let write = |out: &mut Vec<u8>| {
            stamp.encode(out);
            payload(out);
        };
        let salt = salt.map_or_else(|| self.new_salt(), Ok)?;
        let len = Stamp::encoded_len(self.purpose) + len;
        Ok(Token(self.seal_with(salt, len, write)))
    }

    /// Seals what `payload` writes, about `len` bytes, under the active key.
    pub(crate) fn seal_bytes(
        &self,
        len: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>, RandomError> {
        Ok(self.seal_with(self.new_salt()?, len, payload))
    }

    fn new_salt(&self) -> Result<Salt, RandomError> {
        if self.is_salted() {
            crypto::random()
        } else {
            Ok([0; SALT_LEN])
        }
    }

    /// Returns whether its tokens contain a salt.
    pub(crate) fn is_salted(&self) -> bool {
        self.mode == Mode::Sealed
    }

    /// As [`seal_bytes`](Self::seal_bytes), with a salt that must never have been used; signing
    /// needs none.
    fn seal_with(&self, salt: Salt, len: usize, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let derived = self.derived();
        let mut token = Vec::with_capacity(self.mode.overhead() + len);
        token.push(self.mode.version());
        let (id, cipher) = derived.active();
        token.extend_from_slice(id.as_bytes());
        if let Cipher::Seal(_) = cipher {
            token.extend_from_slice(&salt);
        }
        let start = token.len();
        payload(&mut token);
        match cipher {
            Cipher::Seal(key) => key.seal(&salt, &mut token, start),
            Cipher::Sign(key) => {
                let tag = key.sign(&token);
                token.extend_from_slice(&tag);
            }
        }
        token
    }

    /// Opens a cookie's value, whichever key of the ring made it.
    ///
    /// The order is: length, alphabet, version, key id, tag, times. No step decodes, decrypts or
    /// trusts anything before the previous one has passed.
    pub(crate) fn open(&self, value: &[u8], now: Timestamp) -> Result<Opened<Tail>, Refusal> {
        if value.len() > MAX_COOKIE_LEN {
            return Err(Rejection::Malformed.into());
        }
        let mut token = URL_SAFE_NO_PAD
            .decode_to_vec(value)
            .map_err(|_| Rejection::Malformed)?;
        let opened = self.open_in(&mut token, now)?;
        opened.read(|payload| Ok(Tail::within(token, payload)))
    }

    /// As [`open`](Self::open), and reads the payload in place. A short token takes no allocation.
    pub(crate) fn open_short<P>(
        &self,
        value: &[u8],
        now: Timestamp,
        read: impl FnOnce(&[u8]) -> Result<P, Rejection>,
    ) -> Result<Opened<P>, Refusal> {
        if value.len() > SHORT / 3 * 4 {
            return self
                .open(value, now)?
                .read(|payload| read(payload.as_slice()));
        }
        let mut token = [0; SHORT];
        let token = Base64::decode(&URL_SAFE_NO_PAD, value, token.as_mut_slice().as_out())
            .map_err(|_| Rejection::Malformed)?;
        let opened = self.open_in(token, now)?;
        opened.read(|payload| read(token.get(payload).unwrap_or_default()))
    }

    /// Opens a token in place. Returns its payload as a range of it.
    fn open_in(&self, token: &mut [u8], now: Timestamp) -> Result<Opened<Range<usize>>, Refusal> {
        let (written, current, maker) = self.open_bytes(token)?;
        let stamped = token.get(written.clone()).unwrap_or_default();
        let (stamp, len) = Stamp::decode(stamped, self.purpose).ok_or(Rejection::Malformed)?;
        stamp.check(now, self.skew)?;
        Ok(Opened {
            stamp,
            payload: written.start + len..written.end,
            current,
            maker,
        })
    }

    /// Returns the content of a cookie's value, however old it is: to explain it, never to trust
    /// it.
    pub(crate) fn read(&self, value: &[u8]) -> Option<(Stamp, Tail)> {
        let mut token = URL_SAFE_NO_PAD.decode_to_vec(value).ok()?;
        let (written, ..) = self.open_bytes(&mut token).ok()?;
        let stamped = token.get(written.clone())?;
        let (stamp, len) = Stamp::decode(stamped, self.purpose)?;
        Some((stamp, Tail::within(token, written.start + len..written.end)))
    }

    /// Opens sealed bytes in place. Returns the range of the content, whether the bytes' key is
    /// active or pending, and that key.
    pub(crate) fn open_bytes(
        &self,
        token: &mut [u8],
    ) -> Result<(Range<usize>, bool, Maker), Refusal> {
        if token.first() != Some(&self.mode.version()) || token.len() < self.mode.overhead() {
            return Err(self.refuse(token));
        }
        let derived = self.derived();
        let id = token.get(KID).ok_or(Rejection::Malformed)?;
        let mut keys = derived.keys.iter().enumerate();
        let (index, (key, cipher)) = keys
            .find(|(_, (key, _))| key.as_bytes() == id)
            .ok_or(Rejection::UnknownKey)?;
        let written = match cipher {
            Cipher::Seal(seal) => {
                let salt: Salt = token
                    .get(SALT)
                    .and_then(|salt| salt.try_into().ok())
                    .ok_or(Rejection::Malformed)?;
                let end = seal
                    .open(&salt, token, SALT.end)
                    .map_err(|_| Rejection::Tampered)?;
                SALT.end..end
            }
            Cipher::Sign(mac) => {
                let (message, tag) = token.split_last_chunk().ok_or(Rejection::Malformed)?;
                mac.verify(message, tag).map_err(|_| Rejection::Tampered)?;
                KID.end..message.len()
            }
        };
        let maker = Maker {
            key: *key,
            generation: derived.generation,
        };
        Ok((written, index < derived.current, maker))
    }

    /// Returns whether the key that has opened a cookie still opens cookies.
    pub(crate) fn accepts(&self, maker: Maker) -> bool {
        // Most often nobody has changed the keys since.
        maker.generation == Some(self.keys.generation())
            || self.derived().keys.iter().any(|(id, _)| *id == maker.key)
    }

    /// Returns why a token of another format is refused.
    fn refuse(&self, token: &[u8]) -> Refusal {
        let is_later = token.first().is_some_and(|version| version & 0xf > VERSION);
        let is_known = |id| {
            let derived = self.derived();
            derived.keys.iter().any(|(key, _)| key.as_bytes() == id)
        };
        if is_later && token.get(KID).is_some_and(is_known) {
            Refusal::LaterFormat
        } else {
            Rejection::Malformed.into()
        }
    }

    /// The length of the token for a payload of this length.
    pub(crate) fn token_len(&self, payload: usize) -> usize {
        let bytes = payload + self.mode.overhead() + Stamp::encoded_len(self.purpose);
        encoded_len(bytes)
    }

    /// The keys to use now. This writes nothing that other threads read: a lock shared by all
    /// requests keeps processors waiting for each other, however briefly each holds it.
    fn derived(&self) -> Guard<Arc<Derived>> {
        let derived = self.derived.load();
        if derived.generation == Some(self.keys.generation()) {
            return derived;
        }
        drop(derived);
        self.derive()
    }

    #[cold]
    fn derive(&self) -> Guard<Arc<Derived>> {
        // Read first: if the keys change after this line, the next use derives them again.
        let generation = Some(self.keys.generation());
        let mut ring = self.keys.snapshot();
        // A roster is not trusted because of its key alone: anyone who can change it has the store
        // as well. And it must be readable after a key was revoked, to end the sessions in it.
        ring.retain(|(_, state)| *state != KeyState::Revoked || self.purpose == Purpose::Roster);
        ring.sort_by_key(|(_, state)| match state {
            KeyState::Active => 0,
            KeyState::Pending => 1,
            KeyState::Retired | KeyState::Revoked => 2,
        });
        // While machines rotate one by one, those that are behind must not seal a cookie again with
        // the older key: the next machine would seal it anew, and so on with every request.
        let is_current = |state: &KeyState| matches!(state, KeyState::Active | KeyState::Pending);
        let current = ring.iter().filter(|(_, state)| is_current(state)).count();
        let keys = ring
            .iter()
            .map(|(key, _)| (key.id(), self.cipher(key)))
            .collect();
        let derived = Arc::new(Derived {
            generation,
            keys,
            current,
        });
        // Another thread may store older keys over these. They serve nobody: the next use sees
        // their generation.
        self.derived.store(Arc::clone(&derived));
        Guard::from_inner(derived)
    }

    fn cipher(&self, key: &Key) -> Cipher {
        let parts = [
            b"silverback token" as &[u8],
            self.mode.label(),
            self.audience.as_bytes(),
            self.name.as_bytes(),
            self.purpose.label(),
        ];
        let lens = parts.map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        let info: Vec<&[u8]> = lens
            .iter()
            .zip(parts)
            .flat_map(|(len, part)| [len as &[u8], part])
            .collect();
        let derived = key.root().expand::<32>(&info);
        match self.mode {
            Mode::Sealed => Cipher::Seal(SealKey::new(&derived)),
            Mode::Signed => Cipher::Sign(MacKey::new(&derived)),
        }
    }
}

impl<P> Opened<P> {
    /// Converts the payload.
    pub(crate) fn read<Q>(
        self,
        read: impl FnOnce(P) -> Result<Q, Rejection>,
    ) -> Result<Opened<Q>, Refusal> {
        let Self {
            stamp,
            payload,
            current,
            maker,
        } = self;
        Ok(Opened {
            stamp,
            payload: read(payload)?,
            current,
            maker,
        })
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec")
            .field("mode", &self.mode)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
