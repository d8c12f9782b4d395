//! A browser's cookies.

use std::{cmp::Reverse, fmt, time::Duration};

use cookie::Cookie;
use http::{HeaderMap, HeaderValue, Uri, header};

use crate::{
    clock::{Clock, Timestamp},
    cookie::{CookieAttributes, MAX_AGE},
};

/// The cookies of one browser.
///
/// It keeps and sends cookies by the rules of browsers (RFC 6265, section 5, and RFC 6265bis):
///
/// | Rule | What it does |
/// |---|---|
/// | `Path` | a cookie is sent to its path and those below; without one, to the folder of the address that set it |
/// | `Domain` | a cookie is sent to the host and those below; without one, to the host that set it |
/// | `Secure` | a cookie is accepted from and sent to `https`, `wss` and loopback hosts alone; no other host sets a cookie of the same name beside it |
/// | `__Host-` and the other prefixes, `SameSite=None`, `Partitioned` | a cookie without the attributes that these require is refused |
/// | `Max-Age`, `Expires` | a cookie expires by the jar's [`Clock`]; `Max-Age` takes precedence, and counts up to 400 days |
/// | two cookies of one name | stay side by side if host, path or `Partitioned` differ; otherwise the later one replaces the other |
/// | the size | a cookie whose name and value have more than 4,096 bytes is refused |
///
/// Every request counts as coming from the site itself, so `SameSite` withholds no cookie. There is
/// no list of public suffixes.
///
/// ```
/// use http::Uri;
/// use silverback::testing::Jar;
///
/// let mut jar = Jar::new();
/// let shop = Uri::from_static("https://example.com/shop");
/// assert!(jar.set(&shop, "cart=7; Path=/shop; Secure"));
/// assert_eq!(jar.header(&shop).unwrap(), "cart=7");
/// assert_eq!(jar.header(&Uri::from_static("https://example.com/")), None);
/// assert_eq!(jar.header(&Uri::from_static("http://example.com/shop")), None);
/// ```
#[derive(Clone, Default)]
pub struct Jar {
    /// In the order in which they were last set.
    cookies: Vec<Kept>,
    clock: Clock,
    /// How many cookies were made.
    made: u64,
}

#[derive(Clone)]
struct Kept {
    name: String,
    value: String,
    host: String,
    /// Whether it has no `Domain`.
    is_host_only: bool,
    path: String,
    is_secure: bool,
    is_partitioned: bool,
    /// `None` if it ends with the browser.
    expires: Option<Timestamp>,
    /// Which cookie of the jar it was when it was made. A later value does not change this.
    made: u64,
}

/// Browsers refuse a cookie whose name and value are longer.
const LONGEST: usize = 4_096;

