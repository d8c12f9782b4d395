//! Sessions that come in another library's cookie and belong in records.
//!
//! Such a cookie refers to no record, and the browser may send it again: from another tab, or
//! because it has missed the response that replaces it. So the vault remembers, under a key derived
//! from the cookie, which record its session went to.
//!
//! | Remembered | Its record | The session is |
//! |---|---|---|
//! | nothing | | a new record with the cookie's values; its ID is remembered, by a create |
//! | one | lives | that record, if no other visitor can have an equal cookie |
//! | one or more | all live | a copy: another new record, whose ID is remembered too |
//! | one or more | any is over | over, however it ended |
//!
//! No record's ID is drawn twice. A record is created before its ID is remembered. A request that
//! is cut off in between leaves a record that nobody knows, and the cookie as it was. If two
//! requests create one at the same time, one ID is remembered and the other record is removed. The
//! memory lasts as long as the cookie.

use super::{
    ends::MARK_LIFETIME,
    records::{Found, Vault, load_all, next_answer},
    retry::{Policy, Queue, Rounds},
};
use crate::{
    clock::Timestamp,
    config::Foreign,
    content::{Browser, Content, Moved, Origin, Unreadable, Writes},
    error::{Error, ErrorKind, Rejection},
    id::{RecordKey, SessionId},
    report::Swap,
    state::{Home, Lifetime, Place, View},
    store::{Bytes, Read, StoreError, Version},
};

const TAKE_IN: Policy = Policy::new(Swap::TakeIn, Queue::Never);
/// How many visitors may share one cookie, or how many requests of one such visitor may be under
/// way.
const MAX_COPIES: usize = 64;

/// A cookie without its values.
struct Cookie {
    origin: Origin,
    is_whole: bool,
    is_unique: bool,
    saved: Timestamp,
    expires: Timestamp,
}

/// What the vault remembers of a cookie.
enum Remembered {
    Nothing,
    Records(Moved, Version),
    /// Nobody can tell any longer where its session is.
    Over,
}

