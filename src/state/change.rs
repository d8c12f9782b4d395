//! What a request did to a session, kept so that it can be done again to what another request has
//! saved.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::value_key::ValueKey;
use crate::{
    clock::Timestamp,
    content::{Content, FlashId, Frames, Persistence, Subject},
    cookie::CookieAttributes,
    error::{Error, ErrorKind},
};

/// One step; applied once to the view of this request, and again to a newer state after a conflict.
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
    /// Nobody has seen what was taken and saved.
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
    /// The subject's roster is told that the session is in use.
    Listed(Timestamp),
    /// The session was like that already: nothing to save, unless it begins anew.
    Same(Box<Self>),
}

pub(crate) type Taken = Arc<TakenFlashes>;

/// The messages of one queue that a request has taken.
#[derive(Debug, Default)]
pub(crate) struct TakenFlashes {
    pub(crate) queue: Box<str>,
    pub(crate) messages: Vec<RawFlash>,
    /// Those of them that are this request's: after a save, the ones that no other request had
    /// taken before.
    ids: Mutex<Vec<FlashId>>,
}

/// A value that a request takes for itself alone.
pub(crate) struct TakenValue {
    key: Box<str>,
    /// Whether stored bytes are of the type that is taken. It runs code of the application.
    fits: fn(&[u8]) -> bool,
    taking: Mutex<Taking>,
}

#[derive(Default)]
struct Taking {
    /// What was there when the session was changed last: in this request, or in the write that took
    /// it.
    found: Option<Vec<u8>>,
    /// The write failed: nothing is to be taken any more.
    is_given_up: bool,
    /// The request has removed the key since: a write that fails does not bring it back.
    is_removed: bool,
}

/// A message's id and JSON.
pub(crate) type RawFlash = (FlashId, Vec<u8>);

/// From the JSON that is there to the JSON that shall be; `None` to leave it.
pub(crate) type Update = Box<dyn FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> + Send>;

/// What an accessor has done to the content.
pub(crate) enum Effect<C> {
    Nothing,
    /// What it asked for was there already.
    Same(C),
    Change(C),
}

/// What is said of a change, or of any of several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Kinds {
    /// There is a reason to save the session.
    pub(crate) is_due: bool,
    /// It is about how long the session lasts, and counts as use in any request.
    pub(crate) is_of_lifetime: bool,
    pub(crate) is_of_subject: bool,
    /// The roster has to be told. A session that is to last longer is to be listed longer, and a
    /// save that failed may have told nobody.
    pub(crate) is_told: bool,
    /// The browser has to be told, even if only the record changes.
    pub(crate) shows_in_cookie: bool,
    /// It has code of the application in it, which must not run under a lock.
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

    /// Of a change that changes nothing.
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

    /// A change if there is one.
    pub(crate) fn some(change: Option<C>) -> Self {
        change.map_or(Self::Nothing, Self::Change)
    }
}

impl Change {
    /// # Errors
    ///
    /// Only an update can fail: when what it finds is not of its type any more, or by itself.
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
                    // The caller of the save got the error, so the next save leaves it out.
                    if error.kind() == ErrorKind::UpdateRefused {
                        *update = Box::new(|_| Ok(None));
                    }
                    return Err(error.of_value(key.as_str()));
                }
            },
            Self::Take(taken) => taken.take(frames),
            Self::PushFlash { queue, id, value } => frames.push_flash(queue, *id, value),
            // What another request has taken meanwhile is no longer this one's.
            Self::TakeFlashes(taken) => taken.ids().retain(|id| frames.remove_flash(*id)),
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

    /// It will not be saved: a caller who waits for its result gets nothing.
    pub(crate) fn give_up(&self) {
        match self {
            Self::Take(taken) => drop(taken.give_up()),
            Self::TakeFlashes(taken) => taken.ids().clear(),
            _ => {}
        }
    }

    /// Whether it takes just these messages.
    pub(crate) fn takes(&self, taken: &Taken) -> bool {
        matches!(self, Self::TakeFlashes(other) if Arc::ptr_eq(other, taken))
    }

    /// Whether it makes this session somebody's whose it is not.
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
        let ids = messages.iter().map(|(id, _)| *id).collect();
        Self {
            queue: queue.into(),
            messages,
            ids: Mutex::new(ids),
        }
    }

    pub(crate) fn ids(&self) -> MutexGuard<'_, Vec<FlashId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts those that are this request's in front of those that came since.
    pub(crate) fn put_back(&self, content: &mut Content) {
        let (ids, frames) = (self.ids(), &mut content.frames);
        let newer = frames.flashes(&self.queue);
        let newer: Vec<RawFlash> = newer.map(|(id, json)| (id, json.to_vec())).collect();
        for (id, _) in &newer {
            frames.remove_flash(*id);
        }
        let is_newer = |id| newer.iter().any(|(newer, _)| *newer == id);
        let old = self.messages.iter();
        let old = old.filter(|(id, _)| ids.contains(id) && !is_newer(*id));
        for (id, json) in old.chain(&newer) {
            frames.push_flash(&self.queue, *id, json);
        }
    }

    /// How many bytes they take.
    pub(crate) fn growth(&self) -> usize {
        let ids = self.ids();
        let ours = self.messages.iter().filter(|(id, _)| ids.contains(id));
        ours.map(|(_, json)| Frames::flash_growth(&self.queue, json.len()))
            .sum()
    }
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

    /// Takes what is there now: another request may have been faster. One of another type stays.
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

    /// The value, once the session is saved. `None` if another request has it.
    pub(crate) fn value(&self) -> Option<Vec<u8>> {
        self.taking().found.clone()
    }

    /// The request removes this key, or all of them.
    pub(crate) fn remove(&self, key: Option<&str>) {
        if key.is_none_or(|key| *key == *self.key) {
            self.taking().is_removed = true;
        }
    }

    /// Nobody gets it: it goes back where it was, unless there is another one or it was removed.
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
    // One with a note is in no roster yet.
    if let Some(subject) = content
        .subject
        .take()
        .filter(|subject| subject.note.is_none())
    {
        content.former = Some(subject);
    }
}

/// Shows which step it is, and no value.
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
