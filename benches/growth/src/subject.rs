//! The timed services: one with sessions, and the bare service, which gets the same requests.

use bytes::Bytes;
use kit::{browser::Browser, scenario::foreign, subject::Subject, time::Pair};
use silverback::{KeyError, SessionLayer};

use crate::{
    effort::Effort,
    service::{Action, Handler, Stores},
};

/// Makes the sessions, increments their counters as a check, and returns the pair to time.
pub(crate) fn pair(
    stores: &Stores,
    handler: Handler,
    foreign_cookies: usize,
    effort: Effort,
) -> Result<Pair, KeyError> {
    let layer = stores.layer(handler.kind, handler.count)?;
    let cookies = with_sessions(&layer, handler).field();
    let field: Bytes = foreign(&cookies, foreign_cookies);
    let bare = handler.doing(Action::Nothing).call(None);
    let mut subject = Subject {
        endpoint: handler.call(Some(&layer)),
        field: Some(field.clone()),
    };
    // Finds the number of requests that fill a round.
    subject.time(5);
    let calls = (effort.round / subject.time(5)).clamp(1.0, 250.0) as u32;
    Ok(Pair {
        bare: Subject {
            endpoint: bare,
            field: Some(field),
        },
        subject,
        calls: Some(calls),
    })
}

/// A browser whose sessions have counted to two, as a check that updates work.
///
/// # Panics
///
/// If a session does not count, or loses a value.
pub(crate) fn with_sessions(layer: &SessionLayer, handler: Handler) -> Browser {
    let mut browser = Browser::default();
    for action in [
        Action::Prepare,
        Action::Update,
        Action::Update,
        Action::Expect(2),
    ] {
        browser.visit(&mut *handler.doing(action).call(Some(layer)));
    }
    browser
}
