//! Changes to a session, kept so that they can be applied again to what another request has saved.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::value_key::ValueKey;
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Content, FlashId, Frames, Persistence, Subject},
    cookie::CookieAttributes,
    error::{Error, ErrorKind},
};

/// One change. It is applied once to this request's view, and again to newer content after a
/// conflict.
pub(crate) enum Change {
    Insert {
        key: ValueKey,
        value: Vec<u8>,
    },
    Remove {
        key: ValueKey,
    },
    Clear,
    Update {
        key: ValueKey,
        update: Update,
    },
    Take(Arc<TakenValue>),
    PushFlash {
        queue: Box<str>,
        id: FlashId,
        value: Vec<u8>,
    },
    TakeFlashes(Taken),
    /// Messages that were taken and saved go back, because nobody has seen them.
    PutBackFlashes(Taken),
    Persist(Persistence),
    /// The session was renewed.
    Authenticate(Timestamp),
    Attributes(Box<CookieAttributes>),
    SetSubject {
        name: Box<str>,
        note: Box<str>,
    },
    RemoveSubject,
    /// The subject's roster notes that the session is in use.
    Listed(Timestamp),
    /// A change that changed nothing. It is saved only if a new session takes this one's place.
    Same(Box<Self>),
}

pub(crate) type Taken = Arc<TakenFlashes>;

/// The messages of one queue that a request has taken.
#[derive(Debug, Default)]
pub(crate) struct TakenFlashes {
    pub(crate) queue: Box<str>,
    pub(crate) messages: Vec<RawFlash>,
    /// The messages that this request has for itself, in ascending order. After a save, those that
    /// no other request had taken before.
    ids: Mutex<Vec<FlashId>>,
}

/// A value that a request takes for itself alone.
pub(crate) struct TakenValue {
    key: Box<str>,
    /// Whether stored bytes are of the type to be taken. It runs code of the application.
    fits: fn(&[u8]) -> bool,
    taking: Mutex<Taking>,
}

#[derive(Default)]
struct Taking {
    /// The value found by the latest attempt: in this request's view, or in the write that took it.
    found: Option<Vec<u8>>,
    /// The write failed, so that nothing may be taken any more.
    is_given_up: bool,
    /// The request has since removed the key, so that a failed write must not bring the value back.
    is_removed: bool,
}

/// A message's id and JSON.
pub(crate) type RawFlash = (FlashId, Vec<u8>);

/// Maps the stored JSON to new JSON, or to `None` to leave it as it is.
pub(crate) type Update = Box<dyn FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> + Send>;

/// What an accessor did to the content.
pub(crate) enum Effect<C> {
    Nothing,
    /// The content already was as the change would make it.
    Same(C),
    Change(C),
}

/// Properties of a change, or the union of those of several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Kinds {
    /// The session must be saved.
    pub(crate) is_due: bool,
    /// The change concerns how long the session lasts, and counts as use in any request.
    pub(crate) is_of_lifetime: bool,
    pub(crate) is_of_subject: bool,
    /// The roster must learn of it. A session that lasts longer must be listed longer, and the
    /// roster may have missed a save that failed.
    pub(crate) is_told: bool,
    /// The browser needs a new cookie, even if only the record changes.
    pub(crate) shows_in_cookie: bool,
    /// The change holds code of the application, which must not run under a lock.
    pub(crate) runs_code: bool,
}

impl Kinds {
    pub(super) fn add(&mut self, other: Self) {
        self.is_due |= other.is_due;
        self.is_of_lifetime |= other.is_of_lifetime;
        self.is_of_subject |= other.is_of_subject;
        self.is_told |= other.is_told;
        self.shows_in_cookie |= other.shows_in_cookie;
        self.runs_code |= other.runs_code;
    }

    /// The properties of the change if it changes nothing.
    fn same(self) -> Self {
        let (is_of_lifetime, runs_code) = (self.is_of_lifetime, self.runs_code);
        Self {
            is_of_lifetime,
            runs_code,
            ..Self::default()
        }
    }
}

impl<C> Effect<C> {
    pub(crate) fn unless(is_same: bool, change: C) -> Self {
        match is_same {
            true => Self::Same(change),
            false => Self::Change(change),
        }
    }

    /// `Change` if there is one, otherwise `Nothing`.
    pub(crate) fn some(change: Option<C>) -> Self {
        change.map_or(Self::Nothing, Self::Change)
    }
}

