//! What is worth a line in the log. Target `silverback`; kinds and names only, never a token, ID,
//! key or value. Without the feature `tracing` each of these is nothing.

#[cfg(feature = "tracing")]
use crate::throttle::Throttle;
use crate::{
    clock::Clock,
    error::{Error, Rejection},
};

macro_rules! event {
    ($level:ident, $($field:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::event!(target: "silverback", tracing::Level::$level, $($field)*);
    };
}

/// What the clients of one layer provoke: a line a minute for each kind, with how many of the kind
/// were left out since the line before.
#[derive(Debug, Default)]
pub(crate) struct Provoked {
    #[cfg(feature = "tracing")]
    throttle: Throttle<KINDS>,
}

/// Kinds beside the reasons of [`Rejection`], which come first.
#[cfg(feature = "tracing")]
mod kind {
    pub(super) const LONG_REQUEST: usize = super::Rejection::Ended as usize + 1;
    pub(super) const LONG_RESPONSE: usize = LONG_REQUEST + 1;
    pub(super) const TOO_MANY_COOKIES: usize = LONG_RESPONSE + 1;
}
#[cfg(feature = "tracing")]
const KINDS: usize = kind::TOO_MANY_COOKIES + 1;

#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
impl Provoked {
    /// A cookie came that is not accepted. A stale one is everyday; the others are worth a look.
    pub(crate) fn rejected(&self, clock: &Clock, session: &str, reason: Rejection) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, reason as usize) {
            match reason {
                // A second tab after a login or logout is everyday, too.
                Rejection::Expired
                | Rejection::NotFound
                | Rejection::Renewed
                | Rejection::Ended => {
                    event!(DEBUG, session, %reason, left_out, "session cookie not accepted");
                }
                _ => {
                    event!(WARN, session, %reason, left_out, "session cookie not accepted");
                }
            }
        }
    }

    /// A logout came with more sessions than it ends.
    pub(crate) fn too_many_cookies(&self, clock: &Clock, session: &str) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::TOO_MANY_COOKIES) {
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
        if let Some(left_out) = self.admit(clock, kind::LONG_REQUEST) {
            long_cookies("request", bytes, left_out);
        }
    }

    /// A proxy may soon refuse what the server answers.
    pub(crate) fn long_response(&self, clock: &Clock, bytes: usize) {
        #[cfg(feature = "tracing")]
        if let Some(left_out) = self.admit(clock, kind::LONG_RESPONSE) {
            long_cookies("response", bytes, left_out);
        }
    }

    /// A count of none is not written.
    #[cfg(feature = "tracing")]
    fn admit(&self, clock: &Clock, kind: usize) -> Option<Option<u64>> {
        let left_out = self.throttle.admit(kind, clock.now())?;
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

pub(crate) fn commit_failed(error: &Error) {
    for failure in error.failures() {
        if failure.kind().is_misuse() {
            mistaken(failure, None);
        } else {
            not_saved(failure);
        }
    }
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
fn not_saved(failure: &Error) {
    #[cfg(feature = "tracing")]
    {
        let error = failure as &dyn std::error::Error;
        if failure.kind().is_of_race() {
            event!(WARN, error, "session not saved");
        } else {
            event!(ERROR, error, "session not saved");
        }
    }
}

/// Returns the error with a note that the log has it, as the response may have it too.
pub(crate) fn load_failed(error: Error) -> Error {
    if error.kind().is_misuse() {
        return misused(error);
    }
    event!(
        ERROR,
        error = &error as &(dyn std::error::Error + 'static),
        "session not loaded"
    );
    error.told()
}

/// A program that cannot work is told so where that shows, as its handler may say no more than
/// that something failed. Other errors are for the caller to tell.
pub(crate) fn misused(error: Error) -> Error {
    if !error.kind().is_misuse() || error.is_told() {
        return error;
    }
    mistaken(&error, None);
    error.told()
}

/// A handler or an extractor gave up.
#[cfg(feature = "axum")]
pub(crate) fn answered(error: &Error, status: u16) {
    if error.is_told() {
        return;
    }
    if error.kind().is_mistake() {
        mistaken(error, Some(status));
    } else {
        event!(
            ERROR,
            error = error as &(dyn std::error::Error + 'static),
            status,
            "session error answered"
        );
    }
}

/// The sentence is the message, as it says what to do. While the program is being written, nobody
/// may have set up a log yet.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
fn mistaken(error: &Error, status: Option<u16>) {
    event!(ERROR, status, "{}", error.sentence());
    if cfg!(debug_assertions) && !has_log() {
        eprintln!("silverback: {}", error.sentence());
    }
}

#[cfg(feature = "tracing")]
fn has_log() -> bool {
    tracing::dispatcher::has_been_set()
}

#[cfg(not(feature = "tracing"))]
fn has_log() -> bool {
    false
}

/// The session is fine, but its idle timeout was not put off.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn touch_failed(session: &str, error: &(dyn std::error::Error + 'static)) {
    event!(WARN, session, error, "idle timeout not extended");
}

/// Another request or process was faster; the change is tried again.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn lost_round(what: &'static str, round: u32) {
    event!(DEBUG, what, round, "lost a compare and swap");
}

/// A record that was left behind is harmless: nobody was ever told its ID, or it is marked as
/// ended.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn left_behind(session: &str, error: &(dyn std::error::Error + 'static)) {
    event!(
        WARN,
        session,
        error,
        "record of an ended session left in the store"
    );
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn too_late(session: &str, what: &'static str) {
    event!(
        ERROR,
        session,
        what,
        "called after the response was committed; nothing was done"
    );
}

/// The handler allowed a shared cache to keep a response with a session's cookie.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn forbade_shared_caching(field: &str) {
    event!(
        WARN,
        field,
        "the response sets a session's cookie, and this field let shared caches keep it; it was replaced"
    );
}

/// A value is of another type than the page asks for, as after a deploy.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn value_recovered(expected: &'static str) {
    event!(WARN, expected, "value of a former type recovered");
}

/// A flash message is of another type than the page asks for, as after a deploy.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn flash_dropped(session: &str, expected: &'static str) {
    event!(
        WARN,
        session,
        expected,
        "flash message of another type dropped"
    );
}

/// At start-up. It is legal, and sometimes meant.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn path_ends_with_slash(session: &str, path: &str) {
    event!(
        WARN,
        session,
        path,
        "browsers send no cookie to the path without its last slash"
    );
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn replaced_cookie(session: &str) {
    event!(
        WARN,
        session,
        "the service set a cookie of the session's name; it was replaced"
    );
}

/// A full store dropped what was in use: it is too small.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn evicted(what: &'static str, count: u64) {
    event!(WARN, what, count, "a full memory store has evicted records");
}
