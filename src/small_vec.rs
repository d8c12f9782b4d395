//! A list that nearly always has at most one item.

use std::{
    mem,
    ops::{Deref, DerefMut},
    slice,
};

/// A vector whose first item takes no allocation. Dropping an empty one costs a comparison.
#[derive(Debug, Default)]
pub(crate) enum SmallVec<T> {
    #[default]
    Empty,
    One(T),
    Several(Vec<T>),
}

impl<T> SmallVec<T> {
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self {
            Self::Empty => *self = Self::One(item),
            Self::One(_) | Self::Several(_) => self.push_another(item),
        }
    }

    #[cold]
    fn push_another(&mut self, item: T) {
        *self = Self::Several(match mem::take(self) {
            Self::Empty => vec![item],
            Self::One(first) => vec![first, item],
            Self::Several(mut all) => {
                all.push(item);
                all
            }
        });
    }

    /// Moves all items of `other` to the end.
    #[inline]
    pub(crate) fn append(&mut self, other: Self) {
        match self {
            Self::Empty => *self = other,
            Self::One(_) | Self::Several(_) => other.for_each(|item| self.push(item)),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::Empty => Vec::new(),
            Self::One(item) => vec![item],
            Self::Several(all) => all,
        }
    }

    pub(crate) fn retain(&mut self, keeps: impl Fn(&T) -> bool) {
        match self {
            Self::One(item) if !keeps(item) => *self = Self::Empty,
            Self::Empty | Self::One(_) => {}
            Self::Several(all) => all.retain(keeps),
        }
    }

    pub(crate) fn for_each(self, mut use_item: impl FnMut(T)) {
        match self {
            Self::Empty => {}
            Self::One(item) => use_item(item),
            Self::Several(all) => all.into_iter().for_each(use_item),
        }
    }
}

impl<T> DerefMut for SmallVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Empty => &mut [],
            Self::One(item) => slice::from_mut(item),
            Self::Several(all) => all,
        }
    }
}

impl<T> Deref for SmallVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Empty => &[],
            Self::One(item) => slice::from_ref(item),
            Self::Several(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(items: &[u8]) -> SmallVec<u8> {
        let mut all = SmallVec::default();
        items.iter().for_each(|item| all.push(*item));
        all
    }

    #[test]
    fn it_has_the_items_pushed() {
        for items in [&[] as &[u8], &[1], &[1, 2], &[1, 2, 3]] {
            assert_eq!(&*of(items), items);
            assert_eq!(of(items).into_vec(), items);
            let mut seen = Vec::new();
            of(items).for_each(|item| seen.push(item));
            assert_eq!(seen, items);
        }
    }

    #[test]
    fn it_retains_the_items_asked_for() {
        for (items, retained) in [
            (&[] as &[u8], &[] as &[u8]),
            (&[1], &[]),
            (&[2], &[2]),
            (&[1, 2, 3, 4], &[2, 4]),
            (&[1, 3], &[]),
        ] {
            let mut all = of(items);
            all.retain(|item| item % 2 == 0);
            assert_eq!(&*all, retained, "{items:?}");
        }
    }
}
