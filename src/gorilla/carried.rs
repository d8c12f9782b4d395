//! A session on its way between the session layer and an outer layer that keeps it on a server.
//!
//! It replaces the session's cookie: a securecookie value of `id (32) | payload`, signed for a name
//! that no cookie can have. So no cookie is taken for a carried session, it opens nowhere else, and
//! a program that forgets the outer layer leaks nothing. Without a payload, the server has no such
//! session: it may have moved to where the session layer keeps its own. The date is the time of the
//! last save or, if that is unknown, the session's end. On the way back, the ID has half the length,
//! and the last of the other bytes tells whether the session existed before.

use std::time::Duration;

use super::{
    envelope::{OpenedCookie, SecureCookie},
    error::SecureCookieError,
    layout::{GoData, GoIds, GoLayout},
    settings::Gorilla,
};
use crate::{clock::Timestamp, id::TokenId};

const ID_LEN: usize = 32;
/// The last byte of a carried session's ID on the way back, if the session existed before.
const EXISTED: u8 = 1;

/// Tells carried sessions apart.
pub(crate) type CarriedId = [u8; ID_LEN];

#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) id: CarriedId,
    pub(crate) payload: Vec<u8>,
}

/// The name that is signed. A cookie's name cannot contain a zero byte.
fn carried_name(name: &str) -> String {
    format!("{name}\0carried")
}

fn split(payload: &[u8]) -> Option<Carried> {
    let (id, payload) = payload.split_first_chunk()?;
    Some(Carried {
        id: *id,
        payload: payload.to_vec(),
    })
}

impl Carried {
    /// Returns whether the session existed before. If it does not have the name it came with, then
    /// it was renewed. Otherwise it is another session.
    pub(crate) fn has_existed(&self) -> bool {
        self.id.last() == Some(&EXISTED)
    }

    /// Returns whether the session still has the name it came with.
    pub(crate) fn is_still(&self, other: &CarriedId) -> bool {
        let name = size_of::<TokenId>();
        self.id.get(..name) == other.get(..name)
    }
}