impl Vault<'_> {
    /// Opens the session of such a cookie in its record. `known` are the live sessions that came
    /// with cookies of their own.
    pub(crate) async fn take_in(
        &self,
        foreign: Foreign,
        known: &[RecordKey],
        now: Timestamp,
    ) -> Result<View, Error> {
        if Lifetime::end_of(&foreign, self.settings) <= now {
            return Ok(View::new(now, Some(Rejection::Expired)));
        }
        let (cookie, mut content) = Cookie::of(foreign);
        let key = cookie.origin.key();
        let mut rounds = Rounds::start(self.records()?, &key, TAKE_IN).await?;
        let mut own: Option<Place> = None;
        loop {
            let remembered = self.remembered(&key, &cookie).await?;
            let own_key = own.as_ref().map(|own| own.id.record_key());
            let known: Vec<_> = known.iter().copied().chain(own_key).collect();
            if let Some(view) = self.look_up(&remembered, &cookie, &known, now).await? {
                // Another request's record counts.
                if let Some(own) = own_key.filter(|own| view.home.key() != Some(*own)) {
                    self.remove_record(&own).await;
                }
                return Ok(view);
            }
            let place = match own.take() {
                Some(place) => place,
                None => {
                    let made;
                    (made, content) = self.create_from(content, now).await?;
                    made
                }
            };
            let is_copy = matches!(remembered, Remembered::Records(..));
            let is_done = self
                .remember_record(&key, remembered, &place.id, &cookie)
                .await?;
            if is_done && !is_copy {
                return Ok(View {
                    home: Home::Record(place),
                    content,
                    rejection: None,
                });
            }
            // A copy looks again, as another may have ended meanwhile.
            own = Some(place);
            if !is_done {
                rounds.lost().await?;
            }
        }
    }

    async fn remembered(&self, key: &RecordKey, cookie: &Cookie) -> Result<Remembered, Error> {
        let records = self.records()?;
        let record = match records.load(key, Read::Current).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                let store = self.settings.records();
                let is_old = store.is_some_and(|store| store.may_have_forgotten(cookie.saved));
                return Ok(match is_old {
                    true => Remembered::Over,
                    false => Remembered::Nothing,
                });
            }
            Err(StoreError::Corrupt(_)) => return Ok(Remembered::Over),
            Err(error) => return Err(error.into()),
        };
        match Moved::decode(record.data(), &cookie.origin) {
            Ok(moved) => Ok(Remembered::Records(moved, record.version())),
            Err(Unreadable::Damaged) => Ok(Remembered::Over),
            Err(Unreadable::Later) => Err(Error::new(ErrorKind::LaterFormat)),
        }
    }

    /// The session in the record it went to, or the reason that it is over. `None` if the cookie's
    /// values count.
    async fn look_up(
        &self,
        remembered: &Remembered,
        cookie: &Cookie,
        known: &[RecordKey],
        now: Timestamp,
    ) -> Result<Option<View>, Error> {
        let over = |reason| Ok(Some(View::new(now, Some(reason))));
        let moved = match remembered {
            Remembered::Over => return over(Rejection::Revoked),
            Remembered::Nothing if cookie.is_whole => return Ok(None),
            Remembered::Nothing => return over(Rejection::NotFound),
            Remembered::Records(moved, _) => moved,
        };
        let keys: Vec<_> = moved.ids.iter().map(SessionId::record_key).collect();
        let mut loaded = load_all(self.records()?, &keys).await.into_iter();
        for id in &moved.ids {
            let found = self.read(id, next_answer(&mut loaded), now)?;
            let is_mine = cookie.is_unique || known.contains(&id.record_key());
            match found {
                Found::Session { .. } if !is_mine => {}
                Found::Nothing(Rejection::NotFound) => return over(Rejection::Revoked),
                found => return Ok(Some(found.into_view(id, now))),
            }
        }
        match moved.ids.len() {
            MAX_COPIES.. => over(Rejection::Revoked),
            _ => Ok(None),
        }
    }

    /// Creates a record with the cookie's values.
    async fn create_from(
        &self,
        content: Content,
        now: Timestamp,
    ) -> Result<(Place, Content), Error> {
        let records = self.records()?;
        let write = self.new_write()?;
        let writes = self.writes_with(Writes::none(), write);
        let expires = Lifetime::of(&content, self.settings).expires(now);
        let plain: Bytes = content.encode_record(&writes, Browser::Knows).into();
        let mut may_try_again = true;
        loop {
            // A create that arrives late must not bring back a session that has ended since.
            let id = self.new_id()?;
            let (key, data) = (id.record_key(), self.seal(&id, plain.clone())?);
            let (made, _) = records.create_once(&key, data, self.expiry(expires)).await;
            let version = match made {
                Ok(version) => version,
                // Nobody else knows the name, so this is the same write, whose answer was lost.
                Err(StoreError::Exists) => self.own_version(&id, write).await?,
                Err(error) if may_try_again && records.may_ask_again(&error) => {
                    may_try_again = false;
                    records.pause_to_ask_again().await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let place = Place {
                id,
                version,
                expires,
                browser: Browser::Knows,
                writes,
            };
            return Ok((place, content));
        }
    }

    /// Adds a record to those remembered. Returns whether this was done. If not, another record is
    /// remembered by now, or this very one if an answer was lost.
    async fn remember_record(
        &self,
        key: &RecordKey,
        remembered: Remembered,
        id: &SessionId,
        cookie: &Cookie,
    ) -> Result<bool, Error> {
        let (records, now) = (self.records()?, self.now());
        let (mut ids, version) = match remembered {
            Remembered::Records(moved, version) => (moved.ids, Some(version)),
            Remembered::Nothing | Remembered::Over => (Vec::new(), None),
        };
        ids.push(id.clone());
        let data = Moved { ids, set: now }.encode(&cookie.origin)?;
        // As long as the cookie can be valid, whatever happens to the timeouts.
        let latest = self.settings.latest_end(cookie.saved, now);
        let until = cookie.expires.min(latest).saturating_add(MARK_LIFETIME);
        let (added, _) = match version {
            Some(version) => records.update(key, version, data, self.expiry(until)).await,
            None => records.create(key, data, self.expiry(until)).await,
        };
        match added {
            Ok(_) => Ok(true),
            Err(StoreError::Exists | StoreError::Conflict | StoreError::Gone) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Cookie {
    fn of(foreign: Foreign) -> (Self, Content) {
        let cookie = Self {
            origin: foreign.origin,
            is_whole: foreign.is_whole,
            is_unique: foreign.is_unique,
            saved: foreign.saved,
            expires: foreign.expires,
        };
        (cookie, foreign.content)
    }
}
