//! One visitor's session in one request: the [`Session`] handle and what stands behind it.

mod change;
mod commit;
mod content;
mod flash;
mod flight;
mod frames;
mod in_cookie;
mod json;
mod membership;
mod open;
mod record;
mod save;
mod slots;
mod state;
mod subject;
mod typed;

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use self::{
    change::Change,
    content::{Content, Persistence},
    json::{JsonCopy, append_json, from_json, to_json},
    save::Last,
    slots::{At, Slot},
    state::{Live, Origin, State},
};
pub(crate) use self::{
    commit::{Keep, Reply},
    slots::{Shared, Slots},
};
pub use self::{
    flash::Flashes,
    typed::{SessionData, Typed},
};
use crate::{
    cookie::{CookieAttributes, MAX_AGE},
    error::{Error, ErrorKind, Rejection},
    id::RecordKey,
    named::Named,
    trace,
};

/// How often the closure of an `update` runs again because the value it has changed was changed
/// meanwhile.
const ROUNDS: usize = 8;

/// A handle of one session of a request.
///
/// [`SessionLayer`](crate::SessionLayer) puts the handle of its first session into the request's
/// extensions; [`Sessions`](crate::Sessions) has the others. Clones are cheap and refer to the same
/// session.
///
/// Values are kept by key, as JSON. They are read and changed in memory, without waiting; what was
/// changed goes to the store, and the cookie to the browser, when the handler has returned its
/// response. A session that is not used costs nothing.
///
/// ```
/// # use silverback::{Session, Error};
/// # #[derive(serde::Serialize)] struct User { id: u64 }
/// async fn log_in(session: Session, user: User) -> Result<(), Error> {
///     session.load().await?;                    // axum's extractor has done this already
///     session.renew();                          // a new ID, so that nobody knows it who knew the old one
///     session.insert("user", user.id)?;
///     let logins = session.update("logins", |n: &mut u32| *n += 1)?;
///     session.flash(format!("Welcome back, for the {logins}th time"))
/// }
/// ```
///
/// # Which changes last
///
/// | The handler | values, flashes, lifetime | `renew` | `destroy` |
/// |---|---|---|---|
/// | returns a response below 500 | saved | done | was done when it was called |
/// | returns 500 or above (or a gRPC status that means the same) | not saved | done | was done, cookie removed |
/// | returns `Err` from the service | not saved | not done | was done |
/// | panics, or is cancelled | not saved | not done | was done |
///
/// What an explicit [`save`](Self::save) has put into a store stays there in all cases.
///
/// # Concurrent requests
///
/// A session in a store keeps the changes of all requests, however they overlap: if another one has
/// saved first, this one's changes are applied to what that one left. Inserts under different keys
/// all survive, of those under one key the last, and [`update`](Self::update) is run again on the
/// newer value. A session that was destroyed meanwhile stays destroyed, and saving into it is an
/// error ([`ErrorKind::Gone`]). Sessions in a cookie cannot do that: there, the last response wins.
///
/// # After the response
///
/// A clone can outlive the request, in a spawned task, a WebSocket or the stream of a body. It goes
/// on reading what it has. To see what has happened since, and to change a session in a store, it
/// calls [`load`](Self::load) again, changes, and calls [`save`](Self::save). What needs the cookie
/// can only be done before: changes of a session in a cookie, `renew`, `persist_for`, attributes.
///
/// # Loading
///
/// A session whose store waits has to be loaded before it is used: with [`load`](Self::load), by
/// axum's extractors, or by [`Sessions::get`](crate::Sessions::get). Otherwise its accessors fail
/// with [`ErrorKind::NotLoaded`]. Cookie and memory sessions load themselves.
#[derive(Clone)]
pub struct Session {
    slots: Arc<Slots>,
    at: At,
}

