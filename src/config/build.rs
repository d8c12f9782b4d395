//! Turns the configuration into the settings that requests use.

use std::time::Duration;

use super::{Overflow, SessionConfig, Settings, Timeouts};
use crate::{
    codec::{Codec, Mode, Purpose},
    cookie::{self as wire, CookieAttributes},
    error::ConfigError,
    report::metrics::SessionMetrics,
    roster::Rosters,
    store::{DynStore, Reserve, Store as _},
};

/// The default bound of `persist_for`, unless other settings last longer.
const PERSIST_UP_TO: Duration = Duration::from_secs(30 * 86_400);

/// How long a request waits for stores by default.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Clocks that differ by more are broken, and each second of skew lets sessions live longer.
const MAX_SKEW: Duration = Duration::from_secs(3_600);

impl SessionConfig {
    /// Checks and prepares everything that does not depend on a request.
    pub(crate) fn build(&self) -> Result<Settings, ConfigError> {
        let cookie_name = self.check_names()?;
        let absolute = self.check_times()?;
        self.check_effects()?;
        self.check_shared()?;
        let cookies = self.backend.cookies();
        let revocations = cookies.and_then(|cookies| cookies.revocation.as_ref());
        let remembers_go = self.backend.server().filter(|_| self.go.is_some());
        let mut remembering = revocations.into_iter().chain(remembers_go);
        if remembering.any(|store| self.forgets(store)) {
            return Err(ConfigError::ForgetfulStore(self.name.clone()));
        }
        let (mode, purpose) = match cookies {
            Some(cookies) if cookies.is_signed() => (Mode::Signed, Purpose::Values),
            Some(_) => (Mode::Sealed, Purpose::Values),
            None => (Mode::Signed, Purpose::Reference),
        };
        let skew = cookies.and_then(|cookies| cookies.clock_skew);
        let skew = skew.unwrap_or(Codec::SKEW);
        // A token may come from a clock that is ahead, and be opened by one that is behind.
        let ends_longer = cookies.map_or(Duration::ZERO, |_| 2 * skew);
        let longest = absolute.max(self.max_age.unwrap_or_default());
        let longest = longest.max(PERSIST_UP_TO).min(wire::MAX_AGE);
        let persist_up_to = self.persist_up_to.unwrap_or(longest);
        let memory = absolute.max(persist_up_to).saturating_add(ends_longer);
        Ok(Settings {
            name: self.name.as_str().into(),
            metrics: SessionMetrics::new(&self.name),
            finder: wire::Finder::new(&cookie_name),
            backend: self.backend.clone(),
            records: self.records(),
            codec: self.codec(mode, purpose, &cookie_name).with_skew(skew),
            ends_longer,
            tag: Settings::tag_of(&self.attributes.render()),
            rendered: self.attributes.render(),
            former: self.former.iter().map(CookieAttributes::render).collect(),
            formerly: self.build_former()?,
            attributes: self.attributes.clone(),
            max_age: self.max_age,
            idle: self.idle.or(self.max_age).unwrap_or(Timeouts::DEFAULT.idle),
            first_idle: self.first_idle,
            absolute,
            max_bytes: self.max_bytes.unwrap_or(1 << 20).min(128 << 20),
            encrypts_records: self.encrypts_records,
            revocations: revocations.cloned().map(Reserve::new),
            overflow: self.build_overflow(&cookie_name),
            persist_up_to,
            not_before: self.not_before,
            reads_recent: self.reads_recent,
            rosters: self.build_rosters(skew, memory),
            cookie_name,
            sessions_per_subject: self.sessions_per_subject.unwrap_or(1_000),
            store_timeout: self.store_timeout.unwrap_or(STORE_TIMEOUT),
            never_waits: false,
            go: self.go.clone(),
        }
        .last_as_in_go()
        .checked())
    }

