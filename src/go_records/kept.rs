//! The layer, and how it reads records.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::records::{GoRecord, GoRecords};
use crate::{
    clock::{Clock, Timestamp},
    content::Content,
    cookie,
    crypto::{self, RandomError},
    error::{Error, ErrorKind},
    gorilla::{CarriedId, GoData, GoId, GoIds, GoLayout, Gorilla, SecureCookie, SecureCookieError},
    report::Report,
    store::{StoreError, check_runtime},
};

/// The sessions of one of gorilla's server-side stores, shared with Go or taken over: a layer
/// around the [`SessionLayer`](crate::SessionLayer).
///
/// Such a store keeps the session on a server, and its ID in the browser's cookie. This layer
/// replaces the ID by the session in each request, and the session by the ID in each response. The
/// inner layer uses a session in [Go's format](crate::SessionConfig::write_gorilla), which you get
/// from [`session_format`](Self::session_format).
///
/// ```
/// use axum::{Router, routing::get};
/// use silverback::{
///     GoRecords, GorillaRecords, Keys, SessionConfig, SessionLayer,
///     gorilla::{Gorilla, KeyPair, SecureCookie},
/// };
///
/// fn app(
///     records: impl GoRecords, // `GorillaFiles`, or from `silverback-redis` or `silverback-sqlx`
///     (hash_key, block_key): (&[u8], &[u8]),
///     keys: Keys,
/// ) -> Result<Router, Box<dyn std::error::Error>> {
///     let cookies = SecureCookie::new([KeyPair::encrypting(hash_key, block_key)?])?;
///     let records = GorillaRecords::new(records, "account", Gorilla::new(cookies));
///     let account = SessionConfig::cookie("account", keys).write_gorilla(records.session_format());
///     Ok(Router::new()
///         .route("/", get(async || "hello"))
///         .layer(SessionLayer::try_new(account)?)
///         .layer(records))
/// }
/// ```
///
/// # Beside Go
///
/// None of gorilla's stores compares before it writes. This layer does:
///
/// | | gorilla | This layer |
/// |---|---|---|
/// | saves a session that another request has changed meanwhile | overwrites it: the other changes are lost | compares and swaps, and applies its own changes to the new state; of a value that both have changed, its own wins. After eight rounds: 409 |
/// | saves a session whose record is gone, as after a logout | creates the record again, under the old ID | answers 409 and sets no cookie; nothing comes back. A request that has only read the session succeeds |
/// | saves a session without values | keeps the record | removes it if the request has emptied it, and no other request has filled it again |
/// | gets an ID without a record | keeps it for the next save | gives a new session a new ID |
/// | [renews](crate::Session::renew) a session | cannot | gives it a new ID and removes the old record, with the changes that other requests make in between; of two renewals one gets 409 |
/// | ends a session | removes the record | the same; answers 409 if the record is gone already, since a renewal may have moved the session to another ID |
/// | gets several cookies of the name | takes the first | takes the one whose session lives; if two live, none, and a logout ends both |
///
/// A save by Go still overwrites everything that came after its load, your changes included, and
/// brings back a session that you ended in between.
///
/// # What it costs
///
/// A request with the session's cookie loads its record, whether the handler uses the session or
/// not. So put the layer only around routes that use it. A request without the cookie costs
/// nothing.
///
/// # Errors
///
/// If a record cannot be loaded, the response is 503 with `Retry-After`, and the handler does not
/// run. If a session cannot be saved, the response is the [`Answer`](crate::Answer) to the failure,
/// as from [`DefaultResponder`](crate::DefaultResponder): 409 if the session has ended meanwhile or
/// others kept changing it, 500 if it has become too large, and otherwise 503.
///
/// # Taking sessions over
///
/// With [`read_gorilla`](crate::SessionConfig::read_gorilla) instead, the first use of a session
/// moves it into this crate's format. Its record stays, since other requests of the same page may
/// be under way with the old cookie.
///
/// A session that moves into a store is found by the ID in Go's cookie, even when Go's record is
/// gone. Once the session has ended, neither the cookie nor the record brings it back.
#[derive(Clone)]
pub struct GorillaRecords<R> {
    pub(super) records: R,
    pub(super) name: Arc<str>,
    pub(super) format: Gorilla,
    layout: GoLayout,
    pub(super) clock: Clock,
    pub(super) report: Arc<Report>,
}

/// The content of a request's cookie.
pub(super) enum Presented {
    Id(Claim),
    /// It is too old, or was never meant for a browser.
    Refused,
    /// It has another format.
    Other,
}

/// The ID in a cookie.
pub(super) struct Claim {
    pub(super) id: GoId,
    /// When the cookie was made, if it says so.
    pub(super) made: Option<Timestamp>,
}

/// The session of a request.
pub(super) struct Opened {
    pub(super) id: GoId,
    pub(super) name: CarriedId,
    /// The record as it is on the server.
    pub(super) data: Vec<u8>,
    pub(super) payload: Vec<u8>,
    /// The time of the last save or, if that is unknown, the session's end.
    pub(super) time: Timestamp,
}

