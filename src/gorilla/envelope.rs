//! Cookies of gorilla/securecookie v1.1.2.
//!
//! ```text
//! body   = payload                                      without a block key
//!        | IV (16) | AES-CTR(block key, IV, payload)    the IV is the first counter, big-endian
//! inner  = base64url(body), with padding
//! date   = the Unix time in decimal
//! mac    = HMAC(hash key, name "|" date "|" inner)
//! cookie = base64url(date "|" inner "|" mac), with padding
//! ```
//!
//! The keys are used as they are. The MAC covers the name, which is not in the cookie.

use std::time::Duration;

use super::{
    base64,
    error::SecureCookieError,
    pair::{IV_LEN, KeyPair},
};
use crate::{
    clock::Timestamp,
    crypto::{self, HashFunction},
};

/// As in gorilla/securecookie.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);
const MAX_LENGTH: usize = 4_096;

/// The parts of a cookie.
struct Parts<'a> {
    /// Date and inner text, as they are signed after the name.
    signed: &'a [u8],
    date: &'a [u8],
    inner: &'a [u8],
    mac: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits at the first two separators only, since the MAC may contain one.
    fn of(cookie: &'a [u8]) -> Option<Self> {
        let mut bars = memchr::memchr_iter(b'|', cookie);
        let (first, second) = (bars.next()?, bars.next()?);
        Some(Self {
            signed: cookie.get(..second)?,
            date: cookie.get(..first)?,
            inner: cookie.get(first + 1..second)?,
            mac: cookie.get(second + 1..)?,
        })
    }

    /// Go's `strconv.ParseInt` and Rust's `parse` both accept a sign and leading zeros.
    fn seconds(&self) -> Option<i64> {
        std::str::from_utf8(self.date).ok()?.parse().ok()
    }
}

/// Makes and opens cookies as gorilla/securecookie does, with one or more pairs of keys.
///
/// The first pair makes cookies, and every pair opens them, in order: `EncodeMulti` and
/// `DecodeMulti`. To rotate keys, put a new pair behind the old one on all machines, then in front of
/// it, and remove the old one when its last cookie has expired. In front at once, the new pair would
/// make cookies that machines without it refuse.
///
/// | Setting | Default |
/// |---|---|
/// | [`hash`](Self::hash) | SHA-256 |
/// | [`max_age`](Self::max_age) | 30 days |
/// | [`min_age`](Self::min_age) | none |
/// | [`max_length`](Self::max_length) | 4,096 characters |
///
/// ```
/// use silverback::{Timestamp, gorilla::{KeyPair, SecureCookie, SecureCookieError}};
///
/// let now = Timestamp::from_secs(1_800_000_000);
/// let cookies = SecureCookie::new([KeyPair::encrypting([7; 32], [9; 16])?])?;
/// let value = cookies.encode("prefs", b"dark", now)?;
/// assert_eq!(cookies.decode("prefs", value.as_bytes(), now)?.payload, b"dark");
/// assert_eq!(
///     cookies.decode("other", value.as_bytes(), now).unwrap_err(),
///     SecureCookieError::InvalidMac
/// );
/// # Ok::<(), SecureCookieError>(())
/// ```
///
/// # What it cannot do
///
/// The format has no key id, so each pair is tried. A cookie holds the time of its last save, not
/// the age of its session. AES-CTR hides a cookie's content but not its length.
#[derive(Clone, Debug)]
pub struct SecureCookie {
    pairs: Vec<KeyPair>,
    max_age: Option<Duration>,
    min_age: Duration,
    max_length: Option<usize>,
}

/// An opened cookie of gorilla/securecookie.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpenedCookie<P = Vec<u8>> {
    /// The payload: gob, JSON, or anything else.
    pub payload: P,
    /// When the cookie was made. A time before 1970 becomes 1970.
    pub saved: Timestamp,
    /// Whether the first pair of keys made it. Otherwise it is time for a new one.
    pub is_current: bool,
    /// Identifies the cookie, however its base64 is spelled.
    pub(crate) digest: [u8; 32],
    /// Whether no other visitor can have an equal cookie, because it has a random IV.
    pub(crate) is_unique: bool,
}

