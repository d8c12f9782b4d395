//! What a cookie is, and why it was refused, for operators.

use crate::{
    binary::Tail,
    clock::Timestamp,
    codec::{Refused, Stamp, TokenHead, TokenTimes},
    config::{Payload, SessionConfig, Settings},
    content::Content,
    error::{ConfigError, Rejection},
    id::{RecordKey, SessionId},
    key::KeyState,
    state::Lifetime,
    turn,
};

/// What a cookie says, and what the settings and keys say to it: by
/// [`SessionConfig::explain`].
///
/// It tells no value and no secret, so it may be printed and logged. Do not show it to the client:
/// it says of a forged cookie what is wrong with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What anyone can read off it; `None` if it is no token, as a cookie that Go has made.
    pub head: Option<TokenHead>,
    /// What the key is used for that it names; `None` if that key is not among the keys.
    pub key: Option<KeyState>,
    /// When it was made and for how long, checked by its tag. `None` if the tag does not fit: the
    /// cookie was changed, or made for another name, session or audience.
    pub times: Option<TokenTimes>,
    /// When the session is over if nobody uses it again, by the settings; of a session in a store,
    /// when the cookie is. The record says when that session is over.
    pub expires: Option<Timestamp>,
    /// What the session is called: [`Session::record_key`](crate::Session::record_key).
    pub record_key: Option<RecordKey>,
    /// Whether the cookie holds the session itself. Otherwise its record does, in the store.
    pub holds_values: bool,
    /// Why the cookie is refused, whatever a store would say. `None` if a server opens it, or asks
    /// its store.
    pub rejection: Option<Rejection>,
    /// A later release has made it: requests with it are answered by
    /// [`ErrorKind::LaterFormat`](crate::ErrorKind::LaterFormat).
    pub is_later_format: bool,
}

impl SessionConfig {
    /// Says what a cookie of this session is and why a server refuses it: for an operator with a
    /// user's cookie in hand.
    ///
    /// It takes the cookie's value, without its name, and asks no store: a session that was ended
    /// there has a cookie without fault. [`SessionRecords`](crate::SessionRecords) has the record
    /// of [`record_key`](Explanation::record_key). A cookie that has expired, or whose key was
    /// revoked, is read all the same.
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
    /// What [`SessionLayer::try_new`](crate::SessionLayer::try_new) would say.
    pub fn explain(&self, cookie: &str, now: Timestamp) -> Result<Explanation, ConfigError> {
        let (settings, value) = (self.build()?, cookie.as_bytes());
        let (rejection, is_later_format) = match turn::check_cookie(&settings, value, now) {
            Ok(()) => (None, false),
            Err(Refused::For(rejection)) => (Some(rejection), false),
            Err(Refused::LaterFormat) => (None, true),
        };
        let head = TokenHead::read(cookie);
        let state = |head: TokenHead| {
            let mut keys = self.keys().list().into_iter();
            keys.find(|(id, _)| *id == head.key).map(|(_, state)| state)
        };
        let told = Explanation {
            head,
            key: head.and_then(state),
            rejection,
            is_later_format,
            ..Explanation::default()
        };
        // Longer ones are not looked at.
        if head.is_none() {
            return Ok(match settings.open_cookie(value, now) {
                Ok(cookie) => told.of_foreign(&settings, cookie.payload),
                Err(_) => told,
            });
        }
        let pardoned = self.with_keys(self.keys().pardoned()).build()?;
        Ok(match pardoned.read_cookie(value) {
            Some((stamp, payload)) => told.of_token(&settings, &stamp, payload),
            None => told,
        })
    }
}

impl Explanation {
    /// Of a cookie that Go made.
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
