//! The settings of one session, checked and ready for requests. Nothing here waits.

use std::{iter, time::Duration};

use super::go::{Foreign, Go};
use crate::{
    binary::Tail,
    clock::Timestamp,
    codec::{Codec, Opened, Refused, Stamp, Token},
    content::Content,
    cookie::{self as wire, CookieAttributes, Finder},
    crypto::{self, Salt},
    error::{Error, ErrorKind, Rejection},
    id::SessionId,
    key::KeyId,
    report::metrics::SessionMetrics,
    roster::Rosters,
    store::{Backend, Reserve},
};

/// Made by [`SessionConfig`](crate::SessionConfig).
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: Box<str>,
    pub(crate) metrics: SessionMetrics,
    pub(crate) cookie_name: Box<str>,
    pub(crate) finder: Finder,
    /// What tells the store from others; to call it, there is `records`.
    pub(super) backend: Backend,
    /// Where the session's records are, if it has any.
    pub(super) records: Option<Reserve>,
    pub(crate) codec: Codec,
    /// How the session's cookies are shared with Go, if they are.
    pub(super) go: Option<Go>,
    pub(crate) attributes: CookieAttributes,
    /// The attributes as they stand at the end of every cookie.
    pub(crate) rendered: String,
    pub(crate) tag: AttributesTag,
    /// The attributes of cookies from before, whose removal goes out with the next one.
    pub(crate) former: Vec<String>,
    /// The same session with other names of its cookie, which is read under these too.
    pub(crate) formerly: Box<[Self]>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) idle: Duration,
    /// The idle timeout of a session that only one request has used.
    pub(crate) first_idle: Option<Duration>,
    pub(crate) absolute: Duration,
    /// The longest that a session can be asked to last.
    pub(crate) persist_up_to: Duration,
    /// Sessions made before this are over.
    pub(crate) not_before: Timestamp,
    pub(crate) encrypts_records: bool,
    /// Where ended sessions in a cookie are remembered.
    pub(crate) revocations: Option<Reserve>,
    /// Where sessions go that outgrow their cookie, if they may.
    pub(crate) overflow: Option<Overflow>,
    /// Where the sessions of subjects are listed; none if nothing remembers which have ended.
    pub(crate) rosters: Option<Rosters>,
    pub(crate) sessions_per_subject: usize,
    /// Requests that only read may see what the store had a moment ago.
    pub(crate) reads_recent: bool,
    /// How long a request waits for stores.
    pub(crate) store_timeout: Duration,
    /// Everything this session needs is done when it is first polled.
    pub(crate) never_waits: bool,
    pub(crate) max_bytes: usize,
}

/// The store of sessions that have outgrown their cookie.
#[derive(Debug)]
pub(crate) struct Overflow {
    /// For the cookies that refer to a record.
    pub(crate) codec: Codec,
    /// The most bytes in a cookie.
    pub(crate) bytes: usize,
}

/// Tells cookies of other attributes from those that are made now.
pub(crate) type AttributesTag = [u8; 2];

/// A cookie that was accepted, of whatever format.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) payload: Payload,
    /// Made with the active key; otherwise it is time for a new one.
    pub(crate) current: bool,
    /// The key that made it, if its format says which.
    pub(crate) key: Option<KeyId>,
    /// New cookies are of another format: when the session is used, it moves there.
    pub(crate) moves: bool,
}

/// What a cookie has of a session.
#[derive(Debug)]
pub(crate) enum Payload {
    /// The session itself, in a token.
    Values(Stamp, Tail),
    /// The ID of one in a store, and the attributes of this cookie.
    Reference(Stamp, SessionId, AttributesTag),
    /// The session itself, as another maker has it.
    Foreign(Box<Foreign>),
}

/// A cookie's value that was made.
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
            key: Some(opened.key),
            moves: false,
        }
    }
}

impl Settings {
    pub(crate) fn tag_of(rendered: &str) -> AttributesTag {
        let [one, other, ..] = crypto::sha256(rendered.as_bytes());
        [one, other]
    }

