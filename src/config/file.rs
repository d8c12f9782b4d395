//! The settings of one session in a file: every field, in one place.

use std::time::Duration;

use cookie::SameSite;

use super::value::{Expected, Input, Output};
use crate::{clock::Timestamp, cookie::CookieAttributes};

/// The settings of one session, as a configuration file has them, for
/// [`SessionConfig::settings`](crate::SessionConfig::settings). serde reads and writes them in
/// TOML, JSON, YAML and other text formats.
///
/// Each field is named like the method that does the same in a program, and each is optional.
/// Secrets, stores and the session's name stay in the program.
///
/// ```
/// use serde::Deserialize;
/// use silverback::{CookieStore, Keys, SessionConfig, SessionLayer, SessionSettings};
///
/// #[derive(Deserialize)]
/// struct Sessions {
///     account: SessionSettings,
///     theme: SessionSettings,
/// }
///
/// const FILE: &str = r#"
/// [account]
/// idle_timeout = "30m"
/// absolute_timeout = "14 days"
/// persist_up_to = "90 days"
/// not_before = 2027-01-15T08:00:00Z
/// same_site = "Strict"
///
/// [theme]
/// max_age = "400 days"
/// path = "/shop"
/// http_only = false
/// "#;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions: Sessions = toml::from_str(FILE)?;
/// let keys = Keys::generate()?;
/// let account = SessionConfig::cookie("account", keys.clone()).settings(sessions.account);
/// let theme = SessionConfig::new("theme", CookieStore::new().signed(), keys).settings(sessions.theme);
/// let layer = SessionLayer::try_new(account)?.try_with(theme)?;
/// # Ok(())
/// # }
/// ```
///
/// # How values are written
///
/// | Value | Written as |
/// |---|---|
/// | a length of time | `"30m"`, `"14 days"`, `"1h 30m"`: weeks, days, hours, minutes and seconds, by word or first letter, and milliseconds (`ms`), the largest first; or a number of seconds |
/// | a point in time | `"2027-01-15T08:00:00Z"` (RFC 3339), which TOML takes without quotes too; or a number of seconds since 1970 |
/// | `same_site` | `"Strict"`, `"Lax"` or `"None"`, in any case |
/// | a switch, a number of bytes or sessions | `true` or `false`, a whole number |
/// | former cookies | a list of tables, each with the fields that the cookie had |
///
/// A number or a switch may be text as well, since environment variables hold nothing else. A field
/// whose value is `null` counts as left out. The cookie's attributes have their names from RFC
/// 6265bis, spelled like the other fields: `http_only`, `same_site`.
///
/// Writing fails for a length of time with a fraction of a millisecond.
///
/// # Errors
///
/// Parsing fails for an unknown field, a field that comes twice, and a value of the wrong kind. The
/// error names the field: `` `idle_timeout`: expected a length of time such as .., got "30x" ``.
/// When you build the layer, it checks the values like those of settings made in the program. If
/// your struct has `#[serde(flatten)]` on this one, unknown fields are ignored, because serde
/// passes on only the known ones. Give the settings their own table instead.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SessionSettings {
    /// The name of the cookie: [`SessionConfig::cookie_name`](crate::SessionConfig::cookie_name).
    pub cookie_name: Option<String>,
    /// The attribute `Path`: [`CookieAttributes::path`](crate::CookieAttributes::path).
    pub path: Option<String>,
    /// The attribute `Domain`: [`CookieAttributes::domain`](crate::CookieAttributes::domain).
    pub domain: Option<String>,
    /// The attribute `Secure`: [`CookieAttributes::secure`](crate::CookieAttributes::secure).
    pub secure: Option<bool>,
    /// The attribute `HttpOnly`:
    /// [`CookieAttributes::http_only`](crate::CookieAttributes::http_only).
    pub http_only: Option<bool>,
    /// The attribute `SameSite`:
    /// [`CookieAttributes::same_site`](crate::CookieAttributes::same_site).
    pub same_site: Option<SameSite>,
    /// The attribute `Partitioned`:
    /// [`CookieAttributes::partitioned`](crate::CookieAttributes::partitioned).
    pub partitioned: Option<bool>,
    /// A length of time: [`SessionConfig::max_age`](crate::SessionConfig::max_age).
    pub max_age: Option<Duration>,
    /// A length of time: [`SessionConfig::idle_timeout`](crate::SessionConfig::idle_timeout).
    pub idle_timeout: Option<Duration>,
    /// A length of time:
    /// [`SessionConfig::first_idle_timeout`](crate::SessionConfig::first_idle_timeout).
    pub first_idle_timeout: Option<Duration>,
    /// A length of time:
    /// [`SessionConfig::absolute_timeout`](crate::SessionConfig::absolute_timeout).
    pub absolute_timeout: Option<Duration>,
    /// A length of time: [`SessionConfig::persist_up_to`](crate::SessionConfig::persist_up_to).
    pub persist_up_to: Option<Duration>,
    /// A point in time: [`SessionConfig::not_before`](crate::SessionConfig::not_before).
    pub not_before: Option<Timestamp>,
    /// A length of time: [`SessionConfig::store_timeout`](crate::SessionConfig::store_timeout).
    pub store_timeout: Option<Duration>,
    /// A number of bytes: [`SessionConfig::max_bytes`](crate::SessionConfig::max_bytes).
    pub max_bytes: Option<usize>,
    /// A switch: [`SessionConfig::encrypt_records`](crate::SessionConfig::encrypt_records).
    pub encrypt_records: Option<bool>,
    /// A switch: [`SessionConfig::recent_reads`](crate::SessionConfig::recent_reads).
    pub recent_reads: Option<bool>,
    /// A number of sessions:
    /// [`SessionConfig::sessions_per_subject`](crate::SessionConfig::sessions_per_subject).
    pub sessions_per_subject: Option<usize>,
    /// A number of bytes, for a session in a cookie that may overflow:
    /// [`CookieStore::up_to`](crate::CookieStore::up_to).
    pub up_to: Option<usize>,
    /// A length of time, for a session in a cookie:
    /// [`CookieStore::clock_skew`](crate::CookieStore::clock_skew).
    pub clock_skew: Option<Duration>,
    /// Cookies of other names that are read too, each with its attributes:
    /// [`SessionConfig::former_cookie`](crate::SessionConfig::former_cookie). In the file, each is
    /// a table of `cookie_name` and the attributes.
    pub former_cookie: Vec<(String, CookieAttributes)>,
    /// Attributes that the cookie had in earlier releases:
    /// [`SessionConfig::former_attributes`](crate::SessionConfig::former_attributes). In the file,
    /// each is a table of attributes.
    pub former_attributes: Vec<CookieAttributes>,
}

