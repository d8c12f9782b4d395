//! A browser that sends the cookies it last received.

use bytes::Bytes;

use crate::endpoint::Endpoint;

/// Cookies by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Browser(Vec<(String, String)>);

impl Browser {
    pub fn visit(&mut self, endpoint: &mut dyn Endpoint) {
        let field = (!self.is_empty()).then(|| Bytes::from(self.field()));
        self.keep(endpoint.visit(field.as_ref()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the `Set-Cookie` fields of a response.
    pub fn keep(&mut self, cookies: Vec<String>) {
        for cookie in cookies {
            let pair = cookie
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a cookie has a name and a value");
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The `Cookie` field of a request.
    pub fn field(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The browser with one character changed in the middle of each value.
    #[must_use]
    pub fn altered(mut self) -> Self {
        for (_, value) in &mut self.0 {
            let middle = value.len() / 2;
            let other = if value.get(middle..=middle) == Some("A") {
                "B"
            } else {
                "A"
            };
            value.replace_range(middle..=middle, other);
        }
        self
    }
}
