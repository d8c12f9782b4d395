//! A save that nothing but its record has a say in: as a new one, or over the one that was read.

use super::{
    home::{Home, Place},
    plan::{When, Write},
    request::{CookieDuty, State, View},
};
use crate::{
    clock::Timestamp,
    config::Settings,
    content::{Browser, Writes},
    error::Error,
    id::{RecordKey, SessionId},
    store::{Bytes, Version},
};

/// What is to be written of a session that is changed, and of which no answer gets lost.
#[derive(Debug)]
pub(crate) struct Direct {
    /// The record that it is written over; `None` if it is to be made.
    pub(crate) over: Option<(RecordKey, Version)>,
    pub(crate) data: Bytes,
    pub(crate) expires: Timestamp,
    pub(crate) duty: CookieDuty,
    /// How many changes of the log it carries, from the first on.
    pub(crate) changes: usize,
}

impl State {
    /// What to write with the response, if that is all there is to do: no roster, no cookie with
    /// values, no new name for a session that has one, nothing to remove and nothing to seal.
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
            || settings.encrypts_records
            || settings.may_be_in_cookie()
            || self.is_locked_out(settings)
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

    /// Enters that the record has another version now, and the session the name that it had.
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
    /// Where the session is when this has made its record.
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
