//! Reading and changing values.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    json::{JsonCopy, append_json, from_json, to_json},
};
use crate::{
    error::{Error, ErrorKind},
    state::{Change, Effect},
    turn::{Anchor, ROUNDS},
};

/// Reading and changing values.
impl Session {
    /// Returns the value under `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeserializeFailed`] if it is not a `T`, as after a change of the type; it stays
    /// as it is. See [`SessionData`](crate::SessionData#when-a-type-changes).
    /// [`ErrorKind::NotLoaded`].
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.get_by(key, from_json)
    }

    /// As [`get`](Self::get), with this way to make a `T` of JSON.
    pub(super) fn get_by<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // Parsed without the lock: to deserialize a `T` is code of the application.
        let mut json = JsonCopy::new();
        let found = self.read(|view| {
            let found = view.content.frames.get(key);
            Ok(found.map(|value| json.fill(value)).is_some())
        })?;
        let value = found.then(|| parse(json.as_slice())).transpose();
        value.map_err(|error: Error| error.of(self.name()))
    }

    /// Puts a value under `key`, a reference or the value itself. Putting the same value again
    /// changes nothing, and is no reason to save the session. As everywhere in JSON, `Some(None)` reads back as `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SerializeFailed`] if the value has no JSON, or would not read back as what it
    /// is (NaN, integers beyond 64 bits). [`ErrorKind::TooLarge`] if the session would outgrow its
    /// cookie or [`max_bytes`](crate::SessionConfig::max_bytes); it stays as it was.
    /// [`ErrorKind::NotLoaded`], [`ErrorKind::AlreadyCommitted`].
    #[doc(alias = "set")]
    pub fn insert<T: Serialize>(&self, key: &str, value: T) -> Result<(), Error> {
        let value = to_json(&value).map_err(|error| error.of(self.name()))?;
        self.write(|content| {
            let place = content.frames.place(key);
            let is_same = content.frames.at(&place) == Some(&value);
            if !is_same {
                self.check_growth(content, place.growth(value.len()))?;
                content.frames.put(&place, &value);
            }
            let change = || Change::Insert {
                key: key.into(),
                value,
            };
            Ok((Effect::unless(is_same, change), ()))
        })
    }

    /// Changes the value under `key` in place, starting from the default if there is none, and
    /// returns what it has become.
    ///
    /// **The closure may run more than once**, each time on a newer value, so that no count is lost:
    /// if the value is changed while it runs, at most eight times, and once more for each other
    /// request that saves the session before this one does. So it changes its argument and does
    /// nothing else that must not be done twice. It owns what it uses, and names its argument's type.
    ///
    /// It runs without a lock, and may read the session. It must not wait for another thread or
    /// session that waits for this one. It returns what the value is in this request; if
    /// another request saves first, [`get`](Self::get) has the merged one after
    /// [`save`](Self::save). In a session in a cookie nothing is merged: of two requests, the last
    /// response wins.
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
    pub fn update<T, F>(&self, key: &str, mut update: F) -> Result<T, Error>
    where
        T: Default + DeserializeOwned + Serialize,
        F: FnMut(&mut T) + Send + 'static,
    {
        self.update_by(key, move |old| {
            let mut value = old.map(from_json).transpose()?.unwrap_or_default();
            update(&mut value);
            Ok(value)
        })
    }

    /// As [`update`](Self::update), with a closure that makes the new value of the old one's JSON.
    pub(super) fn update_by<T, F>(&self, key: &str, apply: F) -> Result<T, Error>
    where
        T: Serialize,
        F: FnMut(Option<&[u8]>) -> Result<T, Error> + Send + 'static,
    {
        // It runs and is dropped without a lock, so it may use the session; then somebody may have
        // been faster.
        let mut apply = Some(apply);
        for _ in 0..ROUNDS {
            // The JSON that is there, and behind it what it becomes.
            let mut json = Vec::with_capacity(128);
            let found = self.read(|view| {
                let old = view.content.frames.get(key);
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
                    return Ok((Effect::Nothing, false));
                }
                let is_same = old == Some(new);
                if !is_same {
                    self.check_growth(content, place.growth(new.len()))?;
                    content.frames.put(&place, new);
                }
                let change = || {
                    let mut apply = apply.take().expect("this is the last round");
                    let update = Box::new(move |old: Option<&[u8]>| to_json(&apply(old)?));
                    Change::Update {
                        key: key.into(),
                        update,
                    }
                };
                Ok((Effect::unless(is_same, change), true))
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
                Effect::some(removed.then_some(|| Change::Remove { key: key.into() })),
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
            Ok((Effect::some(any.then_some(|| Change::Clear)), ()))
        })?;
        // It would have removed the messages that were taken as well.
        self.handle.cell().with(|state| state.taken.clear());
        Ok(())
    }

    /// Says whether there is a value under `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn contains_key(&self, key: &str) -> Result<bool, Error> {
        self.read(|view| Ok(view.content.frames.get(key).is_some()))
    }

    /// Returns the keys, those changed last at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.read(|view| Ok(view.content.frames.keys().map(str::to_owned).collect()))
    }

    /// Returns the number of values; flash messages are not counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn len(&self) -> Result<usize, Error> {
        self.read(|view| Ok(view.content.frames.keys().count()))
    }

    /// Says whether there are no values; flash messages are not counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.read(|view| Ok(view.content.frames.keys().next().is_none()))
    }
}
