//! The bytes of a gob, and the numbers in them.

use super::error::{GobError, GobErrorKind};

/// Reads one message at a time, since a definition inside a value ends the current message.
pub(super) struct Input<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where the message ends.
    end: usize,
}

impl<'b> Input<'b> {
    /// Starts before the first message.
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            end: 0,
        }
    }

    pub(super) const fn error(&self, kind: GobErrorKind) -> GobError {
        GobError::new(kind, self.at)
    }

    /// Returns whether the whole message has been read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn next_message(&mut self) -> Result<(), GobError> {
        self.end = self.bytes.len();
        let len = self.len()?;
        self.end = self.at + len;
        Ok(())
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'b [u8], GobError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.end);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.error(GobErrorKind::Truncated))?;
        self.at += len;
        Ok(taken)
    }

    /// A first byte up to 127 is the number itself. A larger one is the negated count of the bytes
    /// that follow.
    pub(super) fn uint(&mut self) -> Result<u64, GobError> {
        let first = self.take(1)?.first().copied().unwrap_or_default();
        if first <= 0x7f {
            return Ok(first.into());
        }
        let len = usize::from(first.wrapping_neg());
        if len > 8 {
            return Err(self.error(GobErrorKind::Number));
        }
        let bytes = self.take(len)?;
        Ok(bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The lowest bit says whether the others are inverted.
    pub(super) fn int(&mut self) -> Result<i64, GobError> {
        let number = self.uint()?;
        let half = (number >> 1) as i64;
        Ok(if number & 1 == 0 { half } else { !half })
    }

    /// The bytes are reversed, because the low bytes of common floats are zeros.
    pub(super) fn float(&mut self) -> Result<f64, GobError> {
        Ok(f64::from_bits(self.uint()?.swap_bytes()))
    }

    /// Reads a length in bytes, all of them in this message.
    pub(super) fn len(&mut self) -> Result<usize, GobError> {
        let left = |input: &Self| input.end - input.at;
        self.at_most(left)
    }

    /// Reads a count of elements. Each takes at least one byte, in this message or a later one.
    pub(super) fn count(&mut self) -> Result<usize, GobError> {
        let left = |input: &Self| input.bytes.len() - input.at;
        self.at_most(left)
    }

    fn at_most(&mut self, left: impl Fn(&Self) -> usize) -> Result<usize, GobError> {
        let number = usize::try_from(self.uint()?).ok();
        let number = number.filter(|number| *number <= left(self));
        number.ok_or_else(|| self.error(GobErrorKind::Count))
    }

    pub(super) fn byte_string(&mut self) -> Result<&'b [u8], GobError> {
        let len = self.len()?;
        self.take(len)
    }

    /// Reads the name of a type or a field.
    pub(super) fn name(&mut self) -> Result<&'b str, GobError> {
        let bytes = self.byte_string()?;
        std::str::from_utf8(bytes).map_err(|_| self.error(GobErrorKind::Name))
    }

    /// Moves to the next field of a struct that is present. Returns `false` after the last, at a
    /// zero or at the end of the message.
    pub(super) fn next_field(&mut self, field: &mut usize) -> Result<bool, GobError> {
        if self.is_at_end() {
            return Ok(false);
        }
        let delta = usize::try_from(self.uint()?).ok();
        let next = delta.and_then(|delta| field.checked_add(delta));
        let next = next.ok_or_else(|| self.error(GobErrorKind::Field))?;
        let is_there = next != *field;
        *field = next;
        Ok(is_there)
    }
}