impl SecureCookie {
    /// Takes the pairs of keys, the one for new cookies first.
    ///
    /// # Errors
    ///
    /// [`SecureCookieError::NoKeyPairs`].
    ///
    /// ```
    /// use silverback::gorilla::{KeyPair, SecureCookie, SecureCookieError};
    ///
    /// let (new, old) = (KeyPair::signing([2; 32])?, KeyPair::signing([1; 32])?);
    /// let cookies = SecureCookie::new([new, old])?;
    /// assert_eq!(SecureCookie::new([]).unwrap_err(), SecureCookieError::NoKeyPairs);
    /// # Ok::<(), SecureCookieError>(())
    /// ```
    #[doc(alias = "CodecsFromPairs")]
    pub fn new(pairs: impl IntoIterator<Item = KeyPair>) -> Result<Self, SecureCookieError> {
        let pairs: Vec<_> = pairs.into_iter().collect();
        if pairs.is_empty() {
            return Err(SecureCookieError::NoKeyPairs);
        }
        Ok(Self {
            pairs,
            max_age: Some(MAX_AGE),
            min_age: Duration::ZERO,
            max_length: Some(MAX_LENGTH),
        })
    }

    /// Sets the HMAC's hash for all pairs, as Go's `HashFunc` does.
    ///
    /// ```
    /// use silverback::gorilla::{HashFunction, KeyPair, SecureCookie};
    ///
    /// let cookies = SecureCookie::new([KeyPair::signing([7; 64])?])?.hash(HashFunction::Sha512);
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub fn hash(mut self, hash: HashFunction) -> Self {
        let pairs = self.pairs.into_iter();
        self.pairs = pairs.map(|pair| pair.hashed_with(hash)).collect();
        self
    }

    /// Refuses cookies older than `age`, as Go's `MaxAge` does. `None` is Go's 0: cookies never
    /// expire. A cookie of exactly this age is accepted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::gorilla::{KeyPair, SecureCookie};
    ///
    /// let cookies = SecureCookie::new([KeyPair::signing([7; 32])?])?
    ///     .max_age(Duration::from_secs(7 * 86_400));
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// Refuses cookies younger than `age`, as Go's `MinAge` does. Zero turns the check off.
    ///
    /// ```
    /// use std::time::Duration;
    /// use silverback::gorilla::{KeyPair, SecureCookie};
    ///
    /// // A form that comes back within two seconds was not filled in by a person.
    /// let forms = SecureCookie::new([KeyPair::signing([7; 32])?])?.min_age(Duration::from_secs(2));
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub const fn min_age(mut self, age: Duration) -> Self {
        self.min_age = age;
        self
    }

    /// Limits the length of the values that are made and opened, as Go's `MaxLength` does. `None`
    /// is Go's 0: no limit. A session's cookie never exceeds what browsers accept, whatever you
    /// set.
    ///
    /// ```
    /// use silverback::gorilla::{KeyPair, SecureCookie};
    ///
    /// let files = SecureCookie::new([KeyPair::signing([7; 32])?])?.max_length(None);
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    #[must_use]
    pub fn max_length(mut self, len: impl Into<Option<usize>>) -> Self {
        self.max_length = len.into();
        self
    }

    pub(crate) const fn lasts(&self) -> Option<Duration> {
        self.max_age
    }

    pub(crate) const fn longest(&self) -> Option<usize> {
        self.max_length
    }