impl Change {
    /// Applies the change to the content.
    ///
    /// # Errors
    ///
    /// Only an update can fail: its closure may, and the stored value may have another type by now.
    pub(crate) fn apply(&mut self, content: &mut Content) -> Result<(), Error> {
        let frames = &mut content.frames;
        match self {
            Self::Insert { key, value } => frames.insert(key.as_str(), value),
            Self::Remove { key } => drop(frames.remove(key.as_str())),
            Self::Clear => frames.clear(),
            Self::Update { key, update } => match update(frames.get(key.as_str())) {
                Ok(Some(value)) => frames.insert(key.as_str(), &value),
                Ok(None) => {}
                Err(error) => {
                    // The caller of the save gets the error. The next save omits the update.
                    if error.kind() == ErrorKind::UpdateRefused {
                        *update = Box::new(|_| Ok(None));
                    }
                    return Err(error.of_value(key.as_str()));
                }
            },
            Self::Take(taken) => taken.take(frames),
            Self::PushFlash { queue, id, value } => frames.push_flash(queue, *id, value),
            // Messages that another request has taken meanwhile do not belong to this one.
            Self::TakeFlashes(taken) => frames.remove_flashes(&mut taken.ids()),
            Self::PutBackFlashes(taken) => taken.put_back(content),
            Self::Persist(persistence) => content.persistence = *persistence,
            Self::Authenticate(now) => content.authenticated = Some((*now).into()),
            Self::Attributes(attributes) => content.attributes = Some(attributes.clone()),
            Self::SetSubject { name, note } => {
                remove_subject(content);
                let (since, listed) = (Timestamp::default(), Timestamp::default());
                let (name, note) = (name.clone(), Some(note.clone()));
                content.subject = Some(Box::new(Subject {
                    name,
                    since,
                    listed,
                    note,
                }));
            }
            Self::RemoveSubject => remove_subject(content),
            Self::Listed(now) => {
                if let Some(subject) = content.subject_mut() {
                    subject.listed = *now;
                }
            }
            Self::Same(change) => change.apply(content)?,
        }
        Ok(())
    }

    pub(crate) fn same(self) -> Self {
        Self::Same(self.into())
    }

    pub(crate) fn kinds(&self) -> Kinds {
        let due = Kinds {
            is_due: true,
            ..Kinds::default()
        };
        match self {
            Self::Insert { .. } | Self::Remove { .. } | Self::Clear => due,
            Self::PushFlash { .. } | Self::TakeFlashes(_) | Self::PutBackFlashes(_) => due,
            Self::Update { .. } | Self::Take(_) => Kinds {
                runs_code: true,
                ..due
            },
            Self::Persist(_) => Kinds {
                is_of_lifetime: true,
                is_told: true,
                shows_in_cookie: true,
                ..due
            },
            Self::Authenticate(_) => Kinds {
                is_of_lifetime: true,
                ..due
            },
            Self::Attributes(_) => Kinds {
                shows_in_cookie: true,
                ..due
            },
            Self::SetSubject { .. } => Kinds {
                is_of_lifetime: true,
                is_of_subject: true,
                ..due
            },
            Self::RemoveSubject => Kinds {
                is_of_subject: true,
                ..due
            },
            Self::Listed(_) => Kinds {
                is_told: true,
                ..due
            },
            Self::Same(change) => change.kinds().same(),
        }
    }

    /// Gives the change up because it will not be saved. A caller that waits for its result gets
    /// nothing.
    pub(crate) fn give_up(&self) {
        match self {
            Self::Take(taken) => drop(taken.give_up()),
            Self::TakeFlashes(taken) => taken.ids().clear(),
            _ => {}
        }
    }

    /// Whether the change takes exactly these messages.
    pub(crate) fn takes(&self, taken: &Taken) -> bool {
        matches!(self, Self::TakeFlashes(other) if Arc::ptr_eq(other, taken))
    }

    /// Whether the change logs in somebody who is not the content's subject.
    pub(crate) fn is_login_to(&self, content: &Content) -> bool {
        let is_theirs = |name: &str| {
            content
                .subject
                .as_ref()
                .is_some_and(|theirs| *theirs.name == *name)
        };
        matches!(self, Self::SetSubject { name, .. } if !is_theirs(name))
    }
}

impl TakenFlashes {
    pub(crate) fn new(queue: &str, messages: Vec<RawFlash>) -> Self {
        let mut ids: Vec<_> = messages.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        Self {
            queue: queue.into(),
            messages,
            ids: Mutex::new(ids),
        }
    }

    /// Removes these messages from the frames. Another thread may have taken some of them before.
    pub(crate) fn taken_from(frames: &mut Frames, queue: &str, messages: Vec<RawFlash>) -> Self {
        let mut taken = Self::new(queue, messages);
        let ids = taken.ids.get_mut().unwrap_or_else(PoisonError::into_inner);
        frames.remove_flashes(ids);
        taken.messages.retain(|(id, _)| has_id(ids, *id));
        taken
    }

