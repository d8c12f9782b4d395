//! Explains a cookie, and why it was refused, to operators.

use crate::{
    binary::Tail,
    clock::Timestamp,
    codec::{Refusal, Stamp, TokenHead, TokenTimes},
    config::{Payload, SessionConfig, Settings},
    content::Content,
    error::{ConfigError, Rejection},
    id::{RecordKey, SessionId},
    key::KeyState,
    state::Lifetime,
    turn,
};

/// What a cookie says, checked against your settings and keys: the result of
/// [`SessionConfig::explain`].
///
/// It contains no value and no secret, so you may print and log it. Do not show it to the client:
/// it tells the maker of a forged cookie what is wrong with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What anyone can read from the cookie without a key; `None` if it is not a token, such as a
    /// cookie made by Go.
    pub head: Option<TokenHead>,
    /// The state of the key that the cookie names; `None` if the keys do not include it.
    pub key: Option<KeyState>,
    /// When the cookie was made, and for how long, as its tag confirms. `None` if the tag is wrong:
    /// the cookie was changed, or made for another name, session or audience.
    pub times: Option<TokenTimes>,
    /// When the session expires if nobody uses it again. For a session in a store, this is when the
    /// cookie expires; its record says when the session does.
    pub expires: Option<Timestamp>,
    /// The session's key: [`Session::record_key`](crate::Session::record_key).
    pub record_key: Option<RecordKey>,
    /// Whether the cookie holds the session itself. Otherwise a record in the store does.
    pub holds_values: bool,
    /// Why a server refuses the cookie without asking a store. `None` if it opens the cookie, or
    /// asks its store.
    pub rejection: Option<Rejection>,
    /// Whether a later release has made the cookie. Requests with it fail with
    /// [`ErrorKind::LaterFormat`](crate::ErrorKind::LaterFormat).
    pub is_later_format: bool,
}

impl SessionConfig {
    /// Explains a cookie of this session, and why a server refuses it, to an operator who has a
    /// user's cookie.
    ///
    /// It takes the cookie's value without its name. It asks no store, so it finds no fault with
    /// the cookie of a session that has ended in its store:
    /// [`SessionRecords`](crate::SessionRecords) loads the record of
    /// [`record_key`](Explanation::record_key). It also reads cookies that have expired, or whose
    /// key was revoked.
    ///
    /// ```
    /// use silverback::{Key, Keys, Rejection, SessionConfig, Timestamp};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = SessionConfig::cookie("account", Key::generate()?);
    /// let told = config.explain("not a session", Timestamp::from_secs(1_800_000_000))?;
    /// assert_eq!((told.head, told.rejection), (None, Some(Rejection::Malformed)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`SessionLayer::try_new`](crate::SessionLayer::try_new).
    pub fn explain(&self, cookie: &str, now: Timestamp) -> Result<Explanation, ConfigError> {
        let (settings, value) = (self.build()?, cookie.as_bytes());
        let pardoned = self.with_keys(self.keys().pardoned()).build()?;
        // The value alone does not show which of the session's cookie names it had.
        let mut read = pardoned.names().zip(settings.names());
        let read = read.find_map(|(pardoned, named)| Some((named, pardoned.read_cookie(value)?)));
        let named = read.as_ref().map_or(&settings, |(named, _)| named);
        let (rejection, is_later_format) = match turn::check_cookie(named, value, now) {
            Ok(()) => (None, false),
            Err(Refusal::For(rejection)) => (Some(rejection), false),
            Err(Refusal::LaterFormat) => (None, true),
        };
        let head = TokenHead::read(cookie);
        let state = |head: TokenHead| {
            let mut keys = self.keys().list().into_iter();
            keys.find(|(id, _)| *id == head.key).map(|(_, state)| state)
        };
        let explanation = Explanation {
            head,
            key: head.and_then(state),
            rejection,
            is_later_format,
            ..Explanation::default()
        };
        // Not a token, so it may be a cookie of Go's. Values too long for a token end up here, too.
        if head.is_none() {
            return Ok(match settings.open_cookie(value, now) {
                Ok(cookie) => explanation.of_foreign(&settings, cookie.payload),
                Err(_) => explanation,
            });
        }
        Ok(match read {
            Some((_, (stamp, payload))) => explanation.of_token(&settings, &stamp, payload),
            None => explanation,
        })
    }
}

impl Explanation {
    /// Explains a cookie that Go made.
    fn of_foreign(self, settings: &Settings, payload: Payload) -> Self {
        let Payload::Foreign(foreign) = payload else {
            return self;
        };
        Self {
            times: Some(TokenTimes {
                issued: foreign.saved,
                created: foreign.saved,
                expires: foreign.expires,
            }),
            expires: Some(Lifetime::end_of(&foreign, settings)),
            record_key: foreign.id.as_ref().map(SessionId::record_key),
            holds_values: foreign.is_whole,
            ..self
        }
    }

    fn of_token(self, settings: &Settings, stamp: &Stamp, payload: Tail) -> Self {
        let id = match &stamp.token_id {
            Some(id) => Some(SessionId::of_token(id)),
            None => Settings::open_reference(payload.as_slice())
                .ok()
                .map(|(id, _)| id),
        };
        let content = stamp
            .token_id
            .and_then(|_| Content::decode_payload(stamp.created, payload));
        let lifetime =
            content.map(|content| Lifetime::of(&content, settings).expires(stamp.issued));
        Self {
            times: Some(stamp.times()),
            expires: Some(lifetime.map_or(stamp.expires(), |end| end.min(stamp.expires()))),
            record_key: id.map(|id| id.record_key()),
            holds_values: stamp.token_id.is_some(),
            ..self
        }
    }
}
