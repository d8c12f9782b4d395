//! Keys as people write them.

use super::error::KeyError;
use crate::text::words;

/// The use of a key. serde uses the words of [`Keys::parse`](crate::Keys::parse): `"active"`,
/// `"pending"`, `"retired"`, `"revoked"`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyState {
    /// Seals new cookies and opens them. Exactly one key is active.
    Active,
    /// Opens its cookies and leaves them as they are. Once every machine knows it, it will seal
    /// cookies.
    Pending,
    /// Opens the cookies that it once sealed. They are then sealed again with the active key.
    Retired,
    /// Opens nothing any more.
    Revoked,
}

words!(KeyState {
    Active = "active",
    Pending = "pending",
    Retired = "retired",
    Revoked = "revoked",
});

/// The lengths of the lines into which `openssl` and `base64` break base64.
const LINES: [usize; 2] = [64, 76];

/// Splits text at commas and white space.
///
/// # Errors
///
/// [`KeyError::Wrapped`] if two words may be the lines of one key, and [`KeyError::Quoted`].
pub(super) fn words(text: &str) -> Result<Vec<&str>, KeyError> {
    if text.contains([
        '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}',
    ]) {
        return Err(KeyError::Quoted);
    }
    let mut words = Vec::new();
    for part in text.split(',') {
        let lines: Vec<_> = part.split_ascii_whitespace().collect();
        let may_go_on = |line: &str| {
            let (_, key) = stated(line).unwrap_or((None, line));
            LINES.contains(&key.len()) && !key.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let mut pairs = lines.iter().zip(lines.iter().skip(1));
        if pairs.any(|(line, next)| may_go_on(line) && !next.contains(':')) {
            return Err(KeyError::Wrapped);
        }
        words.extend(lines);
    }
    Ok(words)
}

/// Splits the word for a key's state from the key.
pub(super) fn stated(word: &str) -> Result<(Option<KeyState>, &str), KeyError> {
    let Some((state, key)) = word.split_once(':') else {
        return Ok((None, word));
    };
    let state = match state {
        "active" => KeyState::Active,
        "pending" => KeyState::Pending,
        "retired" => KeyState::Retired,
        "revoked" => KeyState::Revoked,
        _ => return Err(KeyError::InvalidEncoding),
    };
    Ok((Some(state), key))
}
