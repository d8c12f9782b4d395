//! Cookies on the wire: finding ours in a request, and rendering the one in the response.
//!
//! Names are compared byte for byte. There is no percent-decoding, no trimming except of spaces and
//! tabs around a pair, and no quoting, because each of these courtesies has been a way to smuggle a
//! cookie past its name (`__%48ost-sid`). Rules and limits are those of RFC 6265bis.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use cookie::{Cookie, SameSite, time::OffsetDateTime};
use http::HeaderValue;
use memchr::memmem;

use crate::{clock::Timestamp, error::ConfigError, small_vec::SmallVec};

/// The most bytes of a `Set-Cookie` header's value. Browsers count only name and value (RFC
/// 6265bis), other clients the attributes too.
pub(crate) const MAX_COOKIE_LEN: usize = 4096;
/// Cookies of this many bytes in one message approach the limits of proxies: nginx answers 400 to a
/// `Cookie` field of 8 KiB.
pub(crate) const NEAR_LIMIT: usize = 7 << 10;
/// The longest `Max-Age` and `Expires`.
const MAX_AGE_LEN: usize = "; Max-Age=34560000; Expires=Thu, 01 Jan 1970 00:00:00 GMT".len();
/// A longer name leaves no room for a value.
const MAX_NAME_LEN: usize = 256;
/// Browsers cut `Max-Age` to this: 400 days.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(400 * 86_400);
/// How many bytes of `Cookie` fields are copied. Longer fields are cloned.
const INLINE_LEN: usize = 352;

/// The `Cookie` fields of a request, kept unparsed and read when a session is first used.
///
/// A clone of a short header value may allocate and a copy does not, so short fields are copied,
/// one after the other with a semicolon between. RFC 6265 treats them like separate fields.
pub(crate) struct RequestCookies {
    inline: [u8; INLINE_LEN],
    len: usize,
    long: SmallVec<HeaderValue>,
}

/// The cookies that came under one name.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum CookieMatch<'a> {
    Nothing,
    One(&'a [u8]),
    /// Cookies with different values.
    Several,
}

impl RequestCookies {
    pub(crate) const fn new() -> Self {
        Self {
            inline: [b';'; INLINE_LEN],
            len: 0,
            long: SmallVec::Empty,
        }
    }

    pub(crate) fn keep(&mut self, field: &HeaderValue) {
        let bytes = field.as_bytes();
        if let Some(room) = self.inline.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            // The byte in between is already a semicolon.
            self.len += bytes.len() + 1;
        } else {
            self.long.push(field.clone());
        }
    }

    /// Their length in bytes, if it approaches the limits of proxies.
    pub(crate) fn len_near_limit(&self) -> Option<usize> {
        // The copied fields alone are shorter.
        let long = self.long.iter().map(HeaderValue::len);
        let len = self.len + long.sum::<usize>();
        (len >= NEAR_LIMIT).then_some(len)
    }

    /// Iterates over the values of all cookies of a name.
    pub(crate) fn all_named<'a>(&'a self, finder: &'a Finder) -> impl Iterator<Item = &'a [u8]> {
        self.fields().flat_map(move |field| finder.values(field))
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let short = self
            .inline
            .get(..self.len.min(INLINE_LEN))
            .unwrap_or_default();
        let long = self.long.iter().map(HeaderValue::as_bytes);
        std::iter::once(short).chain(long)
    }

    /// Finds the value of the cookie of a name. Equal values count as one.
    pub(crate) fn find<'a>(&'a self, finder: &'a Finder) -> CookieMatch<'a> {
        let mut found = CookieMatch::Nothing;
        // Not `all_named`: a flattened iterator takes about 200 instructions more.
        for field in self.fields() {
            for value in finder.values(field) {
                match found {
                    CookieMatch::Nothing => found = CookieMatch::One(value),
                    CookieMatch::One(other) if other == value => {}
                    CookieMatch::One(_) | CookieMatch::Several => return CookieMatch::Several,
                }
            }
        }
        found
    }
}

/// Shows no cookie.
impl fmt::Debug for RequestCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestCookies(..)")
    }
}

/// Checks that a name is a token (RFC 9110, section 5.6.2) and leaves room for a value.
pub(crate) fn check_name(name: &str) -> Result<(), ConfigError> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ConfigError::InvalidName(name.into()));
    }
    if name.len() > MAX_NAME_LEN {
        return Err(ConfigError::NameTooLong {
            name: name.into(),
            limit: MAX_NAME_LEN,
        });
    }
    Ok(())
}

