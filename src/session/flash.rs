//! Flash messages: shown once, usually on the page after a redirect.

use std::{any::type_name, mem, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    json::{from_json, to_json},
};
use crate::{
    content::{Content, FlashId, Frames},
    crypto,
    error::Error,
    state::{Change, Effect, RawFlash, Taken, TakenFlashes, has_id},
    trace,
};

const DEFAULT_QUEUE: &str = "";

impl Session {
    /// Leaves a message for the next page.
    ///
    /// Messages are kept apart from the values, so they cannot clash with a key.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash("Your profile was saved")?;
    /// // On the next page:
    /// assert_eq!(session.flashes::<String>()?, ["Your profile was saved"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`insert`](Self::insert), and
    /// [`ErrorKind::RandomFailed`](crate::ErrorKind::RandomFailed).
    #[doc(alias = "AddFlash")]
    pub fn flash<T: Serialize>(&self, message: T) -> Result<(), Error> {
        self.flash_in(DEFAULT_QUEUE, message)
    }

    /// Leaves a message in a named queue, such as `"errors"`.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash_in("errors", "The file was too large")?;
    /// assert!(session.flashes::<String>()?.is_empty());
    /// assert_eq!(session.flashes_in::<String>("errors")?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`flash`](Self::flash).
    pub fn flash_in<T: Serialize>(&self, queue: &str, message: T) -> Result<(), Error> {
        let prepare = || Ok((to_json(&message)?, crypto::random()?));
        let (value, id) = prepare().map_err(|error: Error| error.of(self.name()))?;
        self.write(|content| {
            self.check_growth(content, Frames::flash_growth(queue, value.len()))?;
            content.frames.push_flash(queue, id, &value);
            Ok((
                Effect::Change(|| Change::PushFlash {
                    queue: queue.into(),
                    id,
                    value,
                }),
                (),
            ))
        })
    }

