//! What a response says about one session.

use std::mem;

use http::{HeaderMap, HeaderValue, header};

use crate::{
    clock::Timestamp,
    codec::Stamp,
    config::{CookieValue, Settings},
    cookie::{self, CookieAttributes},
    crypto::Salt,
    error::{Error, ErrorKind},
    small_vec::SmallVec,
    state::{CookieDuty, Home, Lifetime, State, Use, View},
};

#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The session's cookie comes last. Before it are removals of the cookies under another name,
    /// path, domain or partition that it replaces.
    pub(crate) cookies: Cookies,
    pub(crate) used: Use,
}

/// The cookies to set.
#[derive(Debug, Default)]
pub(crate) struct Cookies(SmallVec<NewCookie>);

#[derive(Debug)]
struct NewCookie {
    value: HeaderValue,
    /// Whether nothing is lost if the cookie is not sent.
    is_refresh: bool,
}

impl Cookies {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the cookies of another session.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.append(other.0);
    }

    /// Drops the cookies without which nothing is lost.
    pub(crate) fn drop_refreshes(&mut self) {
        self.0.retain(|cookie| !cookie.is_refresh);
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &HeaderValue> {
        self.0.iter().map(|cookie| &cookie.value)
    }

    pub(crate) fn append_to(self, headers: &mut HeaderMap) {
        self.0.for_each(|cookie| {
            headers.append(header::SET_COOKIE, cookie.value);
        });
    }
}

impl Reply {
    /// `salt` is for the cookie, if it was drawn already.
    #[inline]
    pub(super) fn of(
        state: &mut State,
        settings: &Settings,
        salt: Option<Salt>,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<Self, Error> {
        let duty = mem::take(&mut state.duty);
        let cookie = match (duty, &state.view) {
            (CookieDuty::Set | CookieDuty::Refresh, Some(view)) if !view.home.is_nowhere() => {
                Some(render(view, !state.has_begun, settings, salt, now())?)
            }
            (CookieDuty::Remove, view) => {
                // The browser does not know the attributes that this request gave the cookie.
                let of_browser = state
                    .moved_from
                    .as_deref()
                    .or(own_attributes(view.as_ref()));
                Some(render_removal(of_browser, settings)?)
            }
            _ => None,
        };
        let moved_from = state.moved_from.take();
        let leaves = moved_from.is_some() || settings.has_former_cookies();
        let is_refresh = duty == CookieDuty::Refresh;
        let mut cookies = SmallVec::Empty;
        if let Some(value) = cookie {
            if leaves {
                let moved_from = moved_from.filter(|_| duty == CookieDuty::Set);
                for value in leftovers(state.view.as_ref(), settings, moved_from) {
                    cookies.push(NewCookie { value, is_refresh });
                }
            }
            cookies.push(NewCookie { value, is_refresh });
        }
        Ok(Self {
            cookies: Cookies(cookies),
            used: state.committed(),
        })
    }
}

/// The removals of the cookies that a new one replaces.
#[cold]
fn leftovers(
    view: Option<&View>,
    settings: &Settings,
    moved_from: Option<Box<CookieAttributes>>,
) -> Vec<HeaderValue> {
    let moved_from = moved_from.filter(|from| differs(view, settings, from));
    let moved_from = moved_from.map(|from| from.render());
    let former = settings.former.iter().map(String::as_str);
    let of_name = moved_from.as_deref().into_iter().chain(former);
    let of_name = of_name.map(|rendered| (&*settings.cookie_name, rendered));
    let formerly = settings.formerly.iter();
    let of_others = formerly.map(|other| (&*other.cookie_name, &*other.rendered));
    let all = of_name.chain(of_others);
    all.filter_map(|(name, rendered)| cookie::removal(name, rendered))
        .collect()
}

fn own_attributes(view: Option<&View>) -> Option<&CookieAttributes> {
    view?.content.attributes.as_deref()
}

/// Whether browsers keep the session's cookie and one with the attributes `from` apart.
fn differs(view: Option<&View>, settings: &Settings, from: &CookieAttributes) -> bool {
    let own = own_attributes(view).unwrap_or(&settings.attributes);
    let identity = |of: &CookieAttributes| (of.path.clone(), of.domain.clone(), of.partitioned);
    identity(own) != identity(from)
}

fn render(
    view: &View,
    has_existed: bool,
    settings: &Settings,
    salt: Option<Salt>,
    now: Timestamp,
) -> Result<HeaderValue, Error> {
    let content = &view.content;
    let stamp = |issued: Timestamp, until: Timestamp, token_id| {
        let ttl = u32::try_from(until.saturating_since(issued).as_secs()).unwrap_or(u32::MAX);
        Stamp {
            issued,
            // The clock of the machine that made the session may be ahead.
            created: content.created.min(issued),
            ttl,
            token_id,
        }
    };
    let mut used = now;
    let value = match &view.home {
        Home::Nowhere | Home::Marked(_) => return Err(Error::new(ErrorKind::Gone)),
        Home::Cookie {
            id,
            issued,
            expires,
        } => {
            used = *issued;
            let stamp = stamp(used, *expires, id.token_id());
            settings.seal_cookie(content, &stamp, has_existed, salt)?
        }
        Home::Record(place) => {
            let tag = match own_attributes(Some(view)) {
                None => settings.tag,
                Some(own) => Settings::tag_of(&own.render()),
            };
            let (stamp, len) = (
                stamp(now, Lifetime::of(content, settings).end, None),
                place.id.as_bytes().len() + tag.len(),
            );
            let payload = |out: &mut Vec<u8>| Settings::put_reference(&place.id, tag, out);
            let codec = settings.reference_codec();
            CookieValue::Token(codec.seal(&stamp, None, len, payload)?)
        }
    };
    let lasts = Lifetime::max_age(content, settings, now, used);
    let lasts = lasts.map(|age| (age, now));
    let value = (value.len(), |out: &mut String| value.append_to(out));
    let cookie = match own_attributes(Some(view)) {
        None => cookie::set(&settings.cookie_name, value, lasts, &settings.rendered),
        Some(attributes) => cookie::set(&settings.cookie_name, value, lasts, &attributes.render()),
    };
    cookie.ok_or_else(|| Error::new(ErrorKind::InvalidAttributes))
}

fn render_removal(
    attributes: Option<&CookieAttributes>,
    settings: &Settings,
) -> Result<HeaderValue, Error> {
    let removal = match attributes {
        None => cookie::removal(&settings.cookie_name, &settings.rendered),
        Some(attributes) => cookie::removal(&settings.cookie_name, &attributes.render()),
    };
    removal.ok_or_else(|| Error::new(ErrorKind::InvalidAttributes))
}
