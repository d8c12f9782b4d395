//! The rules by name.

use std::fmt;

use crate::store_conformance_rules;

/// One rule of the contract; its name is a sentence, and that of its test.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rule(&'static str);

impl Rule {
    /// Returns the rule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        rules().iter().copied().find(|rule| rule.name() == name)
    }

    pub(super) const fn of(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns the rule's name, as in `a_create_never_overwrites`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
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
    };
}

store_conformance_rules!([list]());
