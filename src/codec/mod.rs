//! Turns a cookie's content into a token that only a key holder can make, and back.
//!
//! A codec belongs to one cookie name and one purpose, and has keys of its own.

mod head;
mod keys;
mod token;

use std::{fmt, ops::Range, time::Duration};

use base64_simd::{AsOut as _, Base64, URL_SAFE_NO_PAD};

use crate::{
    binary::Tail,
    clock::Timestamp,
    cookie::MAX_COOKIE_LEN,
    crypto::{self, RandomError, SALT_LEN, Salt},
    error::Rejection,
    key::Keys,
};

pub use self::head::{TokenHead, TokenTimes};
pub(crate) use self::{
    keys::Maker,
    token::{Mode, Purpose, Stamp},
};
use self::{
    keys::{Cipher, CodecKeys},
    token::{KID, SALT, VERSION},
};

pub(crate) struct Codec {
    mode: Mode,
    purpose: Purpose,
    skew: Duration,
    keys: CodecKeys,
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
            skew: Self::SKEW,
            keys: CodecKeys::new(keys, mode, purpose, name, audience),
        }
    }

    /// Returns whether its keys and its audience are these.
    pub(crate) fn matches(&self, keys: &Keys, audience: &str) -> bool {
        self.keys.matches(keys, audience)
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
        let derived = self.keys.derived();
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
        let derived = self.keys.derived();
        let id = token.get(KID).ok_or(Rejection::Malformed)?;
        let (place, (key, cipher)) = derived.find(id).ok_or(Rejection::UnknownKey)?;
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
        Ok((written, derived.is_current(place), derived.maker(*key)))
    }

    /// Returns whether the key that has opened a cookie still opens cookies.
    pub(crate) fn accepts(&self, maker: Maker) -> bool {
        self.keys.accepts(maker)
    }

    /// Returns why a token of another format is refused.
    fn refuse(&self, token: &[u8]) -> Refusal {
        let is_later = token.first().is_some_and(|version| version & 0xf > VERSION);
        let is_known = |id| self.keys.derived().find(id).is_some();
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
