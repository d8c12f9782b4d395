//! What a power failure leaves of unsynced writes.

use super::state::{State, Write, apply, put};

const SECTOR: usize = 512;

/// Random decisions about unsynced writes, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

impl State {
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        for file in self.files.values_mut() {
            for write in std::mem::take(&mut file.pending) {
                tear(&mut file.durable, &write, dice);
            }
            file.content.clone_from(&file.durable);
        }
        for dir in self.dirs.values_mut() {
            for change in std::mem::take(&mut dir.pending) {
                if dice.roll(2) == 0 {
                    apply(&mut dir.durable, &change);
                }
            }
            dir.entries.clone_from(&dir.durable);
        }
    }
}

/// Each sector of the write is on the disk, or missing, or garbled.
fn tear(durable: &mut Vec<u8>, write: &Write, dice: &mut Dice) {
    let mut at = write.offset;
    let end = write.offset + write.bytes.len();
    let fate = dice.roll(4);
    while at < end {
        let stop = end.min((at / SECTOR + 1) * SECTOR);
        let piece = &write.bytes[at - write.offset..stop - write.offset];
        match if fate == 3 { dice.roll(3) } else { fate } {
            0 => put(durable, at, piece),
            1 => {}
            _ => put(
                durable,
                at,
                &piece
                    .iter()
                    .map(|_| dice.roll(256) as u8)
                    .collect::<Vec<_>>(),
            ),
        }
        at = stop;
    }
}