/// Reading and changing values.
impl Session {
    /// Returns the value under `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deserialize`] if it is not a `T`; it stays as it is. [`ErrorKind::NotLoaded`].
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        // Read without the lock: to deserialize a `T` is code of the application.
        let mut json = JsonCopy::new();
        let found = self.read(|live| {
            let found = live.content.frames.get(key);
            Ok(found.map(|value| json.fill(value)).is_some())
        })?;
        let value = found.then(|| from_json(json.as_slice())).transpose();
        value.map_err(|error: Error| error.of(self.name()))
    }

    /// Puts a value under `key`, a reference or the value itself. Putting the same value again
    /// changes nothing, and is not saved. As everywhere in JSON, `Some(None)` reads back as `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Serialize`] if the value has no JSON, or would not read back as what it is
    /// (NaN, integers beyond 64 bits). [`ErrorKind::TooLarge`] if the session would outgrow its
    /// cookie or [`max_bytes`](crate::SessionConfig::max_bytes); it stays as it was.
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    #[doc(alias = "set")]
    pub fn insert<T: Serialize>(&self, key: &str, value: T) -> Result<(), Error> {
        let value = to_json(&value).map_err(|error| error.of(self.name()))?;
        self.write(|content| {
            let place = content.frames.place(key);
            if content.frames.at(&place) == Some(&value) {
                return Ok((None, ()));
            }
            self.check_growth(content, place.growth(value.len()))?;
            content.frames.put(&place, &value);
            Ok((
                Some(|| Change::Insert {
                    key: key.into(),
                    value,
                }),
                (),
            ))
        })
    }

    /// Changes the value under `key` in place, starting from the default if there is none, and
    /// returns what it has become.
    ///
    /// The closure runs without a lock, and may read the session. It runs again if its value was
    /// changed meanwhile, at most eight times, and if another request saves the session first: then
    /// on the value that request left, so no count is lost. So it owns what it uses, and depends on
    /// nothing but that and its argument, whose type it names:
    ///
    /// ```
    /// # fn f(session: &silverback::Session, item: String) -> Result<(), silverback::Error> {
    /// let items = session.update("cart", move |items: &mut Vec<String>| items.push(item.clone()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get) and [`insert`](Self::insert). [`ErrorKind::Conflict`] if the value
    /// was changed during each of eight runs, as by a closure that changes it itself.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the closure is taken in the last round alone"
    )]
    pub fn update<T, F>(&self, key: &str, mut update: F) -> Result<T, Error>
    where
        T: Default + DeserializeOwned + Serialize,
        F: FnMut(&mut T) + Send + 'static,
    {
        // It runs and is dropped without a lock, so it may use the session; then somebody may have
        // been faster.
        let mut apply = Some(move |old: Option<&[u8]>| -> Result<T, Error> {
            let mut value = old.map(from_json).transpose()?.unwrap_or_default();
            update(&mut value);
            Ok(value)
        });
        for _ in 0..ROUNDS {
            // The JSON that is there, and behind it what it becomes.
            let mut json = Vec::with_capacity(128);
            let found = self.read(|live| {
                let old = live.content.frames.get(key);
                json.extend_from_slice(old.unwrap_or_default());
                Ok(old.is_some())
            })?;
            let end = json.len();
            let mut run = || {
                let old = found.then_some(json.as_slice());
                let value = apply.as_mut().map(|apply| apply(old)).transpose()?;
                append_json(&mut json, &value)?;
                Ok(value)
            };
            let value = run().map_err(|error: Error| error.of(self.name()))?;
            let (old, new) = json.split_at(end);
            let old = found.then_some(old);
            let apply = &mut apply;
            let is_done = self.write(|content| {
                let place = content.frames.place(key);
                if content.frames.at(&place) != old {
                    return Ok((None, false));
                }
                if old == Some(new) {
                    return Ok((None, true));
                }
                self.check_growth(content, place.growth(new.len()))?;
                content.frames.put(&place, new);
                let change = || {
                    let mut apply = apply.take().expect("this is the last round");
                    let update = Box::new(move |old: Option<&[u8]>| to_json(&apply(old)?));
                    Change::Update {
                        key: key.into(),
                        update,
                    }
                };
                Ok((Some(change), true))
            })?;
            if let Some(value) = value.filter(|_| is_done) {
                return Ok(value);
            }
        }
        Err(Error::new(ErrorKind::Conflict).of(self.name()))
    }

    /// Removes the value under `key`; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn remove(&self, key: &str) -> Result<bool, Error> {
        self.write(|content| {
            let removed = content.frames.remove(key);
            Ok((
                removed.then_some(|| Change::Remove { key: key.into() }),
                removed,
            ))
        })
    }

    /// Removes all values and flash messages; ID, lifetime and [subject](Self::set_subject) stay.
    /// It is no logout: see [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    pub fn clear(&self) -> Result<(), Error> {
        self.write(|content| {
            let any = !content.frames.is_empty();
            content.frames.clear();
            Ok((any.then_some(|| Change::Clear), ()))
        })
    }

    /// Says whether there is a value under `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn contains_key(&self, key: &str) -> Result<bool, Error> {
        self.read(|live| Ok(live.content.frames.get(key).is_some()))
    }

    /// Returns the keys, those changed last at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.read(|live| Ok(live.content.frames.keys().map(str::to_owned).collect()))
    }

    /// Returns the number of values; flash messages are not counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn len(&self) -> Result<usize, Error> {
        self.read(|live| Ok(live.content.frames.keys().count()))
    }

    /// Says whether there are no values; flash messages are not counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.read(|live| Ok(live.content.frames.keys().next().is_none()))
    }

    fn read<R>(&self, read: impl FnOnce(&Live) -> Result<R, Error>) -> Result<R, Error> {
        let read = || {
            self.check_name()?;
            self.opened(|state| match &state.live {
                Some(live) => read(live),
                None => Err(Error::new(ErrorKind::NotLoaded)),
            })
        };
        read().map_err(|error| error.of(self.name()))
    }

    /// Runs a change of the content and keeps note of it.
    fn write<R, C: FnOnce() -> Change>(
        &self,
        change: impl FnOnce(&mut Content) -> Result<(Option<C>, R), Error>,
    ) -> Result<R, Error> {
        let keeps_log = self.named().has_store();
        let change = |state: &mut State| {
            if self.slots.is_closed() && !state.reopened {
                return Err(Error::new(ErrorKind::AlreadyCommitted));
            }
            let live = state
                .live
                .as_mut()
                .ok_or_else(|| Error::new(ErrorKind::NotLoaded))?;
            let (change, result) = change(&mut live.content)?;
            match change {
                Some(change) if keeps_log => state.log.push(change()),
                change => state.changed |= change.is_some(),
            }
            Ok(result)
        };
        let write = || {
            self.check_name()?;
            self.slots.touch();
            if self.slots.is_closed() {
                self.slot().with(change)
            } else {
                self.opened(change)
            }
        };
        write().map_err(|error: Error| error.of(self.name()))
    }

    fn check_growth(&self, content: &Content, growth: usize) -> Result<(), Error> {
        self.named()
            .check_size(content.payload_len() + growth)
            .map_err(Error::new)
    }
}

