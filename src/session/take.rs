//! Taking a value for one request alone.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{
    Session,
    json::{from_json, unwrap_bytes},
};
use crate::{
    error::{Error, ErrorKind},
    state::{Change, Effect, TakenValue},
};

/// Taking a value for one request alone.
impl Session {
    /// Removes the value under `key` and saves the session at once, so that of any number of
    /// concurrent requests exactly one gets it. The others get `None`.
    ///
    /// It is for what may be used once: the token of a form, the state of an OAuth login, a
    /// confirmed order.
    ///
    /// ```
    /// # use silverback::{Error, Session};
    /// async fn order(session: Session, token: String) -> Result<&'static str, Error> {
    ///     match session.take::<String>("order token").await? {
    ///         Some(expected) if expected == token => Ok("ordered"),
    ///         _ => Ok("This form was sent already."),
    ///     }
    /// }
    /// ```
    ///
    /// For that price the value is gone if the handler then fails, if its future is dropped, or if
    /// [nobody sees](Self#which-changes-last) the response. So take it in handlers of POST, which no
    /// browser sends in advance. What else was changed is saved with it.
    ///
    /// You get what is there when the session is saved: if another request has stored a newer value
    /// meanwhile, that one.
    ///
    /// # Sessions in a cookie
    ///
    /// A browser, or a thief, can send an old cookie again, with the value in it. So for a session in
    /// a cookie this is an error and takes nothing, also with
    /// [`revocation`](crate::store::CookieStore::revocation): a token that can be used twice, unnoticed,
    /// would be worse. With an overflow store it works once the session has outgrown its cookie; of a
    /// value that was put in before that, an older cookie can bring a copy back when the record is
    /// gone, so keep one-time tokens in a session that is always in a store. Where twice does no harm, [`get`](Self::get) the value and [`remove`](Self::remove) it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NeedsStore`] for a session in a cookie. As for [`get`](Self::get): a value of
    /// another type stays, unless another request stored it meanwhile. As for [`save`](Self::save), after which the value stays too, unless the
    /// store has done the save and its answer was lost.
    pub async fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.take_by(key, from_json).await
    }

    /// Takes bytes that [`insert_bytes`](Self::insert_bytes) has stored, for this request alone; see
    /// [`take`](Self::take).
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take) and [`get_bytes`](Self::get_bytes).
    pub async fn take_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.take_by(key, |value| unwrap_bytes(value).map(Some))
            .await
    }

    /// As [`take`](Self::take), with this way to make a `T` of what is stored.
    pub(super) async fn take_by<T>(
        &self,
        key: &str,
        parse: impl Fn(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        self.check_is_taken_once(key)?;
        // One of another type stays.
        if self.get_by(key, &parse)?.is_none() {
            return Ok(None);
        }
        let taken = self.write(|content| {
            let found = content.frames.get(key).map(<[u8]>::to_vec);
            content.frames.remove(key);
            let taken = found.map(|value| Arc::new(TakenValue::new(value)));
            let change = taken.clone().map(|taken| {
                let key = key.into();
                || Change::Take { key, taken }
            });
            Ok((Effect::some(change), taken))
        })?;
        let Some(taken) = taken else {
            return Ok(None);
        };
        if let Err(error) = self.save().await {
            self.write(|content| {
                taken.return_to(&mut content.frames, key);
                Ok((Effect::<fn() -> Change>::Nothing, ()))
            })?;
            return Err(error);
        }
        let value = taken.value().map(|value| parse(&value)).transpose();
        value
            .map(Option::flatten)
            .map_err(|error| error.of(self.name()))
    }

    /// # Errors
    ///
    /// [`ErrorKind::NeedsStore`] if the value is in the cookie, or can be nowhere else.
    fn check_is_taken_once(&self, key: &str) -> Result<(), Error> {
        if !self.settings().may_be_in_cookie() {
            return Ok(());
        }
        let has_records = self.settings().records().is_some();
        self.read(|view| {
            let is_there = view.content.frames.get(key).is_some();
            if has_records && (view.home.is_record() || !is_there) {
                Ok(())
            } else {
                Err(Error::new(ErrorKind::NeedsStore))
            }
        })
    }
}
