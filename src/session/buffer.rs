//! The bytes of one value, outside the session's lock.

use std::io;

/// A copy of a value's bytes, for use without the lock. Small values need no allocation.
pub(super) struct ValueBuffer {
    small: [u8; SMALL],
    len: usize,
    /// The whole value, once it is larger.
    large: Vec<u8>,
}

const SMALL: usize = 128;

impl ValueBuffer {
    pub(super) const fn new() -> Self {
        Self {
            small: [0; SMALL],
            len: 0,
            large: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) {
        if !self.large.is_empty() {
            self.large.extend_from_slice(bytes);
        } else if let Some(small) = self.small.get_mut(self.len..self.len + bytes.len()) {
            small.copy_from_slice(bytes);
            self.len += bytes.len();
        } else {
            self.outgrow(bytes);
        }
    }

    #[cold]
    fn outgrow(&mut self, bytes: &[u8]) {
        let small = self.small.get(..self.len).unwrap_or_default();
        self.large.reserve(small.len() + bytes.len() + SMALL);
        self.large.extend_from_slice(small);
        self.large.extend_from_slice(bytes);
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        if self.large.is_empty() {
            self.small.get(..self.len).unwrap_or_default()
        } else {
            &self.large
        }
    }
}

impl io::Write for ValueBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole_value(parts: Vec<Vec<u8>>, long in 0..300_usize) {
            let mut buffer = ValueBuffer::new();
            let mut all = Vec::new();
            for part in parts.iter().cloned().chain([vec![7; long], vec![1]]) {
                buffer.write_all(&part)?;
                all.extend_from_slice(&part);
                prop_assert_eq!(buffer.as_slice(), &all);
            }
        }
    }
}
