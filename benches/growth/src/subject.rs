//! What is timed: a session in a request, beside the bare service that gets the same request.

use bytes::Bytes;
use kit::{browser::Browser, scenario::foreign, subject::Subject, time::Pair};
use silverback::{KeyError, SessionLayer};

use crate::{
    effort::Effort,
    service::{Action, Handler, Stores},
};

/// Makes the sessions, and has them count once before.
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
    // How many requests fill a round.
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

/// A browser with sessions that have counted: whatever is measured then, counts.
///
/// # Panics
///
/// If they do not count, or a value is lost.
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