/// What kind of session it is.
impl Session {
    /// Returns the session's name, which is its cookie's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.named().name
    }

    /// Says whether this request has no established session: no cookie came, or none that was
    /// accepted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    #[doc(alias = "IsNew")]
    pub fn is_new(&self) -> Result<bool, Error> {
        self.read(|live| Ok(live.origin.is_none()))
    }

    /// Returns what the session is called in its store and in logs: the hash of its secret ID,
    /// which is nowhere but in the cookie.
    ///
    /// `None` for a session that is not loaded, or that is new and not saved yet.
    #[must_use]
    pub fn id(&self) -> Option<RecordKey> {
        self.read(|live| Ok(live.key())).ok().flatten()
    }

    /// Returns why the cookie that came was not accepted; `None` if there was none, or the session
    /// is not loaded. For the log: telling a client helps an attacker.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        self.read(|live| Ok(live.rejection)).ok().flatten()
    }
}

/// The session as a whole.
impl Session {
    /// Opens the session: one read for a store that waits, nothing for the others.
    ///
    /// Once it is open this does nothing, until the response has been committed. From then on, in a
    /// WebSocket or the stream of a body, each call reads a server-side session anew, and changes
    /// are allowed again if [`save`](Self::save) follows them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store fails: the session is then not empty but unknown.
    /// [`ErrorKind::NameTaken`] if a layer outside uses the same name.
    pub async fn load(&self) -> Result<(), Error> {
        let load = async {
            self.check_name()?;
            if !self.slots.is_over() || !self.is_in_store() {
                if !self.is_open() {
                    self.alone(Operation::Open).await?;
                }
            } else {
                self.alone(Operation::Reopen).await?;
            }
            Ok(())
        };
        load.await.map_err(|error: Error| {
            let error = error.of(self.name());
            trace::load_failed(&error);
            error
        })
    }

