//! The end of a session's part in a request: what is kept, and what the response says.

use http::HeaderValue;

use super::{
    Operation, Session,
    change::Change,
    content::Content,
    save::{Due, Last},
    state::{CookieDuty, Lifetime, Live, Origin, Source, State},
};
use crate::{
    clock::Timestamp,
    codec::Stamp,
    cookie::{self, CookieAttributes},
    error::{Error, ErrorKind},
};

/// What of a request's changes is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    Everything,
    /// The handler failed on the server's side: a new ID stays new and a destroyed session
    /// destroyed, but what else it did to the session is not done.
    Identity,
}

/// What the response has to say about one session.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) cookie: Option<HeaderValue>,
    /// Removes the cookie of another path or domain that this one takes the place of.
    pub(crate) leftover: Option<HeaderValue>,
    /// The response depends on the cookie.
    pub(crate) used: bool,
    /// Nothing is lost if this cookie is not sent.
    pub(crate) is_refresh: bool,
}

impl Session {
    /// Whether the session was used, if there is nothing to save and nothing to tell the browser.
    /// `None` also while somebody is loading or saving it.
    pub(crate) fn rests(&self) -> Option<bool> {
        self.slot().if_free(|state| {
            let rests = !state.is_changed()
                && state.cookie == CookieDuty::Nothing
                && (state.live.is_none()
                    || self.due(state, self.slots.clock().now()) == Due::default());
            rests.then_some(state.used)
        })
    }

    /// Saves the session and says what to tell the browser.
    pub(crate) async fn commit(&self, keep: Keep) -> Result<Reply, Error> {
        if self.named().never_waits {
            return self.commit_now(keep);
        }
        match self.reply_unused() {
            Some(reply) => Ok(reply),
            None => self.alone(Operation::Commit(keep)).await,
        }
    }

    /// As [`commit`](Self::commit), without a wait. A session whose store waits is passed over; it
    /// was not in use when that was decided.
    pub(crate) fn commit_now(&self, keep: Keep) -> Result<Reply, Error> {
        match self.reply_unused() {
            Some(reply) => Ok(reply),
            None if !self.named().never_waits => Ok(Reply {
                used: true,
                ..Reply::default()
            }),
            None if self.named().has_store() => self.slot().alone_now(|| self.commit_in_turn(keep)),
            None => self.commit_in_cookie(keep),
        }
    }

    fn reply_unused(&self) -> Option<Reply> {
        self.slot().with(|state| {
            (!state.is_in_use()).then(|| Reply {
                used: state.used,
                ..Reply::default()
            })
        })
    }

    /// Commits a session that no store has a say in.
    fn commit_in_cookie(&self, keep: Keep) -> Result<Reply, Error> {
        let (name, mut dropped) = (self.check_name(), Vec::new());
        let (reply, rejection) = self.slot().in_turn(|state| {
            dropped = begin_commit(state, name, keep)?;
            let now = self.slots.clock().now();
            let mut rejection = None;
            if state.needs_opening() {
                rejection = self.open_without_store(state);
            }
            if let Some(next) = self.plan_cookie(state, Last::Yes, now)? {
                self.finish_in_cookie(state, next, None, now);
            }
            Ok((self.reply(state, || now)?, rejection))
        })?;
        self.report(rejection);
        Ok(reply)
    }

    pub(super) async fn commit_in_turn(&self, keep: Keep) -> Result<Reply, Error> {
        let name = self.check_name();
        drop(self.slot().with(|state| begin_commit(state, name, keep))?);
        self.save_in_turn(Last::Yes).await?;
        let now = || self.slots.clock().now();
        let reply = self.slot().with(|state| {
            if state.owes_unopened() {
                Ok(None)
            } else {
                self.reply(state, now).map(Some)
            }
        })?;
        if let Some(reply) = reply {
            return Ok(reply);
        }
        self.open_in_turn().await?;
        self.slot().with(|state| self.reply(state, now))
    }

    /// Ends the session now: its record is removed when this returns, whatever becomes of the
    /// request.
    ///
    /// The session counts as ended from the first step on, so that being cut off in the middle
    /// leaves nobody logged in; if the store says that it failed, everything is as before.
    pub(super) async fn destroy_in_turn(&self) -> Result<(), Error> {
        self.open_in_turn().await?;
        let named = self.named();
        if self.slots.is_closed() && !self.is_in_store() && named.revocations.is_none() {
            return Err(Error::new(ErrorKind::AlreadyCommitted));
        }
        // What was opened, and what the cookie says: the two differ after a renewal, or if the
        // cookies were ambiguous.
        let now = self.slots.clock().now();
        let mut keys = self.presented_keys(now);
        let before = self.slot().with(|state| self.forget(state));
        keys.extend(
            before
                .live
                .as_ref()
                .and_then(Live::key)
                .filter(|key| !keys.contains(key)),
        );
        for key in keys {
            if let Err(error) = named.end(&key, now).await {
                let dropped = self.slot().with(|state| std::mem::replace(state, before));
                drop(dropped);
                return Err(error);
            }
        }
        if let Some(live) = &before.live
            && let Some(key) = live.key()
        {
            self.tidy_listings(self.membership(&live.content).as_ref(), &key, Some(&key))
                .await;
        }
        Ok(())
    }

