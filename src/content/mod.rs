//! The stored content of a session: its values, its lifetime, its cookie's attributes, its subject.

mod frames;
#[cfg(feature = "gorilla")]
mod go;
mod index;
mod mark;
mod moved;
mod wire;
mod writes;

use std::{
    num::NonZeroU64,
    ops::{Deref, DerefMut},
    time::Duration,
};

#[cfg(feature = "gorilla")]
pub(crate) use self::go::{GoChange, change_in_go, merge_go};
pub(crate) use self::{
    frames::{FlashId, Frames},
    mark::{End, Fate, Mark, Name, Unreadable},
    moved::{Moved, Origin},
    wire::{Stored, decode_record, seal_record},
    writes::{Done, WriteId, Writes},
};
use crate::{binary::varint_len, clock::Timestamp, cookie::CookieAttributes};

/// The content of a session. It dereferences to its [`Particulars`].
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) created: Timestamp,
    /// Counts the cookies that the session was in.
    pub(crate) revision: u32,
    pub(crate) frames: Frames,
    /// `None` until one of them changes: a content is moved often, and its size shows in the cost
    /// of a request.
    particulars: Option<Box<Particulars>>,
}

/// The fields that only some sessions set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Particulars {
    pub(crate) persistence: Persistence,
    pub(crate) attributes: Option<Box<CookieAttributes>>,
    /// When the session was last renewed.
    pub(crate) authenticated: Option<Moment>,
    pub(crate) subject: Option<Box<Subject>>,
    /// The subject whose roster still lists the session, if it got another subject since it was
    /// saved; not encoded.
    pub(crate) former: Option<Box<Subject>>,
    /// Go's values in the session's cookie, if it is still written for Go.
    #[cfg(feature = "gorilla")]
    pub(crate) go: Option<std::sync::Arc<crate::gorilla::gob::Gob>>,
}

static NO_PARTICULARS: Particulars = Particulars {
    persistence: Persistence::Configured,
    attributes: None,
    authenticated: None,
    subject: None,
    former: None,
    #[cfg(feature = "gorilla")]
    go: None,
};

impl Deref for Content {
    type Target = Particulars;

    fn deref(&self) -> &Particulars {
        self.particulars.as_deref().unwrap_or(&NO_PARTICULARS)
    }
}

/// Changing one field creates them all.
impl DerefMut for Content {
    fn deref_mut(&mut self) -> &mut Particulars {
        self.particulars.get_or_insert_default()
    }
}

/// A time whose `Option` takes no more room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Moment(NonZeroU64);

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(NonZeroU64::MIN.saturating_add(time.as_secs()))
    }
}

impl From<Moment> for Timestamp {
    fn from(moment: Moment) -> Self {
        Self::from_secs(moment.0.get() - 1)
    }
}

/// The subject that a session belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subject {
    pub(crate) name: Box<str>,
    /// The roster's `not_before` when the session was put into it.
    pub(crate) since: Timestamp,
    /// When the roster was last told that the session is in use.
    pub(crate) listed: Timestamp,
    /// The roster's note about the session, which is not enrolled yet; not encoded.
    pub(crate) note: Option<Box<str>>,
}

impl Subject {
    /// The encoded length of a subject of this name.
    pub(crate) fn encoded_len(name: &str) -> usize {
        varint_len(name.len()) + name.len() + 10
    }
}

/// How long this session was asked to last, if not as configured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Persistence {
    #[default]
    Configured,
    UntilBrowserCloses,
    For {
        since: Timestamp,
        length: Duration,
    },
}

/// Whether the browser may still have a cookie from before the session had a record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Browser {
    /// A request has come with the record's ID, or no other cookie was ever made.
    #[default]
    Knows,
    NeverHeard,
}

impl Content {
    pub(crate) fn new(created: Timestamp) -> Self {
        Self {
            created,
            revision: 0,
            frames: Frames::default(),
            particulars: None,
        }
    }

    /// Returns whether nothing is left that makes an existing session worth keeping.
    pub(crate) fn is_emptied(&self) -> bool {
        self.is_empty() && !matches!(self.persistence, Persistence::For { .. })
    }

    /// Returns whether nothing makes a new session worth keeping.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.subject.is_none()
    }

    /// Returns whether a record with this content counts for nothing beside a cookie of this
    /// revision: the browser got the cookie later, and has never heard of the record.
    pub(crate) fn is_superseded(&self, browser: Browser, revision: u32) -> bool {
        browser == Browser::NeverHeard && self.revision < revision
    }

    /// Notes that the rosters agree with this content.
    pub(crate) fn mark_listed(&mut self) {
        if let Some(particulars) = &mut self.particulars {
            particulars.former = None;
        }
        if let Some(subject) = self.subject_mut() {
            subject.note = None;
        }
    }

    pub(crate) fn subject_mut(&mut self) -> Option<&mut Subject> {
        self.particulars.as_mut()?.subject.as_deref_mut()
    }
}