/// The fields, in the order in which they are written. TOML requires tables to come last.
pub(super) const FIELDS: &[&str] = &[
    "cookie_name",
    "path",
    "domain",
    "secure",
    "http_only",
    "same_site",
    "partitioned",
    "max_age",
    "idle_timeout",
    "first_idle_timeout",
    "absolute_timeout",
    "persist_up_to",
    "not_before",
    "store_timeout",
    "max_bytes",
    "encrypt_records",
    "recent_reads",
    "sessions_per_subject",
    "up_to",
    "clock_skew",
    "former_cookie",
    "former_attributes",
];

impl SessionSettings {
    /// Makes the table of a former cookie.
    pub(super) fn of_cookie(name: Option<String>, attributes: CookieAttributes) -> Self {
        Self {
            cookie_name: name,
            path: Some(attributes.path),
            domain: attributes.domain,
            secure: Some(attributes.secure),
            http_only: Some(attributes.http_only),
            same_site: Some(attributes.same_site),
            partitioned: Some(attributes.partitioned),
            ..Self::default()
        }
    }

    /// Changes the attributes that the file sets.
    pub(super) fn attributes(&self, mut cookie: CookieAttributes) -> CookieAttributes {
        cookie.path = self.path.clone().unwrap_or(cookie.path);
        cookie.secure = self.secure.unwrap_or(cookie.secure);
        cookie.http_only = self.http_only.unwrap_or(cookie.http_only);
        cookie.same_site = self.same_site.unwrap_or(cookie.same_site);
        cookie.partitioned = self.partitioned.unwrap_or(cookie.partitioned);
        match &self.domain {
            Some(domain) => cookie.domain(domain),
            None => cookie,
        }
    }

