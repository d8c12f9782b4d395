//! Going through a store page by page, and finding a record by the first digits of its key.

use silverback::store::{Cursor, Listed, RecordKey, RecordKind};

use crate::{failure::Failure, stores::Opened};

/// The records of one page, which takes a server one round trip or a few.
const PAGE: usize = 1_000;

/// The number of a key's digits in tables.
pub(crate) const SHORT: usize = 12;

/// With this many digits, two keys hardly ever collide: once in 10^9 for a million records.
const SURE: usize = SHORT;

/// Fewer digits match too many keys.
const LEAST: usize = 4;

/// Pages of a store, from the first.
pub(crate) struct Pages<'a> {
    store: &'a Opened,
    next: Option<Cursor>,
}

impl<'a> Pages<'a> {
    pub(crate) fn of(store: &'a Opened) -> Self {
        Self {
            store,
            next: Some(Cursor::default()),
        }
    }

    /// Returns the next page, or `None` after the last. A page may have no records.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Listed>>, Failure> {
        let Some(from) = self.next.take() else {
            return Ok(None);
        };
        let page = self.store.page(&from, PAGE).await?;
        self.next = page.next;
        Ok(Some(page.entries))
    }
}

/// Finds the key that begins with these digits.
pub(crate) async fn find(store: &Opened, text: &str) -> Result<RecordKey, Failure> {
    let wanted = match Wanted::parse(text)? {
        Wanted::Key(key) => return Ok(key),
        Wanted::Digits(digits) => digits,
    };
    let (mut pages, mut found) = (Pages::of(store), None::<RecordKey>);
    while let Some(page) = pages.next().await? {
        for entry in page.iter().filter(|entry| begins(&entry.key, &wanted)) {
            found = Some(only(found, entry.key, text)?);
        }
        if wanted.len() >= SURE && found.is_some() {
            break;
        }
    }
    found.ok_or_else(|| Failure::NotFound(format!("{text}: the store has no such record")))
}

/// Finds the key among a user's that begins with these digits.
pub(crate) fn find_among(keys: &[RecordKey], text: &str) -> Result<RecordKey, Failure> {
    let wanted = match Wanted::parse(text)? {
        Wanted::Key(key) => return Ok(key),
        Wanted::Digits(digits) => digits,
    };
    let mut found = None;
    for key in keys.iter().filter(|key| begins(key, &wanted)) {
        found = Some(only(found, *key, text)?);
    }
    found.ok_or_else(|| Failure::NotFound(format!("{text}: the user has no such session")))
}

/// The argument: a key, or the first digits of one.
enum Wanted {
    Key(RecordKey),
    Digits(Vec<u32>),
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, Failure> {
        if let Ok(key) = text.to_ascii_lowercase().parse() {
            return Ok(Self::Key(key));
        }
        let digits = text.chars().map(|letter| letter.to_digit(16));
        match digits.collect::<Option<Vec<_>>>() {
            Some(digits) if (LEAST..64).contains(&digits.len()) => Ok(Self::Digits(digits)),
            _ => Err(no_key(text)),
        }
    }
}

fn only(found: Option<RecordKey>, key: RecordKey, text: &str) -> Result<RecordKey, Failure> {
    if found.is_some_and(|other| other != key) {
        let several = "several records begin with this: give more digits";
        return Err(Failure::Refused(format!("{text}: {several}")));
    }
    Ok(key)
}

fn no_key(text: &str) -> Failure {
    let what = "a key is 64 hexadecimal digits, or the first of them and at least 4";
    Failure::Refused(format!("{what}; got {} characters", text.chars().count()))
}

/// Returns whether these are the first hexadecimal digits of the key.
fn begins(key: &RecordKey, digits: &[u32]) -> bool {
    let halves = key
        .as_bytes()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    halves
        .zip(digits)
        .all(|(half, digit)| u32::from(half) == *digit)
}

pub(crate) fn short(key: &RecordKey) -> String {
    key.to_string().chars().take(SHORT).collect()
}

pub(crate) fn kind_of(kind: Option<RecordKind>) -> &'static str {
    match kind {
        Some(RecordKind::Session) => "session",
        Some(RecordKind::Mark) => "mark",
        Some(RecordKind::Roster) => "roster",
        Some(RecordKind::End) => "end",
        Some(RecordKind::Moved) => "moved",
        _ => "unknown",
    }
}

/// Why a user has no sessions here, or seems to have none.
pub(crate) fn no_sessions(user: &str, name: &str) -> Failure {
    let check = "are --name, the keys and --subject-key-file those of your application?";
    Failure::NotFound(format!(
        "{user:?} has no sessions of the name {name:?}: {check}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digits_are_halves_of_bytes() {
        let key = RecordKey::from_bytes([0xab; 32]);
        assert!(begins(&key, &[10, 11, 10]));
        assert!(!begins(&key, &[10, 11, 11]));
        assert_eq!(short(&key), "abababababab");
    }

    #[test]
    fn ambiguous_digits_are_refused() {
        let [one, other] = [1, 2].map(|last| {
            let mut key = [0xab; 32];
            key[31] = last;
            RecordKey::from_bytes(key)
        });
        assert_eq!(find_among(&[one], "abab").unwrap(), one);
        let several = find_among(&[one, other], "abab");
        assert!(matches!(several, Err(Failure::Refused(_))), "{several:?}");
        let whole = other.to_string();
        assert_eq!(find_among(&[one, other], &whole).unwrap(), other);
    }
}
