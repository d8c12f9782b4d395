//! What happens to sessions, for operators. Each fact is a log line (feature `tracing`, target
//! `silverback`), by [`Report`], and a count (feature `metrics`), by [`metrics`]. Both hold only
//! kinds and names, never an ID, token, key or value. `docs/events.md` lists them.

mod fact;
mod health;
pub(crate) mod metrics;
#[cfg(feature = "tracing")]
mod throttle;

#[cfg(feature = "tracing")]
use self::throttle::Throttle;
pub(crate) use self::{
    fact::{Cause, Opening, Saved, Swap},
    health::Health,
};
#[cfg(feature = "tracing")]
use crate::error::ErrorKind;
use crate::{
    clock::Clock,
    error::{Error, Rejection},
    id::RecordKey,
};

macro_rules! event {
    ($level:ident, $($field:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::event!(target: "silverback", tracing::Level::$level, $($field)*);
    };
}
pub(crate) use event;

/// The log of the sessions of one layer. A client can provoke any line at will, so each kind gets a
/// limited number of lines a minute, and the next line tells how many were left out.
#[derive(Debug, Default)]
pub(crate) struct Report {
    #[cfg(feature = "tracing")]
    throttle: Throttle<KINDS>,
}

/// The kinds of lines that are counted separately. The reasons of [`Rejection`] come first.
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
    /// The first of the kinds for each [`Cause`].
    pub(super) const ENDED: usize = RENEWED + 1;
    pub(super) const LATER_FORMAT: usize = ENDED + Cause::Limit as usize + 1;
    pub(super) const RACE: usize = LATER_FORMAT + 1;
    pub(super) const COUNT: usize = RACE + 1;
}
#[cfg(feature = "tracing")]
const KINDS: usize = kind::COUNT;

/// The lines a minute about bad cookies. More lines would repeat the first.
#[cfg(feature = "tracing")]
const FEW: u64 = 1;
/// The lines a minute about created, renewed and ended sessions: one for each, except in a flood.
#[cfg(feature = "tracing")]
const MANY: u64 = 100;

#[cfg_attr(
    not(feature = "tracing"),
    allow(unused_variables, reason = "only log lines use the arguments")
)]
impl Report {
    /// Reports a save. `record` is the key of the record if the save created one.
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

    /// Reports that `count` sessions have ended.
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

    /// Reports that a session was opened.
    #[inline]
    pub(crate) fn opened(&self, clock: &Clock, session: &str, opening: Opening) {
        if let Opening::Refused(reason) = opening {
            self.rejected(clock, session, reason);
        }
    }

    /// Reports a refused cookie. Stale cookies are normal. The others are worth a look.
    #[cold]
    fn rejected(&self, clock: &Clock, session: &str, reason: Rejection) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, reason as usize, FEW) {
            match reason {
                Rejection::Expired => {
                    let event = "session_expired";
                    event!(DEBUG, event, session, %reason, left_out, "session cookie not accepted");
                }
                // A second tab after a login or logout is normal, too.
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

    /// Reports that a session could not be loaded or saved: `what` says which. A client can cause
    /// two of the reasons at will, with a cookie whose version it has raised, or with that of a
    /// session that has ended. Their lines are counted.
    pub(crate) fn failed(&self, clock: &Clock, what: &'static str, error: &Error) {
        #[cfg(feature = "tracing")]
        {
            let is_of_race = error.kind().is_of_race();
            let admitted = match error.kind() {
                ErrorKind::LaterFormat => self.admit(clock, kind::LATER_FORMAT, FEW),
                _ if is_of_race => self.admit(clock, kind::RACE, MANY),
                _ => Some(None),
            };
            let Some(left_out) = admitted else {
                return;
            };
            let error = error as &(dyn std::error::Error + 'static);
            if is_of_race {
                event!(WARN, error, left_out, "{what}");
            } else {
                event!(ERROR, error, left_out, "{what}");
            }
        }
    }

    /// Reports a logout that came with more sessions than it ends.
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

    /// Reports cookies so long that a proxy may soon refuse the browser's requests.
    pub(crate) fn long_request(&self, clock: &Clock, bytes: usize) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::LONG_REQUEST, FEW) {
            long_cookies("request", bytes, left_out);
        }
    }

    /// Reports cookies so long that a proxy may soon refuse the server's responses.
    pub(crate) fn long_response(&self, clock: &Clock, bytes: usize) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::LONG_RESPONSE, FEW) {
            long_cookies("response", bytes, left_out);
        }
    }

    /// Admits a line at the level INFO. Counts nothing if no subscriber wants that level.
    #[cfg(feature = "tracing")]
    fn admit_info(&self, clock: &Clock, kind: usize) -> Option<Option<u64>> {
        if !tracing::level_enabled!(tracing::Level::INFO) {
            return None;
        }
        self.admit(clock, kind, MANY)
    }

    /// Admits a line of this kind. Returns how many were left out before it, `Some(None)` for zero,
    /// so that no zero is logged.
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
