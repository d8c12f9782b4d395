//! The keys of values in a request's log of changes.

use std::{fmt, str};

/// The key of a value. A short one takes no allocation.
#[derive(Clone)]
pub(crate) enum ValueKey {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

/// As many bytes as keep the type at three words.
const SHORT: usize = 22;

impl ValueKey {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short { len, bytes } => {
                let key = bytes.get(..(*len).into()).unwrap_or_default();
                str::from_utf8(key).unwrap_or_default()
            }
            Self::Long(key) => key,
        }
    }
}

impl From<&str> for ValueKey {
    fn from(key: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..key.len()) {
            Some(start) => {
                start.copy_from_slice(key.as_bytes());
                let len = key.len() as u8;
                Self::Short { len, bytes }
            }
            None => Self::Long(key.into()),
        }
    }
}

impl fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_length_is_itself() {
        for len in 0..30 {
            let key = "é".repeat(len);
            assert_eq!(ValueKey::from(&*key).as_str(), key);
        }
        assert_eq!(size_of::<ValueKey>(), 24);
    }
}