/// Returns whether browsers require more of a cookie with this name than of others.
pub(crate) fn has_prefix(name: &str) -> bool {
    let prefixes = ["__host-", "__secure-", "__http-"];
    let name = name.to_ascii_lowercase();
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Finds the cookies of one name.
#[derive(Debug)]
pub(crate) struct Finder(memmem::Finder<'static>);

impl Finder {
    /// The name is a token, so it contains no equals sign, and the needle cannot overlap itself.
    pub(crate) fn new(name: &str) -> Self {
        Self(memmem::Finder::new(&format!("{name}=")).into_owned())
    }

    /// The values of all pairs `name=value` in one field. Other pairs are skipped, whatever they
    /// contain.
    fn values<'a>(&'a self, field: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut end = 0;
        std::iter::from_fn(move || {
            loop {
                let rest = field
                    .get(end..)
                    .filter(|rest| rest.len() >= self.0.needle().len())?;
                let start = end + self.0.find(rest)?;
                end = start + self.0.needle().len();
                let (before, rest) = (field.get(..start)?, field.get(end..)?);
                if trim_end(before).last().is_none_or(|byte| *byte == b';') {
                    let len = memchr::memchr(b';', rest).unwrap_or(rest.len());
                    end += len;
                    return rest.get(..len).map(trim_end);
                }
            }
        })
    }
}

/// Trims spaces and tabs. Other characters are not white space here.
fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The attributes of a session's cookie. `Max-Age` is not among them: it follows from how long the
/// session lasts.
///
/// The default is the strict one: `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, no `Domain`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CookieAttributes {
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
}

impl Default for CookieAttributes {
    fn default() -> Self {
        Self {
            path: "/".into(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
        }
    }
}

impl CookieAttributes {
    /// Sends the cookie only to this path and those below it (RFC 6265, section 5.1.4). The default
    /// is `/`. A path protects nothing: pages of other paths can still send requests there.
    ///
    /// ```
    /// # use silverback::CookieAttributes;
    /// let admin = CookieAttributes::default().path("/admin");
    /// ```
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to this host and all hosts below it. By default it goes only to the host
    /// that set it. A leading dot means nothing and is dropped (RFC 6265, section 5.2.3).
    ///
    /// ```
    /// # use silverback::CookieAttributes;
    /// let shared = CookieAttributes::default().domain("example.com"); // shop.example.com too
    /// ```
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        let domain = domain.into();
        self.domain = Some(
            domain
                .strip_prefix('.')
                .map_or(domain.clone(), str::to_owned),
        );
        self
    }

    /// Sends the cookie over HTTPS only. Most browsers also send it to loopback addresses. The
    /// default is `true`.
    ///
    /// ```
    /// # use silverback::CookieAttributes;
    /// let local = CookieAttributes::default().secure(!cfg!(debug_assertions));
    /// ```
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Hides the cookie from scripts, so that an injected one cannot send it elsewhere. The default
    /// is `true`.
    ///
    /// ```
    /// # use silverback::CookieAttributes;
    /// let visible = CookieAttributes::default().http_only(false);
    /// ```
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets whether the browser sends the cookie with requests that come from another site. The
    /// default is [`Lax`](SameSite::Lax): a link from there brings the cookie, a form that posts or
    /// a frame does not.
    ///
    /// ```
    /// # use silverback::{CookieAttributes, SameSite};
    /// let strict = CookieAttributes::default().same_site(SameSite::Strict);
    /// ```
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps a separate cookie for each site that embeds this one (CHIPS). The default is `false`.
    /// It needs `Secure`, and in a frame `SameSite=None` too.
    ///
    /// ```
    /// # use silverback::{CookieAttributes, SameSite};
    /// let embedded = CookieAttributes::default().same_site(SameSite::None).partitioned(true);
    /// ```
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Checks name and attributes together, so that no browser drops the cookie silently.
    pub(crate) fn check(&self, name: &str) -> Result<(), ConfigError> {
        check_name(name)?;
        // A space would be trimmed at the end, and matches no request elsewhere.
        let path_bytes = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        if !self.path.starts_with('/')
            || self.path.len() > 1024
            || !self.path.bytes().all(path_bytes)
        {
            return Err(ConfigError::InvalidPath(self.path.clone()));
        }
        if let Some(domain) = self.domain.as_ref().filter(|domain| !is_host_name(domain)) {
            return Err(ConfigError::InvalidDomain(domain.clone()));
        }
        self.check_prefix(name)?;
        match (self.secure, self.same_site, self.partitioned) {
            (false, SameSite::None, _) => Err(ConfigError::NeedsSecure {
                attribute: "SameSite=None",
            }),
            (false, _, true) => Err(ConfigError::NeedsSecure {
                attribute: "Partitioned",
            }),
            _ => Ok(()),
        }
    }

    /// Returns whether browsers accept a cookie with these attributes under a name that begins with
    /// `__Host-` (RFC 6265bis, section 4.1.3.2).
    pub(crate) fn allow_host_prefix(&self) -> bool {
        self.secure && self.path == "/" && self.domain.is_none()
    }