    /// The payload of a cookie that refers to a record: the ID, and a tag of the cookie's
    /// attributes, which no request tells.
    pub(crate) fn put_reference(id: &SessionId, tag: AttributesTag, out: &mut Vec<u8>) {
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&tag);
    }

    pub(crate) fn open_reference(payload: &[u8]) -> Result<(SessionId, AttributesTag), Rejection> {
        let (id, tag) = payload.split_last_chunk().ok_or(Rejection::Malformed)?;
        let id = SessionId::from_slice(id).ok_or(Rejection::Malformed)?;
        Ok((id, *tag))
    }

    /// Whether a name would not tell the two apart, in a handler or in the browser.
    pub(crate) fn is_called_as(&self, other: &Self) -> bool {
        let is_cookie_of = |name: &str| other.names().any(|named| *named.cookie_name == *name);
        self.name == other.name || self.names().any(|named| is_cookie_of(&named.cookie_name))
    }

    /// These settings, and those for each other name of the cookie.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Self> {
        iter::once(self).chain(&self.formerly)
    }

    /// Whether browsers may have the session's cookie with other attributes or under another name.
    pub(crate) fn has_former_cookies(&self) -> bool {
        !(self.former.is_empty() && self.formerly.is_empty())
    }

    /// The store of the session's records, if it has any.
    pub(crate) fn records(&self) -> Option<&Reserve> {
        self.records.as_ref()
    }

    /// The store of what is remembered of ended sessions in cookies, if they are remembered.
    pub(crate) fn ends(&self) -> Option<&Reserve> {
        self.revocations
            .as_ref()
            .filter(|_| self.may_be_in_cookie())
    }

    /// Whether the session is, or can be, in its cookie.
    pub(crate) fn may_be_in_cookie(&self) -> bool {
        self.backend.server().is_err()
    }

    /// Learns of its stores whether they wait, and how much they take.
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

    /// Whether any store must be asked before this session can be trusted: others may have changed,
    /// listed or ended it meanwhile.
    pub(crate) fn has_store(&self) -> bool {
        self.records().is_some() || self.rosters.is_some()
    }

    /// The latest end that any token of a session that lives now can have, if the session was made
    /// at `created`: its absolute one, or that of the longest wish that it may have been granted.
    pub(crate) fn latest_end(&self, created: Timestamp, now: Timestamp) -> Timestamp {
        let of_wish = now.saturating_add(self.persist_up_to);
        created.saturating_add(self.absolute).max(of_wish)
    }

    /// Whether a session of this many bytes, with these attributes if it has its own, goes into the
    /// cookie.
    pub(crate) fn fits_cookie(&self, payload: usize, own: Option<&CookieAttributes>) -> bool {
        match &self.overflow {
            Some(overflow) => {
                payload <= overflow.bytes && self.cookie_len(payload, own) <= wire::MAX_COOKIE_LEN
            }
            None => self.may_be_in_cookie(),
        }
    }

    /// For cookies that refer to a record.
    pub(crate) fn reference_codec(&self) -> &Codec {
        self.overflow
            .as_ref()
            .map_or(&self.codec, |overflow| &overflow.codec)
    }

    /// The most bytes of the `Set-Cookie` header's value, so that what was accepted once is always
    /// sent.
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

    /// Opens a cookie's value, of whichever format.
    pub(crate) fn open_cookie(&self, value: &[u8], now: Timestamp) -> Result<Accepted, Refused> {
        let opened = self.open_token(value, now);
        match &self.go {
            None => opened,
            Some(go) => self.open_shared(go, opened, value, now),
        }
    }

    /// Opens a cookie's value of a session that is shared with Go, unless it is one of ours.
    #[cold]
    fn open_shared(
        &self,
        go: &Go,
        opened: Result<Accepted, Refused>,
        value: &[u8],
        now: Timestamp,
    ) -> Result<Accepted, Refused> {
        match opened {
            Ok(opened) => Ok(Accepted {
                moves: go.writes(),
                ..opened
            }),
            Err(Refused::For(Rejection::Malformed)) => {
                let in_record = !self.may_be_in_cookie();
                let mut foreign = go.open(&self.cookie_name, value, in_record, now)?;
                if go.carries_end() {
                    foreign.was_saved(now, self.max_age.unwrap_or(self.idle).min(self.idle));
                }
                Ok(Accepted {
                    // A session in a record needs another cookie.
                    current: foreign.current && !in_record,
                    payload: Payload::Foreign(Box::new(foreign)),
                    key: None,
                    moves: !go.writes(),
                })
            }
            Err(refused) => Err(refused),
        }
    }

    /// Opens a token; one that can be of two kinds as either.
    fn open_token(&self, value: &[u8], now: Timestamp) -> Result<Accepted, Refused> {
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
                Refused::For(Rejection::Malformed | Rejection::UnknownKey | Rejection::Tampered),
                Some(overflow),
            ) => reference(&overflow.codec).map_err(|other| match other {
                Refused::For(Rejection::Malformed) => refused,
                other => other,
            }),
            _ => Err(refused),
        }
    }

    /// Whether sessions of another maker's that a layer outside brings are put into records.
    #[cfg(all(feature = "gorilla", feature = "filesystem", unix))]
    pub(crate) fn takes_in(&self) -> bool {
        self.go.as_ref().is_some_and(Go::is_kept) && !self.may_be_in_cookie()
    }

    /// Makes the value of a cookie that holds its session.
    pub(crate) fn seal_cookie(
        &self,
        content: &Content,
        stamp: &Stamp,
        salt: Option<Salt>,
    ) -> Result<CookieValue, Error> {
        if let Some(go) = self.of_go() {
            let value = go.seal(&self.cookie_name, content, stamp);
            return value.map(CookieValue::Text);
        }
        let payload = |out: &mut Vec<u8>| content.encode_payload(out);
        let token = self.codec.seal(stamp, salt, content.payload_len(), payload);
        Ok(CookieValue::Token(token?))
    }

    /// Whether the session is shared with Go just so.
    pub(super) fn is_shared_as(&self, go: Option<&Go>) -> bool {
        self.go.as_ref().map(Go::writes) == go.map(Go::writes)
    }

    /// The format of new cookies, if it is Go's.
    fn of_go(&self) -> Option<&Go> {
        self.go.as_ref().filter(|go| go.writes())
    }

    /// Whether new cookies are of Go's format.
    pub(crate) fn is_of_go(&self) -> bool {
        self.of_go().is_some()
    }

    /// Lets sessions last as long as their format says, where nothing else can.
    pub(super) fn last_as_in_go(mut self) -> Self {
        if let Some(go) = self.of_go() {
            (self.idle, self.absolute) = (go.lasts(), Duration::MAX);
        }
        self
    }

    /// What a cookie's value says, however old it is: see [`Codec::read`].
    pub(crate) fn read_cookie(&self, value: &[u8]) -> Option<(Stamp, Tail)> {
        let overflow = self.overflow.as_ref();
        let read = || overflow.and_then(|overflow| overflow.codec.read(value));
        self.codec.read(value).or_else(read)
    }

    /// Whether a session can be kept that has so many more bytes of values.
    pub(crate) fn check_growth(&self, content: &Content, growth: usize) -> Result<(), ErrorKind> {
        let own = content.attributes.as_deref();
        self.check_size(content.payload_len() + growth, own)
    }

    /// Whether a session can be kept as it is, in a cookie of Go's format: how long that gets, and
    /// whether Go has such values, shows when it is written.
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

    /// Whether a session of this many bytes, with these attributes if it has its own, can be kept.
    pub(crate) fn check_size(
        &self,
        payload: usize,
        own: Option<&CookieAttributes>,
    ) -> Result<(), ErrorKind> {
        let (size, limit) = match self.records() {
            Some(_) => (payload, self.max_bytes),
            None if self.of_go().is_some_and(Go::is_kept) => (payload, self.max_bytes),
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
