//! What a key is called.

use std::fmt;

/// Which key it is: four bytes derived from the secret, printed as eight hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyId(pub(super) [u8; 4]);

impl KeyId {
    pub(crate) const LEN: usize = 4;

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", base16ct::HexDisplay(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