    /// Leaves a new session whose cookie, if there is one, has to go. Attributes of its own stay
    /// with the cookie's name: they are what the removal, or the new session's cookie, must carry.
    fn forget(&self, state: &mut State) -> State {
        let mut live = Live::new(self.slots.clock().now(), None);
        live.content.attributes = state
            .live
            .as_ref()
            .and_then(|live| live.content.attributes.clone());
        let new = State {
            live: Some(live),
            source: Source::Nothing,
            cookie: if self.has_cookie() {
                CookieDuty::Remove
            } else {
                CookieDuty::Nothing
            },
            used: true,
            reopened: state.reopened,
            ..State::default()
        };
        std::mem::replace(state, new)
    }

    fn reply(&self, state: &mut State, now: impl FnOnce() -> Timestamp) -> Result<Reply, Error> {
        let duty = std::mem::take(&mut state.cookie);
        let used = state.used;
        let cookie = match (duty, &state.live) {
            (CookieDuty::Set | CookieDuty::Refresh, Some(live)) if live.origin.is_some() => {
                Some(self.render(live, now())?)
            }
            (CookieDuty::Remove, live) => Some(self.render_removal(live.as_ref())?),
            _ => None,
        };
        let leftover = state
            .moved_from
            .take()
            .filter(|from| duty == CookieDuty::Set && self.differs(state, from));
        let leftover = leftover.and_then(|from| cookie::removal(self.name(), &from.render()));
        Ok(Reply {
            cookie,
            leftover,
            used,
            is_refresh: duty == CookieDuty::Refresh,
        })
    }

    /// Whether the session's cookie is another one to a browser than one of these attributes.
    fn differs(&self, state: &State, from: &CookieAttributes) -> bool {
        let own = state
            .live
            .as_ref()
            .and_then(|live| live.content.attributes.as_deref());
        let now = own.unwrap_or(&self.named().attributes);
        (&now.path, &now.domain) != (&from.path, &from.domain)
    }

    fn render(&self, live: &Live, now: Timestamp) -> Result<HeaderValue, Error> {
        let named = self.named();
        let lifetime = Lifetime::of(&live.content, named);
        let created = live.content.created;
        let token = match &live.origin {
            None => return Err(Error::new(ErrorKind::Gone)),
            Some(Origin::Token { id, .. }) => {
                let until = lifetime.expires(now);
                let stamp = Stamp {
                    issued: now,
                    created,
                    ttl: seconds(now, until),
                    token_id: id.token_id(),
                };
                named.codec.seal(&stamp, live.content.payload_len(), |out| {
                    live.content.encode_payload(out)
                })
            }
            Some(Origin::Record { id, version, .. }) => {
                match id.token_id().filter(|_| self.is_copied(live)) {
                    Some(id) => {
                        let until = lifetime.expires(now);
                        let stamp = Stamp {
                            issued: now,
                            created,
                            ttl: seconds(now, until),
                            token_id: Some(id),
                        };
                        let copy = Content {
                            copy_of: Some(*version),
                            is_unknown: false,
                            ..live.content.clone()
                        };
                        named
                            .codec
                            .seal(&stamp, copy.payload_len(), |out| copy.encode_payload(out))
                    }
                    None => {
                        let stamp = Stamp {
                            issued: now,
                            created,
                            ttl: seconds(now, lifetime.end),
                            token_id: None,
                        };
                        let id = id.as_bytes();
                        named
                            .reference_codec()
                            .seal(&stamp, id.len(), |out| out.extend_from_slice(id))
                    }
                }
            }
        }?;
        let max_age = lifetime.max_age(now, &live.content, named);
        let value = (token.encoded_len(), |out: &mut String| token.encode_to(out));
        let cookie = match &live.content.attributes {
            None => cookie::set(&named.name, value, max_age, &named.rendered),
            Some(attributes) => cookie::set(&named.name, value, max_age, &attributes.render()),
        };
        cookie.ok_or_else(|| Error::new(ErrorKind::Attributes))
    }

    /// Whether the cookie of a session in a store is a copy of it, because it fits into one again.
    /// Only whoever wrote a version makes copies of it: when one comes back, no older one is under
    /// way.
    pub(super) fn is_copied(&self, live: &Live) -> bool {
        live.is_written && self.named().fits_cookie_again(live.content.payload_len())
    }

    fn render_removal(&self, live: Option<&Live>) -> Result<HeaderValue, Error> {
        let named = self.named();
        let removal = match live.and_then(|live| live.content.attributes.as_ref()) {
            None => cookie::removal(&named.name, &named.rendered),
            Some(attributes) => cookie::removal(&named.name, &attributes.render()),
        };
        removal.ok_or_else(|| Error::new(ErrorKind::Attributes))
    }
}

impl State {
    /// A save in mid-request has made a record, and its later changes were discarded.
    fn owes_unopened(&self) -> bool {
        self.live.is_none() && self.cookie == CookieDuty::Set
    }
}

/// Returns the changes that are not kept, to be dropped without the lock.
fn begin_commit(
    state: &mut State,
    name: Result<(), Error>,
    keep: Keep,
) -> Result<Vec<Change>, Error> {
    if state.is_changed() {
        name?;
    }
    Ok(if keep == Keep::Identity {
        state.discard_changes()
    } else {
        Vec::new()
    })
}

fn seconds(from: Timestamp, until: Timestamp) -> u32 {
    u32::try_from(until.saturating_since(from).as_secs()).unwrap_or(u32::MAX)
}
