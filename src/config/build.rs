//! From the settings that were asked for to those that requests use.

use std::time::Duration;

use super::{Overflow, SessionConfig, Settings, Timeouts};
use crate::{
    codec::{Codec, Mode, Purpose},
    cookie as wire,
    error::ConfigError,
    roster::Rosters,
};

/// Clocks that differ by more are wrong, and each second of it lets sessions live longer.
const MAX_SKEW: Duration = Duration::from_secs(3_600);

impl SessionConfig {
    /// Checks everything that does not depend on a request, and prepares what can be prepared.
    pub(crate) fn build(&self) -> Result<Settings, ConfigError> {
        self.attributes.check(&self.name)?;
        self.check_times()?;
        let (mode, purpose) = match self.backend.server() {
            Err(cookie) if cookie.is_signed() => (Mode::Signed, Purpose::Values),
            Err(_) => (Mode::Sealed, Purpose::Values),
            Ok(_) => (Mode::Signed, Purpose::Reference),
        };
        // A browser keeps no cookie for longer, however often it is sent again.
        let longest = self.max_age.map(|_| wire::MAX_AGE);
        let absolute = self.absolute.or(longest);
        let absolute = absolute.unwrap_or(Timeouts::DEFAULT.absolute);
        Ok(Settings {
            name: self.name.as_str().into(),
            finder: wire::Finder::new(&self.name),
            backend: self.backend.clone(),
            codec: self.codec(mode, purpose).with_skew(self.clock_skew),
            rendered: self.attributes.render(),
            attributes: self.attributes.clone(),
            max_age: self.max_age,
            idle: self.idle.or(self.max_age).unwrap_or(Timeouts::DEFAULT.idle),
            absolute,
            max_bytes: self.max_bytes.min(128 << 20),
            encrypts_records: self.encrypts_records,
            revocations: self.revocations.clone(),
            overflow: self.build_overflow(),
            rosters: self.build_rosters(absolute.max(wire::MAX_AGE)),
            sessions_per_subject: self.sessions_per_subject.max(1),
            never_waits: false,
        }
        .checked())
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let mut times = [self.max_age, self.idle, self.absolute]
            .into_iter()
            .flatten();
        if times.any(|time| time < second) {
            return Err(ConfigError::ZeroDuration);
        }
        if self.max_age.is_some_and(|age| age > wire::MAX_AGE) {
            return Err(ConfigError::MaxAgeTooLong);
        }
        if self.clock_skew > MAX_SKEW {
            return Err(ConfigError::ClockSkewTooLong);
        }
        Ok(())
    }

    fn codec(&self, mode: Mode, purpose: Purpose) -> Codec {
        Codec::new(self.keys.clone(), mode, purpose, &self.name, &self.audience)
    }

    fn build_overflow(&self) -> Option<Overflow> {
        let store = self.overflow.as_ref();
        let store = store.filter(|_| self.backend.server().is_err())?;
        Some(Overflow {
            store: store.clone(),
            codec: self.codec(Mode::Signed, Purpose::Reference),
            bytes: self.cookie_bytes,
        })
    }

    /// `memory` is how long the longest of a subject's sessions can live.
    fn build_rosters(&self, memory: Duration) -> Option<Rosters> {
        let store = self.backend.server().ok().or(self.revocations.as_ref())?;
        let codec = self.codec(Mode::Sealed, Purpose::Roster);
        Some(Rosters::new(
            store.clone(),
            codec,
            &self.name,
            &self.audience,
            memory,
        ))
    }
}
