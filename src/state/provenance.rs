//! What a cookie says about itself, apart from its session.

use super::view::View;
use crate::{
    clock::Timestamp,
    codec::Maker,
    config::{Accepted, AttributesTag, Payload, Settings},
};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Provenance {
    /// Another key than the active one has sealed it, or it has other attributes than new cookies.
    pub(crate) is_outdated: bool,
    /// Of its attributes, if it refers to a record.
    pub(crate) tag: Option<AttributesTag>,
    pub(crate) maker: Option<Maker>,
    /// When it was issued, if it refers to a record.
    pub(crate) sent: Option<Timestamp>,
    /// New cookies have another format, so that use moves the session.
    pub(crate) moves: bool,
}

impl Provenance {
    pub(crate) fn of(cookie: &Accepted) -> Self {
        let (tag, sent) = match &cookie.payload {
            Payload::Values(..) | Payload::Foreign(_) => (None, None),
            Payload::Reference(stamp, _, tag) => (Some(*tag), Some(stamp.issued)),
        };
        Self {
            is_outdated: !cookie.current,
            tag,
            maker: cookie.maker,
            sent,
            moves: cookie.moves,
        }
    }

    /// The same, if the cookie is that of this session.
    #[must_use]
    pub(crate) fn beside(mut self, view: &View, settings: &Settings) -> Self {
        let own = view.content.attributes.as_deref();
        let is_other = |tag| match own {
            None => tag != settings.tag,
            Some(own) => tag != Settings::tag_of(&own.render()),
        };
        self.is_outdated |= self.tag.is_some_and(is_other);
        self
    }
}
