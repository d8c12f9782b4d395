//! Keys as the application reads them, and key files.

use std::{env, fs, path::Path};

use silverback::{Key, KeyId, KeyState, Keys};
use zeroize::Zeroizing;

use crate::{args::Common, failure::Failure};

/// The variable with the application's keys, unless another is given.
const VARIABLE: &str = "SESSION_KEY";

/// Reads the keys from the file or the variable. Returns `None` if there are none and none were
/// asked for.
pub(crate) fn read(common: &Common) -> Result<Option<Keys>, Failure> {
    if let Some(path) = &common.key_file {
        return Ok(Some(Keys::from_file(path)?));
    }
    match &common.key_env {
        Some(variable) => Ok(Some(Keys::from_env(variable)?)),
        None if env::var_os(VARIABLE).is_some() => Ok(Some(Keys::from_env(VARIABLE)?)),
        None => Ok(None),
    }
}

/// Reads a file with secrets.
pub(crate) fn text_of(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let shown = path.display();
    text.map_err(|error| Failure::failed(format!("{shown} cannot be read"), &error))
}

/// Reads a file with one key.
pub(crate) fn read_one(path: &Path) -> Result<Key, Failure> {
    let (shown, text) = (path.display(), text_of(path)?);
    let word = text.trim();
    let is_hex = word.len().is_multiple_of(2) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = if is_hex {
        Key::from_hex(word)
    } else {
        Key::from_base64(word)
    };
    key.map_err(|error| Failure::refused(shown.to_string(), &error))
}

/// Makes a new key as text: hexadecimal digits, or base64 like `openssl rand -base64 32`.
pub(crate) fn generate(as_hex: bool) -> Result<(Zeroizing<String>, KeyId), Failure> {
    let mut secret = Zeroizing::new([0; Key::MIN_LEN]);
    getrandom::fill(secret.as_mut())
        .map_err(|error| Failure::failed("the system gives no random bytes", &error))?;
    let id = Key::from_bytes(secret.as_slice())?.id();
    Ok((Zeroizing::new(encode(secret.as_slice(), as_hex)), id))
}

fn encode(secret: &[u8], as_hex: bool) -> String {
    if as_hex {
        secret.iter().map(|byte| format!("{byte:02x}")).collect()
    } else {
        base64_simd::STANDARD.encode_to_string(secret)
    }
}

/// A parsed key file: the state of each key, its id and its text.
pub(crate) struct KeyFile(pub(crate) Vec<Entry>);

pub(crate) struct Entry {
    pub(crate) state: KeyState,
    pub(crate) id: KeyId,
    word: Zeroizing<String>,
}

impl KeyFile {
    /// Splits text that [`Keys::parse`] accepts.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let ring = Keys::parse(text)?.list();
        let is_gap = |letter: char| letter == ',' || letter.is_ascii_whitespace();
        let words = text.split(is_gap).filter(|word| !word.is_empty());
        let entry = |((id, state), word): ((KeyId, KeyState), &str)| {
            let word = word.split_once(':').map_or(word, |(_, word)| word);
            Entry {
                state,
                id,
                word: Zeroizing::new(word.to_owned()),
            }
        };
        Ok(Self(ring.into_iter().zip(words).map(entry).collect()))
    }

    /// Writes one key per line, each with its state.
    pub(crate) fn write(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for entry in &self.0 {
            text.push_str(word_of(entry.state));
            text.push(':');
            text.push_str(&entry.word);
            text.push('\n');
        }
        text
    }

    /// Makes the new key the active one. The previous active key becomes `former`.
    pub(crate) fn rotate(&mut self, (word, id): (Zeroizing<String>, KeyId), former: KeyState) {
        self.retire_active(former);
        let state = KeyState::Active;
        self.0.insert(0, Entry { state, id, word });
    }

    pub(crate) fn stage(&mut self, (word, id): (Zeroizing<String>, KeyId)) {
        let state = KeyState::Pending;
        self.0.push(Entry { state, id, word });
    }

    /// Makes the pending key the active one, or the first of several.
    pub(crate) fn activate(&mut self, former: KeyState) -> Option<KeyId> {
        let is_pending = |entry: &Entry| entry.state == KeyState::Pending;
        let place = self.0.iter().position(is_pending)?;
        self.retire_active(former);
        let mut entry = self.0.remove(place);
        entry.state = KeyState::Active;
        let id = entry.id;
        self.0.insert(0, entry);
        Some(id)
    }

    /// Revokes the key whose id begins with this text. The active key can only be revoked together
    /// with a replacement.
    pub(crate) fn revoke(&mut self, text: &str) -> Result<KeyId, Failure> {
        let text = text.to_ascii_lowercase();
        let begins = |entry: &&mut Entry| entry.id.to_string().starts_with(&text);
        let mut found = self.0.iter_mut().filter(begins);
        let (Some(entry), false) = (found.next(), text.is_empty()) else {
            let missing = "the key file has no key of this id";
            return Err(Failure::NotFound(format!("{text}: {missing}")));
        };
        if found.next().is_some() {
            let several = "several keys begin with this: give more digits";
            return Err(Failure::Refused(format!("{text}: {several}")));
        }
        if entry.state == KeyState::Active {
            return Err(Failure::Refused(format!(
                "{}: it seals new cookies: `silverback rotate --revoke` puts a new key in its place",
                entry.id
            )));
        }
        entry.state = KeyState::Revoked;
        Ok(entry.id)
    }

    fn retire_active(&mut self, former: KeyState) {
        for entry in &mut self.0 {
            if entry.state == KeyState::Active {
                entry.state = former;
            }
        }
    }

    /// Drops retired keys beyond this number, from the end, where the oldest are.
    pub(crate) fn drop_retired(&mut self, keep: usize) -> Vec<KeyId> {
        let (mut retired, mut dropped) = (0, Vec::new());
        self.0.retain(|entry| {
            if entry.state != KeyState::Retired {
                return true;
            }
            retired += 1;
            if retired > keep {
                dropped.push(entry.id);
            }
            retired <= keep
        });
        dropped
    }
}

