//! Changing a value in place.

use std::convert::Infallible;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    buffer::ValueBuffer,
    json::{append_json, from_json, to_json},
};
use crate::{
    error::{BoxError, Error, ErrorKind},
    state::{Change, Effect, Update},
    turn::ROUNDS,
};

/// Changing a value in place.
impl Session {
    /// Changes the value under `key` in place and returns what the closure returns. Without a
    /// value, it starts from the type's default.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// # let item = "tea".to_owned();
    /// session.update("visits", |n: &mut u64| *n += 1)?;
    /// let count = session.update("cart", move |items: &mut Vec<String>| {
    ///     items.push(item.clone());
    ///     items.len()
    /// })?;
    /// assert_eq!(count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// **The closure may run more than once**, each time on a newer value, so that no count is
    /// lost. It runs again if the value changes while it runs, at most eight times, and once more
    /// for each other request that saves the session before this one does. So let it change its
    /// argument and nothing else. It owns what it uses and names the type of its argument.
    ///
    /// No lock is held while it runs, so it may read the session. It must not wait for a thread or
    /// a session that waits for this one. You get the result of its run in this request. If another
    /// request saves first, [`get`](Self::get) has the merged value after [`save`](Self::save). A
    /// session in a cookie merges nothing: of two requests, the last response wins.
    ///
    /// For a type without a default, update an `Option` of it. It starts as `None`, which
    /// [`get`](Self::get) reads as no value.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get) and [`insert`](Self::insert). [`ErrorKind::Conflict`] if the value
    /// changed during each of eight runs, as with a closure that changes it itself.
    pub fn update<T, R, F>(&self, key: &str, mut update: F) -> Result<R, Error>
    where
        T: Default + DeserializeOwned + Serialize,
        F: FnMut(&mut T) -> R + Send + 'static,
    {
        let updated = self.update_by(key, move |old| {
            let mut value = parse_or_default(old)?;
            let result = update(&mut value);
            Ok((value, result))
        });
        updated.map_err(Failed::never)
    }

    /// Changes the value under `key` in place, unless the closure fails: then nothing changes, and
    /// the inner result is the closure's error.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// #[derive(Debug)]
    /// struct SoldOut;
    /// # impl std::fmt::Display for SoldOut {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("sold out") }
    /// # }
    /// # impl std::error::Error for SoldOut {}
    ///
    /// fn take_ticket(session: &Session) -> Result<String, Error> {
    ///     let left = session.try_update("tickets", |left: &mut u32| -> Result<u32, SoldOut> {
    ///         *left = left.checked_sub(1).ok_or(SoldOut)?;
    ///         Ok(*left)
    ///     })?;
    ///     Ok(match left {
    ///         Ok(left) => format!("Yours. {left} are left."),
    ///         Err(SoldOut) => "Sold out.".to_owned(),
    ///     })
    /// }
    /// ```
    ///
    /// If your handler's error converts from both errors, `session.try_update(..)??` gives the
    /// value.
    ///
    /// # If another request saves first
    ///
    /// The closure runs again on the newer value, as for [`update`](Self::update), and may then
    /// fail. Your handler has seen it succeed, so now the save fails, once, with
    /// [`ErrorKind::UpdateRefused`]. Its [source](std::error::Error::source) is the closure's
    /// error. Nothing is saved, and the response is [409](crate::Answer). To answer in your own
    /// way, call [`save`](Self::save) in the handler and look at its error. The response then saves
    /// the rest, without this update.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    pub fn try_update<T, R, E, F>(&self, key: &str, mut update: F) -> Result<Result<R, E>, Error>
    where
        T: Default + DeserializeOwned + Serialize,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: FnMut(&mut T) -> Result<R, E> + Send + 'static,
    {
        let updated = self.update_by(key, move |old| {
            let mut value = parse_or_default(old)?;
            let result = update(&mut value).map_err(Failed::Closure)?;
            Ok((value, result))
        });
        Failed::part(updated)
    }

    /// Like [`update`](Self::update), with a closure that makes the new value from the stored
    /// bytes.
    pub(super) fn update_by<T, R, E, F>(&self, key: &str, apply: F) -> Result<R, Failed<E>>
    where
        T: Serialize,
        E: Into<BoxError>,
        F: FnMut(Option<&[u8]>) -> Result<(T, R), Failed<E>> + Send + 'static,
    {
        // The closure runs and is dropped without a lock, so it may use the session. Meanwhile the
        // value may change, and the loop tries again.
        let mut apply = Some(apply);
        for _ in 0..ROUNDS {
            let (mut old, mut new) = (ValueBuffer::new(), ValueBuffer::new());
            let had = self.read(|view| {
                let found = view.content.frames.get(key);
                Ok(found.map(|value| old.extend_from_slice(value)).is_some())
            })?;
            let old = had.then(|| old.as_slice());
            let mut run = || {
                let Some(apply) = &mut apply else {
                    return Ok(None);
                };
                let (value, result) = apply(old)?;
                append_json(&mut new, &value)?;
                Ok(Some(result))
            };
            let result = run().map_err(|error: Failed<E>| error.of(self.name(), key))?;
            let apply = &mut apply;
            let is_done = self.write(|content| {
                let (frames, new) = (&mut content.frames, new.as_slice());
                let place = frames.place(key);
                if frames.at(&place) != old {
                    return Ok((Effect::Nothing, false));
                }
                let is_same = old == Some(new);
                if !is_same {
                    self.check_growth(content, place.growth(new.len()))?;
                    content.frames.put(&place, new);
                }
                let change = || Change::Update {
                    key: key.into(),
                    update: again(apply.take().expect("this is the last round")),
                };
                Ok((Effect::unless(is_same, change), true))
            })?;
            if let Some(result) = result.filter(|_| is_done) {
                return Ok(result);
            }
        }
        Err(Error::new(ErrorKind::Conflict).of(self.name()).into())
    }
}

fn parse_or_default<T: Default + DeserializeOwned>(old: Option<&[u8]>) -> Result<T, Error> {
    let old = old.map(from_json).transpose()?.flatten();
    Ok(old.unwrap_or_default())
}

/// Makes the update that runs again on values that other requests have saved.
fn again<T, R, E, F>(mut apply: F) -> Update
where
    T: Serialize,
    E: Into<BoxError>,
    F: FnMut(Option<&[u8]>) -> Result<(T, R), Failed<E>> + Send + 'static,
{
    Box::new(move |old| match apply(old) {
        Ok((value, _)) => to_json(&value).map(Some),
        Err(Failed::Session(error)) => Err(error),
        Err(Failed::Closure(error)) => Err(Error::with_source(ErrorKind::UpdateRefused, error)),
    })
}

/// Why a value was not updated.
pub(super) enum Failed<E> {
    Session(Error),
    /// The application's closure failed.
    Closure(E),
}

impl<E> Failed<E> {
    fn of(self, session: &str, key: &str) -> Self {
        match self {
            Self::Session(error) => Self::Session(error.of(session).of_value(key)),
            Self::Closure(error) => Self::Closure(error),
        }
    }

    /// Separates the session's error, outside, from the closure's, inside.
    pub(super) fn part<R>(updated: Result<R, Self>) -> Result<Result<R, E>, Error> {
        match updated {
            Ok(result) => Ok(Ok(result)),
            Err(Self::Closure(error)) => Ok(Err(error)),
            Err(Self::Session(error)) => Err(error),
        }
    }
}

impl Failed<Infallible> {
    pub(super) fn never(self) -> Error {
        match self {
            Self::Session(error) => error,
            Self::Closure(never) => match never {},
        }
    }
}

impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}
