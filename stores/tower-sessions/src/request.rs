//! The store of a tower-sessions `Session`: the request's own silverback session.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use silverback::{ErrorKind, Session};

use crate::{
    failure::Failure,
    row::{Data, Row, date, random_id},
};

/// A `SessionStore` for one request. It writes only what has changed since it was read, so that
/// silverback merges it with the changes of other requests.
///
/// tower-sessions' trait does not say why it calls `delete`. `Session::delete` and `flush` pass the
/// session's ID; `cycle_id` passes the record's. In a real store these are the same. Here they
/// differ: [`read`](Self::read) returns a record with another ID.
pub(crate) struct RequestStore {
    session: Session,
    state: Mutex<State>,
    /// The response commits the session, so that tower-sessions' save need not write.
    is_finishing: AtomicBool,
}

#[derive(Default)]
struct State {
    /// tower-sessions' ID of the session, until it ends the session.
    id: Option<i128>,
    /// The values that tower-sessions last read or wrote.
    known: Option<Data>,
    /// It has asked for another ID, and has not saved under it yet.
    is_cycled: bool,
    error: Option<silverback::Error>,
}

impl RequestStore {
    pub(crate) fn new(session: Session, id: Option<i128>) -> Self {
        let state = State {
            id,
            ..State::default()
        };
        Self {
            session,
            state: Mutex::new(state),
            is_finishing: AtomicBool::new(false),
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Sets whether saves leave the writing to the response from now on.
    pub(crate) fn finish(&self, is_finishing: bool) {
        self.is_finishing.store(is_finishing, Ordering::SeqCst);
    }

    /// Takes the error behind the last failure that tower-sessions got.
    pub(crate) fn take_error(&self) -> Option<silverback::Error> {
        self.state().error.take()
    }

    /// Returns whether `Session::delete` has ended the session. tower-sessions keeps it in that
    /// case.
    pub(crate) fn is_deleted(&self) -> bool {
        self.state().id.is_none()
    }

    /// Returns whether tower-sessions takes the session for deleted because it asked for another
    /// ID.
    pub(crate) fn is_cycled(&self) -> bool {
        self.state().is_cycled
    }

    pub(crate) async fn read(&self, id: i128) -> Result<Option<Row>, Failure> {
        let row = async {
            self.session.load().await?;
            let data = self.values()?;
            // A session that a layer around has begun may be new, too.
            let exists = !data.is_empty() || !self.session.is_new()?;
            Ok((exists, data, self.session.expires_at()?))
        };
        let (exists, data, expires) = row.await.map_err(|error| self.fail(error))?;
        self.state().known = Some(data.clone());
        Ok(exists.then(|| Row {
            id: !id,
            data,
            expires: date(expires.unwrap_or_default()),
        }))
    }

    /// Begins a session that has no ID in tower-sessions: a new one, or one whose ID changes.
    pub(crate) async fn begin(&self, data: &Data) -> Result<i128, Failure> {
        self.state().known.get_or_insert_default();
        self.write(data).await?;
        let id = match self.session.record_key() {
            Some(key) => id_of(key.as_bytes()),
            None => random_id()?,
        };
        let mut state = self.state();
        (state.id, state.is_cycled) = (Some(id), false);
        drop(state);
        Ok(id)
    }

    pub(crate) async fn update(&self, data: &Data) -> Result<(), Failure> {
        if self.is_deleted() {
            return Err(Failure::gone());
        }
        self.write(data).await
    }

    pub(crate) async fn end(&self, id: i128) -> Result<(), Failure> {
        if self.state().id != Some(id) {
            self.session.renew();
            self.state().is_cycled = true;
            return Ok(());
        }
        let ended = self.session.destroy().await;
        ended.map_err(|error| self.fail(error))?;
        let mut state = self.state();
        (state.id, state.known) = (None, Some(Data::default()));
        Ok(())
    }

    async fn write(&self, data: &Data) -> Result<(), Failure> {
        let written = async {
            self.session.load().await?;
            let known = self.state().known.clone();
            let known = match known {
                Some(known) => known,
                None => self.values()?,
            };
            self.apply(&known, data)?;
            if !self.is_finishing.load(Ordering::SeqCst) {
                self.session.save().await?;
            }
            Ok(())
        };
        written.await.map_err(|error| self.fail(error))?;
        self.state().known = Some(data.clone());
        Ok(())
    }

    fn apply(&self, known: &Data, data: &Data) -> Result<(), silverback::Error> {
        for key in known.keys().filter(|key| !data.contains_key(*key)) {
            self.session.remove(key)?;
        }
        for (key, value) in data {
            if known.get(key) != Some(value) {
                self.session.insert(key, value)?;
            }
        }
        Ok(())
    }

    /// The session's values. tower-sessions has no bytes, so it does not see those.
    fn values(&self) -> Result<Data, silverback::Error> {
        let mut data = HashMap::new();
        for key in self.session.keys()? {
            match self.session.get::<Value>(&key) {
                Ok(Some(value)) => drop(data.insert(key, value)),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::DeserializeFailed => {}
                Err(error) => return Err(error),
            }
        }
        Ok(data)
    }

    fn fail(&self, error: silverback::Error) -> Failure {
        let failure = Failure::from(&error);
        self.state().error = Some(error);
        failure
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ID that tower-sessions gets for a record: 16 of the 32 bytes of its key. It is the same in
/// each request until the session is renewed, and not a secret.
pub(crate) fn id_of(key: &[u8; 32]) -> i128 {
    let (start, _) = key.split_at(size_of::<i128>());
    i128::from_le_bytes(start.try_into().unwrap_or_default())
}

impl fmt::Debug for RequestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStore").finish_non_exhaustive()
    }
}
