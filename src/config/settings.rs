//! The settings of one session, checked and ready for requests. Nothing here waits.

use std::{iter, time::Duration};

use super::go::{Foreign, Go};
use crate::{
    binary::Tail,
    clock::Timestamp,
    codec::{Codec, Maker, Opened, Refusal, Stamp, Token},
    content::Content,
    cookie::{self as wire, CookieAttributes, Finder},
    crypto::{self, Salt},
    error::{ConfigError, Error, ErrorKind, Rejection},
    id::SessionId,
    report::metrics::SessionMetrics,
    roster::Rosters,
    store::{Backend, Reserve},
};

/// The settings of one session, made by [`SessionConfig`](crate::SessionConfig).
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: Box<str>,
    pub(crate) metrics: SessionMetrics,
    pub(crate) cookie_name: Box<str>,
    pub(crate) finder: Finder,
    /// Identifies the store. Calls go through `records`.
    pub(super) backend: Backend,
    /// The store of the session's records, if it has any.
    pub(super) records: Option<Reserve>,
    pub(crate) codec: Codec,
    /// How the session's cookies are shared with Go, if they are.
    pub(super) go: Option<Go>,
    pub(crate) attributes: CookieAttributes,
    /// The attributes as text, the end of every cookie.
    pub(crate) rendered: String,
    pub(crate) tag: AttributesTag,
    /// The attributes of former cookies, which the next cookie removes.
    pub(crate) former: Vec<String>,
    /// The settings for each other name under which the cookie is read.
    pub(crate) formerly: Box<[Self]>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) idle: Duration,
    /// The idle timeout of a session that only one request has used.
    pub(crate) first_idle: Option<Duration>,
    pub(crate) absolute: Duration,
    /// The longest time that `persist_for` grants.
    pub(crate) persist_up_to: Duration,
    /// How much longer than a session itself its end is remembered, because the clocks of the
    /// server that made its cookie, of the store, and of the server that the cookie comes to differ.
    pub(crate) ends_longer: Duration,
    /// Sessions made before this are over.
    pub(crate) not_before: Timestamp,
    pub(crate) encrypts_records: bool,
    /// The store that remembers ended sessions in cookies.
    pub(crate) revocations: Option<Reserve>,
    /// How sessions outgrow their cookie, if they may.
    pub(crate) overflow: Option<Overflow>,
    /// The rosters of subjects. `None` if no store remembers which sessions have ended.
    pub(crate) rosters: Option<Rosters>,
    pub(crate) sessions_per_subject: usize,
    /// Whether requests that only read may see a recent state of the store.
    pub(crate) reads_recent: bool,
    /// How long a request waits for stores.
    pub(crate) store_timeout: Duration,
    /// Whether every operation of this session is done at its first poll.
    pub(crate) never_waits: bool,
    pub(crate) max_bytes: usize,
}

/// The settings of sessions that may outgrow their cookie.
#[derive(Debug)]
pub(crate) struct Overflow {
    /// The codec of cookies that refer to a record.
    pub(crate) codec: Codec,
    /// The most bytes in a cookie.
    pub(crate) bytes: usize,
}

/// Distinguishes cookies by their attributes.
pub(crate) type AttributesTag = [u8; 2];

/// An accepted cookie of any format.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) payload: Payload,
    /// Whether the active key made it. Otherwise it is time for a new one.
    pub(crate) current: bool,
    /// The key that made it, if its format names the key.
    pub(crate) maker: Option<Maker>,
    /// Whether new cookies have another format, to which the session moves when it is used.
    pub(crate) moves: bool,
}

/// The payload of a session's cookie.
#[derive(Debug)]
pub(crate) enum Payload {
    /// The session itself, in a token.
    Values(Stamp, Tail),
    /// The ID of a session in a store, and the tag of this cookie's attributes.
    Reference(Stamp, SessionId, AttributesTag),
    /// The session in another library's format.
    Foreign(Box<Foreign>),
}

/// The value of a new cookie.
pub(crate) enum CookieValue {
    Token(Token),
    Text(String),
}

impl CookieValue {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Token(token) => token.encoded_len(),
            Self::Text(text) => text.len(),
        }
    }

    pub(crate) fn append_to(&self, out: &mut String) {
        match self {
            Self::Token(token) => token.encode_to(out),
            Self::Text(text) => out.push_str(text),
        }
    }
}

