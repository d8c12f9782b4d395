//! A broken rule.

use std::{error, fmt};

use super::rule::Rule;

/// A store broke a rule: which one, and what it did. Prints both.
#[derive(Clone, Eq, PartialEq)]
pub struct Violation {
    rule: Rule,
    story: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, story: impl Into<String>) -> Self {
        Self {
            rule,
            story: story.into(),
        }
    }

    /// Returns the rule that was broken.
    ///
    /// ```
    /// use silverback::store::conformance::Violation;
    ///
    /// fn report(violation: &Violation) -> String {
    ///     format!("{} is broken: {violation}", violation.rule())
    /// }
    /// ```
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the store breaks the rule `{}`: {}",
            self.rule.name(),
            self.story
        )
    }
}

/// Prints the same as `Display`: a test that returns a violation shows it this way.
impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for Violation {}