    /// Returns the fields of each table in this field, if it is a list of tables.
    pub(super) fn fields_within(field: &str) -> Option<&'static [&'static str]> {
        // The cookie's name and its six attributes come first.
        let (with_name, _) = FIELDS.split_at(7);
        match field {
            "former_cookie" => Some(with_name),
            "former_attributes" => with_name.get(1..),
            _ => None,
        }
    }

    /// Adds a table to a list of tables.
    pub(super) fn add(&mut self, field: &str, cookie: &Self) -> Result<(), &'static str> {
        let attributes = cookie.attributes(CookieAttributes::default());
        match (field, &cookie.cookie_name) {
            ("former_cookie", Some(name)) => self.former_cookie.push((name.clone(), attributes)),
            ("former_cookie", None) => return Err("missing field `cookie_name`"),
            _ => self.former_attributes.push(attributes),
        }
        Ok(())
    }

    pub(super) fn set(&mut self, field: &str, input: &Input<'_>) -> Result<(), Expected> {
        match field {
            "cookie_name" => self.cookie_name = Some(input.text()?),
            "path" => self.path = Some(input.text()?),
            "domain" => self.domain = Some(input.text()?),
            "secure" => self.secure = Some(input.bool()?),
            "http_only" => self.http_only = Some(input.bool()?),
            "same_site" => self.same_site = Some(input.same_site()?),
            "partitioned" => self.partitioned = Some(input.bool()?),
            "max_age" => self.max_age = Some(input.duration()?),
            "idle_timeout" => self.idle_timeout = Some(input.duration()?),
            "first_idle_timeout" => self.first_idle_timeout = Some(input.duration()?),
            "absolute_timeout" => self.absolute_timeout = Some(input.duration()?),
            "persist_up_to" => self.persist_up_to = Some(input.duration()?),
            "not_before" => self.not_before = Some(input.time()?),
            "store_timeout" => self.store_timeout = Some(input.duration()?),
            "max_bytes" => self.max_bytes = Some(input.count()?),
            "encrypt_records" => self.encrypt_records = Some(input.bool()?),
            "recent_reads" => self.recent_reads = Some(input.bool()?),
            "sessions_per_subject" => self.sessions_per_subject = Some(input.count()?),
            "up_to" => self.up_to = Some(input.count()?),
            "clock_skew" => self.clock_skew = Some(input.duration()?),
            _ => return Err("a list of tables"),
        }
        Ok(())
    }

    /// Returns the settings that are present, with the names of their fields.
    pub(super) fn written(&self) -> Vec<(&'static str, Output)> {
        let all = FIELDS.iter().zip(self.values());
        all.filter_map(|(field, value)| Some((*field, value?)))
            .collect()
    }

    /// Returns the values in the order of [`FIELDS`].
    fn values(&self) -> [Option<Output>; FIELDS.len()] {
        let switch = |is: Option<bool>| is.map(Output::Bool);
        let count = |count: Option<usize>| count.map(Output::Count);
        let text = |text: &Option<String>| text.as_ref().map(Output::text);
        let length = |length: Option<Duration>| length.map(Output::Length);
        let table = |name: Option<&String>, attributes: &CookieAttributes| {
            Self::of_cookie(name.cloned(), attributes.clone()).written()
        };
        let named = self.former_cookie.iter();
        let named = named.map(|(name, attributes)| table(Some(name), attributes));
        let unnamed = self.former_attributes.iter();
        let unnamed = unnamed.map(|attributes| table(None, attributes));
        [
            text(&self.cookie_name),
            text(&self.path),
            text(&self.domain),
            switch(self.secure),
            switch(self.http_only),
            self.same_site.map(Output::text),
            switch(self.partitioned),
            length(self.max_age),
            length(self.idle_timeout),
            length(self.first_idle_timeout),
            length(self.absolute_timeout),
            length(self.persist_up_to),
            self.not_before.map(Output::text),
            length(self.store_timeout),
            count(self.max_bytes),
            switch(self.encrypt_records),
            switch(self.recent_reads),
            count(self.sessions_per_subject),
            count(self.up_to),
            length(self.clock_skew),
            Output::tables(named),
            Output::tables(unnamed),
        ]
    }
}
