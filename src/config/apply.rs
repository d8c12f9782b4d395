//! From a settings file to the settings of a session, and back.

use std::time::Duration;

use super::{SessionConfig, SessionSettings};
use crate::clock::Timestamp;

impl SessionConfig {
    /// Applies the settings of a configuration file. Fields that the file leaves out stay as you
    /// have set them, and what you set after this call replaces what the file says. Former cookies
    /// and attributes are added to those that you have set.
    ///
    /// `up_to` and `clock_skew` are settings of [`CookieStore`](crate::CookieStore). For a session
    /// in a store, each is a [`ConfigError::NoEffect`](crate::ConfigError::NoEffect) when the layer
    /// is built.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use silverback::{Keys, MemoryStore, SessionConfig, SessionSettings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let from_file: SessionSettings = serde_json::from_str(r#"{ "idle_timeout": "1h 30m" }"#)?;
    /// let cart = SessionConfig::new("cart", MemoryStore::new(), Keys::generate()?)
    ///     .idle_timeout(Duration::from_secs(600)) // unless the file says otherwise
    ///     .settings(from_file);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn settings(mut self, settings: SessionSettings) -> Self {
        self = self.attributes(|cookie| settings.attributes(cookie));
        // Destructured, so that no field is forgotten.
        let SessionSettings {
            cookie_name,
            path: _,
            domain: _,
            secure: _,
            http_only: _,
            same_site: _,
            partitioned: _,
            max_age,
            idle_timeout,
            first_idle_timeout,
            absolute_timeout,
            persist_up_to,
            not_before,
            store_timeout,
            max_bytes,
            encrypt_records,
            recent_reads,
            sessions_per_subject,
            up_to,
            clock_skew,
            former_cookie,
            former_attributes,
        } = settings;
        self.cookie_name = cookie_name.or(self.cookie_name);
        self.max_age = max_age.or(self.max_age);
        self.idle = idle_timeout.or(self.idle);
        self.first_idle = first_idle_timeout.or(self.first_idle);
        self.absolute = absolute_timeout.or(self.absolute);
        self.persist_up_to = persist_up_to.or(self.persist_up_to);
        self.not_before = not_before.unwrap_or(self.not_before);
        self.store_timeout = store_timeout.or(self.store_timeout);
        self.max_bytes = max_bytes.or(self.max_bytes);
        self.encrypts_records = encrypt_records.unwrap_or(self.encrypts_records);
        self.reads_recent = recent_reads.unwrap_or(self.reads_recent);
        self.sessions_per_subject = sessions_per_subject.or(self.sessions_per_subject);
        self.former_cookies.extend(former_cookie);
        self.former.extend(former_attributes);
        self.set_of_cookies(up_to, clock_skew);
        self
    }

    /// Sets what only sessions in cookies have, or notes the setting as one without effect.
    fn set_of_cookies(&mut self, up_to: Option<usize>, clock_skew: Option<Duration>) {
        if let Some(cookies) = self.backend.cookies_mut() {
            cookies.up_to = up_to.or(cookies.up_to);
            cookies.clock_skew = clock_skew.or(cookies.clock_skew);
        } else if up_to.is_some() {
            self.without_effect = Some("up_to");
        } else if clock_skew.is_some() {
            self.without_effect = Some("clock_skew");
        }
    }
}

/// The settings that the program or a file has set, ready to be written out. Defaults are left out,
/// except for the cookie's attributes.
///
/// ```
/// # use std::time::Duration;
/// # use silverback::{Keys, SessionConfig, SessionSettings};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let account = SessionConfig::cookie("account", Keys::generate()?)
///     .idle_timeout(Duration::from_secs(5_400));
/// let file = toml::to_string(&SessionSettings::from(&account))?;
/// assert!(file.contains("idle_timeout = \"1h 30m\""));
/// assert!(file.contains("same_site = \"Lax\""));
/// # Ok(())
/// # }
/// ```
impl From<&SessionConfig> for SessionSettings {
    fn from(config: &SessionConfig) -> Self {
        let cookies = config.backend.cookies();
        let cookie = Self::of_cookie(config.cookie_name.clone(), config.attributes.clone());
        Self {
            max_age: config.max_age,
            idle_timeout: config.idle,
            first_idle_timeout: config.first_idle,
            absolute_timeout: config.absolute,
            persist_up_to: config.persist_up_to,
            not_before: Some(config.not_before).filter(|time| *time > Timestamp::default()),
            store_timeout: config.store_timeout,
            max_bytes: config.max_bytes,
            encrypt_records: config.encrypts_records.then_some(true),
            recent_reads: config.reads_recent.then_some(true),
            sessions_per_subject: config.sessions_per_subject,
            up_to: cookies.and_then(|cookies| cookies.up_to),
            clock_skew: cookies.and_then(|cookies| cookies.clock_skew),
            former_cookie: config.former_cookies.clone(),
            former_attributes: config.former.clone(),
            ..cookie
        }
    }
}
