//! What happens to sessions, for their operators: each fact is a line in the log (feature
//! `tracing`, target `silverback`), by [`Report`], and a count (feature `metrics`), by [`metrics`].
//! Both have kinds and names only, never an ID, token, key or value. `docs/events.md` lists them.

mod fact;
mod health;
pub(crate) mod metrics;
#[cfg(feature = "tracing")]
mod throttle;

#[cfg(feature = "tracing")]
use self::throttle::Throttle;
pub(crate) use self::{
    fact::{Cause, Opening, Saved},
    health::Health,
};
use crate::{clock::Clock, error::Rejection, id::RecordKey};

macro_rules! event {
    ($level:ident, $($field:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::event!(target: "silverback", tracing::Level::$level, $($field)*);
    };
}
pub(crate) use event;

/// What is reported of the sessions of one layer. A client can provoke any of it at will, so each
/// kind has so many lines a minute, and the next line says how many were left out.
#[derive(Debug, Default)]
pub(crate) struct Report {
    #[cfg(feature = "tracing")]
    throttle: Throttle<KINDS>,
}

/// The kinds that have lines of their own. The reasons of [`Rejection`] come first.
#[cfg_attr(
    not(feature = "tracing"),
    allow(dead_code, reason = "only lines are counted by kind")
)]
mod kind {
    use super::{Cause, Rejection};

    pub(super) const LONG_REQUEST: usize = Rejection::Ended as usize + 1;
    pub(super) const LONG_RESPONSE: usize = LONG_REQUEST + 1;
    pub(super) const TOO_MANY_COOKIES: usize = LONG_RESPONSE + 1;
    pub(super) const CREATED: usize = TOO_MANY_COOKIES + 1;
    pub(super) const RENEWED: usize = CREATED + 1;
    /// The first of a kind for each [`Cause`].
    pub(super) const ENDED: usize = RENEWED + 1;
    pub(super) const COUNT: usize = ENDED + Cause::Limit as usize + 1;
}
#[cfg(feature = "tracing")]
const KINDS: usize = kind::COUNT;

/// How many lines a minute tell of bad cookies: they all say the same.
#[cfg(feature = "tracing")]
const FEW: u64 = 1;
/// How many lines a minute tell of sessions that begin, are renewed and end: a line for each,
/// unless there is a flood.
#[cfg(feature = "tracing")]
const MANY: u64 = 100;

#[cfg_attr(
    not(feature = "tracing"),
    allow(unused_variables, reason = "only lines need what there is to tell")
)]
impl Report {
    /// A session was saved; `record` is the key of a record that was made for that.
    #[inline]
    pub(crate) fn saved(
        &self,
        clock: &Clock,
        session: &str,
        saved: Saved,
        record: Option<RecordKey>,
    ) {
        if saved != Saved::Again {
            self.changed(clock, session, saved, record);
        }
    }

    #[cold]
    fn changed(&self, clock: &Clock, session: &str, saved: Saved, record: Option<RecordKey>) {
        let (kind, event, what) = match saved {
            Saved::Again => return,
            Saved::Emptied => return self.ended(clock, session, Cause::Emptied, 1),
            Saved::Created => (kind::CREATED, "session_created", "session created"),
            Saved::Renewed => (kind::RENEWED, "session_renewed", "session renewed"),
        };
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit_info(clock, kind) {
            let record = record.map(tracing::field::display);
            event!(INFO, event, session, record, left_out, "{what}");
        }
    }

    /// So many sessions have ended.
    pub(crate) fn ended(&self, clock: &Clock, session: &str, cause: Cause, count: usize) {
        #[cfg(feature = "tracing")]
        if count > 0
            && let Some(left_out) = self.admit_info(clock, kind::ENDED + cause as usize)
        {
            let (event, cause) = ("session_expired", cause.word());
            event!(
                INFO,
                event,
                session,
                cause,
                count,
                left_out,
                "session ended"
            );
        }
    }

    /// A session was opened.
    #[inline]
    pub(crate) fn opened(&self, clock: &Clock, session: &str, opening: Opening) {
        if let Opening::Refused(reason) = opening {
            self.rejected(clock, session, reason);
        }
    }

    /// A cookie came that is not accepted. A stale one is everyday; the others are worth a look.
    #[cold]
    fn rejected(&self, clock: &Clock, session: &str, reason: Rejection) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, reason as usize, FEW) {
            match reason {
                Rejection::Expired => {
                    let event = "session_expired";
                    event!(DEBUG, event, session, %reason, left_out, "session cookie not accepted");
                }
                // A second tab after a login or logout is everyday, too.
                Rejection::NotFound | Rejection::Renewed | Rejection::Ended => {
                    let event = "session_use_after_expire";
                    event!(DEBUG, event, session, %reason, left_out, "session cookie not accepted");
                }
                Rejection::Revoked => {
                    let event = "session_use_after_expire";
                    event!(WARN, event, session, %reason, left_out, "session cookie not accepted");
                }
                _ => {
                    let event = "session_refused";
                    event!(WARN, event, session, %reason, left_out, "session cookie not accepted");
                }
            }
        }
    }

    /// A logout came with more sessions than it ends.
    pub(crate) fn too_many_cookies(&self, clock: &Clock, session: &str) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::TOO_MANY_COOKIES, FEW) {
            event!(
                WARN,
                session,
                left_out,
                "more cookies of the session's name than a logout ends"
            );
        }
    }

    /// A proxy may soon refuse what the browser sends.
    pub(crate) fn long_request(&self, clock: &Clock, bytes: usize) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::LONG_REQUEST, FEW) {
            long_cookies("request", bytes, left_out);
        }
    }

    /// A proxy may soon refuse what the server answers.
    pub(crate) fn long_response(&self, clock: &Clock, bytes: usize) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::LONG_RESPONSE, FEW) {
            long_cookies("response", bytes, left_out);
        }
    }

    /// Everyday facts, of which nothing is kept where nobody hears of them.
    #[cfg(feature = "tracing")]
    fn admit_info(&self, clock: &Clock, kind: usize) -> Option<Option<u64>> {
        if !tracing::level_enabled!(tracing::Level::INFO) {
            return None;
        }
        self.admit(clock, kind, MANY)
    }

    /// A count of none is not written.
    #[cfg(feature = "tracing")]
    fn admit(&self, clock: &Clock, kind: usize, lines: u64) -> Option<Option<u64>> {
        let left_out = self.throttle.admit(kind, clock.now(), lines)?;
        Some((left_out > 0).then_some(left_out))
    }
}

#[cfg(feature = "tracing")]
fn long_cookies(message: &'static str, bytes: usize, left_out: Option<u64>) {
    event!(
        WARN,
        message_kind = message,
        bytes,
        left_out,
        "cookies come near the limit of proxies: see `CookieStore`"
    );
}
