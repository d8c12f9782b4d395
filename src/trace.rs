//! The log lines that need no [`Report`](crate::report::Report). Target `silverback`; kinds and
//! names only, never a token, ID, key or value. Without the feature `tracing` nothing here does
//! anything.

#[cfg(feature = "axum")]
use std::sync::LazyLock;

#[cfg(feature = "axum")]
use crate::error::ErrorKind;
use crate::{
    clock::Clock,
    error::Error,
    report::{Report, Swap, event, metrics},
};

/// Logs that sessions were not saved.
pub(crate) fn commit_failed(error: &Error, report: &Report, clock: &Clock) {
    for failure in error.failures() {
        if failure.kind().is_misuse() {
            mistaken(failure, None);
        } else {
            report.failed(clock, "session not saved", failure);
        }
    }
}

/// Logs a failed load, and marks the error as logged, since the response may log it too.
pub(crate) fn load_failed(error: Error, report: &Report, clock: &Clock) -> Error {
    if error.kind().is_misuse() {
        return misused(error);
    }
    report.failed(clock, "session not loaded", &error);
    error.logged()
}

/// Logs a misuse where it happens, since the handler may only report that something failed. Other
/// errors are left to the caller.
pub(crate) fn misused(error: Error) -> Error {
    if !error.kind().is_misuse() || error.is_logged() {
        return error;
    }
    mistaken(&error, None);
    error.logged()
}

/// Logs an error that a handler or an extractor has answered.
#[cfg(feature = "axum")]
pub(crate) fn answered(error: &Error, status: u16) {
    if error.is_logged() {
        return;
    }
    if error.kind().is_mistake() {
        mistaken(error, Some(status));
    } else if matches!(error.kind(), ErrorKind::Gone | ErrorKind::Conflict) {
        // The response does not know the layer, so all layers count together.
        static ANSWERED: LazyLock<Report> = LazyLock::new(Report::default);
        ANSWERED.failed(&Clock::system(), "session error answered", error);
    } else {
        event!(
            ERROR,
            error = error as &(dyn std::error::Error + 'static),
            status,
            "session error answered"
        );
    }
}

/// Logs an error whose message says what to change. In a debug build without a subscriber the
/// message goes to the terminal, since the program may not have set up a log yet.
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

/// Logs that a session's idle timeout was not extended. The session itself is intact.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn touch_failed(session: &str, error: &(dyn std::error::Error + 'static)) {
    event!(WARN, session, error, "idle timeout not extended");
}

/// Logs that a key has become active, pending, retired or revoked while the server runs. Its id is
/// not secret: every cookie holds it.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn key_changed(key: &dyn std::fmt::Display, state: &'static str) {
    let event = "session_key_changed";
    event!(INFO, event, %key, state, "session key changed");
}

/// Logs that another request or process was faster. The change is tried again.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn lost_round(swap: Swap, round: u32) {
    metrics::conflict(swap);
    event!(DEBUG, what = swap.word(), round, "lost a compare and swap");
}

/// Logs that a record was left behind. It is harmless: no browser ever got its ID, or it is marked
/// as ended, or it is empty.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn left_behind(session: &str, error: &(dyn std::error::Error + 'static)) {
    event!(
        WARN,
        session,
        error,
        "record of a session that is over left in the store"
    );
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn left_expired(
    store: &'static str,
    records: u64,
    error: &(dyn std::error::Error + 'static),
) {
    event!(
        WARN,
        store,
        records,
        error,
        "a sweep could not look at records, or remove them"
    );
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn too_late(session: &str, what: &'static str) {
    event!(
        ERROR,
        session,
        what,
        "called after the response was committed, so nothing was done: call it before the handler returns"
    );
}

/// Logs that the last handle of a session was dropped with changes that only a save could keep.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn left_unsaved(session: &str) {
    event!(
        WARN,
        session,
        "changes made after the response are lost: call save after them"
    );
}

/// Logs that the handler would have let a shared cache keep a response with a session's cookie.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn forbade_shared_caching(field: &str) {
    event!(
        WARN,
        field,
        "the response sets a session's cookie, and this field let shared caches keep it; it was replaced"
    );
}

/// Logs that a value has another type than the page expects, as after a deploy.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn value_recovered(expected: &'static str) {
    event!(WARN, expected, "value of a former type recovered");
}

/// Logs that a flash message has another type than the page expects, as after a deploy.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn flash_dropped(session: &str, expected: &'static str) {
    event!(
        WARN,
        session,
        expected,
        "flash message of another type dropped"
    );
}

/// Logs at start-up that a cookie's path ends with a slash, which is legal and sometimes intended.
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

/// Logs that a full store dropped records that were in use: it is too small.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
pub(crate) fn evicted(what: &'static str, count: u64) {
    event!(WARN, what, count, "a full memory store has evicted records");
}