impl Jar {
    /// Makes an empty jar that uses the system's clock.
    ///
    /// ```
    /// use silverback::testing::Jar;
    ///
    /// assert!(Jar::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses another clock.
    ///
    /// ```
    /// # use silverback::{Clock, Timestamp, testing::Jar};
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    /// let mut jar = jar.clock(clock.clone());
    /// jar.set(&home, "cart=7; Max-Age=60");
    /// clock.advance(std::time::Duration::from_secs(60));
    /// assert_eq!(jar.header(&home), None);
    /// ```
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Keeps the cookies of a response from this address, except those that a browser would refuse.
    ///
    /// ```
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// let response = http::Response::builder().header("set-cookie", "cart=7").body(())?;
    /// jar.keep(&home, response.headers());
    /// assert_eq!(jar.get("cart"), Some("7"));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn keep(&mut self, from: &Uri, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            if let Ok(cookie) = str::from_utf8(cookie.as_bytes()) {
                self.set(from, cookie);
            }
        }
    }

    /// Keeps one cookie, written as in a `Set-Cookie` header. Returns `false` if a browser would
    /// refuse it. An expired cookie removes the one with the same name, host, path and partition.
    ///
    /// ```
    /// # use http::Uri;
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// let home = Uri::from_static("https://example.com/");
    /// assert!(jar.set(&home, "account=planted; Domain=example.com"));
    /// assert!(!jar.set(&home, "__Host-account=planted; Domain=example.com; Path=/; Secure"));
    /// ```
    pub fn set(&mut self, from: &Uri, cookie: &str) -> bool {
        let now = self.clock.now();
        self.cookies.retain(|old| !old.is_over(now));
        let Some(mut new) = Kept::of(from, cookie, now) else {
            return false;
        };
        let is_plain = !new.is_secure && !is_trustworthy(from);
        if is_plain && self.cookies.iter().any(|old| old.is_hidden_by(&new)) {
            return false;
        }
        let old = self.cookies.iter().position(|old| old.is_same_as(&new));
        let old = old.map(|at| self.cookies.remove(at));
        self.made += 1;
        new.made = old.map_or(self.made, |old| old.made);
        if !new.is_over(now) {
            self.cookies.push(new);
        }
        true
    }

    /// Returns the `Cookie` header of a request to this address, or `None` if no cookie is sent
    /// there. Cookies with longer paths come first, then those that were made first (RFC 6265,
    /// section 5.4).
    ///
    /// ```
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// jar.set(&home, "cart=7");
    /// jar.set(&home, "theme=dark");
    /// assert_eq!(jar.header(&home).unwrap(), "cart=7; theme=dark");
    /// ```
    #[must_use]
    pub fn header(&self, to: &Uri) -> Option<HeaderValue> {
        let now = self.clock.now();
        let goes = |cookie: &&Kept| !cookie.is_over(now) && cookie.goes_to(to);
        let mut cookies: Vec<_> = self.cookies.iter().filter(goes).collect();
        cookies.sort_by_key(|cookie| (Reverse(cookie.path.len()), cookie.made));
        let pairs = cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        HeaderValue::try_from(pairs.join("; ")).ok()
    }

    /// Returns the value of the cookie of this name, of any host and path. If there are several,
    /// the most recent one counts.
    ///
    /// ```
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// jar.set(&home, "cart=7");
    /// assert_eq!(jar.get("cart"), Some("7"));
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let now = self.clock.now();
        let is_it = |cookie: &&Kept| cookie.name == name && !cookie.is_over(now);
        let last = self.cookies.iter().rev().find(is_it);
        last.map(|cookie| cookie.value.as_str())
    }

    /// Iterates over the names of the cookies.
    ///
    /// ```
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// jar.set(&home, "cart=7");
    /// assert!(jar.names().eq(["cart"]));
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let now = self.clock.now();
        let there = self
            .cookies
            .iter()
            .filter(move |cookie| !cookie.is_over(now));
        there.map(|cookie| cookie.name.as_str())
    }

    /// Removes the cookies of this name, of any host and path, as visitors can in their browser's
    /// settings. Returns whether there was one.
    ///
    /// ```
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// jar.set(&home, "cart=7");
    /// assert!(jar.remove("cart"));
    /// ```
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.cookies.len();
        self.cookies.retain(|cookie| cookie.name != name);
        self.cookies.len() < before
    }

    /// Closes the browser, which drops the cookies without `Max-Age` and `Expires`.
    ///
    /// ```
    /// # use http::Uri;
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = Uri::from_static("https://example.com/");
    /// jar.set(&home, "cart=7");
    /// jar.set(&home, "remembered=8; Max-Age=3600");
    /// jar.close();
    /// assert_eq!((jar.get("cart"), jar.get("remembered")), (None, Some("8")));
    /// ```
    pub fn close(&mut self) {
        self.cookies.retain(|cookie| cookie.expires.is_some());
    }

    /// Returns whether there are no cookies.
    ///
    /// ```
    /// # use silverback::testing::Jar;
    /// # let mut jar = Jar::new();
    /// # let home = http::Uri::from_static("https://example.com/");
    /// jar.set(&home, "cart=7");
    /// assert!(!jar.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }
}