impl Accepted {
    fn of<P>(opened: Opened<P>, payload: impl FnOnce(Stamp, P) -> Payload) -> Self {
        Self {
            payload: payload(opened.stamp, opened.payload),
            current: opened.current,
            maker: Some(opened.maker),
            moves: false,
        }
    }
}

impl Settings {
    pub(crate) fn tag_of(rendered: &str) -> AttributesTag {
        let [one, other, ..] = crypto::sha256(rendered.as_bytes());
        [one, other]
    }

    /// Writes the payload of a cookie that refers to a record: the ID, and a tag of the cookie's
    /// attributes, which browsers do not send back.
    pub(crate) fn put_reference(id: &SessionId, tag: AttributesTag, out: &mut Vec<u8>) {
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&tag);
    }

    pub(crate) fn open_reference(payload: &[u8]) -> Result<(SessionId, AttributesTag), Rejection> {
        let (id, tag) = payload.split_last_chunk().ok_or(Rejection::Malformed)?;
        let id = SessionId::from_slice(id).ok_or(Rejection::Malformed)?;
        Ok((id, *tag))
    }

    /// Returns whether the two sessions share a name, in handlers or in browsers.
    pub(crate) fn is_called_as(&self, other: &Self) -> bool {
        self.check_apart(other).is_err()
    }

    /// # Errors
    ///
    /// [`ConfigError::DuplicateName`] if handlers cannot tell the two apart,
    /// [`ConfigError::DuplicateCookie`] if browsers cannot.
    pub(crate) fn check_apart(&self, other: &Self) -> Result<(), ConfigError> {
        if self.name == other.name {
            return Err(ConfigError::DuplicateName((*self.name).to_owned()));
        }
        let is_others = |own: &&Self| {
            let mut names = other.names();
            names.any(|named| named.cookie_name == own.cookie_name)
        };
        match self.names().find(is_others) {
            Some(own) => Err(ConfigError::DuplicateCookie((*own.cookie_name).to_owned())),
            None => Ok(()),
        }
    }

    /// Returns these settings, and those for each other name of the cookie.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Self> {
        iter::once(self).chain(&self.formerly)
    }

    /// Returns whether browsers may have the cookie with other attributes or under another name.
    pub(crate) fn has_former_cookies(&self) -> bool {
        !(self.former.is_empty() && self.formerly.is_empty())
    }

    /// Returns the store of the session's records, if it has any.
    pub(crate) fn records(&self) -> Option<&Reserve> {
        self.records.as_ref()
    }

    /// Returns the store that remembers ended sessions in cookies, if there is one.
    pub(crate) fn ends(&self) -> Option<&Reserve> {
        self.revocations
            .as_ref()
            .filter(|_| self.may_be_in_cookie())
    }

    /// Returns whether the session is, or can be, in its cookie.
    pub(crate) fn may_be_in_cookie(&self) -> bool {
        self.backend.cookies().is_some()
    }

    /// Asks the stores whether they wait and how large a record may be.
    pub(crate) fn checked(mut self) -> Self {
        let mut stores = self.records().into_iter().chain(self.ends());
        self.never_waits = stores.all(Reserve::never_waits);
        if let Some(records) = self.records() {
            let head = Content::record_head(self.encrypts_records);
            let taken = records.limits().record_bytes.saturating_sub(head);
            self.max_bytes = self.max_bytes.min(taken);
        }
        self
    }

    /// Returns whether a store must be asked before this session can be trusted, since other
    /// requests may have changed, enrolled or ended it.
    pub(crate) fn has_store(&self) -> bool {
        self.records().is_some() || self.rosters.is_some()
    }

    /// Returns until when any server may accept a token of a live session that was made at
    /// `created`: until the absolute timeout, or for the longest time that `persist_for` may have
    /// granted.
    pub(crate) fn latest_end(&self, created: Timestamp, now: Timestamp) -> Timestamp {
        let of_wish = now.saturating_add(self.persist_up_to);
        let end = created.saturating_add(self.absolute).max(of_wish);
        end.saturating_add(self.ends_longer)
    }

    /// Returns whether a session of this many bytes fits its cookie. `own` is its own attributes,
    /// if it has any.
    pub(crate) fn fits_cookie(&self, payload: usize, own: Option<&CookieAttributes>) -> bool {
        match &self.overflow {
            Some(overflow) => {
                payload <= overflow.bytes && self.cookie_len(payload, own) <= wire::MAX_COOKIE_LEN
            }
            None => self.may_be_in_cookie(),
        }
    }

    /// Returns the codec of cookies that refer to a record.
    pub(crate) fn reference_codec(&self) -> &Codec {
        self.overflow
            .as_ref()
            .map_or(&self.codec, |overflow| &overflow.codec)
    }

    /// Returns the most bytes that the `Set-Cookie` header's value can have, so that an accepted
    /// session can always be sent.
    fn cookie_len(&self, payload: usize, own: Option<&CookieAttributes>) -> usize {
        let revision = size_of::<u32>();
        self.cookie_name.len() + self.codec.token_len(payload + revision) + self.rest_len(own)
    }

    fn rest_len(&self, own: Option<&CookieAttributes>) -> usize {
        match own {
            None => wire::longest_rest(&self.rendered),
            Some(own) => wire::longest_rest(&own.render()),
        }
    }

    /// Opens a cookie's value of any format.
    pub(crate) fn open_cookie(&self, value: &[u8], now: Timestamp) -> Result<Accepted, Refusal> {
        let opened = self.open_token(value, now);
        match &self.go {
            None => opened,
            Some(go) => self.open_shared(go, opened, value, now),
        }
    }

    /// Returns the session of a cookie that has expired or is not valid yet, if a store can end it.
    pub(crate) fn untimely_session(&self, value: &[u8]) -> Option<(SessionId, Stamp)> {
        if !self.has_store() {
            return None;
        }
        if self.may_be_in_cookie()
            && let Some((stamp, _)) = self.codec.read(value)
        {
            return Some((SessionId::of_token(stamp.token_id.as_ref()?), stamp));
        }
        let (stamp, payload) = self.reference_codec().read(value)?;
        let (id, _) = Self::open_reference(payload.as_slice()).ok()?;
        Some((id, stamp))
    }

    /// Opens a cookie's value in Go's format, unless it opened as one of ours.
    #[cold]
    fn open_shared(
        &self,
        go: &Go,
        opened: Result<Accepted, Refusal>,
        value: &[u8],
        now: Timestamp,
    ) -> Result<Accepted, Refusal> {
        match opened {
            Ok(opened) => Ok(Accepted {
                moves: go.writes(),
                ..opened
            }),
            Err(Refusal::For(Rejection::Malformed)) => {
                let in_record = !self.may_be_in_cookie();
                let mut foreign = go.open(&self.cookie_name, value, in_record, now)?;
                if go.carries_end() {
                    foreign.was_saved(now, self.max_age.unwrap_or(self.idle).min(self.idle));
                }
                Ok(Accepted {
                    // A session in a record needs another cookie.
                    current: foreign.current && !in_record,
                    payload: Payload::Foreign(Box::new(foreign)),
                    maker: None,
                    moves: !go.writes(),
                })
            }
            Err(refused) => Err(refused),
        }
    }

    /// Opens a token. If the session can overflow, it may hold the session or refer to a record.
    fn open_token(&self, value: &[u8], now: Timestamp) -> Result<Accepted, Refusal> {
        let reference = |codec: &Codec| {
            let opened = codec.open_short(value, now, Self::open_reference)?;
            let payload = |stamp, (id, tag)| Payload::Reference(stamp, id, tag);
            Ok(Accepted::of(opened, payload))
        };
        if !self.may_be_in_cookie() {
            return reference(&self.codec);
        }
        let refused = match self.codec.open(value, now) {
            Ok(opened) => return Ok(Accepted::of(opened, Payload::Values)),
            Err(refused) => refused,
        };
        match (refused, &self.overflow) {
            (
                Refusal::For(Rejection::Malformed | Rejection::UnknownKey | Rejection::Tampered),
                Some(overflow),
            ) => reference(&overflow.codec).map_err(|other| match other {
                Refusal::For(Rejection::Malformed) => refused,
                other => other,
            }),
            _ => Err(refused),
        }
    }

    /// Returns whether an outer layer keeps the session.
    pub(crate) fn is_carried(&self) -> bool {
        self.of_go().is_some_and(Go::is_kept)
    }

    /// Returns whether sessions come from an outer layer, to stay there or to move.
    pub(crate) fn comes_from_outside(&self) -> bool {
        self.go.as_ref().is_some_and(Go::is_kept)
    }

    /// Returns whether sessions that an outer layer carries here move into records.
    #[cfg(all(feature = "gorilla", feature = "filesystem", unix))]
    pub(crate) fn takes_in(&self) -> bool {
        self.comes_from_outside() && !self.may_be_in_cookie()
    }

    /// Makes the value of a cookie that holds its session. `has_existed`: the session did not begin
    /// in this request.
    pub(crate) fn seal_cookie(
        &self,
        content: &Content,
        stamp: &Stamp,
        has_existed: bool,
        salt: Option<Salt>,
    ) -> Result<CookieValue, Error> {
        if let Some(go) = self.of_go() {
            let value = go.seal(&self.cookie_name, content, stamp, has_existed);
            return value.map(CookieValue::Text);
        }
        let payload = |out: &mut Vec<u8>| content.encode_payload(out);
        let token = self.codec.seal(stamp, salt, content.payload_len(), payload);
        Ok(CookieValue::Token(token?))
    }

    /// Returns whether the session is shared with Go in the same way.
    pub(super) fn is_shared_as(&self, go: Option<&Go>) -> bool {
        self.go.as_ref().map(Go::writes) == go.map(Go::writes)
    }

    /// Returns the format of new cookies if it is Go's.
    fn of_go(&self) -> Option<&Go> {
        self.go.as_ref().filter(|go| go.writes())
    }

    /// Returns whether new cookies have Go's format.
    pub(crate) fn is_of_go(&self) -> bool {
        self.of_go().is_some()
    }

    /// Lets sessions in Go's format last as long as Go's cookies, which hold no other times.
    pub(super) fn last_as_in_go(mut self) -> Self {
        if let Some(go) = self.of_go() {
            (self.idle, self.absolute) = (go.lasts(), Duration::MAX);
        }
        self
    }

    /// Reads a cookie's value, however old it is: see [`Codec::read`].
    pub(crate) fn read_cookie(&self, value: &[u8]) -> Option<(Stamp, Tail)> {
        let overflow = self.overflow.as_ref();
        let read = || overflow.and_then(|overflow| overflow.codec.read(value));
        self.codec.read(value).or_else(read)
    }

    /// Checks that the session can still be kept if its values grow by this many bytes.
    pub(crate) fn check_growth(&self, content: &Content, growth: usize) -> Result<(), ErrorKind> {
        let own = content.attributes.as_deref();
        self.check_size(content.payload_len() + growth, own)
    }

    /// Checks that the session can be kept in a cookie of Go's format, by writing it: only this
    /// shows how long it gets, and whether Go has types for its values.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`], [`ErrorKind::SerializeFailed`].
    pub(crate) fn check_in_go(&self, content: &Content) -> Result<(), Error> {
        let Some(go) = self.of_go().filter(|_| !content.is_empty()) else {
            return Ok(());
        };
        let (len, most) = go.kept_len(content)?;
        let whole = self.cookie_name.len() + len + self.rest_len(content.attributes.as_deref());
        let header = (whole, wire::MAX_COOKIE_LEN);
        let bounds = [Some((len, most)), (!go.is_kept()).then_some(header)];
        let mut bounds = bounds.into_iter().flatten();
        let over = bounds.find(|(size, limit)| size > limit);
        over.map_or(Ok(()), |(size, limit)| {
            Err(Error::new(ErrorKind::TooLarge { size, limit }))
        })
    }

    /// Checks that a session of this many bytes can be kept. `own` is its own attributes, if it has
    /// any.
    pub(crate) fn check_size(
        &self,
        payload: usize,
        own: Option<&CookieAttributes>,
    ) -> Result<(), ErrorKind> {
        let (size, limit) = match self.records() {
            Some(_) => (payload, self.max_bytes),
            // `check_in_go` knows how long these are in their cookie, or in what an outer layer keeps.
            None if self.is_of_go() => (payload, self.max_bytes),
            None => (self.cookie_len(payload, own), wire::MAX_COOKIE_LEN),
        };
        if size > limit {
            Err(ErrorKind::TooLarge { size, limit })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
