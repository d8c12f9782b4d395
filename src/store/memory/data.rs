//! A record's bytes in a slot of the table.

use std::mem;

use crate::store::{Bytes, RecordKind};

/// The first of few bytes, and the length of all. Its alignment is 1.
#[derive(Clone, Copy)]
pub(super) struct Head {
    first: [u8; HEAD],
    len: [u8; 2],
}

/// The number of bytes in the slot itself.
const HEAD: usize = 5;
/// The most bytes that are copied into a box. More would keep the lock for too long.
const FEW: usize = 512;

impl Head {
    /// Splits few bytes into their head and the rest.
    fn split(bytes: &[u8]) -> (Self, &[u8]) {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
        if let Some((first, rest)) = bytes.split_first_chunk() {
            return (Self { first: *first, len }, rest);
        }
        let mut first = [0; HEAD];
        copy(bytes, &mut first);
        (Self { first, len }, &[])
    }

    const fn len(self) -> usize {
        u16::from_le_bytes(self.len) as usize
    }

    fn bytes(&self) -> &[u8] {
        self.first.get(..self.len()).unwrap_or(&self.first)
    }
}

/// Makes the type of a record's data, with a variant for each size of box. Allocators round up to a
/// multiple of 16 bytes, of which they take 8 themselves.
macro_rules! data {
    ($($variant:ident $size:literal)*) => {
        /// A session's bytes. Few bytes are in a box of the next size, so that the slot needs no
        /// room for its length. Many bytes stay as they are, so that nobody copies them under the
        /// lock.
        pub(super) enum Data {
            Many(Box<Bytes>),
            $($variant(Head, Box<[u8; $size]>),)*
        }

        impl Data {
            /// Copies few bytes into the smallest box that is large enough, if there is one.
            fn few(bytes: &[u8]) -> Option<Self> {
                let (head, rest) = Head::split(bytes);
                $(if rest.len() <= $size {
                    let mut boxed = Box::new([0; $size]);
                    copy(rest, boxed.as_mut_slice());
                    return Some(Self::$variant(head, boxed));
                })*
                None
            }

            /// The head of few bytes. It is in the same place for every size of box.
            const fn of_few(&self) -> Result<&Head, &Bytes> {
                match self {
                    Self::Many(bytes) => Err(bytes),
                    $(Self::$variant(head, _) => Ok(head),)*
                }
            }

            /// The head of few bytes, and the box with the rest.
            fn parts(&self) -> Result<(&Head, &[u8]), &Bytes> {
                match self {
                    Self::Many(bytes) => Err(bytes),
                    $(Self::$variant(head, boxed) => Ok((head, boxed.as_slice())),)*
                }
            }

            fn parts_mut(&mut self) -> Result<(&mut Head, &mut [u8]), &mut Bytes> {
                match self {
                    Self::Many(bytes) => Err(bytes),
                    $(Self::$variant(head, boxed) => Ok((head, boxed.as_mut_slice())),)*
                }
            }
        }
    };
}

data! {
    B24 24 B40 40 B56 56 B72 72 B88 88 B104 104 B120 120 B136 136
    B152 152 B168 168 B184 184 B200 200 B216 216 B232 232 B248 248 B264 264
    B280 280 B296 296 B312 312 B328 328 B344 344 B360 360 B376 376 B392 392
    B408 408 B424 424 B440 440 B456 456 B472 472 B488 488 B504 504 B520 520
}

/// The size of the box for `len` bytes. `None` if they are too many for a box.
const fn size_for(len: usize) -> Option<usize> {
    if len > FEW {
        return None;
    }
    let size = (len.saturating_sub(HEAD) + 7) / 16 * 16 + 8;
    Some(if size < 24 { 24 } else { size })
}

