//! What a response says about one session.

use std::mem;

use http::HeaderValue;

use crate::{
    clock::Timestamp,
    codec::Stamp,
    config::Settings,
    cookie::{self, CookieAttributes},
    error::{Error, ErrorKind},
    state::{CookieDuty, Home, Lifetime, State, View},
};

#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) cookie: Option<HeaderValue>,
    /// Removes the cookie of another path or domain that this one takes the place of.
    pub(crate) leftover: Option<HeaderValue>,
    /// The response depends on the cookie.
    pub(crate) is_used: bool,
    /// Nothing is lost if this cookie is not sent.
    pub(crate) is_refresh: bool,
}

impl Reply {
    pub(super) fn of(
        state: &mut State,
        settings: &Settings,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<Self, Error> {
        let duty = mem::take(&mut state.duty);
        let cookie = match (duty, &state.view) {
            (CookieDuty::Set | CookieDuty::Refresh, Some(view)) if !view.home.is_nowhere() => {
                Some(render(view, settings, now())?)
            }
            (CookieDuty::Remove, view) => Some(render_removal(view.as_ref(), settings)?),
            _ => None,
        };
        let leftover = state.moved_from.take().filter(|_| duty == CookieDuty::Set);
        let leftover = leftover.filter(|from| differs(state.view.as_ref(), settings, from));
        let leftover = leftover.and_then(|from| cookie::removal(&settings.name, &from.render()));
        let is_refresh = duty == CookieDuty::Refresh;
        Ok(Self {
            cookie,
            leftover,
            is_used: state.is_used,
            is_refresh,
        })
    }
}

fn own_attributes(view: Option<&View>) -> Option<&CookieAttributes> {
    view?.content.attributes.as_deref()
}

/// Whether the session's cookie is another one to a browser than one of these attributes.
fn differs(view: Option<&View>, settings: &Settings, from: &CookieAttributes) -> bool {
    let own = own_attributes(view).unwrap_or(&settings.attributes);
    (&own.path, &own.domain) != (&from.path, &from.domain)
}

fn render(view: &View, settings: &Settings, now: Timestamp) -> Result<HeaderValue, Error> {
    let (content, lifetime) = (&view.content, Lifetime::of(&view.content, settings));
    let stamp = |until: Timestamp, token_id| {
        let ttl = u32::try_from(until.saturating_since(now).as_secs()).unwrap_or(u32::MAX);
        Stamp {
            issued: now,
            // The machine that made the session may have a clock that is ahead.
            created: content.created.min(now),
            ttl,
            token_id,
        }
    };
    let token = match &view.home {
        Home::Nowhere => return Err(Error::new(ErrorKind::Gone)),
        Home::Cookie { id, .. } => {
            let stamp = stamp(lifetime.expires(now), id.token_id());
            settings.codec.seal(&stamp, content.payload_len(), |out| {
                content.encode_payload(out)
            })
        }
        Home::Record { id, .. } => {
            let (stamp, id) = (stamp(lifetime.end, None), id.as_bytes());
            settings
                .reference_codec()
                .seal(&stamp, id.len(), |out| out.extend_from_slice(id))
        }
    }?;
    let max_age = lifetime.max_age(now, content, settings);
    let value = (token.encoded_len(), |out: &mut String| token.encode_to(out));
    let cookie = match own_attributes(Some(view)) {
        None => cookie::set(&settings.name, value, max_age, &settings.rendered),
        Some(attributes) => cookie::set(&settings.name, value, max_age, &attributes.render()),
    };
    cookie.ok_or_else(|| Error::new(ErrorKind::Attributes))
}

fn render_removal(view: Option<&View>, settings: &Settings) -> Result<HeaderValue, Error> {
    let removal = match own_attributes(view) {
        None => cookie::removal(&settings.name, &settings.rendered),
        Some(attributes) => cookie::removal(&settings.name, &attributes.render()),
    };
    removal.ok_or_else(|| Error::new(ErrorKind::Attributes))
}