    /// Takes all messages, oldest first.
    ///
    /// They are gone once this request is saved. If the request fails, or [nobody
    /// sees](Self#which-changes-last) its response, the next one gets them. Two requests at the
    /// same time may both get a message: see [`claim_flashes`](Self::claim_flashes).
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash("Saved")?;
    /// for message in session.flashes::<String>()? {
    ///     println!("{message}"); // in HTML, escape it
    /// }
    /// assert!(session.flashes::<String>()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A message that is not a `T`, such as one of an older release, is dropped with an event in
    /// the log, and the others are returned. So keep one type of message in a queue:
    /// [`Flashes::success`](crate::Flashes::success) and its like leave a
    /// [`FlashMessage`](crate::FlashMessage), not a `String`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`](crate::ErrorKind::NotLoaded),
    /// [`ErrorKind::AlreadyCommitted`](crate::ErrorKind::AlreadyCommitted).
    pub fn flashes<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.flashes_in(DEFAULT_QUEUE)
    }

    /// Takes all messages of one queue, oldest first.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash_in("errors", "The file was too large")?;
    /// assert_eq!(session.flashes_in::<String>("errors")?, ["The file was too large"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`flashes`](Self::flashes).
    pub fn flashes_in<T: DeserializeOwned>(&self, queue: &str) -> Result<Vec<T>, Error> {
        let messages = self.take_flashes(queue)?.messages.into_iter();
        Ok(messages.map(|(_, message)| message).collect())
    }

    /// Takes all messages and saves the session at once, so that of any number of concurrent
    /// requests exactly one gets each message.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// session.flash("You have won")?;
    /// assert_eq!(session.claim_flashes::<String>().await?, ["You have won"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The price: a message is lost if the handler then fails, or if this future is dropped. If
    /// [nobody sees](Self#which-changes-last) the response, the message is put back with it, by
    /// another save. Sessions in a cookie cannot promise that only one request gets it.
    ///
    /// # Errors
    ///
    /// As for [`flashes`](Self::flashes) and [`save`](Self::save).
    pub async fn claim_flashes<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.claim_flashes_in(DEFAULT_QUEUE).await
    }

    /// Takes all messages of one queue and saves the session at once.
    ///
    /// ```
    /// # use silverback::{Key, MemoryStore, Session, SessionConfig};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = SessionConfig::new("account", MemoryStore::new(), Key::generate()?);
    /// # let session = Session::detached(&config)?;
    /// session.flash_in("prizes", "You have won")?;
    /// assert_eq!(session.claim_flashes_in::<String>("prizes").await?, ["You have won"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`claim_flashes`](Self::claim_flashes).
    pub async fn claim_flashes_in<T: DeserializeOwned>(
        &self,
        queue: &str,
    ) -> Result<Vec<T>, Error> {
        let Taking {
            messages,
            ids,
            taken,
        } = self.take_flashes(queue)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(error) = self.save().await {
            self.put_back(&taken)?;
            return Err(error);
        }
        let ours = taken.ids().clone();
        let claimed = messages.into_iter().filter(|(id, _)| has_id(&ours, *id));
        Ok(claimed.map(|(_, message)| message).collect())
    }

    /// Returns all messages, oldest first, and leaves them there. A message that is not a `T` is
    /// left out.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash("Saved")?;
    /// assert_eq!(session.peek_flashes::<String>()?.len(), 1);
    /// assert_eq!(session.flashes::<String>()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoaded`](crate::ErrorKind::NotLoaded).
    pub fn peek_flashes<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.peek_flashes_in(DEFAULT_QUEUE)
    }

    /// Returns all messages of one queue, and leaves them there.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash_in("errors", "The file was too large")?;
    /// let has_errors = !session.peek_flashes_in::<String>("errors")?.is_empty();
    /// assert!(has_errors);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`peek_flashes`](Self::peek_flashes).
    pub fn peek_flashes_in<T: DeserializeOwned>(&self, queue: &str) -> Result<Vec<T>, Error> {
        let raw: Vec<Vec<u8>> = self.read(|view| {
            let queued = view.content.frames.flashes(queue);
            Ok(queued.map(|(_, value)| value.to_vec()).collect())
        })?;
        // Without the lock: deserializing a `T` runs code of the application.
        let messages = raw
            .iter()
            .filter_map(|value| from_json(value).ok().flatten());
        Ok(messages.collect())
    }

    /// Puts back the messages that this request has taken, so that the next page gets them, before
    /// newer ones. Use it in a handler that redirects once more after taking its messages. Rails
    /// has `flash.keep`.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash("Saved")?;
    /// let taken: Vec<String> = session.flashes()?;
    /// session.keep_flashes()?;
    /// assert_eq!(session.flashes::<String>()?, taken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Messages that nobody takes stay anyway, for any number of pages.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the handler has left no room for
    /// them. Otherwise as for [`flashes`](Self::flashes).
    pub fn keep_flashes(&self) -> Result<(), Error> {
        self.keep_flashes_in(DEFAULT_QUEUE)
    }

    /// Puts back the messages of one queue that this request has taken.
    ///
    /// ```
    /// # use silverback::{Key, Session, SessionConfig};
    /// # let session = Session::detached(&SessionConfig::cookie("account", Key::generate()?))?;
    /// session.flash_in("errors", "The file was too large")?;
    /// let taken: Vec<String> = session.flashes_in("errors")?;
    /// session.keep_flashes_in("errors")?;
    /// assert_eq!(session.flashes_in::<String>("errors")?, taken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`keep_flashes`](Self::keep_flashes).
    pub fn keep_flashes_in(&self, queue: &str) -> Result<(), Error> {
        self.write_state(|state| {
            let mut kept = Ok(());
            let fits = |content: &Content, taken: &TakenFlashes| {
                let fits = taken.check_fits(content, self.settings());
                let is_fine = fits.is_ok();
                kept = mem::replace(&mut kept, Ok(())).and(fits);
                is_fine
            };
            state.put_back_flashes(|taken| taken == queue, fits);
            kept
        })
    }

    /// Puts back messages that nobody has seen, so that the next page gets them.
    fn put_back(&self, taken: &Taken) -> Result<(), Error> {
        let entered = self.write(|content| {
            taken.put_back(content);
            Ok((Effect::<fn() -> Change>::Nothing, ()))
        });
        taken.ids().clear();
        entered
    }

    fn take_flashes<T: DeserializeOwned>(&self, queue: &str) -> Result<Taking<T>, Error> {
        let raw: Vec<RawFlash> = self.write(|content| {
            let queued = content.frames.flashes(queue);
            let raw = queued.map(|(id, value)| (id, value.to_vec())).collect();
            Ok((Effect::<fn() -> Change>::Nothing, raw))
        })?;
        // Without the lock: deserializing a `T` runs code of the application.
        let messages: Vec<Option<T>> = raw
            .iter()
            .map(|(_, value)| from_json(value).ok().flatten())
            .collect();
        let read: Vec<FlashId> = raw.iter().map(|(id, _)| *id).collect();
        let (ids, taken) = self.write_logged(true, |content| {
            let taken = Taken::new(TakenFlashes::taken_from(&mut content.frames, queue, raw));
            let (ids, log) = (taken.ids().clone(), Arc::clone(&taken));
            Ok((
                Effect::some((!ids.is_empty()).then_some(|| Change::TakeFlashes(log))),
                (ids, taken),
            ))
        })?;
        let mine = read
            .into_iter()
            .zip(messages)
            .filter(|(id, _)| has_id(&ids, *id));
        let readable = mine.filter_map(|(id, message)| {
            if message.is_none() {
                trace::flash_dropped(self.name(), type_name::<T>());
            }
            Some((id, message?))
        });
        Ok(Taking {
            messages: readable.collect(),
            ids,
            taken,
        })
    }
}

/// Messages that a request has taken.
struct Taking<T> {
    /// The messages of the requested type.
    messages: Vec<(FlashId, T)>,
    /// The ids of all messages, in ascending order.
    ids: Vec<FlashId>,
    /// The change in the log. After a save it holds only the messages that no other request took
    /// first.
    taken: Taken,
}
