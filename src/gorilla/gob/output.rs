//! The bytes of a gob that is being written.

use super::error::{GobError, GobErrorKind};

#[derive(Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) const fn error(&self, kind: GobErrorKind) -> GobError {
        GobError::new(kind, self.0.len())
    }

    pub(super) fn uint(&mut self, number: u64) {
        if number <= 0x7f {
            self.0.push(number as u8);
            return;
        }
        let bytes = number.to_be_bytes();
        let zeros = number.leading_zeros() as usize / 8;
        self.0.push((bytes.len() - zeros).wrapping_neg() as u8);
        self.0.extend(bytes.iter().skip(zeros));
    }

    pub(super) fn int(&mut self, number: i64) {
        let half = (number << 1) as u64;
        self.uint(if number < 0 { !half } else { half });
    }

    pub(super) fn float(&mut self, number: f64) {
        self.uint(number.to_bits().swap_bytes());
    }

    pub(super) fn byte_string(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}