fn copy(from: &[u8], to: &mut [u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self.of_few() {
            Ok(head) => head.len(),
            Err(bytes) => bytes.len(),
        }
    }

    /// The first byte, if there is one, and possibly some more.
    pub(super) fn head(&self) -> &[u8] {
        match self.of_few() {
            Ok(head) => head.bytes(),
            Err(bytes) => bytes,
        }
    }

    pub(super) fn first_six(&self) -> Option<[u8; 6]> {
        match self.parts() {
            Ok((head, boxed)) => {
                let ([a, b, c, d, e], f) = (head.first, *boxed.first()?);
                (head.len() > HEAD).then_some([a, b, c, d, e, f])
            }
            Err(bytes) => bytes.first_chunk().copied(),
        }
    }

    pub(super) fn kind(&self) -> Option<RecordKind> {
        RecordKind::of(self.head())
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let (head, boxed) = match self.parts() {
            Ok(parts) => parts,
            Err(bytes) => return bytes.clone(),
        };
        let mut all = Vec::with_capacity(head.len());
        match head.len().checked_sub(HEAD) {
            // A constant length makes this copy cheap.
            Some(rest) => {
                all.extend_from_slice(&head.first);
                all.extend_from_slice(boxed.get(..rest).unwrap_or(&[]));
            }
            None => all.extend_from_slice(head.bytes()),
        }
        all.into()
    }

    /// Replaces the bytes, in the same box if its size fits. The caller drops what is left of both
    /// without the lock.
    pub(super) fn put(&mut self, bytes: &mut Bytes) -> Option<Self> {
        if size_for(bytes.len()) != size_for(self.len()) {
            return Some(mem::replace(self, Self::take(bytes)));
        }
        match self.parts_mut() {
            Ok((head, boxed)) => {
                let (first, rest) = Head::split(bytes);
                *head = first;
                copy(rest, boxed);
            }
            Err(old) => mem::swap(old, bytes),
        }
        None
    }

    /// Takes many bytes, and copies few: the caller drops those.
    fn take(bytes: &mut Bytes) -> Self {
        let few = (bytes.len() <= FEW).then(|| Self::few(bytes));
        few.flatten()
            .unwrap_or_else(|| Self::Many(Box::new(mem::take(bytes))))
    }
}

impl From<Bytes> for Data {
    fn from(mut bytes: Bytes) -> Self {
        Self::take(&mut bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(len: usize) -> Bytes {
        (0..len).map(|at| at as u8 ^ 0x5a).collect()
    }

    fn size(data: &Data) -> Option<usize> {
        data.parts().ok().map(|(_, boxed)| boxed.len())
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn it_takes_two_words() {
        assert_eq!(size_of::<Option<Data>>(), 16);
    }

    #[test]
    fn each_length_has_the_smallest_box() {
        for len in 0..=FEW {
            let data = Data::from(bytes(len));
            assert_eq!((data.to_bytes(), data.len()), (bytes(len), len));
            assert_eq!(data.head(), &bytes(len)[..len.min(HEAD)]);
            let (rest, size) = (len.saturating_sub(HEAD), size(&data).unwrap());
            assert_eq!(Some(size), size_for(len), "{len}");
            assert!(size == 24 || rest + 16 > size, "{len}");
        }
        assert_eq!(
            (size(&Data::from(bytes(FEW + 1))), size_for(FEW + 1)),
            (None, None)
        );
    }

    #[test]
    fn the_first_six_bytes_exist_if_there_are_six() {
        for len in [0, 1, 5, 6, 7, FEW, FEW + 1] {
            let first = Data::from(bytes(len)).first_six();
            assert_eq!(first, bytes(len).first_chunk().copied(), "{len}");
        }
    }

    #[test]
    fn many_are_not_copied() {
        let large = Bytes::from(vec![7; 1 << 20]);
        let (few, mut many) = (Data::from(large.slice(..100)), Data::from(large.clone()));
        assert_eq!((few.to_bytes(), many.len()), (large.slice(..100), 1 << 20));
        assert_eq!(many.to_bytes().as_ptr(), large.as_ptr());
        let other = bytes(FEW + 1);
        let mut next = other.clone();
        assert!(many.put(&mut next).is_none());
        assert_eq!(many.to_bytes().as_ptr(), other.as_ptr());
        assert_eq!(
            next.as_ptr(),
            large.as_ptr(),
            "the caller drops the old bytes"
        );
    }

    #[test]
    fn about_as_many_bytes_reuse_the_box() {
        let place = |data: &Data| data.parts().ok().map(|(_, boxed)| boxed.as_ptr());
        let mut data = Data::from(bytes(HEAD + 50));
        let first = place(&data);
        for rest in [50, 41, 56] {
            assert!(data.put(&mut bytes(HEAD + rest)).is_none());
            assert_eq!(place(&data), first, "{rest}");
        }
        for rest in [40, 41, 57] {
            assert!(data.put(&mut bytes(HEAD + rest)).is_some(), "{rest}");
        }
        for (len, expected) in [(FEW + 1, None), (FEW, Some(520)), (FEW + 1, None)] {
            data.put(&mut bytes(len));
            assert_eq!(size(&data), expected, "{len}");
        }
    }

    proptest! {
        #[test]
        fn the_last_bytes_put_are_there(lens in prop::collection::vec(0..600_usize, 1..20)) {
            let mut data = Data::from(bytes(0));
            for len in lens {
                let before = data.len();
                let left = data.put(&mut bytes(len));
                assert_eq!(data.to_bytes(), bytes(len));
                assert_eq!(data.first_six(), bytes(len).first_chunk().copied());
                assert!(left.is_none_or(|left| left.len() == before));
                assert_eq!(size(&data), size(&Data::from(bytes(len))));
            }
        }
    }
}
