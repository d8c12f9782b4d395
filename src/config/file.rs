//! The settings of one session as a file has them.

use std::{fmt, time::Duration};

use cookie::SameSite;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::given::{Expected, Given, Written};
use crate::{clock::Timestamp, text};

/// The settings of one session, as a configuration file has them, for
/// [`SessionConfig::settings`](crate::SessionConfig::settings). serde reads and writes them in
/// TOML, JSON, YAML and other text formats.
///
/// Each field is named like the method that does the same in a program, and each is optional.
/// Secrets, stores and the session's name are not in the file: they stay in the program.
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
/// | a length of time | `"30m"`, `"14 days"`, `"1h 30m"`: weeks, days, hours, minutes and seconds, by word or first letter, the largest first; or a number of seconds |
/// | a point in time | `"2027-01-15T08:00:00Z"` (RFC 3339), which TOML takes without quotes too; or a number of seconds since 1970 |
/// | `same_site` | `"Strict"`, `"Lax"` or `"None"`, in any case |
/// | a switch, a number of bytes or sessions | `true` or `false`, a whole number |
///
/// A number or a switch may be text as well, since environment variables have nothing else. A field
/// whose value is `null` counts as left out. The cookie's attributes have their names from RFC
/// 6265bis, spelled like the other fields: `http_only`, `same_site`.
///
/// # Errors
///
/// Parsing fails for an unknown field, a field that comes twice, and a value of the wrong kind. The
/// error names the field: `` `idle_timeout`: expected a length of time such as .., got "30x" ``.
/// The layer checks what the values mean when you build it, as it does for settings made in the
/// program. A struct of yours that has `#[serde(flatten)]` on this one hides unknown fields, as
/// serde passes on the known ones alone: give it a table of its own.
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
}

const FIELDS: &[&str] = &[
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
];

impl SessionSettings {
    fn set(&mut self, field: &str, given: &Given<'_>) -> Result<(), Expected> {
        match field {
            "cookie_name" => self.cookie_name = Some(given.text()?),
            "path" => self.path = Some(given.text()?),
            "domain" => self.domain = Some(given.text()?),
            "secure" => self.secure = Some(given.bool()?),
            "http_only" => self.http_only = Some(given.bool()?),
            "same_site" => self.same_site = Some(given.same_site()?),
            "partitioned" => self.partitioned = Some(given.bool()?),
            "max_age" => self.max_age = Some(given.duration()?),
            "idle_timeout" => self.idle_timeout = Some(given.duration()?),
            "first_idle_timeout" => self.first_idle_timeout = Some(given.duration()?),
            "absolute_timeout" => self.absolute_timeout = Some(given.duration()?),
            "persist_up_to" => self.persist_up_to = Some(given.duration()?),
            "not_before" => self.not_before = Some(given.time()?),
            "store_timeout" => self.store_timeout = Some(given.duration()?),
            "max_bytes" => self.max_bytes = Some(given.count()?),
            "encrypt_records" => self.encrypt_records = Some(given.bool()?),
            "recent_reads" => self.recent_reads = Some(given.bool()?),
            "sessions_per_subject" => self.sessions_per_subject = Some(given.count()?),
            "up_to" => self.up_to = Some(given.count()?),
            "clock_skew" => self.clock_skew = Some(given.duration()?),
            _ => return Err("another field"),
        }
        Ok(())
    }

    /// In the order of [`FIELDS`].
    fn written(&self) -> [Option<Written>; FIELDS.len()] {
        let switch = |is: Option<bool>| is.map(Written::Bool);
        let count = |count: Option<usize>| count.map(Written::Count);
        let text = |text: &Option<String>| text.as_ref().map(Written::text);
        let length = |length: Option<Duration>| length.map(Written::duration);
        [
            text(&self.cookie_name),
            text(&self.path),
            text(&self.domain),
            switch(self.secure),
            switch(self.http_only),
            self.same_site.map(Written::text),
            switch(self.partitioned),
            length(self.max_age),
            length(self.idle_timeout),
            length(self.first_idle_timeout),
            length(self.absolute_timeout),
            length(self.persist_up_to),
            self.not_before.map(Written::text),
            length(self.store_timeout),
            count(self.max_bytes),
            switch(self.encrypt_records),
            switch(self.recent_reads),
            count(self.sessions_per_subject),
            count(self.up_to),
            length(self.clock_skew),
        ]
    }
}

impl Serialize for SessionSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = FIELDS.iter().zip(self.written());
        let set = all.filter_map(|(field, value)| Some((field, value?)));
        serializer.collect_map(set.collect::<Vec<_>>())
    }
}

// By hand: serde's own macro would make every application build `syn`, and its errors say in
// TOML alone which field it is.
impl<'de> Deserialize<'de> for SessionSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("SessionSettings", FIELDS, OfFields)
    }
}

struct OfFields;

impl<'de> Visitor<'de> for OfFields {
    type Value = SessionSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SessionSettings, A::Error> {
        let mut settings = SessionSettings::default();
        let mut seen = Vec::new();
        while let Some(Field(field)) = map.next_key()? {
            if seen.contains(&field) {
                return Err(de::Error::duplicate_field(field));
            }
            seen.push(field);
            map.next_value_seed(Setting {
                field,
                settings: &mut settings,
            })?;
        }
        Ok(settings)
    }
}

/// One of [`FIELDS`].
struct Field(&'static str);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(OfField)
    }
}

struct OfField;

impl Visitor<'_> for OfField {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
        let field = FIELDS.iter().find(|field| **field == name);
        field
            .map(|field| Field(field))
            .ok_or_else(|| E::unknown_field(name, FIELDS))
    }
}

/// The value of one field, which its errors name: JSON's tell only the line.
struct Setting<'s> {
    field: &'static str,
    settings: &'s mut SessionSettings,
}

impl Setting<'_> {
    fn set<E: de::Error>(self, given: &Given<'_>) -> Result<(), E> {
        let Self { field, settings } = self;
        settings.set(field, given).map_err(|expected| {
            E::custom(format_args!("`{field}`: expected {expected}, got {given}"))
        })
    }
}

impl<'de> DeserializeSeed<'de> for Setting<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Setting<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for `{}`", self.field)
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<(), E> {
        self.set(&Given::Bool(is))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.set(&Given::Number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => self.set(&Given::Other("a number below zero")),
        }
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.set(&Given::Other("a number with a fraction"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.set(&Given::Text(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.set(&Given::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match text::of_toml(map)? {
            Some(time) => self.visit_str(&time),
            None => self.set(&Given::Other("a table")),
        }
    }
}
