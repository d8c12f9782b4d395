//! The name of a table.

use std::{error, fmt, str::FromStr};

/// A checked name, with its schema if there is one.
#[derive(Clone, Debug)]
pub(crate) struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// Returns the whole name, with each part in these quotes.
    pub(crate) fn quoted(&self, quote: char) -> String {
        format!("{}{}", self.quoted_schema(quote), self.alone(quote))
    }

    /// Returns the name without its schema.
    pub(crate) fn alone(&self, quote: char) -> String {
        format!("{quote}{}{quote}", self.name)
    }

    /// Returns the name of the sweep's index, without a schema.
    pub(crate) fn index(&self, quote: char) -> String {
        format!("{quote}{}_sweep{quote}", self.name)
    }

    /// Returns the schema and a dot, or nothing.
    pub(crate) fn quoted_schema(&self, quote: char) -> String {
        let schema = self.schema.as_ref();
        schema.map_or_else(String::new, |schema| format!("{quote}{schema}{quote}."))
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self {
            schema: None,
            name: "silverback_sessions".to_owned(),
        }
    }
}

impl FromStr for TableName {
    type Err = InvalidTableName;

    fn from_str(text: &str) -> Result<Self, InvalidTableName> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if schema.into_iter().chain([name]).all(is_name) {
            Ok(Self {
                schema: schema.map(str::to_owned),
                name: name.to_owned(),
            })
        } else {
            Err(InvalidTableName(text.to_owned()))
        }
    }
}

/// Lower case only: PostgreSQL folds unquoted names to it, and operators type them without quotes.
/// With `_sweep`, the longest name stays below 63 bytes, where PostgreSQL truncates.
fn is_name(text: &str) -> bool {
    let is_ordinary = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    (1..=MOST).contains(&text.len())
        && text.bytes().all(is_ordinary)
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

const MOST: usize = 48;

/// A name that [`SqlStore::table`](crate::SqlStore::table) does not accept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidTableName(String);

impl fmt::Display for InvalidTableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot be the name of a table: use up to {MOST} of a-z, 0-9 and _, not a digit first, and a \
             schema with a dot before it if there is one",
            self.0
        )
    }
}

impl error::Error for InvalidTableName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_may_have_a_schema() {
        let longest = "x".repeat(MOST);
        for (text, quoted) in [
            ("sessions", "\"sessions\""),
            ("_s2", "\"_s2\""),
            ("order", "\"order\""),
            ("shop.sessions", "\"shop\".\"sessions\""),
            (&longest, &format!("\"{longest}\"")),
        ] {
            assert_eq!(text.parse::<TableName>().unwrap().quoted('"'), quoted);
        }
        let longer = "x".repeat(MOST + 1);
        for text in [
            "", ".", "a.", ".a", "a.b.c", "2s", "a.2s", "Sessions", "a b", "a\"b", "a`b", "a;b",
            "a-b", "ä", "a\0", &longer,
        ] {
            let error = text.parse::<TableName>().unwrap_err();
            assert!(error.to_string().contains("cannot be the name"), "{error}");
        }
    }

    #[test]
    fn an_index_is_named_after_its_table() {
        let name: TableName = "shop.sessions".parse().unwrap();
        assert_eq!(name.index('`'), "`sessions_sweep`");
        assert_eq!(name.alone('`'), "`sessions`");
        assert_eq!(name.quoted_schema('`'), "`shop`.");
    }
}
