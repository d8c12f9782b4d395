//! The address of the server.

use silverback::store::StoreError;

/// The host and the port, for the system to look up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Address(String);

/// memcached's default port.
const PORT: &str = "11211";

impl Address {
    /// Parses `memcached://HOST:PORT`, with an optional port.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let Some(rest) = url.strip_prefix("memcached://") else {
            return Err(StoreError::refused(
                "the address does not begin with memcached://",
            ));
        };
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.is_empty() || place.contains(['/', '@', '?', ',', ' ']) {
            return Err(StoreError::refused(
                "the address is not memcached://HOST:PORT",
            ));
        }
        let has_port = match place.strip_prefix('[') {
            Some(_) => !place.ends_with(']'),
            None => place.contains(':'),
        };
        Ok(Self(if has_port {
            place.to_owned()
        } else {
            format!("{place}:{PORT}")
        }))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (url, place) in [
            ("memcached://10.0.0.1:1", "10.0.0.1:1"),
            ("memcached://cache.example/", "cache.example:11211"),
            ("memcached://[::1]", "[::1]:11211"),
            ("memcached://[::1]:2", "[::1]:2"),
        ] {
            assert_eq!(Address::parse(url).unwrap().as_str(), place);
        }
        for url in [
            "",
            "10.0.0.1:1",
            "redis://h",
            "memcached://",
            "memcached://a,b",
            "memcached://u:p@h",
            "memcached://h/1",
        ] {
            let refused = Address::parse(url);
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{url}");
        }
    }
}
