//! The address of the documents.

use silverback::store::StoreError;

/// The resource name of a database's documents: `projects/shop/databases/(default)/documents`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Address(String);

/// Firestore's name for a project's default database.
const DATABASE: &str = "(default)";

impl Address {
    /// Parses `firestore://PROJECT/DATABASE`, with an optional database.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let not_one = || StoreError::refused("the address is not firestore://PROJECT/DATABASE");
        let rest = url.strip_prefix("firestore://").ok_or_else(not_one)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (project, database) = rest.split_once('/').unwrap_or((rest, DATABASE));
        // A project of a domain has the domain and a colon before its own name.
        let is_project = is_made_of(project, b"-.:");
        if !is_project || (database != DATABASE && !is_made_of(database, b"-")) {
            return Err(not_one());
        }
        let name = format!("projects/{project}/databases/{database}/documents");
        Ok(Self(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether the name consists of lower-case letters, digits and, except at the beginning,
/// the given characters.
fn is_made_of(name: &str, more: &[u8]) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_plain) && bytes.all(|byte| is_plain(byte) || more.contains(&byte))
}

/// Checks a collection's name. Firestore allows more, but not everywhere.
pub(crate) fn check_collection(name: &str) -> Result<(), StoreError> {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Firestore reserves names that begin like this.
    let is_reserved = name.starts_with("__");
    if matches!(name.len(), 1..=100) && name.bytes().all(is_one) && !is_reserved {
        return Ok(());
    }
    let sentence = "a collection's name is up to 100 letters, digits, `-` and `_`, not first `__`";
    Err(StoreError::refused(sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_project_and_a_database() {
        for (url, project, database) in [
            ("firestore://shop", "shop", "(default)"),
            ("firestore://shop/", "shop", "(default)"),
            ("firestore://shop/(default)", "shop", "(default)"),
            ("firestore://shop-1/eu-2", "shop-1", "eu-2"),
            (
                "firestore://example.com:shop",
                "example.com:shop",
                "(default)",
            ),
        ] {
            let name = format!("projects/{project}/databases/{database}/documents");
            assert_eq!(Address::parse(url).unwrap().as_str(), name, "{url}");
        }
        for url in [
            "",
            "shop",
            "firestore://",
            "firestore:///eu",
            "firestore://shop/eu/documents",
            "firestore://shop?x",
            "firestore://Shop",
            "firestore://a b",
            "firestore://../x",
            "firestore://shop/(other)",
            "https://shop",
        ] {
            let refused = Address::parse(url);
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{url}");
        }
    }

    #[test]
    fn a_collection_has_a_plain_name() {
        for name in ["s", "silverback_sessions", "Shop-2", &"c".repeat(100)] {
            check_collection(name).unwrap();
        }
        for name in [
            "",
            "a/b",
            ".",
            "..",
            "__x__",
            "a b",
            "\u{e9}",
            &"c".repeat(101),
        ] {
            let refused = check_collection(name);
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{name}");
        }
    }
}