impl Kept {
    fn of(from: &Uri, cookie: &str, now: Timestamp) -> Option<Self> {
        let cookie = Cookie::parse(cookie).ok()?;
        let host = host(from).to_ascii_lowercase();
        let domain = cookie.domain().map(str::to_ascii_lowercase);
        if domain
            .as_ref()
            .is_some_and(|domain| !is_below(&host, domain))
        {
            return None;
        }
        let path = cookie.path().filter(|path| path.starts_with('/'));
        let path = path.unwrap_or_else(|| folder(from.path()));
        let is_secure = cookie.secure() == Some(true);
        let is_partitioned = cookie.partitioned() == Some(true);
        let attributes = CookieAttributes::default()
            .path(path)
            .secure(is_secure)
            .http_only(cookie.http_only() == Some(true))
            .same_site(cookie.same_site().unwrap_or(crate::SameSite::Lax))
            .partitioned(is_partitioned);
        let attributes = match &domain {
            Some(domain) => attributes.domain(domain),
            None => attributes,
        };
        let is_long = cookie.name().len() + cookie.value().len() > LONGEST;
        let is_refused = is_long || (is_secure && !is_trustworthy(from));
        if is_refused || attributes.check(cookie.name()).is_err() {
            return None;
        }
        Some(Self {
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
            is_host_only: domain.is_none(),
            host: domain.unwrap_or(host),
            path: path.to_owned(),
            is_secure,
            is_partitioned,
            expires: expires(&cookie, now),
            made: 0,
        })
    }

    fn is_same_as(&self, other: &Self) -> bool {
        let key = |cookie: &Self| (cookie.is_host_only, cookie.is_partitioned);
        self.name == other.name
            && self.host == other.host
            && self.path == other.path
            && key(self) == key(other)
    }

    /// Returns whether some requests would send both, and this one is `Secure` (RFC 6265bis, section
    /// 5.7).
    fn is_hidden_by(&self, new: &Self) -> bool {
        let is_near = is_below(&self.host, &new.host) || is_below(&new.host, &self.host);
        self.is_secure && self.name == new.name && is_near && self.has_path(&new.path)
    }

    fn has_path(&self, path: &str) -> bool {
        path.strip_prefix(&self.path).is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
        })
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn goes_to(&self, to: &Uri) -> bool {
        let host = host(to).to_ascii_lowercase();
        let is_host = self.host == host || (!self.is_host_only && is_below(&host, &self.host));
        is_host && self.has_path(to.path()) && (!self.is_secure || is_trustworthy(to))
    }
}

/// Returns when a cookie expires, or `None` if it ends with the browser.
fn expires(cookie: &Cookie<'_>, now: Timestamp) -> Option<Timestamp> {
    let latest = now.saturating_add(MAX_AGE);
    if let Some(age) = cookie.max_age() {
        let secs = u64::try_from(age.whole_seconds()).unwrap_or_default();
        return Some(now.saturating_add(Duration::from_secs(secs)).min(latest));
    }
    let at = cookie.expires_datetime()?.unix_timestamp();
    Some(Timestamp::from_secs(u64::try_from(at).unwrap_or_default()).min(latest))
}

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or("localhost")
}

/// Returns whether a host is the domain or one below it. Nothing is below an IP address.
fn is_below(host: &str, domain: &str) -> bool {
    let above = host.strip_suffix(domain);
    let is_name = host.parse::<std::net::IpAddr>().is_err();
    above.is_some_and(|above| above.is_empty() || (is_name && above.ends_with('.')))
}

/// Returns the path of a cookie without one (RFC 6265, section 5.1.4).
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(end) => path.get(..end).unwrap_or("/"),
    }
}

/// Returns whether browsers send `Secure` cookies to this address.
fn is_trustworthy(uri: &Uri) -> bool {
    let host = host(uri);
    let is_loopback = |host: &str| {
        let address = host.trim_matches(['[', ']']).parse();
        address.is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    };
    uri.scheme_str()
        .is_none_or(|scheme| matches!(scheme, "https" | "wss"))
        || is_below(host, "localhost")
        || is_loopback(host)
}

/// Shows names only.
impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
