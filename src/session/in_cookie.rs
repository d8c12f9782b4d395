//! Saving a session that is in its cookie: its size, its listing, and the end of what it was called
//! before.

use super::{
    Session,
    membership::{Membership, is_new},
    save::Last,
    state::{CookieDuty, Origin, State},
};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    id::{RecordKey, SessionId},
    trace,
};

/// A cookie about to be made.
pub(super) struct NextCookie {
    id: SessionId,
    /// What the session was called before, if it is renewed.
    before: Option<RecordKey>,
    member: Option<Membership>,
    /// Whether it is time to tell the listing that the session is in use.
    lists: bool,
    duty: CookieDuty,
}

impl Session {
    /// A cookie session is saved by its cookie. Before the response goes, only its size can be
    /// wrong.
    pub(super) async fn save_in_cookie(&self, last: Last) -> Result<(), Error> {
        let now = self.slots.clock().now();
        let next = self
            .slot()
            .with(|state| self.plan_cookie(state, last, now))?;
        let Some(next) = next else { return Ok(()) };
        let mut since = None;
        if next.member.is_some() || next.before.is_some() {
            match self.tell_listing(&next).await {
                Ok(listed) => since = listed,
                // Nothing but a new cookie in place of one that still works.
                Err(error) if next.duty < CookieDuty::Set => {
                    trace::touch_failed(self.name(), &error);
                    self.slot().with(|state| state.cookie.withdraw_refresh());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let now = self.slots.clock().now();
        self.slot()
            .with(|state| self.finish_in_cookie(state, next, since, now));
        Ok(())
    }

    /// Tells the listings, and ends what the session was called before.
    async fn tell_listing(&self, next: &NextCookie) -> Result<Option<Timestamp>, Error> {
        let NextCookie {
            id,
            before,
            member,
            lists,
            ..
        } = next;
        let (key, member) = (id.record_key(), member.as_ref());
        let mut since = None;
        if is_new(member) || before.is_some() || *lists {
            since = self.enlist(member, key, *before).await?;
        }
        if let Some(before) = before {
            match self.named().revoke(before, self.slots.clock().now()).await {
                Ok(true) if self.leaves(member, before).await? => {
                    self.named().remove_record(before).await
                }
                outcome => {
                    self.delist(member, &key).await;
                    return Err(outcome.err().unwrap_or_else(|| Error::new(ErrorKind::Gone)));
                }
            }
        }
        self.tidy_listings(member, &key, before.as_ref()).await;
        Ok(since)
    }

    /// Decides what the cookie will be.
    pub(super) fn plan_cookie(
        &self,
        state: &mut State,
        last: Last,
        now: Timestamp,
    ) -> Result<Option<NextCookie>, Error> {
        let changed = state.is_changed();
        self.check_not_over(state, last)?;
        let due = self.due(state, now);
        let reseals = state.cookie == CookieDuty::Refresh;
        let Some(live) = &mut state.live else {
            return Ok(None);
        };
        let duty = match &live.origin {
            None if live.content.is_empty() => return Ok(None),
            Some(Origin::Token { .. }) if !changed => {
                if due.end || due.listing {
                    CookieDuty::Refresh
                } else {
                    CookieDuty::Nothing
                }
            }
            _ => {
                self.named()
                    .check_size(live.content.payload_len())
                    .map_err(Error::new)?;
                CookieDuty::Set
            }
        };
        if last == Last::No || duty == CookieDuty::Nothing {
            return Ok(None);
        }
        let (id, before) = match &live.origin {
            Some(Origin::Token { id, .. }) if !state.renew => (id.clone(), None),
            _ => (self.new_id()?, live.key()),
        };
        let mut member = self.membership(&live.content);
        if let Some(member) = &mut member {
            member.reseals = reseals;
        }
        Ok(Some(NextCookie {
            id,
            before,
            member,
            lists: due.listing,
            duty,
        }))
    }

    pub(super) fn finish_in_cookie(
        &self,
        state: &mut State,
        next: NextCookie,
        since: Option<Timestamp>,
        now: Timestamp,
    ) {
        let Some(live) = &mut state.live else { return };
        if state.renew || live.origin.is_none() {
            live.origin = Some(Origin::Token {
                id: next.id,
                issued: now,
            });
            state.renew = false;
        }
        live.content.mark_listed();
        if let (Some(since), Some(subject)) = (since, &mut live.content.subject) {
            (subject.since, subject.listed) = (since, now);
        }
        if next.duty == CookieDuty::Set && self.named().overflow.is_some() {
            live.content.revision += 1;
        }
        state.owe(next.duty);
    }
}
