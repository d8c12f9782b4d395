//! Taking a value for one request alone.

use serde::de::DeserializeOwned;

use super::{
    Session,
    json::{from_json, unwrap_bytes},
};
use crate::error::{Error, ErrorKind};

/// Taking a value for one request alone.
impl Session {
    /// Removes the value under `key` and saves the session at once, so that exactly one of any
    /// number of concurrent requests gets it. The others get `None`.
    ///
    /// Use it for values that may be used only once: a form's token, the state of an OAuth login, a
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
    /// The price: the value is gone if the handler then fails, if its future is dropped, or if
    /// [nobody sees](Self#which-changes-last) the response. So take it in handlers of POST, which
    /// no browser sends in advance. The save includes the request's other changes.
    ///
    /// You get the value that is there when the session is saved. If another request has stored a
    /// newer one meanwhile, you get that.
    ///
    /// # Sessions in a cookie
    ///
    /// A browser or a thief can send an old cookie again, with the value in it. A token that can be
    /// used twice unnoticed would be worse than none. So this is an error for every session that
    /// can be in a cookie, even with [`revocation`](crate::store::CookieStore::revocation) or an
    /// [overflow](crate::store::CookieStore::overflow) store. Keep one-time tokens in a second
    /// session that is always in a store. Where using a value twice does no harm,
    /// [`get`](Self::get) it and [`remove`](Self::remove) it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NeedsStore`] for a session that can be in a cookie. As for [`get`](Self::get):
    /// a value of another type stays. As for [`save`](Self::save): the value stays too, unless the
    /// store did the save and its answer was lost.
    pub async fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.take_by(key, from_json, |value| from_json::<T>(value).is_ok())
            .await
    }

    /// Takes bytes that [`insert_bytes`](Self::insert_bytes) has stored, for this request alone.
    /// See [`take`](Self::take).
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// session.insert_bytes("challenge", [1, 2])?;
    /// assert_eq!(session.take_bytes("challenge").await?, Some(vec![1, 2]));
    /// assert_eq!(session.take_bytes("challenge").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take) and [`get_bytes`](Self::get_bytes).
    pub async fn take_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let parse = |value: &[u8]| unwrap_bytes(value).map(Some);
        self.take_by(key, parse, |value| unwrap_bytes(value).is_ok())
            .await
    }

    /// Like [`take`](Self::take), with a parser of the stored value. `fits` returns whether `parse`
    /// will succeed.
    pub(super) async fn take_by<T>(
        &self,
        key: &str,
        parse: impl Fn(&[u8]) -> Result<Option<T>, Error>,
        fits: fn(&[u8]) -> bool,
    ) -> Result<Option<T>, Error> {
        if self.settings().may_be_in_cookie() {
            return Err(Error::new(ErrorKind::NeedsStore).of(self.name()));
        }
        // A value of another type stays.
        if self.get_by(key, &parse)?.is_none() {
            return Ok(None);
        }
        let Some(taken) = self.write_state(|state| state.take_value(key, fits))? else {
            return Ok(None);
        };
        if let Err(error) = self.save().await {
            self.write_state(|state| {
                taken.return_to(&mut state.content()?.frames);
                Ok(())
            })?;
            return Err(error);
        }
        let value = taken.value().map(|value| parse(&value)).transpose();
        value
            .map(Option::flatten)
            .map_err(|error| error.of(self.name()).of_value(key))
    }
}
