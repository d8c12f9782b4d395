//! Saving a session that is in its cookie: its size, its listing, and the end of what it was called before.

use super::{
    Session,
    save::Last,
    state::{CookieDuty, Lifetime, Origin, State},
    subject::Membership,
};
use crate::{
    clock::Timestamp,
    crypto,
    error::{Error, ErrorKind},
    id::{RecordKey, TokenId},
    trace,
};

/// A cookie about to be made.
struct Settling {
    id: TokenId,
    /// What the session was called before, if it is renewed.
    before: Option<RecordKey>,
    member: Membership,
    /// Whether it is time to tell the listing that the session is in use.
    lists: bool,
    duty: CookieDuty,
}

impl Session {
    /// A cookie session is saved by its cookie. Before the response goes, only its size can be wrong.
    pub(super) async fn settle_cookie(&self, last: Last) -> Result<(), Error> {
        let Some(settling) = self.begin_cookie(&mut self.slot().lock(), last)? else { return Ok(()) };
        let Settling { id, before, member, lists, .. } = &settling;
        let key = RecordKey::of(id);
        let mut since = None;
        if member.is_new() || before.is_some() {
            since = self.enlist(member, key, *before).await?;
        } else if *lists {
            match self.enlist(member, key, None).await {
                Ok(listed) => since = listed,
                Err(error) => {
                    trace::touch_failed(self.name(), &error);
                    self.slot().lock().cookie.withdraw_refresh();
                    return Ok(());
                }
            }
        }
        if let Some(before) = before
            && !self.named().end(before, self.slots.clock().now()).await?
        {
            self.delist(member, &key).await;
            return Err(Error::new(ErrorKind::Gone));
        }
        self.tidy_listings(member, &key, before.as_ref()).await;
        self.finish_cookie(&mut self.slot().lock(), &settling, since);
        Ok(())
    }

    /// Decides what the cookie will be.
    fn begin_cookie(&self, state: &mut State, last: Last) -> Result<Option<Settling>, Error> {
        let changed = state.is_changed();
        self.check_not_over(state, last)?;
        let Some(live) = &mut state.live else { return Ok(None) };
        let now = self.slots.clock().now();
        let lists = live.content.subject.is_some()
            && (self.is_listing_due(&live.content) || state.cookie == CookieDuty::Refresh);
        let duty = match &live.origin {
            None if live.content.is_empty() => return Ok(None),
            Some(Origin::Token { issued, .. }) if !changed => {
                let lifetime = Lifetime::of(&live.content, self.named());
                let due = lifetime.is_worth_refreshing(now, lifetime.expires(*issued));
                if due || lists { CookieDuty::Refresh } else { CookieDuty::Nothing }
            }
            _ => {
                self.named().check_size(live.content.payload_len()).map_err(Error::new)?;
                CookieDuty::Set
            }
        };
        if last == Last::No {
            return Ok(None);
        }
        let (id, before) = match &live.origin {
            Some(Origin::Token { id, .. }) if !state.renew => (*id, None),
            _ => (crypto::random()?, live.key()),
        };
        Ok(Some(Settling { id, before, member: self.membership(&live.content), lists, duty }))
    }

    fn finish_cookie(&self, state: &mut State, settling: &Settling, since: Option<Timestamp>) {
        let now = self.slots.clock().now();
        let Some(live) = &mut state.live else { return };
        if state.renew || live.origin.is_none() {
            live.origin = Some(Origin::Token { id: settling.id, issued: now });
            state.renew = false;
        }
        live.content.settle_listings();
        if let (Some(since), Some(subject)) = (since, &mut live.content.subject) {
            (subject.since, subject.listed) = (since, now);
        }
        state.owe(settling.duty);
    }
}
