//! A save that concerns nothing but the session's record: a new one, or the one that was read.

use super::{
    home::{Home, Place},
    plan::{When, Write},
    request::{CookieDuty, State},
    view::View,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Browser, Writes},
    error::Error,
    id::{RecordKey, SessionId},
    store::{Bytes, Version},
};

/// The write that a changed session needs if its store's answers cannot be lost.
#[derive(Debug)]
pub(crate) struct Direct {
    /// The record to overwrite. `None` for a new one.
    pub(crate) over: Option<(RecordKey, Version)>,
    pub(crate) data: Bytes,
    pub(crate) expires: Timestamp,
    pub(crate) duty: CookieDuty,
    /// How many changes it carries, from the start of the log.
    pub(crate) changes: usize,
}

impl State {
    /// The write for the response, if that is all there is to do. `None` if a roster, a cookie with
    /// values, a renewal, a removal or a sealed record is involved.
    ///
    /// # Errors
    ///
    /// As for [`plan`](Self::plan).
    #[inline]
    pub(crate) fn direct(
        &mut self,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Option<Direct>, Error> {
        let Some(View { content, .. }) = &self.view else {
            return Ok(None);
        };
        let is_plain = content.subject.is_none() && content.former.is_none();
        if !is_plain
            || content.is_emptied()
            || !self.cut_off.is_empty()
            || self.unfinished.is_some()
            || self.replaces_expired()
            || settings.encrypts_records
            || settings.may_be_in_cookie()
        {
            return Ok(None);
        }
        let plan = self.plan(settings, now, When::Response)?;
        let (Some(plan), Some(view)) = (plan, &mut self.view) else {
            return Ok(None);
        };
        let (over, browser) = match (plan.write, &view.home) {
            (Write::Update { version }, Home::Record(place)) => {
                (Some((place.id.record_key(), version)), place.browser)
            }
            (Write::Create, _) => (None, Browser::Knows),
            _ => return Ok(None),
        };
        let written = view.home.expires();
        let direct = Direct {
            over,
            data: view.content.share_record(Writes::none(), browser),
            expires: plan.lifetime.expires_by(plan.term, now, written),
            duty: plan.duty,
            changes: self.log.len(),
        };
        self.is_refused = false;
        Ok(Some(direct))
    }

    /// Enters the record's new version. The session keeps its ID.
    #[inline]
    pub(crate) fn saved_over(&mut self, version: Version, expires: Timestamp, duty: CookieDuty) {
        if let Some(View {
            home: Home::Record(place),
            ..
        }) = &mut self.view
        {
            let writes = Writes::default();
            (place.version, place.expires, place.writes) = (version, expires, writes);
        }
        self.duty = self.duty.max(duty);
    }
}

impl Direct {
    /// Where the session is once its record is made.
    pub(crate) fn place(&self, id: SessionId, version: Version) -> Place {
        Place {
            id,
            version,
            expires: self.expires,
            browser: Browser::Knows,
            writes: Writes::default(),
        }
    }
}