    pub(crate) fn ids(&self) -> MutexGuard<'_, Vec<FlashId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts this request's messages back in front of newer ones.
    pub(crate) fn put_back(&self, content: &mut Content) {
        let (ids, frames) = (self.ids(), &mut content.frames);
        let newer = frames.flashes(&self.queue);
        let newer: Vec<RawFlash> = newer.map(|(id, json)| (id, json.to_vec())).collect();
        let mut newer_ids: Vec<_> = newer.iter().map(|(id, _)| *id).collect();
        newer_ids.sort_unstable();
        let old = self.messages.iter();
        let old = old.filter(|(id, _)| has_id(&ids, *id) && !has_id(&newer_ids, *id));
        frames.set_flashes(&self.queue, old.chain(&newer));
    }

    /// Checks that the session can still be kept if they are put back.
    pub(crate) fn check_fits(&self, content: &Content, settings: &Settings) -> Result<(), Error> {
        let checked = settings.check_growth(content, self.growth());
        checked.map_err(Error::new)?;
        if !settings.is_of_go() || settings.check_in_go(content).is_err() {
            return Ok(());
        }
        let mut whole = content.clone();
        self.put_back(&mut whole);
        settings.check_in_go(&whole)
    }

    /// How many bytes the content grows if they are put back.
    fn growth(&self) -> usize {
        let ids = self.ids();
        let ours = self.messages.iter().filter(|(id, _)| has_id(&ids, *id));
        ours.map(|(_, json)| Frames::flash_growth(&self.queue, json.len()))
            .sum()
    }
}

/// Returns whether an id is among these, which are in ascending order.
pub(crate) fn has_id(ids: &[FlashId], id: FlashId) -> bool {
    ids.binary_search(&id).is_ok()
}

impl TakenValue {
    pub(crate) fn new(key: &str, found: Vec<u8>, fits: fn(&[u8]) -> bool) -> Self {
        let taking = Taking {
            found: Some(found),
            ..Taking::default()
        };
        Self {
            key: key.into(),
            fits,
            taking: Mutex::new(taking),
        }
    }

    /// Takes the value that is there now, if any: another request may have been faster. A value of
    /// another type stays.
    fn take(&self, frames: &mut Frames) {
        if self.taking().is_given_up {
            return;
        }
        let found = frames.get(&self.key).map(<[u8]>::to_vec);
        if found.as_deref().is_some_and(self.fits) {
            frames.remove(&self.key);
        }
        self.taking().found = found;
    }

    /// The value, once the session is saved. `None` if another request has taken it.
    pub(crate) fn value(&self) -> Option<Vec<u8>> {
        self.taking().found.clone()
    }

    /// Notes that the request removes `key`, or all keys.
    pub(crate) fn remove(&self, key: Option<&str>) {
        if key.is_none_or(|key| *key == *self.key) {
            self.taking().is_removed = true;
        }
    }

    /// Puts the value back, unless the key has another value by now or was removed.
    pub(crate) fn return_to(&self, frames: &mut Frames) {
        let is_free = frames.get(&self.key).is_none() && !self.taking().is_removed;
        if let Some(value) = self.give_up().filter(|_| is_free) {
            frames.insert(&self.key, &value);
        }
    }

    fn give_up(&self) -> Option<Vec<u8>> {
        let mut taking = self.taking();
        taking.is_given_up = true;
        taking.found.take()
    }

    fn taking(&self) -> MutexGuard<'_, Taking> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_subject(content: &mut Content) {
    if content.subject.is_none() {
        return;
    }
    // A subject with a note is in no roster yet.
    if let Some(subject) = content
        .subject
        .take()
        .filter(|subject| subject.note.is_none())
    {
        content.former = Some(subject);
    }
}

/// Shows the kind of change and no values.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insert { .. } => "Insert",
            Self::Remove { .. } => "Remove",
            Self::Clear => "Clear",
            Self::Update { .. } => "Update",
            Self::Take(_) => "Take",
            Self::PushFlash { .. } => "PushFlash",
            Self::TakeFlashes(_) => "TakeFlashes",
            Self::PutBackFlashes(_) => "PutBackFlashes",
            Self::Persist(_) => "Persist",
            Self::Authenticate(_) => "Authenticate",
            Self::Attributes(_) => "Attributes",
            Self::SetSubject { .. } => "SetSubject",
            Self::RemoveSubject => "RemoveSubject",
            Self::Listed(_) => "Listed",
            Self::Same(_) => "Same",
        })
    }
}