    /// Returns the cookie's name.
    fn check_names(&self) -> Result<Box<str>, ConfigError> {
        wire::check_name(&self.name)?;
        if wire::has_prefix(&self.name) {
            return Err(ConfigError::PrefixedName(self.name.clone()));
        }
        let name = self.cookie_name_of(&self.attributes);
        self.attributes.check(&name)?;
        if self
            .former_cookies
            .iter()
            .any(|(former, _)| *former == name)
        {
            return Err(ConfigError::NoEffect {
                setting: "former_cookie",
                session: "a session whose cookie has this name now: see `former_attributes`",
            });
        }
        for former in &self.former {
            if *former == self.attributes {
                return Err(ConfigError::NoEffect {
                    setting: "former_attributes",
                    session: "a session whose cookie has these attributes now",
                });
            }
            let before = self.cookie_name_of(former);
            former.check(&before)?;
            if before != name {
                return Err(ConfigError::FormerName(before.into()));
            }
        }
        Ok(name.into())
    }

    /// Returns the absolute timeout.
    fn check_times(&self) -> Result<Duration, ConfigError> {
        let second = Duration::from_secs(1);
        let times = [
            ("max_age", self.max_age, wire::MAX_AGE),
            ("persist_up_to", self.persist_up_to, wire::MAX_AGE),
            ("idle_timeout", self.idle, Duration::MAX),
            ("first_idle_timeout", self.first_idle, Duration::MAX),
            ("absolute_timeout", self.absolute, Duration::MAX),
            ("store_timeout", self.store_timeout, Duration::MAX),
        ];
        for (setting, time, longest) in times {
            if time.is_some_and(|time| time < second) {
                return Err(ConfigError::ZeroDuration { setting });
            }
            if time.is_some_and(|time| time > longest) {
                return Err(ConfigError::MaxAgeTooLong { setting });
            }
        }
        let cookies = self.backend.cookies();
        let skew = cookies.and_then(|cookies| cookies.clock_skew);
        if skew.is_some_and(|skew| skew > MAX_SKEW) {
            return Err(ConfigError::ClockSkewTooLong);
        }
        // With `max_age`, a session may last as long as a browser keeps a cookie.
        let longest = self.max_age.map(|_| wire::MAX_AGE);
        let absolute = self.absolute.or(longest);
        let absolute = absolute.unwrap_or(Timeouts::DEFAULT.absolute);
        if let Some(idle) = self.idle.or(self.max_age)
            && idle > absolute
        {
            return Err(ConfigError::IdleLongerThanAbsolute { idle, absolute });
        }
        let idle = self.idle.or(self.max_age).unwrap_or(Timeouts::DEFAULT.idle);
        let idle = idle.min(self.max_age.unwrap_or(idle));
        match self.first_idle {
            Some(first) if first > idle => {
                Err(ConfigError::FirstIdleLongerThanIdle { first, idle })
            }
            _ => Ok(absolute),
        }
    }

    /// Refuses settings that would have no effect: the application relies on what it sets.
    #[rustfmt::skip]
    fn check_effects(&self) -> Result<(), ConfigError> {
        const IN_COOKIE: &str = "a session that is always in its cookie";
        const NO_STORE: &str = "a session that is in its cookie alone";
        const NO_OVERFLOW: &str = "a `CookieStore` without `.overflow(store)`";
        const WITH_ENDS: &str = "a session whose end is looked up with each request, by `.revocation(store)`";
        const NO_ROSTERS: &str = "a session in a cookie whose `CookieStore` has no `.revocation(store)`";
        if let Some(setting) = self.without_effect {
            let session = "a session in a store";
            return Err(ConfigError::NoEffect { setting, session });
        }
        let cookies = self.backend.cookies();
        let in_store = cookies.is_none();
        let overflows = cookies.is_some_and(|cookies| cookies.overflow.is_some());
        let revokes = cookies.is_some_and(|cookies| cookies.revocation.is_some());
        let has_bound = cookies.is_some_and(|cookies| cookies.up_to.is_some());
        let has_records = in_store || overflows;
        let settings = [
            ("up_to",           has_bound,                      overflows,            NO_OVERFLOW),
            ("max_bytes",       self.max_bytes.is_some(),       has_records,          IN_COOKIE),
            ("recent_reads",    self.reads_recent,              has_records,          IN_COOKIE),
            ("recent_reads",    self.reads_recent,              !revokes,             WITH_ENDS),
            ("encrypt_records", self.encrypts_records,          has_records,          IN_COOKIE),
            ("store_timeout",   self.store_timeout.is_some(),   has_records || revokes, NO_STORE),
            ("subject_key",     self.subject_key.is_some(),     in_store || revokes,  NO_ROSTERS),
            ("sessions_per_subject", self.sessions_per_subject.is_some(),
                                                                in_store || revokes,  NO_ROSTERS),
        ];
        if self.sessions_per_subject == Some(0) {
            return Err(ConfigError::ZeroSessions);
        }
        let useless = |(_, is_set, works, _): &(_, bool, bool, _)| *is_set && !works;
        match settings.into_iter().find(useless) {
            Some((setting, _, _, session)) => Err(ConfigError::NoEffect { setting, session }),
            None => Ok(()),
        }
    }

