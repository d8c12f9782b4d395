//! From the settings that were asked for to those that requests use.

use std::time::Duration;

use super::{Overflow, SessionConfig, Settings, Timeouts};
use crate::{
    codec::{Codec, Mode, Purpose},
    cookie::{self as wire, CookieAttributes},
    error::ConfigError,
    roster::Rosters,
    store::{DynStore, Store as _},
};

/// How long a visitor can be remembered, unless other settings last longer or say otherwise.
const PERSIST_UP_TO: Duration = Duration::from_secs(30 * 86_400);

/// Clocks that differ by more are wrong, and each second of it lets sessions live longer.
const MAX_SKEW: Duration = Duration::from_secs(3_600);

impl SessionConfig {
    /// Checks everything that does not depend on a request, and prepares what can be prepared.
    pub(crate) fn build(&self) -> Result<Settings, ConfigError> {
        for attributes in std::iter::once(&self.attributes).chain(&self.former) {
            attributes.check(&self.name)?;
        }
        let absolute = self.check_times()?;
        self.check_effects()?;
        if self
            .revocations
            .as_ref()
            .is_some_and(|ends| self.forgets(ends))
        {
            return Err(ConfigError::ForgetfulStore(self.name.clone()));
        }
        let (mode, purpose) = match self.backend.server() {
            Err(cookie) if cookie.is_signed() => (Mode::Signed, Purpose::Values),
            Err(_) => (Mode::Sealed, Purpose::Values),
            Ok(_) => (Mode::Signed, Purpose::Reference),
        };
        let longest = PERSIST_UP_TO.max(absolute);
        let longest = longest
            .max(self.max_age.unwrap_or_default())
            .min(wire::MAX_AGE);
        let persist_up_to = self.persist_up_to.unwrap_or(longest);
        Ok(Settings {
            name: self.name.as_str().into(),
            finder: wire::Finder::new(&self.name),
            backend: self.backend.clone(),
            codec: self
                .codec(mode, purpose)
                .with_skew(self.clock_skew.unwrap_or(Codec::SKEW)),
            tag: Settings::tag_of(&self.attributes.render()),
            rendered: self.attributes.render(),
            former: self.former.iter().map(CookieAttributes::render).collect(),
            attributes: self.attributes.clone(),
            max_age: self.max_age,
            idle: self.idle.or(self.max_age).unwrap_or(Timeouts::DEFAULT.idle),
            first_idle: self.first_idle,
            absolute,
            max_bytes: self.max_bytes.unwrap_or(1 << 20).min(128 << 20),
            encrypts_records: self.encrypts_records,
            revocations: self.revocations.clone(),
            overflow: self.build_overflow(),
            persist_up_to,
            not_before: self.not_before,
            reads_recent: self.reads_recent,
            rosters: self.build_rosters(absolute.max(persist_up_to)),
            sessions_per_subject: self.sessions_per_subject.unwrap_or(1_000).max(1),
            never_waits: false,
        }
        .checked())
    }

    /// Returns the absolute timeout.
    fn check_times(&self) -> Result<Duration, ConfigError> {
        let second = Duration::from_secs(1);
        let timeouts = [self.idle, self.first_idle, self.absolute];
        let ages = [self.max_age, self.persist_up_to];
        let mut times = timeouts.into_iter().chain(ages).flatten();
        if times.any(|time| time < second) {
            return Err(ConfigError::ZeroDuration);
        }
        let mut ages = self.max_age.into_iter().chain(self.persist_up_to);
        if ages.any(|age| age > wire::MAX_AGE) {
            return Err(ConfigError::MaxAgeTooLong);
        }
        if self.clock_skew.is_some_and(|skew| skew > MAX_SKEW) {
            return Err(ConfigError::ClockSkewTooLong);
        }
        // A browser keeps no cookie for longer, however often it is sent again.
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

    /// Refuses what does nothing: whoever asks for it counts on it.
    #[rustfmt::skip]
    fn check_effects(&self) -> Result<(), ConfigError> {
        const IN_STORE: &str = "a session in a store";
        const IN_COOKIE: &str = "a session that is always in its cookie";
        const NO_OVERFLOW: &str = "a session without `.overflow(store)`";
        const NO_ROSTERS: &str = "a session in a cookie without `.revocation(store)`";
        let in_store = self.backend.server().is_ok();
        let (overflows, revokes) = (self.overflow.is_some(), self.revocations.is_some());
        let has_records = in_store || overflows;
        let settings = [
            ("overflow",        overflows,                      !in_store,            IN_STORE),
            ("revocation",      revokes,                        !in_store,            IN_STORE),
            ("clock_skew",      self.clock_skew.is_some(),      !in_store,            IN_STORE),
            ("cookie_bytes",    self.cookie_bytes.is_some(),    overflows,            NO_OVERFLOW),
            ("max_bytes",       self.max_bytes.is_some(),       has_records,          IN_COOKIE),
            ("recent_reads",    self.reads_recent,              has_records,          IN_COOKIE),
            ("encrypt_records", self.encrypts_records,          has_records,          IN_COOKIE),
            ("subject_key",     self.subject_key.is_some(),     in_store || revokes,  NO_ROSTERS),
            ("sessions_per_subject", self.sessions_per_subject.is_some(),
                                                                in_store || revokes,  NO_ROSTERS),
        ];
        let useless = |(_, is_set, works, _): &(_, bool, bool, _)| *is_set && !works;
        match settings.into_iter().find(useless) {
            Some((setting, _, _, session)) => Err(ConfigError::NoEffect { setting, session }),
            None => Ok(()),
        }
    }

    /// Whether this store is not to be relied on for what has ended.
    fn forgets(&self, store: &DynStore) -> bool {
        store.limits().may_forget && !self.allows_forgetting
    }

    fn codec(&self, mode: Mode, purpose: Purpose) -> Codec {
        Codec::new(self.keys.clone(), mode, purpose, &self.name, &self.audience)
    }

    fn build_overflow(&self) -> Option<Overflow> {
        Some(Overflow {
            store: self.overflow.clone()?,
            codec: self.codec(Mode::Signed, Purpose::Reference),
            bytes: self.cookie_bytes.unwrap_or(usize::MAX),
        })
    }

    /// `memory` is how long the longest of a subject's sessions can live.
    fn build_rosters(&self, memory: Duration) -> Option<Rosters> {
        let store = self.backend.server().ok().or(self.revocations.as_ref());
        let store = store.filter(|store| !self.forgets(store))?;
        let codec = self.codec(Mode::Sealed, Purpose::Roster);
        let (name, audience) = (&self.name, &self.audience);
        let rosters = Rosters::new(store.clone(), codec, name, audience, memory);
        Some(rosters.named_with(self.subject_key.as_ref()))
    }
}
