//! What is timed: a session in a request, beside the bare service that gets the same request.

use std::hint::black_box;

use bytes::Bytes;
use http::{HeaderValue, header};
use silverback::{KeyError, SessionLayer};

use crate::{
    service::{Action, Call, Handler, Stores, request},
    time::each,
};

pub(crate) struct Subject {
    bare: Call,
    ours: Call,
    field: Bytes,
}

impl Subject {
    /// Makes the sessions, and has them count once before.
    pub(crate) fn new(
        stores: &Stores,
        handler: Handler,
        foreign_cookies: usize,
    ) -> Result<Self, KeyError> {
        let layer = stores.layer(handler.kind, handler.count)?;
        let field = foreign(
            &Browser::with_sessions(&layer, handler).field(),
            foreign_cookies,
        );
        Ok(Self {
            bare: handler.doing(Action::Nothing).call(None),
            ours: handler.call(Some(&layer)),
            field,
        })
    }

    pub(crate) fn time(&mut self, calls: u32) -> f64 {
        time(&mut self.ours, &self.field, calls)
    }

    pub(crate) fn time_bare(&mut self, calls: u32) -> f64 {
        time(&mut self.bare, &self.field, calls)
    }
}

fn time(call: &mut Call, field: &Bytes, calls: u32) -> f64 {
    each(calls as usize, || {
        (0..calls).for_each(|_| drop(black_box(call(request(Some(field))))))
    })
}

/// The session's cookies amid others.
fn foreign(pairs: &str, foreign_cookies: usize) -> Bytes {
    let mut all: Vec<_> = (0..foreign_cookies)
        .map(|number| format!("other{number}=0123456789abcdef01234567"))
        .collect();
    all.insert(all.len() / 2, pairs.to_owned());
    all.join("; ").into()
}

/// A browser that sends the cookies that it got last.
#[derive(Default)]
pub(crate) struct Browser(Vec<(String, String)>);

impl Browser {
    /// With sessions that have counted: whatever is measured then, counts.
    ///
    /// # Panics
    ///
    /// If they do not count, or a value is lost.
    pub(crate) fn with_sessions(layer: &SessionLayer, handler: Handler) -> Self {
        let mut browser = Self::default();
        for action in [
            Action::Prepare,
            Action::Update,
            Action::Update,
            Action::Expect(2),
        ] {
            browser.visit(&mut handler.doing(action).call(Some(layer)));
        }
        browser
    }

    pub(crate) fn visit(&mut self, call: &mut Call) {
        let field = (!self.0.is_empty()).then(|| Bytes::from(self.field()));
        let response = call(request(field.as_ref()));
        for cookie in response
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .map(HeaderValue::to_str)
        {
            let cookie = cookie.expect("cookies are visible ASCII");
            let pair = cookie
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a cookie has a name and a value");
            self.0.retain(|(known, _)| known != name);
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(crate) fn field(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }
}