    /// Refuses settings that the cookies of a session shared with Go cannot carry.
    #[rustfmt::skip]
    fn check_shared(&self) -> Result<(), ConfigError> {
        let Some(go) = &self.go else {
            return Ok(());
        };
        let writes = go.writes();
        let Some(cookies) = self.backend.cookies() else {
            return match writes {
                true => Err(ConfigError::NotInGorilla { setting: "new" }),
                false => Ok(()),
            };
        };
        let asked = [
            ("overflow",           cookies.overflow.is_some()),
            ("revocation",         writes && cookies.revocation.is_some()),
            ("signed",             writes && cookies.is_signed()),
            ("clock_skew",         writes && cookies.clock_skew.is_some()),
            ("idle_timeout",       writes && self.idle.is_some()),
            ("first_idle_timeout", writes && self.first_idle.is_some()),
            ("absolute_timeout",   writes && self.absolute.is_some()),
            ("persist_up_to",      writes && self.persist_up_to.is_some()),
            ("audience",           writes && !self.audience.is_empty()),
        ];
        match asked.into_iter().find(|(_, is_asked)| *is_asked) {
            Some((setting, _)) => Err(ConfigError::NotInGorilla { setting }),
            None => Ok(()),
        }
    }

    /// Returns whether this store cannot be relied on to remember ended sessions.
    fn forgets(&self, store: &DynStore) -> bool {
        store.limits().may_forget && !self.allows_forgetting
    }

    /// The store of the session's records, if it can have any.
    fn records(&self) -> Option<Reserve> {
        let overflow = || self.backend.cookies()?.overflow.as_ref();
        let store = self.backend.server().or_else(overflow);
        store.cloned().map(Reserve::new)
    }

    fn codec(&self, mode: Mode, purpose: Purpose, name: &str) -> Codec {
        Codec::new(self.keys.clone(), mode, purpose, name, &self.audience)
    }

    /// Builds the settings of the session under each former name of its cookie.
    fn build_former(&self) -> Result<Box<[Settings]>, ConfigError> {
        let former = |(name, attributes): &(String, CookieAttributes)| {
            let config = Self {
                cookie_name: Some(name.clone()),
                attributes: attributes.clone(),
                former: Vec::new(),
                former_cookies: Vec::new(),
                ..self.clone()
            };
            config.build()
        };
        self.former_cookies.iter().map(former).collect()
    }

    fn build_overflow(&self, cookie_name: &str) -> Option<Overflow> {
        let cookies = self.backend.cookies()?;
        cookies.overflow.as_ref()?;
        Some(Overflow {
            codec: self.codec(Mode::Signed, Purpose::Reference, cookie_name),
            bytes: cookies.up_to.unwrap_or(usize::MAX),
        })
    }

    /// `memory` is the longest that any of a subject's sessions can live.
    fn build_rosters(&self, skew: Duration, memory: Duration) -> Option<Rosters> {
        let revocation = || self.backend.cookies()?.revocation.as_ref();
        let store = self.backend.server().or_else(revocation);
        let store = store.filter(|store| !self.forgets(store))?;
        let codec = self.codec(Mode::Sealed, Purpose::Roster, &self.name);
        let codec = codec.with_skew(skew);
        let (name, audience) = (&self.name, &self.audience);
        let rosters = Rosters::new(Reserve::new(store.clone()), codec, name, audience, memory);
        Some(rosters.named_with(self.subject_key.as_ref()))
    }
}
