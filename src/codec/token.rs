//! The bytes of a token, format version 1. All integers are big-endian.
//!
//! ```text
//! sealed:  0x11 | key id (4) | salt (24) | AES-256-GCM(stamp | payload) | tag (16)
//! signed:  0x21 | key id (4) | stamp | payload | HMAC-SHA256 of all before (32)
//! stamp:   issued u40 s | created u40 s | ttl u32 s | token id (16, cookie sessions only)
//! ```
//!
//! The high half of the first byte is the mode, the low half the version. A token of a later
//! version that names a key in use is an error, as there is a session. Every version keeps the key
//! id in this place.
//!
//! The cookie's value is the base64url encoding of the whole, without padding. Other spellings are
//! refused.

use std::{ops::Range, time::Duration};

use crate::{
    binary::{put_u40, take_u40},
    clock::Timestamp,
    crypto::{self, SALT_LEN},
    error::Rejection,
    id::TokenId,
    key::KeyId,
};

/// The format's version, in the low half of a token's first byte.
pub(super) const VERSION: u8 = 1;
pub(super) const KID: Range<usize> = 1..5;
pub(super) const SALT: Range<usize> = 5..5 + SALT_LEN;

/// Whether the visitor can read the cookie's content. Nobody can change it in either mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Sealed,
    Signed,
}

impl Mode {
    pub(super) const fn version(self) -> u8 {
        match self {
            Self::Sealed => 0x10 | VERSION,
            Self::Signed => 0x20 | VERSION,
        }
    }

    pub(super) const fn label(self) -> &'static [u8] {
        match self {
            Self::Sealed => b"sealed",
            Self::Signed => b"signed",
        }
    }

    pub(super) const fn overhead(self) -> usize {
        match self {
            Self::Sealed => 1 + KeyId::LEN + SALT_LEN + crypto::TAG_LEN,
            Self::Signed => 1 + KeyId::LEN + crypto::MAC_LEN,
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// It holds the session's values, and its own id.
    Values,
    /// It refers to a record in a store.
    Reference,
    /// It is a record itself: a subject's roster.
    Roster,
}

impl Purpose {
    pub(super) const fn label(self) -> &'static [u8] {
        match self {
            Self::Values => b"values",
            Self::Reference => b"reference",
            Self::Roster => b"listing",
        }
    }
}

/// When a token was made and how long it is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    pub(crate) issued: Timestamp,
    pub(crate) created: Timestamp,
    pub(crate) ttl: u32,
    /// Present in tokens that hold a session's values.
    pub(crate) token_id: Option<TokenId>,
}

impl Stamp {
    pub(super) const fn encoded_len(purpose: Purpose) -> usize {
        match purpose {
            Purpose::Values => 5 + 5 + 4 + 16,
            Purpose::Reference | Purpose::Roster => 5 + 5 + 4,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u40(out, self.issued);
        put_u40(out, self.created);
        out.extend_from_slice(&self.ttl.to_be_bytes());
        out.extend_from_slice(self.token_id.as_ref().map_or(&[], |id| id.as_slice()));
    }

    /// Returns the stamp and its length in bytes.
    pub(super) fn decode(bytes: &[u8], purpose: Purpose) -> Option<(Self, usize)> {
        let (issued, rest) = take_u40(bytes)?;
        let (created, rest) = take_u40(rest)?;
        let (ttl, rest) = rest.split_first_chunk()?;
        let token_id = match purpose {
            Purpose::Values => Some(*rest.first_chunk::<16>()?),
            Purpose::Reference | Purpose::Roster => None,
        };
        let stamp = Self {
            issued,
            created,
            ttl: u32::from_be_bytes(*ttl),
            token_id,
        };
        Some((stamp, Self::encoded_len(purpose)))
    }

    /// Checks the times, allowing for another machine's clock to be ahead by `skew`.
    ///
    /// A token that refers to a record is never too early: the record's own times decide.
    pub(super) fn check(&self, now: Timestamp, skew: Duration) -> Result<(), Rejection> {
        // Otherwise its maker could put its absolute end as far off as they like.
        if self.created > self.issued {
            return Err(Rejection::Malformed);
        }
        if self.token_id.is_some() && self.issued > now.saturating_add(skew) {
            return Err(Rejection::NotYetValid);
        }
        if now >= self.expires() {
            return Err(Rejection::Expired);
        }
        Ok(())
    }

    pub(crate) fn expires(&self) -> Timestamp {
        self.issued
            .saturating_add(Duration::from_secs(self.ttl.into()))
    }
}
