//! The keys of one codec. They are derived from the root keys and bound to the cookie's name, its
//! purpose, the mode and the application, so a token made for one place opens nowhere else. This
//! costs nothing per message.

use std::{fmt, sync::Arc};

use arc_swap::{ArcSwap, Guard};

use super::token::{Mode, Purpose};
use crate::{
    crypto::{MacKey, SealKey},
    key::{Key, KeyId, KeyState, Keys},
};

pub(super) struct CodecKeys {
    root: Keys,
    mode: Mode,
    purpose: Purpose,
    name: Box<str>,
    audience: Box<str>,
    derived: ArcSwap<Derived>,
}

/// The keys derived from one generation of the root keys; the active one first, the pending ones
/// next.
#[derive(Default)]
pub(super) struct Derived {
    /// `None` until the first use.
    generation: Option<u32>,
    keys: Vec<(KeyId, Cipher)>,
    /// How many of them are active or pending. They precede the others.
    current: usize,
}

pub(super) enum Cipher {
    Seal(SealKey),
    Sign(MacKey),
}

/// The key that made a token, and the generation of the keys in which it was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Maker {
    pub(crate) key: KeyId,
    generation: Option<u32>,
}

impl CodecKeys {
    pub(super) fn new(
        root: Keys,
        mode: Mode,
        purpose: Purpose,
        name: &str,
        audience: &str,
    ) -> Self {
        Self {
            root,
            mode,
            purpose,
            name: name.into(),
            audience: audience.into(),
            derived: ArcSwap::default(),
        }
    }

    /// Returns whether they are derived from these root keys, for this application.
    pub(super) fn matches(&self, root: &Keys, audience: &str) -> bool {
        self.root.is_same(root) && &*self.audience == audience
    }

    /// Returns whether the key that has made a token still opens tokens.
    #[inline]
    pub(super) fn accepts(&self, maker: Maker) -> bool {
        // Most often nobody has changed the keys since.
        maker.generation == Some(self.root.generation())
            || self.derived().keys.iter().any(|(id, _)| *id == maker.key)
    }

    /// The keys to use now. This writes nothing that other threads read: a lock shared by all
    /// requests keeps processors waiting for each other, however briefly each holds it.
    #[inline]
    pub(super) fn derived(&self) -> Guard<Arc<Derived>> {
        let derived = self.derived.load();
        if derived.generation == Some(self.root.generation()) {
            return derived;
        }
        drop(derived);
        self.derive()
    }

    #[cold]
    fn derive(&self) -> Guard<Arc<Derived>> {
        // Read first: if the keys change after this line, the next use derives them again.
        let generation = Some(self.root.generation());
        let mut ring = self.root.snapshot();
        // A roster is not trusted because of its key alone: anyone who can change it has the store
        // as well. And it must be readable after a key was revoked, to end the sessions in it.
        ring.retain(|(_, state)| *state != KeyState::Revoked || self.purpose == Purpose::Roster);
        ring.sort_by_key(|(_, state)| match state {
            KeyState::Active => 0,
            KeyState::Pending => 1,
            KeyState::Retired | KeyState::Revoked => 2,
        });
        // While machines rotate one by one, those that are behind must not seal a cookie again with
        // the older key: the next machine would seal it anew, and so on with every request.
        let is_current = |state: &KeyState| matches!(state, KeyState::Active | KeyState::Pending);
        let current = ring.iter().filter(|(_, state)| is_current(state)).count();
        let keys = ring
            .iter()
            .map(|(key, _)| (key.id(), self.cipher(key)))
            .collect();
        let derived = Arc::new(Derived {
            generation,
            keys,
            current,
        });
        // Another thread may store older keys over these. They serve nobody: the next use sees
        // their generation.
        self.derived.store(Arc::clone(&derived));
        Guard::from_inner(derived)
    }

    fn cipher(&self, key: &Key) -> Cipher {
        let parts = [
            b"silverback token" as &[u8],
            self.mode.label(),
            self.audience.as_bytes(),
            self.name.as_bytes(),
            self.purpose.label(),
        ];
        let lens = parts.map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        let info: Vec<&[u8]> = lens
            .iter()
            .zip(parts)
            .flat_map(|(len, part)| [len as &[u8], part])
            .collect();
        let derived = key.root().expand::<32>(&info);
        match self.mode {
            Mode::Sealed => Cipher::Seal(SealKey::new(&derived)),
            Mode::Signed => Cipher::Sign(MacKey::new(&derived)),
        }
    }
}

impl Derived {
    /// The active key. `derive` puts it first; `Keys` is made with one, and only `rotate` replaces
    /// it.
    pub(super) fn active(&self) -> &(KeyId, Cipher) {
        let active = self.keys.first();
        active.expect("a ring has one active key at all times")
    }

    /// Finds the key of this id, and its place among the keys.
    #[inline]
    pub(super) fn find(&self, id: &[u8]) -> Option<(usize, &(KeyId, Cipher))> {
        let mut keys = self.keys.iter().enumerate();
        keys.find(|(_, (key, _))| key.as_bytes() == id)
    }

    /// Whether the key in this place is active or pending.
    pub(super) fn is_current(&self, place: usize) -> bool {
        place < self.current
    }

    /// The maker of a token that was opened with this key.
    pub(super) fn maker(&self, key: KeyId) -> Maker {
        let generation = self.generation;
        Maker { key, generation }
    }
}

impl fmt::Debug for CodecKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

#[cfg(test)]
impl From<KeyId> for Maker {
    fn from(key: KeyId) -> Self {
        let generation = None;
        Self { key, generation }
    }
}
