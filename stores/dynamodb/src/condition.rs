//! Conditions of writes, which DynamoDB checks.
//!
//! An expired record counts as deleted long before DynamoDB removes it, so each condition contains
//! the time.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use silverback::{Timestamp, store::Version};

use crate::item;

/// An expression and its values. DynamoDB refuses missing values and unused ones.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) expression: &'static str,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// No record exists. An expired record may be replaced, and so may an item that is not a
    /// record.
    pub(crate) fn absent(now: Timestamp) -> Self {
        Self {
            expression: "NOT (attribute_type(version, :binary) AND size(version) = :length \
                         AND expires > :now AND attribute_exists(content))",
            values: values([
                (":binary", AttributeValue::S("B".to_owned())),
                (":length", AttributeValue::N("16".to_owned())),
                (":now", item::time(now)),
            ]),
        }
    }

    /// A record exists and has this version. Half a record does not count.
    pub(crate) fn at(expected: Version, now: Timestamp) -> Self {
        Self {
            expression: "version = :expected AND expires > :now AND attribute_exists(content)",
            values: values([
                (":expected", item::version(expected)),
                (":now", item::time(now)),
            ]),
        }
    }

    /// The record has this version, or does not exist.
    pub(crate) fn at_or_absent(expected: Version, now: Timestamp) -> Self {
        Self {
            expression: "attribute_not_exists(id) OR version = :expected OR expires <= :now",
            values: values([
                (":expected", item::version(expected)),
                (":now", item::time(now)),
            ]),
        }
    }

    /// Adds a value that the write itself uses.
    pub(crate) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }
}

fn values<const N: usize>(pairs: [(&str, AttributeValue); N]) -> HashMap<String, AttributeValue> {
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value));
    HashMap::from(pairs)
}
