//! Saves that were cut off.

use crate::{
    clock::Timestamp,
    content::{WriteId, Writes},
};

/// A save whose outcome in the store is unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CutOff {
    pub(crate) write: WriteId,
    /// The write that it was based on, if any.
    pub(crate) base: Option<WriteId>,
    /// The write is known to be done, whatever the record still says.
    pub(crate) is_done: bool,
    /// How many changes it carried, from the start of the log.
    pub(crate) changes: usize,
    pub(crate) at: Timestamp,
}

impl CutOff {
    /// Whether the write is done, by the record's last writes or by earlier knowledge.
    pub(crate) fn is_in(&self, writes: &Writes) -> bool {
        self.is_done || writes.contain(self.write)
    }

    /// Whether the write may be done without a trace in the record. The record's last writes have
    /// no gap, so this needs both the write and its base to be missing there.
    pub(crate) fn is_unknown(&self, writes: &Writes, now: Timestamp) -> bool {
        let is_above = self.base.is_some_and(|base| writes.contain(base));
        !self.is_in(writes) && !is_above && !writes.would_contain(self.at, now)
    }

    /// Settles cut-off saves whose outcome has become known. `above` returns the write on top of a
    /// base, if it is known. A store takes one write per base: either this one, which is then done,
    /// or another, and then this one is dropped.
    pub(crate) fn settle(all: &mut Vec<Self>, above: impl Fn(WriteId) -> Option<WriteId>) {
        all.retain_mut(|cut_off| match cut_off.base.and_then(&above) {
            Some(above) => {
                cut_off.is_done |= above == cut_off.write;
                cut_off.is_done
            }
            None => true,
        });
    }
}