    /// Checks the prefix without regard to case, as browsers do.
    fn check_prefix(&self, name: &str) -> Result<(), ConfigError> {
        let lower = name.to_ascii_lowercase();
        let host = lower.starts_with("__host-");
        let http = lower.starts_with("__http-") || lower.starts_with("__host-http-");
        let secure = host || http || lower.starts_with("__secure-");
        let needs = if secure && !self.secure {
            "Secure"
        } else if http && !self.http_only {
            "HttpOnly"
        } else if host && self.path != "/" {
            "Path=/"
        } else if host && self.domain.is_some() {
            "no Domain"
        } else {
            return Ok(());
        };
        Err(ConfigError::PrefixUnmet {
            name: name.into(),
            needs,
        })
    }

    /// Renders `; Path=/; ...`, which follows the value and `Max-Age` in every cookie of a session.
    pub(crate) fn render(&self) -> String {
        let mut cookie = Cookie::build(("x", ""))
            .path(&*self.path)
            .secure(self.secure)
            .http_only(self.http_only)
            .same_site(self.same_site)
            .partitioned(self.partitioned);
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(&**domain);
        }
        cookie.to_string().split_off("x=".len())
    }
}

/// How long a browser keeps a cookie, and from when.
pub(crate) type Lifespan = (Duration, Timestamp);

/// Renders `name=value`, `Max-Age` and `Expires` if it outlasts the browser, and the attributes.
/// Returns `None` if the result is not a header value.
///
/// `Expires` repeats `Max-Age` because Java's `CookieManager` takes a cookie without `Expires` for
/// one of RFC 2965, and sends its value back in quotes.
///
/// The value is written directly into a buffer of the exact size.
pub(crate) fn set(
    name: &str,
    (len, value): (usize, impl FnOnce(&mut String)),
    lifespan: Option<Lifespan>,
    attributes: &str,
) -> Option<HeaderValue> {
    let age = lifespan.map_or(0, |_| MAX_AGE_LEN);
    let mut cookie = String::with_capacity(name.len() + 1 + len + age + attributes.len());
    cookie.push_str(name);
    cookie.push('=');
    value(&mut cookie);
    if let Some((age, now)) = lifespan {
        push_lifespan(&mut cookie, age.min(MAX_AGE), now);
    }
    cookie.push_str(attributes);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(cookie)).ok()
}

fn push_lifespan(cookie: &mut String, age: Duration, now: Timestamp) {
    // Writing into a string cannot fail.
    let _ = write!(cookie, "; Max-Age={}", age.as_secs());
    let end = i64::try_from(now.saturating_add(age).as_secs());
    let end = end.map(OffsetDateTime::from_unix_timestamp);
    // Beyond the year 9999 there is no such date.
    if let Ok(Ok(end)) = end {
        cookie.push_str("; Expires=");
        push_date(cookie, end);
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
///
/// The calendar is that of the `time` crate, which `cookie` depends on.
fn push_date(out: &mut String, time: OffsetDateTime) {
    const DAYS: [&str; 7] = [
        "Sun, ", "Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ",
    ];
    const MONTHS: [&str; 12] = [
        " Jan ", " Feb ", " Mar ", " Apr ", " May ", " Jun ", " Jul ", " Aug ", " Sep ", " Oct ",
        " Nov ", " Dec ",
    ];
    let two_digits = |out: &mut String, number: u8| {
        out.push(char::from(b'0' + number / 10 % 10));
        out.push(char::from(b'0' + number % 10));
    };
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let weekday = usize::from(time.weekday().number_days_from_sunday());
    out.push_str(DAYS.get(weekday).copied().unwrap_or_default());
    two_digits(out, day);
    // Older releases of `time` have no `From` for months.
    let month = month as usize - 1;
    out.push_str(MONTHS.get(month).copied().unwrap_or_default());
    // The year has four digits, as `time` is used without its feature for larger ones.
    let century = |years: i32| u8::try_from(years).unwrap_or_default();
    two_digits(out, century(year / 100));
    two_digits(out, century(year % 100));
    out.push(' ');
    two_digits(out, hour);
    out.push(':');
    two_digits(out, minute);
    out.push(':');
    two_digits(out, second);
    out.push_str(" GMT");
}

/// The most bytes that the header's value takes besides name and token.
pub(crate) fn longest_rest(attributes: &str) -> usize {
    "=".len() + MAX_AGE_LEN + attributes.len()
}

/// The cookie that makes a browser forget the cookie of this name. It must carry the same
/// attributes.
pub(crate) fn removal(name: &str, attributes: &str) -> Option<HeaderValue> {
    let expires = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    HeaderValue::try_from(format!("{name}={expires}{attributes}")).ok()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_host_name(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.split('.').all(label)
}

#[cfg(test)]
mod tests;