    /// Saves the session now instead of with the response; the cookie still goes with the response.
    ///
    /// For a session in a cookie, which the response itself saves, this checks that it will fit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Gone`] if it was destroyed or renewed meanwhile, [`ErrorKind::Conflict`] if
    /// other requests kept being faster, [`ErrorKind::TooLarge`], [`ErrorKind::Store`]. The changes
    /// are kept and can be saved again. [`ErrorKind::AlreadyCommitted`] for a new session or a
    /// renewal, whose cookie cannot be sent any more.
    pub async fn save(&self) -> Result<(), Error> {
        let save = async {
            if self
                .slot()
                .with(|state| state.is_in_use() || state.too_late)
            {
                self.check_name()?;
                self.alone(Operation::Save).await?;
            }
            Ok(())
        };
        save.await.map_err(|error: Error| error.of(self.name()))
    }

    /// Gives the session a new ID and ends the old one, with the response. Values, flashes and the
    /// absolute lifetime stay.
    ///
    /// Call it whenever a visitor gains rights, above all at login: whoever knew or planted the old
    /// ID is left with nothing (session fixation).
    ///
    /// A request that overlaps and changes the session under its old ID fails with
    /// [`ErrorKind::Gone`]; one that only reads is not disturbed. Like
    /// [`persist_for`](Self::persist_for) and [`until_browser_closes`](Self::until_browser_closes)
    /// it needs the response: called later it does nothing, and the next [`save`](Self::save) says
    /// so.
    #[doc(alias = "cycle_id")]
    #[doc(alias = "regenerate")]
    pub fn renew(&self) {
        self.wish("renew", |state| state.renew = true);
    }

    /// Ends the session. Its record is gone when this returns, even if the handler then fails,
    /// panics or is cancelled; the response removes the cookie.
    ///
    /// What is inserted or flashed afterwards makes a new session: a goodbye that should not start
    /// one belongs into the URL that is redirected to. For a session in a cookie see
    /// [`CookieStore`](crate::store::CookieStore) about copies of the cookie.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the record may still be there; the session is then as before.
    /// [`ErrorKind::AlreadyCommitted`] for a session in a cookie, if the response has gone and no
    /// [`revocation`](crate::SessionConfig::revocation) is configured.
    #[doc(alias = "delete")]
    #[doc(alias = "invalidate")]
    #[doc(alias = "flush")]
    #[doc(alias = "logout")]
    pub async fn destroy(&self) -> Result<(), Error> {
        let destroy = async {
            self.check_name()?;
            self.alone(Operation::Destroy).await?;
            Ok(())
        };
        destroy.await.map_err(|error: Error| error.of(self.name()))
    }

    /// Lets this session last for `length` from now, in the browser and on the server, used or not:
    /// "remember me".
    ///
    /// It is this session's `Max-Age`, idle timeout and absolute lifetime in one. At most 400 days,
    /// which is what browsers allow, and at least a second: to end a session there is
    /// [`destroy`](Self::destroy).
    #[doc(alias = "MaxAge")]
    pub fn persist_for(&self, length: Duration) {
        let length = Duration::from_secs(length.as_secs().max(1)).min(MAX_AGE);
        let since = self.slots.clock().now();
        self.wish("persist_for", |state| {
            state.change_persistence(Persistence::For { since, length })
        });
    }

    /// Lets this session end with the browser: no `Max-Age`, and the timeouts that are configured.
    pub fn until_browser_closes(&self) {
        self.wish("until_browser_closes", |state| {
            state.change_persistence(Persistence::UntilBrowserCloses)
        });
    }