    /// Makes a cookie's value from `payload`, with the first pair of keys.
    ///
    /// # Errors
    ///
    /// [`SecureCookieError::TooLongToEncode`], [`SecureCookieError::RandomFailed`].
    ///
    /// ```
    /// use silverback::{Timestamp, gorilla::{KeyPair, SecureCookie}};
    ///
    /// let cookies = SecureCookie::new([KeyPair::signing([7; 32])?])?;
    /// let value = cookies.encode("prefs", b"dark", Timestamp::from_secs(1_800_000_000))?;
    /// assert!(value.starts_with("MTgwMDAwMDAwMHxaR0Z5YXc9PX")); // 1800000000|ZGFyaw==|
    /// # Ok::<(), silverback::gorilla::SecureCookieError>(())
    /// ```
    pub fn encode(
        &self,
        name: &str,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<String, SecureCookieError> {
        let iv = crypto::random().map_err(|_| SecureCookieError::RandomFailed)?;
        self.encode_with(name, payload, now, &iv)
    }

    fn encode_with(
        &self,
        name: &str,
        payload: &[u8],
        now: Timestamp,
        iv: &[u8; IV_LEN],
    ) -> Result<String, SecureCookieError> {
        let pair = self.pairs.first().ok_or(SecureCookieError::NoKeyPairs)?;
        let value = pair.encode(name, payload, now, iv);
        match self.max_length {
            Some(max) if value.len() > max => Err(SecureCookieError::TooLongToEncode(value.len())),
            _ => Ok(value),
        }
    }

    /// The length of the cookie's value for a payload of this length.
    pub(crate) fn encoded_len(&self, payload: usize, now: Timestamp) -> usize {
        let pair = self.pairs.first();
        pair.map_or(0, |pair| pair.encoded_len(payload, now))
    }

    /// Opens a cookie's value, whichever pair of keys made it.
    ///
    /// The checks run in the order of gorilla/securecookie: length, base64, MAC, time, and only
    /// then the rest. MACs are compared in constant time. If every pair fails, you get the error of
    /// the pair that got furthest.
    ///
    /// # Errors
    ///
    /// Any error for which [`is_decode`](SecureCookieError::is_decode) is true.
    ///
    /// ```
    /// use silverback::{Timestamp, gorilla::{KeyPair, SecureCookie, SecureCookieError}};
    ///
    /// let (saved, now) = (Timestamp::from_secs(1_700_000_000), Timestamp::from_secs(1_800_000_000));
    /// let cookies = SecureCookie::new([KeyPair::signing([7; 32])?])?;
    /// let value = cookies.encode("prefs", b"dark", saved)?;
    /// let error = cookies.decode("prefs", value.as_bytes(), now).unwrap_err();
    /// assert_eq!((error, error.is_decode()), (SecureCookieError::Expired, true));
    /// # Ok::<(), SecureCookieError>(())
    /// ```
    pub fn decode(
        &self,
        name: &str,
        value: &[u8],
        now: Timestamp,
    ) -> Result<OpenedCookie, SecureCookieError> {
        self.decode_with(name, value, now, Some)
    }

    /// Like [`decode`](Self::decode), and reads the payload. As in Go, a pair of keys counts only
    /// if its payload is readable: a pair without a block key may precede one that has it.
    pub(crate) fn decode_with<P>(
        &self,
        name: &str,
        value: &[u8],
        now: Timestamp,
        read: impl Fn(Vec<u8>) -> Option<P>,
    ) -> Result<OpenedCookie<P>, SecureCookieError> {
        if self.max_length.is_some_and(|max| value.len() > max) {
            return Err(SecureCookieError::TooLong(value.len()));
        }
        let cookie = base64::decode(value).ok_or(SecureCookieError::InvalidBase64)?;
        let parts = Parts::of(&cookie).ok_or(SecureCookieError::InvalidMac)?;
        let mut refused = SecureCookieError::InvalidMac;
        for (at, pair) in self.pairs.iter().enumerate() {
            let opened = pair.verify(name, parts.signed, parts.mac).and_then(|()| {
                let saved = self.check_time(&parts, now)?;
                let payload = read(pair.open(parts.inner)?);
                Ok((saved, payload.ok_or(SecureCookieError::Unreadable)?))
            });
            match opened {
                Ok((saved, payload)) => {
                    return Ok(OpenedCookie {
                        payload,
                        saved,
                        is_current: at == 0,
                        digest: crypto::sha256(&[parts.signed, b"|", parts.mac].concat()),
                        is_unique: pair.encrypts(),
                    });
                }
                Err(SecureCookieError::InvalidMac) => {}
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn check_time(
        &self,
        cookie: &Parts<'_>,
        now: Timestamp,
    ) -> Result<Timestamp, SecureCookieError> {
        let seconds = cookie
            .seconds()
            .ok_or(SecureCookieError::InvalidTimestamp)?;
        let (saved, now) = (i128::from(seconds), i128::from(now.as_secs()));
        let ago = |age: Duration| now - i128::from(age.as_secs());
        if !self.min_age.is_zero() && saved > ago(self.min_age) {
            return Err(SecureCookieError::TooNew);
        }
        if self.max_age.is_some_and(|age| saved < ago(age)) {
            return Err(SecureCookieError::Expired);
        }
        Ok(Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests;