/// A record that was loaded and opened.
pub(super) struct Loaded {
    pub(super) data: Vec<u8>,
    pub(super) payload: Vec<u8>,
    saved: Option<Timestamp>,
    remains: Option<Duration>,
}

fn carried_id(id: &GoId) -> CarriedId {
    crypto::sha256(id.as_str().as_bytes())
}

/// How often a record that Go may be writing is loaded, and the first pause in between. Each pause is
/// twice as long as the one before: on a busy machine, Go's file stays empty for tens of
/// milliseconds.
const LOADS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(1);

impl<R: GoRecords> GorillaRecords<R> {
    /// Makes the layer from the records, the name of the session in Go, and its format: the keys of
    /// Go's store and the payload that Go's serializer writes.
    ///
    /// ```
    /// use silverback::{
    ///     GoRecords, GorillaRecords,
    ///     gorilla::{GoPayload, Gorilla, SecureCookie},
    /// };
    ///
    /// fn of_json(records: impl GoRecords, cookies: SecureCookie) -> GorillaRecords<impl GoRecords> {
    ///     let format = Gorilla::new(cookies).payload(GoPayload::Json);
    ///     GorillaRecords::new(records, "account", format)
    /// }
    /// ```
    #[must_use]
    pub fn new(records: R, name: &str, format: Gorilla) -> Self {
        let layout = records.layout();
        Self {
            records,
            name: name.into(),
            format: format.kept_in(layout),
            layout,
            clock: Clock::system(),
            report: Arc::default(),
        }
    }

    /// Returns the format of the inner session, for
    /// [`write_gorilla`](crate::SessionConfig::write_gorilla) or
    /// [`read_gorilla`](crate::SessionConfig::read_gorilla). Unlike the format that
    /// [`new`](Self::new) takes, it allows as much as fits on the server.
    ///
    /// ```
    /// # use silverback::{GoRecords, GorillaRecords, Keys, SessionConfig};
    /// fn account(records: &GorillaRecords<impl GoRecords>, keys: Keys) -> SessionConfig {
    ///     SessionConfig::cookie("account", keys).write_gorilla(records.session_format())
    /// }
    /// ```
    #[must_use]
    pub fn session_format(&self) -> Gorilla {
        self.format.clone()
    }