    /// Changes the attributes of this session's cookie, starting from those it has. They stay with
    /// the session, so that later cookies, and its removal, match.
    ///
    /// A browser keeps cookies of different paths or domains apart. After a change of either, the
    /// response removes the cookie that came as well, so that the two do not stay side by side:
    /// that is the one case of two cookies of one name in a response. A change in
    /// [`SessionConfig`](crate::SessionConfig) cannot do that for the cookies that browsers have by
    /// then; two that differ are not accepted.
    ///
    /// ```
    /// # fn f(session: &silverback::Session) -> Result<(), silverback::Error> {
    /// session.set_attributes(|cookie| cookie.path("/admin").same_site(silverback::SameSite::Strict))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Attributes`] if they do not go together, or with the name.
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    #[doc(alias = "Options")]
    pub fn set_attributes(
        &self,
        change: impl FnOnce(CookieAttributes) -> CookieAttributes,
    ) -> Result<(), Error> {
        if self.slots.is_closed() {
            return Err(Error::new(ErrorKind::AlreadyCommitted).of(self.name()));
        }
        let own = self.read(|live| Ok(live.content.attributes.as_deref().cloned()))?;
        let old = own.unwrap_or_else(|| self.named().attributes.clone());
        let new = change(old.clone());
        let checked = new.check(self.name());
        checked
            .map_err(|error| Error::with_source(ErrorKind::Attributes, error).of(self.name()))?;
        if new == old {
            return Ok(());
        }
        self.write(|content| {
            self.check_growth(
                content,
                new.path.len() + new.domain.as_ref().map_or(0, String::len) + 5,
            )?;
            content.attributes = Some(Box::new(new.clone()));
            Ok((Some(|| Change::Attributes(new.clone())), ()))
        })?;
        if self.has_cookie() {
            let old = Box::new(old);
            self.slot().with(|state| {
                state.moved_from.get_or_insert(old);
            });
        }
        Ok(())
    }

    /// Notes what the response shall do; a session need not be loaded for that.
    fn wish(&self, what: &'static str, wish: impl FnOnce(&mut State)) {
        self.slots.touch();
        let is_too_late = self.slot().with(|state| {
            if self.slots.is_closed() {
                state.too_late = true;
            } else {
                wish(state);
            }
            state.too_late
        });
        if is_too_late {
            trace::too_late(self.name(), what);
        }
    }
}

/// What is done to a session from its beginning to its end, before anything else is.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Open,
    Reopen,
    Save,
    Destroy,
    Commit(Keep),
}

impl Session {
    pub(crate) fn first(slots: &Arc<Slots>) -> Self {
        Self {
            slots: Arc::clone(slots),
            at: At::Configured(0),
        }
    }

    pub(crate) fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    pub(crate) fn named(&self) -> &Arc<Named> {
        self.slots.named(&self.at)
    }

    fn slot(&self) -> &Slot {
        self.slots.slot(&self.at)
    }

    /// Whether committing it takes more than a look.
    pub(crate) fn waits(&self) -> bool {
        !self.named().never_waits && self.slot().with(|state| state.is_in_use())
    }

    /// Runs an operation on the session alone.
    async fn alone(&self, operation: Operation) -> Result<Reply, Error> {
        if self.named().never_waits {
            return self.slot().alone_now(|| self.perform(operation));
        }
        let session = self.clone();
        self.slot()
            .alone(async move { session.perform(operation).await })
            .await
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, Error> {
        match operation {
            Operation::Open => self.open_in_turn().await?,
            Operation::Reopen => self.reopen_in_turn().await?,
            Operation::Save => self.save_in_turn(Last::No).await?,
            Operation::Destroy => self.destroy_in_turn().await?,
            Operation::Commit(keep) => return self.commit_in_turn(keep).await,
        }
        Ok(Reply::default())
    }

    /// Whether the session is in a store, as far as is known.
    fn is_in_store(&self) -> bool {
        let in_record = |live: &Live| matches!(live.origin, Some(Origin::Record { .. }));
        !self.named().may_be_in_cookie()
            || self
                .slot()
                .with(|state| state.live.as_ref().is_some_and(in_record))
    }

    fn check_name(&self) -> Result<(), Error> {
        if self.slots.is_taken_outside(self.name()) {
            Err(Error::new(ErrorKind::NameTaken))
        } else {
            Ok(())
        }
    }
}

impl State {
    fn change_persistence(&mut self, persistence: Persistence) {
        if let Some(live) = &mut self.live {
            if live.content.persistence == persistence {
                return;
            }
            live.content.persistence = persistence;
        }
        self.log.push(Change::Persist(persistence));
    }
}

/// Shows the name only.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
