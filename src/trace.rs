//! What is worth a line in the log. Target `silverback`; kinds and names only, never a token, ID,
//! key or value. Without the feature `tracing` each of these is nothing.

use crate::{
    error::Error,
    report::{event, metrics},
};

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

/// A key has become active, pending, retired or revoked while the server runs. Its id is no secret:
/// it is in every cookie.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn key_changed(key: &dyn std::fmt::Display, state: &'static str) {
    let event = "session_key_changed";
    event!(INFO, event, %key, state, "session key changed");
}

/// Another request or process was faster; the change is tried again.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn lost_round(what: &'static str, round: u32) {
    metrics::conflict(what);
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