    /// Sets the clock, for tests.
    ///
    /// ```
    /// # use silverback::{Clock, GoRecords, GorillaRecords};
    /// fn at<R: GoRecords>(records: GorillaRecords<R>, clock: &Clock) -> GorillaRecords<R> {
    ///     records.clock(clock.clone())
    /// }
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the gob or JSON of the session that a cookie's value refers to, for a program that
    /// takes sessions over in its own way. Returns `None` if there is no such session.
    ///
    /// # Errors
    ///
    /// Fails if the server does, which leaves open whether the session exists.
    ///
    /// ```
    /// # use silverback::{GoRecords, GorillaRecords, gorilla::gob::Gob, store::StoreError};
    /// async fn user(
    ///     records: &GorillaRecords<impl GoRecords>,
    ///     cookie: &str,
    /// ) -> Result<Option<String>, StoreError> {
    ///     let session = records.load(cookie).await?;
    ///     let session = session.and_then(|payload| Gob::decode(&payload).ok());
    ///     Ok(session.and_then(|gob| gob.get("user")?.as_str().map(str::to_owned)))
    /// }
    /// ```
    pub async fn load(&self, cookie: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Presented::Id(claim) = self.presented(cookie.as_bytes()) else {
            return Ok(None);
        };
        let opened = self.open(&claim).await?;
        Ok(opened.map(|opened| opened.payload))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn cookies(&self) -> &SecureCookie {
        &self.format.cookies
    }

    /// Reads a cookie. The text of a record is not accepted as one: it would outlive the record.
    pub(super) fn presented(&self, cookie: &[u8]) -> Presented {
        let now = self.now();
        let is_carried = || self.format.carried(&self.name, cookie, now).is_ok();
        match self.layout.ids {
            GoIds::Bare => {
                let text = std::str::from_utf8(cookie).ok();
                match text.and_then(|text| GoId::parse(text, GoId::BARE)) {
                    Some(id) => Presented::Id(Claim { id, made: None }),
                    None if is_carried() => Presented::Refused,
                    None => Presented::Other,
                }
            }
            GoIds::Signed => {
                let read = |payload: Vec<u8>| GoId::of_gob(&payload, GoId::SIGNED);
                match self.cookies().decode_with(&self.name, cookie, now, read) {
                    Ok(opened) => Presented::Id(Claim {
                        id: opened.payload,
                        made: Some(opened.saved),
                    }),
                    Err(SecureCookieError::InvalidBase64 | SecureCookieError::InvalidMac)
                        if !is_carried() =>
                    {
                        Presented::Other
                    }
                    Err(_) => Presented::Refused,
                }
            }
        }
    }

    /// Loads a session. As in Go, an unreadable record counts as none.
    pub(super) async fn open(&self, claim: &Claim) -> Result<Option<Opened>, StoreError> {
        let Claim { id, made } = claim;
        let Some(Loaded {
            data,
            payload,
            saved,
            remains,
        }) = self.load_readable(id).await?
        else {
            return Ok(None);
        };
        Ok(Some(Opened {
            id: id.clone(),
            name: carried_id(id),
            data,
            payload,
            time: self.time(saved.or(*made), remains),
        }))
    }

    /// The time of a session's last save or, if that is unknown, its end.
    fn time(&self, saved: Option<Timestamp>, remains: Option<Duration>) -> Timestamp {
        saved.unwrap_or_else(|| self.now().saturating_add(self.lasts(remains)))
    }

    /// Makes the carried session that the session layer gets.
    pub(super) fn carry(&self, opened: &Opened) -> Result<String, StoreError> {
        let Opened { name, payload, .. } = opened;
        let carried = self.format.carry(&self.name, name, payload, opened.time);
        carried.map_err(StoreError::refused)
    }

    /// Makes the carried session for an ID without a record. A session that has moved is found by
    /// it.
    pub(super) fn carry_name(&self, claim: &Claim) -> Result<String, StoreError> {
        let (name, time) = (carried_id(&claim.id), self.time(claim.made, None));
        let carried = self.format.carry(&self.name, &name, &[], time);
        carried.map_err(StoreError::refused)
    }

    pub(super) async fn load_readable(&self, id: &GoId) -> Result<Option<Loaded>, StoreError> {
        let mut loads = 1;
        loop {
            let Some(GoRecord { data, remains }) = self.records.load(id.as_str()).await? else {
                return Ok(None);
            };
            match self.unpack(&data) {
                Ok((payload, saved)) => {
                    return Ok(Some(Loaded {
                        data,
                        payload,
                        saved,
                        remains,
                    }));
                }
                Err(SecureCookieError::InvalidBase64 | SecureCookieError::InvalidMac)
                    if self.layout.is_written_in_place && loads < LOADS =>
                {
                    check_runtime()?;
                    sleep(PAUSE * 2_u32.pow(loads - 1)).await;
                    loads += 1;
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// Returns the payload of a record, and the time of its last save if the record holds it.
    fn unpack(&self, data: &[u8]) -> Result<(Vec<u8>, Option<Timestamp>), SecureCookieError> {
        let read = |payload: Vec<u8>| {
            let content = Content::of_go(&payload, &self.format, Timestamp::default());
            content.map(|_| payload)
        };
        match self.layout.data {
            GoData::Payload => {
                let payload = read(data.to_vec()).ok_or(SecureCookieError::Unreadable)?;
                Ok((payload, None))
            }
            GoData::Text => {
                let opened = self
                    .cookies()
                    .decode_with(&self.name, data, self.now(), read)?;
                Ok((opened.payload, Some(opened.saved)))
            }
        }
    }

    /// Makes a record of a payload.
    pub(super) fn pack(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let (size, limit) = self.format.kept_len(payload.len());
        if size > limit {
            return Err(Error::new(ErrorKind::TooLarge { size, limit }));
        }
        match self.layout.data {
            GoData::Payload => Ok(payload.to_vec()),
            GoData::Text => self.seal(payload).map(String::into_bytes),
        }
    }

    fn seal(&self, payload: &[u8]) -> Result<String, Error> {
        let sealed = self.cookies().encode(&self.name, payload, self.now());
        sealed.map_err(|error| Error::with_source(ErrorKind::RandomFailed, error))
    }

    pub(super) fn new_id(&self) -> Result<GoId, Error> {
        let id = match self.layout.ids {
            GoIds::Signed => GoId::random::<{ GoId::SIGNED }>(),
            GoIds::Bare => GoId::random::<{ GoId::BARE }>(),
        };
        id.map_err(|RandomError| Error::new(ErrorKind::RandomFailed))
    }

    /// The value of a session's cookie.
    pub(super) fn cookie(&self, id: &GoId) -> Result<String, Error> {
        match self.layout.ids {
            GoIds::Bare => Ok(id.as_str().to_owned()),
            GoIds::Signed => {
                let payload = id.to_gob().map_err(unwritable)?;
                self.seal(&payload)
            }
        }
    }

    /// How long a record lasts: the known time, as from the `Max-Age` of its cookie, or the
    /// default.
    pub(super) fn lasts(&self, known: Option<Duration>) -> Duration {
        let by_default = self.layout.lasts.or(self.cookies().lasts());
        known.or(by_default).unwrap_or(cookie::MAX_AGE)
    }
}

pub(super) fn unwritable(source: impl Into<crate::error::BoxError>) -> Error {
    Error::with_source(ErrorKind::SerializeFailed, source)
}

impl<R> fmt::Debug for GorillaRecords<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GorillaRecords")
            .field("name", &self.name)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
