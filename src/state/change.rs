//! What a request did to a session, kept so that it can be done again to what another request has
//! saved.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    clock::Timestamp,
    content::{Content, FlashId, Persistence, Subject},
    cookie::CookieAttributes,
    error::Error,
};

/// One step; applied once to the view of this request, and again to a newer state after a conflict.
pub(crate) enum Change {
    Insert {
        key: Box<str>,
        value: Vec<u8>,
    },
    Remove {
        key: Box<str>,
    },
    Clear,
    Update {
        key: Box<str>,
        update: Update,
    },
    PushFlash {
        queue: Box<str>,
        id: FlashId,
        value: Vec<u8>,
    },
    TakeFlashes(Taken),
    Persist(Persistence),
    /// The session was renewed.
    Authenticate(Timestamp),
    Attributes(CookieAttributes),
    SetSubject {
        name: Box<str>,
        note: Box<str>,
    },
    RemoveSubject,
    /// The subject's roster is told that the session is in use.
    Listed(Timestamp),
}

/// The messages a request has taken; after a save, those that no other request had taken before.
pub(crate) type Taken = Arc<Mutex<Vec<FlashId>>>;

/// From the JSON that is there to the JSON that shall be.
pub(crate) type Update = Box<dyn FnMut(Option<&[u8]>) -> Result<Vec<u8>, Error> + Send>;

impl Change {
    /// # Errors
    ///
    /// Only an update can fail: when what it finds is not of its type any more.
    pub(crate) fn apply(&mut self, content: &mut Content) -> Result<(), Error> {
        let frames = &mut content.frames;
        match self {
            Self::Insert { key, value } => frames.insert(key, value),
            Self::Remove { key } => drop(frames.remove(key)),
            Self::Clear => frames.clear(),
            Self::Update { key, update } => {
                let value = update(frames.get(key))?;
                frames.insert(key, &value);
            }
            Self::PushFlash { queue, id, value } => frames.push_flash(queue, *id, value),
            // What another request has taken meanwhile is no longer this one's.
            Self::TakeFlashes(taken) => taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|id| frames.remove_flash(*id)),
            Self::Persist(persistence) => content.persistence = *persistence,
            Self::Authenticate(now) => content.authenticated = Some(*now),
            Self::Attributes(attributes) => content.attributes = Some(Box::new(attributes.clone())),
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
                if let Some(subject) = &mut content.subject {
                    subject.listed = *now;
                }
            }
        }
        Ok(())
    }

    /// Whether it has code of the application in it, which must not run under a lock.
    pub(crate) fn runs_code(&self) -> bool {
        matches!(self, Self::Update { .. })
    }

    pub(crate) fn is_of_subject(&self) -> bool {
        matches!(self, Self::SetSubject { .. } | Self::RemoveSubject)
    }

    /// Whether the browser has to be told, even if only the record changes.
    pub(crate) fn shows_in_cookie(&self) -> bool {
        matches!(self, Self::Persist(_) | Self::Attributes(_))
    }
}

fn remove_subject(content: &mut Content) {
    // One with a note is in no roster yet.
    if let Some(subject) = content
        .subject
        .take()
        .filter(|subject| subject.note.is_none())
    {
        content.former = Some(subject.name);
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
            Self::PushFlash { .. } => "PushFlash",
            Self::TakeFlashes(_) => "TakeFlashes",
            Self::Persist(_) => "Persist",
            Self::Authenticate(_) => "Authenticate",
            Self::Attributes(_) => "Attributes",
            Self::SetSubject { .. } => "SetSubject",
            Self::RemoveSubject => "RemoveSubject",
            Self::Listed(_) => "Listed",
        })
    }
}
