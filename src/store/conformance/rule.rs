//! The rules by name.

use std::fmt;

use super::verdict::Need;
use crate::store_conformance_rules;

/// One rule of the contract. Its name is a sentence, and the name of its test.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rule(&'static str);

impl Rule {
    /// Returns the rule of this name.
    ///
    /// ```
    /// use silverback::store::conformance::Rule;
    ///
    /// assert!(Rule::named("a_create_never_overwrites").is_some());
    /// assert!(Rule::named("no_such_rule").is_none());
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        rules().iter().copied().find(|rule| rule.name() == name)
    }

    pub(super) const fn of(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns the rule's name, such as `a_create_never_overwrites`.
    ///
    /// ```
    /// use silverback::store::conformance::rules;
    ///
    /// for rule in rules() {
    ///     println!("{}", rule.name());
    /// }
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// What the rule needs besides a store.
    pub(super) fn needs(self) -> Option<Need> {
        match (module(self), self.name()) {
            ("lasting", _) => Some(Need::RealTime),
            ("peers", _) => Some(Need::Peer),
            ("silence", _) => Some(Need::Silence),
            ("cut", _) => Some(Need::Cut),
            ("outage", _) => Some(Need::Outage),
            ("garbage", _) => Some(Need::Garbage),
            ("trips", _) => Some(Need::RoundTrips),
            ("keeping", _) => Some(Need::TimeLeft),
            (_, "a_clock_that_jumps_harms_no_live_record") => Some(Need::Clock),
            (_, "a_store_that_never_waits_is_done_at_once") => Some(Need::NeverWaits),
            _ => None,
        }
    }

    /// Returns whether the rule waits for time to pass, and may run beside others meanwhile.
    pub(super) fn is_in_real_time(self) -> bool {
        self.needs() == Some(Need::RealTime)
    }

    /// Returns whether the rule disturbs others: it makes the server fail, or counts its questions.
    pub(super) fn disturbs_others(self) -> bool {
        self.needs_an_outage() || self.needs() == Some(Need::RoundTrips)
    }

    pub(super) fn needs_an_outage(self) -> bool {
        matches!(self.needs(), Some(Need::Silence | Need::Cut | Need::Outage))
    }
}

/// Prints the name as a sentence.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('_', " "))
    }
}

macro_rules! list {
    (() $($module:ident: $($rule:ident)+;)+) => {
        /// Lists every rule of the contract.
        #[must_use]
        pub fn rules() -> &'static [Rule] {
            &[$($(Rule(stringify!($rule)),)+)+]
        }

        /// The module of the rule.
        fn module(rule: Rule) -> &'static str {
            match rule.name() {
                $($(stringify!($rule))|+ => stringify!($module),)+
                _ => "",
            }
        }
    };
}

store_conformance_rules!([list]());