impl Gorilla {
    /// The same format for sessions whose cookie belongs to an outer layer.
    pub(crate) fn kept_in(mut self, layout: GoLayout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Returns whether the cookie belongs to an outer layer.
    pub(crate) fn is_kept(&self) -> bool {
        self.layout.is_some()
    }

    /// Returns whether the date of a carried session is its end rather than its last save.
    pub(crate) fn carries_end(&self) -> bool {
        let is_bare =
            |layout: &GoLayout| (layout.ids, layout.data) == (GoIds::Bare, GoData::Payload);
        self.layout.as_ref().is_some_and(is_bare)
    }

    /// The limits of a cookie's length and age do not apply to a carried session.
    fn carrier(&self) -> SecureCookie {
        let cookies = self.cookies.clone().max_length(None);
        cookies.max_age(None).min_age(Duration::ZERO)
    }

    pub(crate) fn carry(
        &self,
        name: &str,
        id: &CarriedId,
        payload: &[u8],
        saved: Timestamp,
    ) -> Result<String, SecureCookieError> {
        let carried = [id, payload].concat();
        self.carrier().encode(&carried_name(name), &carried, saved)
    }

    pub(crate) fn carried(
        &self,
        name: &str,
        value: &[u8],
        now: Timestamp,
    ) -> Result<Carried, SecureCookieError> {
        let read = |payload: Vec<u8>| split(&payload);
        let opened = self
            .carrier()
            .decode_with(&carried_name(name), value, now, read)?;
        Ok(opened.payload)
    }

    /// Opens a session's cookie, or the carried session that an outer layer put in its place.
    pub(crate) fn open<P>(
        &self,
        name: &str,
        value: &[u8],
        now: Timestamp,
        read: impl Fn(Vec<u8>) -> Option<P>,
    ) -> Result<OpenedCookie<P>, SecureCookieError> {
        if !self.is_kept() {
            return self.cookies.decode_with(name, value, now, read);
        }
        let read = |payload: Vec<u8>| {
            let Carried { id, payload } = split(&payload)?;
            Some((id, read(payload)?))
        };
        let opened = self
            .carrier()
            .decode_with(&carried_name(name), value, now, read)?;
        let (digest, payload) = opened.payload;
        Ok(OpenedCookie {
            payload,
            saved: opened.saved,
            is_current: opened.is_current,
            digest,
            is_unique: true,
        })
    }

    /// Makes a session's cookie, or a carried session that an outer layer replaces with a cookie.
    pub(crate) fn seal(
        &self,
        name: &str,
        id: Option<TokenId>,
        has_existed: bool,
        payload: &[u8],
        saved: Timestamp,
    ) -> Result<String, SecureCookieError> {
        if !self.is_kept() {
            return self.cookies.encode(name, payload, saved);
        }
        let mut carried = CarriedId::default();
        let id = id.unwrap_or_default();
        carried.iter_mut().zip(id).for_each(|(to, from)| *to = from);
        if let Some(last) = carried.last_mut().filter(|_| has_existed) {
            *last = EXISTED;
        }
        self.carry(name, &carried, payload, saved)
    }

    /// The length in which a payload of this length is kept, and the longest allowed.
    pub(crate) fn kept_len(&self, payload: usize) -> (usize, usize) {
        match self.layout {
            Some(layout) if layout.data == GoData::Payload => {
                (payload, layout.max_bytes.unwrap_or(usize::MAX))
            }
            _ => {
                // The latest date has the most digits.
                let len = self.cookies.encoded_len(payload, Timestamp::LATEST);
                (len, self.cookies.longest().unwrap_or(usize::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gorilla::{KeyPair, SecureCookie};

    fn format() -> Gorilla {
        let cookies = SecureCookie::new([KeyPair::encrypting([1; 32], [1; 16]).unwrap()]);
        Gorilla::new(cookies.unwrap())
    }

    fn kept() -> Gorilla {
        format().kept_in(GoLayout::signed_ids(GoData::Payload))
    }

    #[test]
    fn a_carried_session_and_a_cookie_do_not_open_as_each_other() {
        let now = Timestamp::from_secs(1_800_000_000);
        let payload = [7; 5_000];
        let carried = kept().carry("sid", &[3; 32], &payload, now).unwrap();
        let open = |format: Gorilla, name: &str, value: &str| {
            let opened = format.open(name, value.as_bytes(), now, Some);
            opened.map(|opened| (opened.payload, opened.digest))
        };
        assert_eq!(
            open(kept(), "sid", &carried),
            Ok((payload.to_vec(), [3; 32]))
        );
        assert!(open(kept(), "other", &carried).is_err());
        let cookies = format().cookies.max_length(None);
        assert_eq!(
            open(Gorilla::new(cookies), "sid", &carried),
            Err(SecureCookieError::InvalidMac)
        );
        let cookie = format().seal("sid", None, true, &[0; 64], now).unwrap();
        assert_eq!(
            open(kept(), "sid", &cookie),
            Err(SecureCookieError::InvalidMac)
        );
    }

    #[test]
    fn a_session_keeps_its_name_on_the_way_back() {
        let now = Timestamp::from_secs(1_800_000_000);
        let id = [9; 16];
        let back = |has_existed| {
            let back = kept().seal("sid", Some(id), has_existed, b"gob", now);
            kept()
                .carried("sid", back.unwrap().as_bytes(), now)
                .unwrap()
        };
        assert!(!back(false).has_existed());
        let back = back(true);
        assert!(back.has_existed());
        let mut came = [0; 32];
        came[..16].copy_from_slice(&id);
        came[31] = 1;
        assert!(back.is_still(&came));
        came[15] ^= 1;
        assert!(!back.is_still(&came));
    }
}