/// The word for a state in key files.
pub(crate) fn word_of(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Pending => "pending",
        KeyState::Retired => "retired",
        KeyState::Revoked => "revoked",
        // A state of a later release of the library would not have been parsed.
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> (Zeroizing<String>, KeyId) {
        generate(false).unwrap()
    }

    fn states(file: &KeyFile) -> Vec<(KeyState, KeyId)> {
        file.0.iter().map(|entry| (entry.state, entry.id)).collect()
    }

    #[test]
    fn a_new_key_is_read_as_the_library_reads_keys() {
        for as_hex in [false, true] {
            let (word, id) = generate(as_hex).unwrap();
            assert_eq!(Keys::parse(&word).unwrap().list(), [(id, KeyState::Active)]);
            assert_ne!(generate(as_hex).unwrap().1, id);
        }
    }

    #[test]
    fn a_rotation_keeps_the_keys_that_the_library_keeps() {
        let (first, second, third) = (new(), new(), new());
        let ids = [first.1, second.1, third.1];
        let text = format!("{},{}", *first.0, *second.0);
        let mut file = KeyFile::parse(&text).unwrap();
        file.rotate((third.0.clone(), third.1), KeyState::Retired);
        let keys = Keys::parse(&text).unwrap();
        keys.rotate(Key::from_base64(&third.0).unwrap()).unwrap();
        assert_eq!(Keys::parse(&file.write()).unwrap().list(), keys.list());
        assert_eq!(KeyFile::parse(&file.write()).unwrap().write(), file.write());

        assert_eq!(file.drop_retired(1), [ids[1]]);
        assert_eq!(
            states(&file),
            [(KeyState::Active, ids[2]), (KeyState::Retired, ids[0])]
        );
    }

    #[test]
    fn a_staged_key_is_activated_and_a_stolen_one_revoked() {
        let (first, second) = (new(), new());
        let ids = [first.1, second.1];
        let mut file = KeyFile::parse(&format!("active:{}", *first.0)).unwrap();
        assert_eq!(file.activate(KeyState::Retired), None);
        file.stage(second);
        assert_eq!(
            states(&file),
            [(KeyState::Active, ids[0]), (KeyState::Pending, ids[1])]
        );
        assert_eq!(file.activate(KeyState::Revoked), Some(ids[1]));
        assert_eq!(
            states(&file),
            [(KeyState::Active, ids[1]), (KeyState::Revoked, ids[0])]
        );
        // Rosters that a revoked key has sealed must stay readable.
        assert_eq!(file.drop_retired(0), []);
    }

    #[test]
    fn a_key_to_revoke_is_named_by_enough_digits() {
        let first = new();
        let digit = |key: &(_, KeyId)| key.1.to_string()[..1].to_owned();
        let same = std::iter::repeat_with(new).find(|key| digit(key) == digit(&first));
        let same = same.unwrap();
        let (text, upper) = (digit(&first), same.1.to_string().to_uppercase());
        let mut file = KeyFile::parse(&format!("{},{}", *first.0, *same.0)).unwrap();
        assert!(matches!(file.revoke(&text), Err(Failure::Refused(_))));
        assert_eq!(file.revoke(&upper).unwrap(), same.1);
        assert_eq!(states(&file)[1], (KeyState::Revoked, same.1));
    }
}
